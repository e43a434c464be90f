//! The thread behind a blocking client: it drives the connection, renews leases and cleans up while callers wait.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, JoinHandle, Thread};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::client::Client;
use crate::error::{Error, Result};
use crate::session::here;

/// What was dropped last is given back within this time, or left to the daemon.
const FAREWELL: Duration = Duration::from_secs(1);

/// A connection and the thread that drives it. Dropping the last owner waits, up to [`FAREWELL`], until the daemon has
/// been told of everything that was dropped, and ends the thread.
#[derive(Debug)]
pub(super) struct Connection {
    client: Client,
    handle: Handle,
    /// Taken by drop, as is the thread.
    stop: Option<oneshot::Sender<Client>>,
    thread: Option<JoinHandle<()>>,
}

impl Connection {
    /// Starts the thread, and connects on it.
    pub(super) fn make(connect: impl Future<Output = Result<Client>>) -> Result<Self> {
        let (stop, stopped) = oneshot::channel::<Client>();
        let (handle, thread) = start(stopped).map_err(|e| Error::Unreachable {
            address: "the daemon".to_owned(),
            why: format!("there is no thread to connect with: {e}"),
        })?;
        let client = wait(&handle, connect);
        // On failure `stop` is dropped, and the thread ends.
        Ok(Self { client: client?, handle, stop: Some(stop), thread: Some(thread) })
    }

    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// Blocks this thread until `work` is done.
    pub(super) fn wait<T>(&self, work: impl Future<Output = T>) -> T {
        wait(&self.handle, work)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        if !self.client.is_ours() {
            // The thread is the parent's: there is none here to tell anything, or to wait for.
            std::mem::forget((self.stop.take(), self.thread.take()));
            return;
        }
        if let Some(stop) = self.stop.take() {
            // A thread that is gone needs no telling.
            let _ = stop.send(self.client.clone());
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn start(stopped: oneshot::Receiver<Client>) -> io::Result<(Handle, JoinHandle<()>)> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    let life = move || {
        // Rust's own programs ignore it, others that have this thread in them would die of a daemon that is gone. Blocking
        // it fails for no signal that there is.
        let _ = SigSet::from(Signal::SIGPIPE).thread_block();
        runtime.block_on(async {
            if let Ok(client) = stopped.await {
                // What takes longer is left to the daemon.
                let _ = tokio::time::timeout(FAREWELL, client.flush()).await;
            }
        });
    };
    let thread = thread::Builder::new().name("payload-manager".to_owned()).spawn(life)?;
    Ok((handle, thread))
}

/// Polls `work` on this thread, with timers and sockets of the other. Works inside a runtime too, where tokio's own
/// `block_on` panics.
fn wait<T>(handle: &Handle, work: impl Future<Output = T>) -> T {
    let _inside = handle.enter();
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    // Inside a runtime the task's budget would run out, and only who yields gets another.
    let work = tokio::task::coop::unconstrained(work);
    let (mut work, mut context) = (pin!(work), Context::from_waker(&waker));
    loop {
        match here::waiting(|| work.as_mut().poll(&mut context)) {
            Poll::Ready(done) => return done,
            Poll::Pending => thread::park(),
        }
    }
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}
