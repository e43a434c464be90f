//! A listener for the page that takes a few connections at a time, each for a while: whoever may connect there may not use up
//! the daemon's descriptors.

use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::serve::Listener;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

/// Connections at a time. The others wait.
const AT_A_TIME: usize = 16;

/// How long one may go on asking.
const LIFE: Duration = Duration::from_secs(10);

/// A listener with room for a few.
pub(super) struct Few<L> {
    inner: L,
    room: Arc<Semaphore>,
}

impl<L> Few<L> {
    pub(super) fn new(inner: L) -> Self {
        Self { inner, room: Arc::new(Semaphore::new(AT_A_TIME)) }
    }
}

impl<L: Listener> Listener for Few<L> {
    type Io = Brief<L::Io>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        // Never closed, so there is always one to be waited for.
        let seat = Arc::clone(&self.room).acquire_owned().await.ok();
        let (io, address) = self.inner.accept().await;
        (Brief { io, over: Box::pin(sleep(LIFE)), _seat: seat }, address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.inner.local_addr()
    }
}

/// A connection on which nothing more is heard once its time is over.
pub(super) struct Brief<I> {
    io: I,
    over: Pin<Box<Sleep>>,
    _seat: Option<OwnedSemaphorePermit>,
}

impl<I: AsyncRead + Unpin> AsyncRead for Brief<I> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.over.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.io).poll_read(context, to)
    }
}

impl<I: AsyncWrite + Unpin> AsyncWrite for Brief<I> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        // One that reads nothing of its answer is one that says nothing.
        if self.over.as_mut().poll(context).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        Pin::new(&mut self.io).poll_write(context, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}
