//! Which sessions there are, in a page of the daemon's own: what a session's page can't be asked, as its client can write
//! there whatever it likes. Outlives the daemon, so that clients can come back to the next one.
//!
//! Not here: whether a process still lives, what a session may do.

use payload_manager_types::PayloadId;

use crate::boot::Identity;
use crate::error::{Full, OpenError};
use crate::layout::{HEADER_BYTES, Kind, SessionWords, low32, mix};
use crate::object::ObjectError;
use crate::page::{Page, Plan};
use crate::sync::Ordering;

const FREE: u64 = 0;
const KNOWN: u64 = 1;

/// A session, as the daemon that began it wrote it down.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct KnownSession {
    /// The number of its page, and its id.
    pub number: u32,
    /// What its client shows to come back to it.
    pub secret: [u8; 16],
    /// Whose it is.
    pub uid: u32,
    /// Its process, if it could be seen; a number alone means little, so its start stands beside it.
    pub pid: u32,
    /// When that process began, in clock ticks since boot (field 22 of its `stat`); 0 if that was not to be seen.
    pub started: u64,
}

impl std::fmt::Debug for KnownSession {
    /// Without the secret: this ends up in logs.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = f.debug_struct("KnownSession");
        shown.field("number", &self.number).field("uid", &self.uid).field("pid", &self.pid);
        shown.finish_non_exhaustive()
    }
}

impl KnownSession {
    /// Whether somebody of this uid who shows this secret may come back to it. Takes as long for every wrong secret.
    #[must_use]
    pub fn admits(&self, secret: &[u8; 16], uid: u32) -> bool {
        let differ = self.secret.iter().zip(secret).fold(0, |sum, (a, b)| sum | (a ^ b));
        std::hint::black_box(differ) == 0 && self.uid == uid
    }

    fn to_words(self) -> [u64; 5] {
        let (high, low) = PayloadId::from_bytes(self.secret).to_words();
        [u64::from(self.number) << 32 | u64::from(self.uid), high, low, self.pid.into(), self.started]
    }

    fn from_words([who, high, low, pid, started]: [u64; 5]) -> Self {
        let secret = *PayloadId::from_words(high, low).as_bytes();
        Self { number: low32(who >> 32), secret, uid: low32(who), pid: low32(pid), started }
    }
}

/// The register of sessions. One writer: `&mut` is what says so.
///
/// The page comes first and goes last: enter a session when its page is there, strike it out before the page is removed,
/// and at start strike out those that have none. A number whose session is still known is not to be given again.
#[derive(Debug)]
pub struct SessionRegister {
    page: Page,
}

fn plan(max: u32) -> Plan {
    let item_bytes = size_of::<SessionWords>();
    Plan { kind: Kind::Sessions, items_at: HEADER_BYTES, item_bytes, max, what: "sessions" }
}

impl SessionRegister {
    /// Makes the register, for up to `max` sessions.
    ///
    /// # Errors
    /// The name is taken, or there is no memory.
    pub fn create(name: &str, identity: &Identity, epoch_ms: u64, max: u32) -> Result<Self, ObjectError> {
        let max = max.clamp(1, crate::MOST_ITEMS);
        Ok(Self { page: Page::create(name, identity, plan(max), epoch_ms, max)? })
    }

    /// Opens this daemon's register.
    ///
    /// # Errors
    /// There is none, or it is not to be trusted.
    pub fn open(name: &str, identity: &Identity) -> Result<Self, OpenError> {
        Ok(Self { page: Page::open(name, identity, Kind::Sessions, plan)? })
    }

    fn places(&self) -> &[SessionWords] {
        self.page.items().unwrap_or_default()
    }

    /// Writes a session down. A daemon killed at any moment of it has written down all of it or nothing.
    ///
    /// # Errors
    /// As many sessions as there can be; nothing changed.
    pub fn enter(&mut self, session: &KnownSession) -> Result<(), Full> {
        let mut places = self.places().iter();
        let free = places.find(|place| place.state.load(Ordering::Relaxed) == FREE);
        let place = free.ok_or(Full::Limit { what: "sessions", max: self.page.max() })?;
        let words = session.to_words();
        place.words.iter().zip(words).for_each(|(at, word)| at.store(word, Ordering::Relaxed));
        place.check.store(mix(KNOWN, &words), Ordering::Relaxed);
        place.state.store(KNOWN, Ordering::Release);
        Ok(())
    }

    /// Strikes a session out, and its secret with it. Whether it was there.
    pub fn strike(&mut self, number: u32) -> bool {
        let place = self.places().iter().find(|place| known(place).is_some_and(|found| found.number == number));
        let Some(place) = place else { return false };
        place.state.store(FREE, Ordering::Release);
        place.words.iter().for_each(|word| word.store(0, Ordering::Relaxed));
        true
    }

    /// A session by its number.
    #[must_use]
    pub fn find(&self, number: u32) -> Option<KnownSession> {
        self.iter().find(|session| session.number == number)
    }

    /// All sessions, in no order. What is damaged is left out: nobody comes back to it.
    pub fn iter(&self) -> impl Iterator<Item = KnownSession> + '_ {
        self.places().iter().filter_map(known)
    }
}

fn known(place: &SessionWords) -> Option<KnownSession> {
    let state = place.state.load(Ordering::Acquire);
    let words = std::array::from_fn(|n| place.words.get(n).map_or(0, |word| word.load(Ordering::Relaxed)));
    let whole = place.check.load(Ordering::Relaxed) == mix(KNOWN, &words);
    (state == KNOWN && whole).then(|| KnownSession::from_words(words))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt;

    use super::*;
    use crate::object;
    use crate::testing::{Names, US};

    fn session(number: u32) -> KnownSession {
        KnownSession { number, secret: [7; 16], uid: 1000, pid: 4242, started: u64::MAX - 1 }
    }

    #[test]
    fn sessions_are_known_to_the_next_daemon_until_they_are_struck_out() {
        let names = Names::new();
        let name = names.name("sessions");
        let mut register = SessionRegister::create(&name, &US, 1, 3).unwrap();
        for number in [0, 5, u32::MAX] {
            register.enter(&session(number)).unwrap();
        }
        assert!(matches!(register.enter(&session(9)), Err(Full::Limit { max: 3, .. })));
        let mut register = SessionRegister::open(&name, &US).unwrap();
        assert_eq!(register.find(5), Some(session(5)));
        assert!(register.strike(5) && !register.strike(5) && !register.strike(9));
        register.enter(&session(9)).unwrap();
        let numbers: Vec<_> = register.iter().map(|known| known.number).collect();
        assert_eq!((numbers, register.find(5)), (vec![0, 9, u32::MAX], None));
    }

    #[test]
    fn only_who_has_the_secret_and_the_uid_comes_back() {
        let known = session(1);
        assert!(known.admits(&[7; 16], 1000));
        assert!(!known.admits(&[7; 16], 1001) && !known.admits(&[0; 16], 1000));
        let mut nearly = [7; 16];
        nearly[15] = 8;
        assert!(!known.admits(&nearly, 1000));
        assert!(!format!("{known:?}").contains("7, 7"), "no secrets in logs");
    }

    #[test]
    fn what_is_damaged_is_nobody() {
        let names = Names::new();
        let name = names.name("sessions");
        let mut register = SessionRegister::create(&name, &US, 1, 3).unwrap();
        register.enter(&session(1)).unwrap();
        register.enter(&session(2)).unwrap();
        object::open(&name).unwrap().write_all_at(&[1], 4096 + 24).unwrap();
        assert_eq!(register.iter().collect::<Vec<_>>(), [session(2)]);
    }
}
