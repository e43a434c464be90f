// What every doc example that needs a daemon includes: one of its own, gone when it is dropped.

/// On a thread of its own, because many examples are async and starting a daemon blocks.
fn daemon() -> Result<payload_manager::testing::Daemon, String> {
    let started = std::thread::spawn(payload_manager::testing::Daemon::start).join();
    started.map_err(|_| "the daemon panicked".to_owned())?
}
