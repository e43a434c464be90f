//! Who may speak: the kernel says who is at the other end of a Unix socket, the configuration who is let in.

use std::collections::HashMap;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use nix::unistd::{Gid, Uid, User, getgrouplist};
use parking_lot::Mutex;
use payload_manager_shm::fdpass::peer_groups;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::UnixStream;
use tonic::transport::server::Connected;
use tonic::{Request, Status};

use super::status::peer_not_allowed;
use crate::config::Peers;

/// A user, a group, and further groups; of these `None` where the kernel does not tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Option<Arc<[u32]>>,
}

/// Lets in who may come in. Over TCP there is nobody to ask, so that is checked by the address alone, at start.
#[derive(Clone)]
pub(crate) struct Doorkeeper {
    peers: Arc<Peers>,
    /// What the host's user database said of those whose groups the kernel did not tell.
    known: Arc<Mutex<HashMap<(u32, u32), bool>>>,
}

impl Doorkeeper {
    pub(crate) fn new(peers: Peers) -> Self {
        Self { peers: Arc::new(peers), known: Arc::default() }
    }

    /// Refuses a call of a peer that may not come in.
    pub(super) fn check(&self, request: Request<()>) -> Result<Request<()>, Status> {
        let Some(peer) = request.extensions().get::<Credentials>() else { return Ok(request) };
        if self.admit(peer) { Ok(request) } else { Err(peer_not_allowed(peer.uid, peer.gid)) }
    }

    /// Whether a process of this user and these groups may come in.
    pub(crate) fn admit(&self, peer: &Credentials) -> bool {
        let (uid, gid) = (peer.uid, peer.gid);
        if let Some(groups) = &peer.groups {
            return self.peers.admit(uid, gid, groups);
        }
        if self.peers.admit(uid, gid, &[]) {
            return true;
        }
        let known = self.known.lock().get(&(uid, gid)).copied();
        known.unwrap_or_else(|| {
            let admitted = self.peers.admit(uid, gid, &further_groups(uid, gid));
            self.known.lock().insert((uid, gid), admitted);
            admitted
        })
    }
}

/// The groups that the host's user database gives to a user besides its first.
fn further_groups(uid: u32, gid: u32) -> Vec<u32> {
    let Ok(Some(user)) = User::from_uid(Uid::from_raw(uid)) else { return Vec::new() };
    let Ok(name) = std::ffi::CString::new(user.name) else { return Vec::new() };
    let groups = getgrouplist(&name, Gid::from_raw(gid)).unwrap_or_default();
    groups.into_iter().map(Gid::as_raw).collect()
}

/// A connection on the Unix socket, and who made it.
#[derive(Debug)]
pub(super) struct Known {
    stream: UnixStream,
    peer: Credentials,
}

impl Known {
    pub(super) fn new(stream: UnixStream) -> Self {
        // A peer whose credentials the kernel would not tell is nobody.
        let (uid, gid) = stream.peer_cred().map_or((u32::MAX, u32::MAX), |cred| (cred.uid(), cred.gid()));
        let groups = peer_groups(&stream).ok().map(Arc::from);
        Self { stream, peer: Credentials { uid, gid, groups } }
    }
}

impl Connected for Known {
    type ConnectInfo = Credentials;

    fn connect_info(&self) -> Credentials {
        self.peer.clone()
    }
}

impl AsyncRead for Known {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, to)
    }
}

impl AsyncWrite for Known {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, from)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, from)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(uid: u32, gid: u32, groups: Option<&[u32]>) -> Credentials {
        Credentials { uid, gid, groups: groups.map(Arc::from) }
    }

    #[test]
    fn a_stranger_is_kept_out_and_told_so_again() {
        let door = Doorkeeper::new(Peers { uids: vec![7], gids: vec![50] });
        for groups in [None, Some(&[60, 61][..])] {
            assert!(door.admit(&peer(7, 1, groups)) && door.admit(&peer(9, 50, groups)));
            let stranger = peer(4_000_000, 1, groups);
            assert!(!door.admit(&stranger) && !door.admit(&stranger));
        }
    }

    #[test]
    fn a_process_comes_in_by_a_further_group_of_its_own_whatever_the_user_database_says() {
        let door = Doorkeeper::new(Peers { uids: vec![], gids: vec![50] });
        assert!(door.admit(&peer(4_000_000, 1, Some(&[49, 50]))));
    }
}
