//! Sessions: the verbs of clients that share memory with the daemon, on `session.sock`.
//!
//! ```text
//! session.sock ──► server   one thread, epoll: who comes, who goes, what they ask
//!                    │  ├── connection   one peer: what it may have under way, what it has not read yet
//!                    │  ├── verbs        what each request does; what must wait goes to the runtime, and its answer
//!                    │  │                comes back through the mailbox
//!                    │  ├── life         how sessions begin, are taken up again, and end
//!                    │  └── watched      how long requests take, and how they end
//!                    └── book            who has a session, past `kill -9`
//! ```
//!
//! Leases are not asked for here: clients take them by themselves, in their pages. Not here either: the rules (core),
//! what pages mean (`payload-manager-shm`), which error has which code (`grpc/status`).

mod answer;
mod book;
mod connection;
mod descriptors;
mod life;
mod mailbox;
mod process;
mod server;
mod verbs;
mod watched;

use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use payload_manager_shm::fdpass::Listener;

use self::mailbox::Mailbox;
use self::server::Server;
use crate::config::Peers;
use crate::engine::Engine;
use crate::grpc::peers::Doorkeeper;
use crate::grpc::serve::ListenError;
use crate::inherited::Inherited;

/// The name of the socket in the runtime folder.
pub(crate) const SOCKET: &str = "session.sock";

/// The name of the file in the runtime folder that tells the next start who has a session.
pub(crate) const BOOK: &str = "sessions.json";

/// The socket, bound and not served yet.
pub(crate) struct SessionSocket {
    path: PathBuf,
    /// Whether it is this process's to remove.
    own: bool,
    listener: Listener,
}

impl SessionSocket {
    /// Binds it in a folder that is locked by this process, mode 0660 like that of gRPC. One that is there was left by a
    /// daemon that is gone.
    ///
    /// # Errors
    /// [`ListenError::Bind`].
    pub(crate) fn bind(runtime_dir: &Path, inherited: &mut Inherited) -> Result<Self, ListenError> {
        let path = runtime_dir.join(SOCKET);
        if let Some(listener) = inherited.sessions(runtime_dir)? {
            return Ok(Self { path, own: false, listener });
        }
        let failed = |error| ListenError::Bind { address: path.display().to_string(), error };
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            Ok(()) | Err(_) => {}
        }
        let listener = Listener::bind(&path, 0o660).map_err(failed)?;
        fcntl(listener.as_fd(), FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(|e| failed(e.into()))?;
        Ok(Self { path, own: true, listener })
    }

    /// The path, if this process has made it.
    pub(crate) fn own(&self) -> Option<PathBuf> {
        self.own.then(|| self.path.clone())
    }

    /// Serves until the engine's tasks are asked to stop. The sessions of the daemon before this one can be taken up.
    ///
    /// # Errors
    /// [`ListenError::Bind`].
    pub(crate) fn serve(self, engine: &Engine, peers: Peers, per_uid: usize) -> Result<(), ListenError> {
        let failed = |error| ListenError::Bind { address: self.path.display().to_string(), error };
        let mailbox = Arc::new(Mailbox::new().map_err(failed)?);
        let book = self.path.with_file_name(BOOK);
        let server = Server::new(self.listener, engine.clone(), Doorkeeper::new(peers), per_uid, &mailbox, &book);
        let server = server.map_err(failed)?;
        let ends = Arc::clone(&mailbox);
        engine.ends_sessions(move |session| ends.end(session));
        let tasks = engine.tasks().clone();
        // A thread of its own: it never waits for the runtime, and a panic on it stops the daemon like any other.
        tasks.spawn_blocking("sessions", move || server.run());
        let stop = tasks.clone();
        tasks.spawn("sessions-stop", async move {
            stop.stopping().await;
            mailbox.stop();
        });
        Ok(())
    }
}
