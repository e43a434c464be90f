//! Which calls are being answered: a stop waits for them, and not for peers that say nothing.
//!
//! A graceful stop of HTTP/2 ends a connection when its peer has understood that it will. A peer that is stopped, or
//! never spoke, understands nothing, and would hold the daemon for as long as it may.

use std::future::Future;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TrackedFuture;
use tower::{Layer, Service};

/// What the transport gets to write the last answers out, once there are no more calls.
const LINGER: Duration = Duration::from_secs(2);

/// The calls under way. Clones count the same ones.
#[derive(Debug, Clone, Default)]
pub(super) struct Calls(TaskTracker);

impl Calls {
    /// Runs a server until it ends or, once it is told to stop, until every call is answered.
    pub(super) async fn serve<T>(self, server: impl Future<Output = T>, stopping: CancellationToken) -> Option<T> {
        tokio::select! {
            ended = server => Some(ended),
            () = self.answered(stopping) => None,
        }
    }

    async fn answered(self, stopping: CancellationToken) {
        stopping.cancelled().await;
        self.0.close();
        self.0.wait().await;
        tokio::time::sleep(LINGER).await;
    }
}

impl<S> Layer<S> for Calls {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted { inner, calls: self.0.clone() }
    }
}

/// A service whose calls are counted.
#[derive(Debug, Clone)]
pub(super) struct Counted<S> {
    inner: S,
    calls: TaskTracker,
}

impl<S: Service<R>, R> Service<R> for Counted<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = TrackedFuture<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        self.calls.track_future(self.inner.call(request))
    }
}
