//! `healthcheck`: one question to the daemon, answered by an exit code, for probes in images that have no other tools.

use std::time::Duration;

use crate::cli::{Exit, HealthcheckArgs};
use crate::config::{Config, Machine};
use crate::grpc::health;
use crate::grpc::serve::CONTROL_SOCKET;

/// Asks.
#[must_use]
pub fn run(args: &HealthcheckArgs) -> Exit {
    let machine = Machine::this().map_err(|error| error.to_string());
    let folder = machine.and_then(|m| Config::runtime_dir(&m, &args.flags.given).map_err(|error| error.to_string()));
    let socket = match folder {
        Ok(folder) => folder.join(CONTROL_SOCKET),
        Err(error) => {
            eprintln!("payload-manager: {error}");
            return Exit::Usage;
        }
    };
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("payload-manager: {error}");
            return Exit::Failure;
        }
    };
    let asked = runtime.block_on(health::ask(&socket, args.timeout.max(Duration::from_millis(1))));
    let (exit, said) = match asked {
        Ok(true) => (Exit::Success, "serving".to_owned()),
        Ok(false) if args.live => (Exit::Success, "alive, and not serving".to_owned()),
        Ok(false) => (Exit::Failure, "not serving: the catalog can't be written, or it is stopping".to_owned()),
        Err(why) => (Exit::Failure, format!("no answer from {}: {why}", socket.display())),
    };
    eprintln!("payload-manager: {said}");
    exit
}
