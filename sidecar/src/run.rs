//! `serve` and `config`: the order of a daemon's life. Log, configuration, start, wait, stop, exit code.

use crate::app::{App, StartError};
use crate::cli::{ConfigArgs, Exit};
use crate::config::{Config, ConfigError, Given, Machine};
use crate::inherited::Inherited;
use crate::log;
use crate::observe::Traces;
use crate::shutdown::StopSignals;
use crate::supervisor;

/// Runs the daemon until it is told to stop.
#[must_use]
pub fn serve(given: &Given) -> Exit {
    let inherited = Inherited::take();
    let config = match load(given) {
        Ok(config) => config,
        Err(exit) => return exit,
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("engine").build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("payload-manager: no threads to run on: {error}");
            return Exit::Failure;
        }
    };
    let traces = {
        let _inside = runtime.enter();
        Traces::start(&config.otlp)
    };
    log::start(&config);
    if let Err(error) = &traces {
        tracing::error!(%error, "see otlp-endpoint and the OTEL_ variables");
    }
    harden();
    let exit = runtime.block_on(live(config, inherited));
    if let Ok(Some(traces)) = traces {
        traces.close();
    }
    // What blocks can't be interrupted, and what it was doing is cleaned up by the next start.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    exit
}

/// Prints the configuration in force.
#[must_use]
pub fn print_config(args: &ConfigArgs) -> Exit {
    match load(&args.flags.given) {
        Ok(config) if args.json => say(&format!("{:#}\n", config.to_json())),
        Ok(config) => say(&config.to_toml()),
        Err(exit) => exit,
    }
}

fn say(text: &str) -> Exit {
    use std::io::Write;
    // A reader that has seen enough is no failure.
    match std::io::stdout().write_all(text.as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Exit::Failure,
        Ok(()) | Err(_) => Exit::Success,
    }
}

/// The configuration, or what is wrong with it on standard error.
pub(crate) fn load(given: &Given) -> Result<Config, Exit> {
    let config = Machine::this()
        .map_err(|error| error.to_string())
        .and_then(|machine| Config::load(&machine, given).map_err(|error: ConfigError| error.to_string()));
    config.map_err(|error| {
        eprintln!("payload-manager: {error}");
        Exit::Usage
    })
}

async fn live(config: Config, inherited: Inherited) -> Exit {
    let mut signals = match StopSignals::listen() {
        Ok(signals) => signals,
        Err(error) => {
            tracing::error!(%error, "signals can't be listened to");
            return Exit::Failure;
        }
    };
    greet(&config);
    let app = match App::start_with(config, inherited).await {
        Ok(app) => app,
        Err(error) => return refused(&error),
    };
    if let Some(address) = app.metrics_tcp() {
        tracing::info!(%address, "metrics are at /metrics");
    }
    tracing::info!(socket = %app.socket().display(), tcp = ?app.tcp(), "serving");
    if app.tcp().is_some() {
        tracing::warn!("TCP peers are not checked: every user of this host can reach the loopback port");
    }
    supervisor::ready();
    tokio::spawn(log::report());
    let alive = tokio::spawn(supervisor::alive());
    tokio::select! {
        signal = signals.next() => tracing::info!(signal, "stopping"),
        () = app.failed() => tracing::error!("a part of the daemon failed; stopping"),
    }
    supervisor::stopping();
    // A stop has limits of its own.
    alive.abort();
    let drained = tokio::select! {
        drained = app.stop() => drained,
        signal = signals.next() => {
            tracing::warn!(signal, "told twice: stopping at once");
            return Exit::Failure;
        }
    };
    match (drained.failed, drained.left) {
        (Some(task), _) => {
            tracing::error!(task, "a task panicked: a bug, please report it");
            Exit::Failure
        }
        (None, 0) => {
            tracing::info!("stopped; RAM payloads stay for the next start");
            Exit::Success
        }
        (None, left) => {
            tracing::warn!(left, "stopped with work under way; the next start cleans up after it");
            Exit::Success
        }
    }
}

/// What the person who starts the daemon wants to see first.
fn greet(config: &Config) {
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        runtime_dir = %config.runtime_dir.path.display(),
        data_dir = %config.data_dir.path.display(),
        disk_root = %config.disk_root.path.display(),
        "payload-manager"
    );
    tracing::info!("RAM: {}", config.ram);
    tracing::info!("DISK: {}", config.disk);
    match &config.object_store {
        Some(at) => tracing::info!("OBJECT: {at}, unlimited"),
        None => tracing::info!("OBJECT: not configured"),
    }
    config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
}

fn refused(error: &StartError) -> Exit {
    tracing::error!("not started: {error}");
    if error.is_refusal() { Exit::Refused } else { Exit::Failure }
}

/// Keeps other processes of the same user from reaching into this one, and makes room for descriptors.
fn harden() {
    if let Err(error) = nix::sys::prctl::set_dumpable(false) {
        tracing::warn!(%error, "other processes of this user may reach into the daemon's memory");
    }
    let files = nix::sys::resource::Resource::RLIMIT_NOFILE;
    let raised =
        nix::sys::resource::getrlimit(files).and_then(|(_, hard)| nix::sys::resource::setrlimit(files, hard, hard));
    if let Err(error) = raised {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
}
