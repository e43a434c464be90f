//! Who may speak: the kernel says who is at the other end of a Unix socket, the configuration who is let in.

use std::collections::HashMap;
use std::sync::Arc;

use nix::unistd::{Gid, Uid, User, getgrouplist};
use parking_lot::Mutex;
use tonic::transport::server::UdsConnectInfo;
use tonic::{Request, Status};

use super::status::peer_not_allowed;
use crate::config::Peers;

/// Lets in who may come in. Over TCP there is nobody to ask, so that is checked by the address alone, at start.
#[derive(Clone)]
pub(crate) struct Doorkeeper {
    peers: Arc<Peers>,
    /// What was found of those who are not admitted at first sight.
    known: Arc<Mutex<HashMap<(u32, u32), bool>>>,
}

impl Doorkeeper {
    pub(crate) fn new(peers: Peers) -> Self {
        Self { peers: Arc::new(peers), known: Arc::default() }
    }

    /// Refuses a call of a peer that may not come in.
    pub(super) fn check(&self, request: Request<()>) -> Result<Request<()>, Status> {
        let Some(info) = request.extensions().get::<UdsConnectInfo>() else { return Ok(request) };
        // A Unix peer whose credentials the kernel would not tell is nobody.
        let (uid, gid) = info.peer_cred.map_or((u32::MAX, u32::MAX), |cred| (cred.uid(), cred.gid()));
        if self.admit(uid, gid) { Ok(request) } else { Err(peer_not_allowed(uid, gid)) }
    }

    /// Whether a process of this user and group may come in.
    pub(crate) fn admit(&self, uid: u32, gid: u32) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_is_kept_out_and_told_so_again() {
        let door = Doorkeeper::new(Peers { uids: vec![7], gids: vec![50] });
        assert!(door.admit(7, 1) && door.admit(9, 50));
        assert!(!door.admit(4_000_000, 1) && !door.admit(4_000_000, 1));
    }
}
