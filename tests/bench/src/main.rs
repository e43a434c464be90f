//! `payload-bench`: starts daemons, measures them beside the floor of the same machine in the same minutes, and prints a
//! row a figure.
//!
//! It measures and judges nothing else: that the answers are right is what the tests are for. The daemon is this very
//! program run again as `payload-manager serve`, so that one `cargo run` builds all that is measured.

mod cli;
mod collector;
mod daemon;
mod figures;
mod floor;
mod part;
mod plain;
mod prefill;
mod row;
mod rpc;
mod sample;
mod scale;

use std::io::Write;
use std::process::ExitCode;

use tokio::signal::unix::{SignalKind, signal};

use cli::{Cli, Parsed};
use figures::Bench;
use row::{Row, heading};

/// Whatever stops a measurement, in words for people.
type Failure = Box<dyn std::error::Error + Send + Sync>;
type Result<T> = std::result::Result<T, Failure>;

fn main() -> ExitCode {
    if let Some(exit) = part::of_the_daemon().or_else(part::of_the_echo).or_else(part::of_the_reader) {
        return exit;
    }
    match Cli::read() {
        Parsed::Run(cli) => measure(&cli),
        Parsed::Listed => ExitCode::SUCCESS,
        Parsed::Refused => ExitCode::from(2),
    }
}

fn measure(cli: &Cli) -> ExitCode {
    // One thread, so that a call costs no hop between threads on this side; the daemon has as many as it wants.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.into()),
    };
    let outcome = runtime.block_on(async {
        let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
        tokio::select! {
            done = figures(cli) => done.map(|()| ExitCode::SUCCESS),
            // What was started is dropped, and takes with it all it made.
            _ = interrupt.recv() => Ok(ExitCode::from(128 + 2)),
            _ = terminate.recv() => Ok(ExitCode::from(128 + 15)),
        }
    });
    runtime.shutdown_background();
    outcome.unwrap_or_else(|error: Failure| failed(&error))
}

async fn figures(cli: &Cli) -> Result<()> {
    if cli.quick {
        eprintln!("--quick: small populations and few samples, to see that it works; these are not the figures");
    }
    if cfg!(debug_assertions) {
        eprintln!("this is a debug build: the figures mean something only with `cargo run --release`");
    }
    if !cli.json {
        show(&heading())?;
    }
    let wanted = cli.wanted();
    let mut bench = Bench::new(cli, |row: &Row| {
        if wanted.contains(&row.name) { show(&if cli.json { row.json()? } else { row.line() }) } else { Ok(()) }
    });
    bench.run(&wanted).await
}

fn show(line: &str) -> Result<()> {
    match writeln!(std::io::stdout(), "{line}") {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Err("nobody reads the figures".into()),
        other => Ok(other?),
    }
}

fn failed(error: &Failure) -> ExitCode {
    eprintln!("payload-bench: {error}");
    ExitCode::FAILURE
}
