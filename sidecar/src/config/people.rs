//! Users and groups, by name or number, and who of them may connect.
//!
//! Asks the host's user database once, when the configuration is read; a check of a peer asks nobody.

use nix::unistd::{Group, User};

/// Who may connect, by what the kernel says of the peer of a Unix socket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peers {
    /// User numbers that may connect; the daemon's own is always among them.
    pub uids: Vec<u32>,
    /// Group numbers whose members may connect.
    pub gids: Vec<u32>,
}

impl Peers {
    /// Whether a process of this user, this group and these further groups may connect.
    #[must_use]
    pub fn admit(&self, uid: u32, gid: u32, further: &[u32]) -> bool {
        self.uids.contains(&uid) || self.gids.contains(&gid) || further.iter().any(|gid| self.gids.contains(gid))
    }
}

/// The user numbers in a comma-separated list of names and numbers; an empty list is allowed.
///
/// # Errors
/// Which name is not known on this host.
pub(super) fn users(text: &str) -> Result<Vec<u32>, String> {
    ids(text, "user", |name| User::from_name(name).map(|user| user.map(|user| user.uid.as_raw())))
}

/// The group numbers in a comma-separated list of names and numbers; an empty list is allowed.
///
/// # Errors
/// Which name is not known on this host.
pub(super) fn groups(text: &str) -> Result<Vec<u32>, String> {
    ids(text, "group", |name| Group::from_name(name).map(|group| group.map(|group| group.gid.as_raw())))
}

fn ids(text: &str, what: &str, look_up: impl Fn(&str) -> nix::Result<Option<u32>>) -> Result<Vec<u32>, String> {
    let mut ids = Vec::new();
    for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let id = match name.parse::<u32>() {
            Ok(id) => id,
            Err(_) if name.bytes().all(|b| b.is_ascii_digit() || b == b'-') => {
                return Err(format!("{name:?} is no {what} number: 0 to 4294967295"));
            }
            Err(_) => look_up(name)
                .map_err(|error| format!("can't look {what} {name:?} up: {error}"))?
                .ok_or_else(|| format!("there is no {what} {name:?} on this host"))?,
        };
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    Ok(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_read_once_each() {
        assert_eq!(users("root, 1000,0,1000"), Ok(vec![0, 1000]));
        assert_eq!(groups("root"), Ok(vec![0]));
        assert_eq!(users(""), Ok(vec![]));
    }

    #[test]
    fn a_name_that_nobody_has_is_refused() {
        assert!(users("nobody-has-this-name").expect_err("unknown").contains("there is no user"));
        assert!(groups("nor-this-one").expect_err("unknown").contains("there is no group"));
        assert!(users("-1").is_err());
        assert!(users("4294967296").is_err());
    }

    #[test]
    fn a_peer_is_admitted_by_user_group_or_further_group_only() {
        let peers = Peers { uids: vec![0, 7], gids: vec![50] };
        assert!(peers.admit(7, 1, &[]));
        assert!(peers.admit(8, 50, &[]));
        assert!(peers.admit(8, 1, &[2, 50]));
        assert!(!peers.admit(8, 1, &[2, 3]));
        assert!(!peers.admit(50, 7, &[0]));
    }
}
