//! A daemon inside a test or an example, in a folder of its own, gone without a trace when it is dropped.

use std::path::Path;

use crate::app::App;
use crate::config::{Config, Given, Machine};
use crate::wipe;

/// A daemon in this process.
pub struct Daemon {
    runtime: Option<tokio::runtime::Runtime>,
    app: Option<App>,
    config: Config,
    _folder: tempfile::TempDir,
}

impl Daemon {
    /// Starts one with 64 MiB of RAM and 256 MiB of DISK.
    ///
    /// # Errors
    /// Why it does not start, in words.
    pub fn start() -> Result<Self, String> {
        Self::start_with(&[])
    }

    /// The same, with these settings on top, named as the flags are.
    ///
    /// # Errors
    /// Why it does not start, in words.
    pub fn start_with(settings: &[(&str, &str)]) -> Result<Self, String> {
        let folder = tempfile::tempdir().map_err(|e| e.to_string())?;
        let at = |name: &str| folder.path().join(name).display().to_string();
        let (runtime_dir, data_dir) = (at("run"), at("data"));
        let base =
            [("runtime-dir", runtime_dir.as_str()), ("data-dir", &data_dir), ("ram", "64MiB"), ("disk", "256MiB")];
        let mut given = Given::default();
        for (name, value) in base.iter().chain(settings) {
            given = given.with(name, value).map_err(|e| e.to_string())?;
        }
        let machine = Machine::this().map_err(|e| e.to_string())?;
        let config = Config::load(&machine, &given).map_err(|e| e.to_string())?;
        let mut daemon = Self { runtime: None, app: None, config, _folder: folder };
        daemon.start_again()?;
        Ok(daemon)
    }

    /// Starts it in its folder, with what it left there.
    ///
    /// # Errors
    /// Why it does not start, in words.
    pub fn start_again(&mut self) -> Result<(), String> {
        self.stop();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.map_err(|e| e.to_string())?;
        let start = App::start(self.config.clone());
        // A test may start it in async code, where blocking on a runtime is not allowed: so on a thread of its own.
        let started = std::thread::scope(|scope| scope.spawn(|| runtime.block_on(start)).join());
        let app = started.map_err(|_| "the daemon panicked while it started".to_owned())?.map_err(|e| e.to_string())?;
        (self.runtime, self.app) = (Some(runtime), Some(app));
        Ok(())
    }

    /// Stops it in order. What it has stays for the next start; [`socket`](Self::socket) is not known until then.
    pub fn stop(&mut self) {
        let (Some(runtime), Some(app)) = (self.runtime.take(), self.app.take()) else { return };
        // As at the start: on a thread of its own.
        std::thread::scope(|scope| {
            let ended = scope.spawn(|| runtime.block_on(app.stop())).join();
            debug_assert!(ended.is_ok(), "the test daemon did not end in order");
        });
        runtime.shutdown_background();
    }

    /// Its gRPC socket.
    #[must_use]
    pub fn socket(&self) -> &Path {
        self.app.as_ref().map_or(Path::new(""), App::socket)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop();
        let wiped = wipe::everything(&self.config);
        assert!(wiped.is_ok() || std::thread::panicking(), "the test daemon has left something: {wiped:?}");
    }
}
