//! A process of the demo, from inside: reads the plan and plays its part.

use std::future::Future;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use payload_manager_client::Client;

use super::plan::{Event, Plan};
use super::{consumer, producer};
use crate::cli::{DemoPart, DemoPartArgs, Exit};

/// Plays one part. What goes wrong is reported to the demo.
#[must_use]
pub fn part(args: &DemoPartArgs) -> Exit {
    match play(args.part, &args.folder) {
        Ok(()) => Exit::Success,
        Err(why) => {
            eprintln!("payload-manager: {why}");
            // If nobody listens, the line above is all that can be done.
            let _ = Event::Failed { why }.tell();
            Exit::Failure
        }
    }
}

fn play(part: DemoPart, folder: &Path) -> Result<(), String> {
    let plan = Plan::read(folder).map_err(|error| format!("there is no plan in {}: {error}", folder.display()))?;
    // A demo that is killed can't end anybody. The daemon is asked to, so that it still writes what is queued.
    let last = if part == DemoPart::Daemon { Signal::SIGTERM } else { Signal::SIGKILL };
    nix::sys::prctl::set_pdeathsig(last).map_err(|error| error.to_string())?;
    match part {
        DemoPart::Daemon => Err(become_daemon(&plan)),
        DemoPart::Producer => block_on(async { producer::run(&connect(&plan).await?, &plan).await }),
        DemoPart::Consumer => block_on(async { consumer::run(&connect(&plan).await?, &plan).await }),
    }
}

/// Becomes `payload-manager serve`, a daemon like any other. Returns only if that can't be.
fn become_daemon(plan: &Plan) -> String {
    let program = match std::env::current_exe() {
        Ok(program) => program,
        Err(error) => return format!("this program can't be found: {error}"),
    };
    format!("{} can't be run: {}", program.display(), Command::new(&program).args(&plan.serve).exec())
}

/// How long one call may take: far longer than any should.
const DEADLINE: Duration = Duration::from_secs(120);

async fn connect(plan: &Plan) -> Result<Client, String> {
    let client = Client::connect(plan.socket.as_path()).await.map_err(|error| error.to_string())?;
    Ok(client.with_deadline(Some(DEADLINE)))
}

/// Leases are renewed on a thread of their own: comparing bytes blocks the other one.
fn block_on(part: impl Future<Output = Result<(), String>>) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.map_err(|error| error.to_string())?.block_on(part)
}
