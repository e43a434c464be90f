//! What a supervisor that speaks systemd's protocol (`sd_notify(3)`) is told: that the daemon serves, that it is alive, that
//! it stops. Where there is none, nothing happens.

use std::time::Duration;

use sd_notify::NotifyState;

fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the supervisor could not be told");
    }
}

/// It serves.
pub(crate) fn ready() {
    tell(NotifyState::Ready);
}

/// It is on its way out.
pub(crate) fn stopping() {
    tell(NotifyState::Stopping);
}

/// Says again and again that it is alive, twice in the time that is asked for, on the threads that serve: when they no longer
/// run, nobody says so. Never ready; where nobody asks, it does nothing.
pub(crate) async fn alive() -> std::convert::Infallible {
    let Some(every) = sd_notify::watchdog_enabled().map(|within| (within / 2).max(Duration::from_millis(1))) else {
        return std::future::pending().await;
    };
    loop {
        tell(NotifyState::Watchdog);
        tokio::time::sleep(every).await;
    }
}
