//! Payloads without a round trip: leases in shared memory, descriptors over the session socket.
//!
//! ```text
//!  Client ── OwnSessions ── Home (one a process) ── Shared ──── its thread: reads answers, comes back, renews
//!                                                  │
//!                              seats: LeaseTable ──┴── wire: requests under way
//!  PayloadView ── Fast ── Lease ── Core (the session) ── views (mapped blocks), pace (renewals)
//! ```
//!
//! A lease is taken, given back and prolonged by loads and stores alone (promise no-round-trip); the thread is asked for
//! nothing then. Whatever is unusual is left to gRPC: nothing here is the last word on whether a payload exists.
//!
//! Who keeps whom: views and tables keep the [`Core`](life::Core), that keeps the [`Tie`](home::Tie), and when the last
//! tie is gone the thread says goodbye and ends. So a session outlives its client for as long as a view lives.

mod bell;
mod hello;
pub(crate) mod here;
mod home;
mod life;
mod many;
mod pace;
mod path;
mod segments;
mod slabs;
mod take;
mod thread;
mod verbs;
mod views;
mod wire;

use std::ops::Deref;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use payload_manager_shm::ProcessMark;

use self::home::Home;
pub(crate) use self::many::fit;
pub use self::path::DataPath;
pub(crate) use self::take::{Fast, Taken};
pub(crate) use self::verbs::{Made, Memory};
use crate::error::Result;
use crate::trace::TraceContext;

/// How long a session takes to come back to a daemon that lives: more than the longest pause between two attempts.
const COMING_BACK: Duration = Duration::from_secs(5);

/// The sessions of a client: one a process, started when first needed.
#[derive(Debug)]
pub(crate) struct OwnSessions {
    /// `None`: nobody wants one.
    first: Option<Home>,
}

/// A client's way to its session, and the trace that what it asks for is part of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asking<'a> {
    sessions: &'a OwnSessions,
    trace: Option<&'a TraceContext>,
}

impl Deref for Asking<'_> {
    type Target = OwnSessions;

    #[inline]
    fn deref(&self) -> &OwnSessions {
        self.sessions
    }
}

impl OwnSessions {
    /// Requests in the name of this trace.
    #[inline]
    pub(crate) const fn asking<'a>(&'a self, trace: Option<&'a TraceContext>) -> Asking<'a> {
        Asking { sessions: self, trace }
    }

    /// Of a client whose daemon listens for sessions at `socket`; `None` where it can't be on this host's file system.
    pub(crate) fn new(socket: Option<PathBuf>, mark: Arc<ProcessMark>) -> Self {
        Self { first: Some(Home::new(socket, mark)) }
    }

    /// Of a client that is to make calls.
    pub(crate) const fn unwanted() -> Self {
        Self { first: None }
    }

    /// What is this process's own: a forked child has a session of its own.
    #[inline]
    fn home(&self) -> Option<&Home> {
        let mut home = self.first.as_ref()?;
        while !home.is_ours() {
            home = home.child()?;
        }
        Some(home)
    }

    /// Waits for the connection that a restart of the daemon has cost, if it had one and somebody is about to come back:
    /// for callers who have just heard from the new daemon and can't use what it answered.
    pub(crate) async fn is_back(&self) -> Result<bool> {
        match self.home() {
            Some(home) => Ok(tokio::time::timeout(COMING_BACK, home.is_connected()).await.unwrap_or(false)),
            None => Ok(false),
        }
    }

    /// Which way payloads are reached; starts the session if nothing did yet.
    pub(crate) async fn path(&self) -> DataPath {
        match self.home() {
            Some(home) => home.path().await,
            None if self.first.is_none() => DataPath::Calls { why: "this client is to take no session".to_owned() },
            None => DataPath::Calls { why: "there is no memory for a session of this process".to_owned() },
        }
    }
}

impl Drop for OwnSessions {
    fn drop(&mut self) {
        // A child that never used it has nothing to leave; what it inherited is its parent's.
        if let Some(home) = self.first.as_ref().and_then(Home::last_own) {
            home.leave();
        }
    }
}
