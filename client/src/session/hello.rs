//! The beginning of a connection: Hello or Attach, and what Welcome brings. It waits; for the session's thread.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use payload_manager_api::session::v1::request::Verb;
use payload_manager_api::session::v1::response::Outcome;
use payload_manager_api::session::v1::{Attach, Hello, Request, Response, Welcome};
use payload_manager_shm::boot::monotonic_ms;
use payload_manager_shm::fdpass::{FrameError, MOST_BYTES, SeqPacket, Wait};
use payload_manager_shm::{Clock, LAYOUT, OpenError};
use prost::Message as _;

use crate::error::Error;

/// How long the daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The longest name that the contract lets a program have.
const NAME_LIMIT: usize = 255;

/// Why there is no session.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoSession {
    #[error("the daemon is not on this host's file system, where session sockets are")]
    Elsewhere,
    #[error("the daemon has no session socket")]
    NoSocket,
    #[error("the session socket: {0}")]
    Socket(#[from] FrameError),
    #[error("the daemon gives no session: {0}")]
    Refused(Error),
    #[error("the daemon's answer can't be used: {0}")]
    Answer(String),
    #[error("the shared pages can't be used: {0}")]
    Pages(#[from] OpenError),
    #[error("{0}")]
    Machine(#[from] io::Error),
}

/// What the daemon gave.
#[derive(Debug)]
pub(super) struct Welcomed {
    pub(super) socket: SeqPacket,
    pub(super) welcome: Welcome,
    pub(super) directory: File,
    pub(super) page: File,
    pub(super) clock: Clock,
}

/// Which objects the pages are, whatever descriptor they came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pages([(u64, u64); 2]);

impl Welcomed {
    pub(super) fn pages(&self) -> io::Result<Pages> {
        let of = |file: &File| file.metadata().map(|facts| (facts.dev(), facts.ino()));
        Ok(Pages([of(&self.directory)?, of(&self.page)?]))
    }
}

/// Starts a session.
pub(super) fn hello(path: &Path) -> Result<Welcomed, NoSession> {
    greet(path, |clock_ms| Verb::Hello(Hello { layouts: vec![LAYOUT], clock_ms, slots: 0, program: program() }))
}

/// Takes a session up again.
pub(super) fn attach(path: &Path, session_id: u64, secret: &[u8]) -> Result<Welcomed, NoSession> {
    let secret = secret.to_vec();
    greet(path, |clock_ms| Verb::Attach(Attach { session_id, secret, layouts: vec![LAYOUT], clock_ms }))
}

fn greet(path: &Path, verb: impl FnOnce(u64) -> Verb) -> Result<Welcomed, NoSession> {
    let socket = SeqPacket::connect_within(path, PATIENCE).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => NoSession::NoSocket,
        _ => NoSession::Socket(error.into()),
    })?;
    let before = monotonic_ms();
    socket.send(
        &Request { number: 1, verb: Some(verb(before)), ..Request::default() }.encode_to_vec(),
        &[],
        Wait::Yes,
    )?;
    let mut room = vec![0; MOST_BYTES];
    let frame = socket.receive(&mut room, Wait::Yes)?;
    let after = monotonic_ms();
    let answer = Response::decode(room.get(..frame.length).unwrap_or_default());
    let answer = answer.map_err(|error| NoSession::Answer(error.to_string()))?;
    let welcome = match answer.outcome {
        Some(Outcome::Welcome(welcome)) => welcome,
        Some(Outcome::Error(status)) => return Err(NoSession::Refused(Error::of_item(&status))),
        _ => return Err(NoSession::Answer("it is no welcome".to_owned())),
    };
    let Ok([directory, page]) = <[_; 2]>::try_from(frame.descriptors) else {
        return Err(NoSession::Answer("it came without the two pages".to_owned()));
    };
    socket.set_timeout(None)?;
    let clock = Clock::with_offset(offset_ms(welcome.clock_ms, before, after));
    Ok(Welcomed { socket, welcome, directory: directory.into(), page: page.into(), clock })
}

/// How far the daemon's clock is ahead: 0 where both may show the same, which they do but across time namespaces.
fn offset_ms(daemon: u64, before: u64, after: u64) -> i64 {
    if (before..=after).contains(&daemon) {
        return 0;
    }
    let here = i64::try_from(before.midpoint(after)).unwrap_or(i64::MAX);
    i64::try_from(daemon).unwrap_or(i64::MAX).saturating_sub(here)
}

/// What this program is called.
fn program() -> String {
    let name = std::env::args_os().next().unwrap_or_default();
    let name = Path::new(&name).file_name().unwrap_or_default().to_string_lossy().into_owned();
    let end = (0..=NAME_LIMIT.min(name.len())).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
    name.get(..end).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_differ_only_across_time_namespaces() {
        assert_eq!((offset_ms(10, 10, 10), offset_ms(11, 10, 12)), (0, 0));
        assert_eq!((offset_ms(500, 10, 12), offset_ms(5, 10, 12)), (489, -6));
    }

    #[test]
    fn a_program_has_a_name_that_fits() {
        assert!(!program().is_empty() && program().len() <= NAME_LIMIT);
    }
}
