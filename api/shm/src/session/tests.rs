//! A session's page from both ends, one move after another, and under a client that writes what it likes.

use std::fs::File;
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use payload_manager_types::{BlockName, LeaseDeadline, PayloadState, Place, Tier, UnixMillis};

use super::*;
use crate::boot::monotonic_ms;
use crate::slot::{NotRenewed, SlotState};
use crate::testing::{Names, US, id};
use crate::{Directory, DirectoryReader, EntryState, Face, OpenError};

mod hostile;
mod random;
#[cfg(shuttle)]
mod shuttle_model;

const MINUTE: Duration = Duration::from_secs(60);
const RAM: Wanted = Wanted { duration: MINUTE, min_tier: Tier::Ram };
/// The most entries of the directories here.
const ENTRIES: u32 = 200;

/// The longest that a lease may be.
fn latest() -> LeaseDeadline {
    LeaseDeadline(monotonic_ms() + 120_000)
}

fn face(n: u64) -> Face {
    Face {
        id: id(n),
        version: n,
        tier: Tier::Ram,
        place: Place { unit: 1, offset: n * 4096 },
        length: n,
        state: EntryState::Shown(PayloadState::Active),
        expires: None,
        generations: [0, 1, 2, 0],
        last_generation: 2,
    }
}

/// A daemon with one directory and the pages of its sessions.
struct Daemon {
    names: Names,
    directory: Directory,
    pages: SessionPages,
}

impl Daemon {
    fn new(payloads: u64) -> Self {
        Self::named(Names::new(), payloads)
    }

    fn named(names: Names, payloads: u64) -> Self {
        let mut directory = Directory::create(&names.name("dir"), &US, ENTRIES).unwrap();
        for n in 0..payloads {
            directory.insert(&face(n)).unwrap();
        }
        let (pages, aside) = open(&names, directory.epoch_ms());
        assert!(aside.is_empty());
        Self { names, directory, pages }
    }

    /// The directory as clients get it: their end of it can't write.
    fn reader(&self) -> DirectoryReader {
        DirectoryReader::of_file(crate::object::open_read_only(&self.names.name("dir")).unwrap()).unwrap()
    }

    fn session(&mut self) -> (u32, LeaseTable) {
        let page = self.pages.create(SLOT_STEP).unwrap();
        let (number, file) = (page.number(), descriptor(page));
        (number, LeaseTable::new(self.reader(), file, Clock::with_offset(0), ()).unwrap())
    }

    fn restart(&mut self) -> Vec<SetAside> {
        let (pages, aside) = open(&self.names, self.directory.epoch_ms());
        self.pages = pages;
        aside
    }

    fn block(&self, n: u64) -> BlockName {
        let (index, face, _) = self.directory.lookup(id(n)).unwrap();
        BlockName { index, generation: face.generation() }
    }

    /// Live, and pinning.
    fn holders(&self, n: u64) -> (u32, u32) {
        self.holders_at(n, monotonic_ms())
    }

    fn holders_at(&self, n: u64, now_ms: u64) -> (u32, u32) {
        let found = self.pages.holders(&[self.block(n)], now_ms)[0];
        (found.live, found.pinning)
    }
}

fn open(names: &Names, epoch_ms: u64) -> (SessionPages, Vec<SetAside>) {
    SessionPages::open(names.base(), &US, epoch_ms, ENTRIES, monotonic_ms(), latest()).unwrap()
}

fn descriptor(page: &SessionPage) -> File {
    File::from(page.descriptor().as_fd().try_clone_to_owned().unwrap())
}

#[test]
fn a_lease_is_seen_while_it_is_held_and_not_after() {
    let mut daemon = Daemon::new(3);
    let (_, table) = daemon.session();
    assert_eq!(daemon.holders(1), (0, 0));
    let lease = table.take(id(1), RAM).unwrap();
    assert!(lease.is_valid() && lease.state() == Some(SlotState::Live));
    assert_eq!((lease.face(), lease.block()), (&face(1), daemon.block(1)));
    assert_eq!((daemon.holders(1), daemon.holders(2), table.in_use()), ((1, 1), (0, 0), 1));
    let again = table.take(id(1), RAM).unwrap();
    assert_eq!(daemon.pages.count_by_entry(&[daemon.block(2).index, daemon.block(1).index], monotonic_ms()), [0, 2]);
    drop(lease);
    assert_eq!(daemon.pages.why(daemon.block(1), monotonic_ms()).len(), 1);
    drop(again);
    assert_eq!((daemon.holders(1), table.in_use()), ((0, 0), 0));
}

#[test]
fn what_a_client_can_not_take_by_itself_has_its_reason() {
    let mut daemon = Daemon::new(2);
    let on_disk = Face { tier: Tier::Disk, ..face(2) };
    let over = Face { expires: Some(UnixMillis(1)), ..face(3) };
    let not_yet = Face { state: EntryState::Shown(PayloadState::Allocated), ..face(4) };
    let later = Face { expires: Some(UnixMillis(u64::MAX >> 16)), ..face(5) };
    for face in [on_disk, over, not_yet, later] {
        daemon.directory.insert(&face).unwrap();
    }
    daemon.directory.close(daemon.block(1).index);
    let (_, table) = daemon.session();
    let why = |n| table.take(id(n), RAM).err();
    assert_eq!(why(99), Some(Fallback::NotShown), "not there");
    assert_eq!(why(1), Some(Fallback::NotShown), "closed");
    assert_eq!((why(2), why(3)), (Some(Fallback::Slower(Tier::Disk)), Some(Fallback::Ended)));
    assert_eq!((why(4), why(5)), (Some(Fallback::NotShown), None));
    let any = Wanted { min_tier: Tier::Object, ..RAM };
    assert_eq!(table.take(id(2), any).unwrap().face(), &on_disk);
    let elsewhere = table.take_if(id(2), any, |face| face.tier == Tier::Ram).err();
    assert_eq!((elsewhere, table.in_use()), (Some(Fallback::Elsewhere), 0));
}

#[test]
fn a_page_that_is_full_says_so_and_has_room_again_after_one_is_given_back() {
    let mut daemon = Daemon::new(1);
    let (_, table) = daemon.session();
    let mut leases: Vec<_> = (0..SLOT_STEP).map(|_| table.take(id(0), RAM).unwrap()).collect();
    assert_eq!(table.take(id(0), RAM).err(), Some(Fallback::NoSlot));
    assert_eq!(daemon.holders(0), (SLOT_STEP, SLOT_STEP));
    leases.swap_remove(77);
    leases.push(table.take(id(0), RAM).unwrap());
    assert_eq!(table.take(id(0), RAM).err(), Some(Fallback::NoSlot));
}

#[test]
fn leases_go_from_thread_to_thread_and_lines_of_threads_that_ended_are_used_again() {
    let mut daemon = Daemon::new(1);
    let (_, table) = daemon.session();
    let lines = SLOT_STEP as usize / 8;
    // More threads than lines, one after another, each leaving a lease to be given back by us.
    let take = || std::thread::scope(|scope| scope.spawn(|| table.take(id(0), RAM)).join().unwrap().unwrap());
    let leases: Vec<_> = (0..lines * 2).map(|_| take()).collect();
    assert_eq!(daemon.holders(0).0 as usize, lines * 2);
    drop(leases);
    assert_eq!((daemon.holders(0), table.in_use()), ((0, 0), 0));
    let all: Vec<_> = (0..SLOT_STEP).map(|_| table.take(id(0), RAM).unwrap()).collect();
    assert_eq!(all.len(), SLOT_STEP as usize);
}

#[test]
fn a_lease_prolongs_by_renewal_and_is_lowered_once() {
    let mut daemon = Daemon::new(1);
    let (number, table) = daemon.session();
    let lease = table.take(id(0), RAM).unwrap();
    let first = lease.deadline();
    assert_eq!(lease.renew(MINUTE / 2), Ok(first), "never shortened");
    let long = lease.renew(MINUTE * 10).unwrap();
    assert!(long > first && lease.deadline() == long);
    let most = latest();
    let swept = daemon.pages.sweep(monotonic_ms(), most);
    assert_eq!((swept.live, swept.lowered, lease.deadline()), (1, 1, most));
    assert_eq!(daemon.pages.sweep(monotonic_ms(), most).lowered, 0);
    assert_eq!(daemon.pages.get(number).unwrap().held(monotonic_ms())[0].deadline, most);
}

#[test]
fn leases_are_prolonged_when_they_are_due_by_who_has_none_of_them() {
    let mut daemon = Daemon::new(2);
    let (_, table) = daemon.session();
    let renewals = table.renewals();
    assert_eq!(renewals.prolong(), None, "there is none");
    let lease = table.take(id(0), RAM).unwrap();
    let (clone, until) = (lease.clone(), lease.deadline());
    let left = renewals.prolong().unwrap();
    assert!(left > RAM.duration / 4 && left <= RAM.duration / 2 && lease.deadline() == until, "not due: {left:?}");
    let soon = LeaseDeadline(monotonic_ms() + 1_000);
    assert_eq!(daemon.pages.sweep(monotonic_ms(), soon).lowered, 1);
    assert_eq!(lease.deadline(), soon);
    assert!(renewals.prolong().is_some_and(|left| left > RAM.duration / 4));
    assert!(lease.deadline() > soon && lease.is_valid() && clone.deadline() == lease.deadline());
    drop(lease);
    assert!(renewals.prolong().is_some() && daemon.holders(0) == (1, 1), "its clone has it");
    daemon.pages.revoke(daemon.block(0).index);
    assert_eq!((renewals.prolong(), clone.state()), (None, Some(SlotState::Revoked)));
    drop(clone);
    assert_eq!((renewals.prolong(), daemon.holders(0)), (None, (0, 0)));
    let kept = table.take(id(1), RAM).unwrap();
    drop(table);
    assert!(renewals.prolong().is_some(), "a lease keeps its session");
    drop(kept);
    assert_eq!(renewals.prolong(), None);
}

#[test]
fn stable_lease_on_a_closed_page_what_the_daemon_saw_last_is_all_that_holds() {
    let mut daemon = Daemon::new(2);
    let (number, table) = daemon.session();
    let leases = [0, 1].map(|n| table.take(id(n), RAM).unwrap());
    let seen = LeaseDeadline(monotonic_ms() + 10_000);
    let held = daemon.pages.get_mut(number).unwrap().close(monotonic_ms(), seen);
    assert_eq!(held.iter().map(|held| held.deadline).collect::<Vec<_>>(), [seen; 2], "the daemon looks no more");
    assert_eq!((leases[0].renew(MINUTE), table.renewals().prolong()), (Err(NotRenewed::PageClosed), None));
    assert_eq!(leases.map(|lease| (lease.deadline(), lease.is_valid())), [(seen, true); 2]);
}

#[test]
fn a_lease_past_its_deadline_claims_nothing_and_pins_until_it_is_given_back() {
    let mut daemon = Daemon::new(1);
    let (_, table) = daemon.session();
    let lease = table.take(id(0), RAM).unwrap();
    let short = table.take(id(0), Wanted { duration: Duration::ZERO, ..RAM }).unwrap();
    assert!(!short.is_valid(), "by the clock, before the daemon has said so");
    assert_eq!(short.renew(MINUTE), Err(NotRenewed::Over(SlotState::Expired)));
    assert_eq!(daemon.holders(0), (1, 2));
    assert_eq!(short.state(), Some(SlotState::Expired), "who asks for holders ends the claim for good");
    let then = lease.deadline().0;
    assert_eq!(daemon.holders_at(0, then - 1), (1, 2));
    assert_eq!(daemon.holders_at(0, then), (0, 2));
    assert_eq!(lease.renew(MINUTE), Err(NotRenewed::Over(SlotState::Expired)));
    assert_eq!(daemon.pages.sweep(then, LeaseDeadline(then)).over, 2);
    drop((lease, short));
    assert_eq!(daemon.holders(0), (0, 0));
}

#[test]
fn a_forced_delete_takes_leases_away_at_once_and_the_block_stays() {
    let mut daemon = Daemon::new(2);
    let (_, table) = daemon.session();
    let (lease, other) = (table.take(id(0), RAM).unwrap(), table.take(id(1), RAM).unwrap());
    let block = daemon.block(0);
    daemon.directory.close(block.index);
    assert_eq!((daemon.pages.revoke(block.index), daemon.pages.revoke(block.index)), (1, 0));
    assert!(!lease.is_valid() && other.is_valid());
    assert_eq!(lease.renew(MINUTE), Err(NotRenewed::Over(SlotState::Revoked)));
    assert_eq!((daemon.holders(0), daemon.holders(1)), ((0, 1), (1, 1)));
    drop(lease);
    assert_eq!(daemon.holders(0), (0, 0));
}

#[test]
fn a_closed_page_pins_what_it_held_until_given_back_or_its_deadline() {
    let mut daemon = Daemon::new(2);
    let (number, table) = daemon.session();
    let (one, other) = (table.take(id(0), RAM).unwrap(), table.take(id(1), RAM).unwrap());
    let now = monotonic_ms();
    let page = daemon.pages.get_mut(number).unwrap();
    let most = LeaseDeadline(now + 5_000);
    assert_eq!(page.close(now, most).iter().map(|held| held.deadline).collect::<Vec<_>>(), [most, most]);
    assert_eq!((page.standing(), table.is_open()), (Standing::Closed, false));
    assert_eq!(table.take(id(0), RAM).err(), Some(Fallback::SessionOver));
    assert_eq!(one.deadline(), most, "they can tell from their slots");
    assert_eq!(one.renew(MINUTE), Err(NotRenewed::PageClosed));
    assert_eq!((daemon.holders_at(0, now), daemon.holders_at(1, now)), ((1, 1), (1, 1)));
    drop(one);
    assert_eq!((daemon.holders_at(0, now), daemon.holders_at(1, now)), ((0, 0), (1, 1)));
    assert!(daemon.pages.over(now).is_empty());
    assert_eq!((daemon.holders_at(1, most.0), daemon.pages.over(most.0)), ((0, 0), vec![number]));
    assert!(daemon.pages.remove(number).unwrap() && !daemon.pages.remove(number).unwrap());
    drop(other);
}

#[test]
fn stable_lease_a_renewal_that_the_daemon_never_saw_makes_nothing_valid_for_longer() {
    let mut daemon = Daemon::new(1);
    let (number, table) = daemon.session();
    let lease = table.take(id(0), RAM).unwrap();
    let until = lease.deadline();
    daemon.pages.get_mut(number).unwrap().close(monotonic_ms(), latest());
    assert_eq!(lease.renew(MINUTE * 2), Err(NotRenewed::PageClosed));
    assert_eq!((lease.deadline(), lease.is_valid()), (until, true));
    assert_eq!(daemon.holders_at(0, until.0), (0, 0));
}

#[test]
fn leases_outlive_the_daemon_and_their_page_is_found_again() {
    let mut daemon = Daemon::new(2);
    let (open, table) = daemon.session();
    let (closed, gone) = daemon.session();
    let (lease, kept) = (table.take(id(0), RAM).unwrap(), gone.take(id(1), RAM).unwrap());
    daemon.pages.get_mut(closed).unwrap().close(monotonic_ms(), latest());
    assert!(daemon.restart().is_empty());
    assert_eq!((daemon.holders(0), daemon.holders(1)), ((1, 1), (1, 1)));
    let standing = |number| daemon.pages.get(number).unwrap().standing();
    assert_eq!((standing(open), standing(closed)), (Standing::Open, Standing::Closed));
    assert!(lease.is_valid() && table.take(id(1), RAM).is_ok(), "and its client carries on");
    drop((lease, kept));
    assert_eq!((daemon.holders(0), daemon.holders(1)), ((0, 0), (0, 0)));
    assert!(daemon.session().0 > closed, "numbers are not used again");
}

#[test]
fn what_clients_read_is_collected_once() {
    let mut daemon = Daemon::new(150);
    let (_, table) = daemon.session();
    for n in [3, 3, 64, 149] {
        table.take(id(n), RAM).unwrap();
    }
    let collect = || {
        let mut read = Vec::new();
        daemon.pages.collect_reads(|index| read.push(index.get()));
        read
    };
    assert_eq!((collect(), collect()), (vec![3, 64, 149], vec![]));
    table.take(id(64), RAM).unwrap();
    assert_eq!(collect(), [64]);
}

#[test]
fn another_time_namespace_is_an_offset() {
    let mut daemon = Daemon::new(1);
    let (_, here) = daemon.session();
    let page = daemon.pages.create(SLOT_STEP).unwrap();
    let ahead = LeaseTable::new(daemon_reader(&daemon.names), descriptor(page), Clock::with_offset(500_000), ());
    let ahead = ahead.unwrap();
    let (one, other) = (here.take(id(0), RAM).unwrap(), ahead.take(id(0), RAM).unwrap());
    let apart = other.deadline().0 - one.deadline().0;
    assert!((499_000..600_000).contains(&apart), "{apart}");
    assert!(one.is_valid() && other.is_valid());
}

fn daemon_reader(names: &Names) -> DirectoryReader {
    DirectoryReader::of_file(crate::object::open_read_only(&names.name("dir")).unwrap()).unwrap()
}

#[test]
fn what_is_kept_goes_with_the_last_lease() {
    let mut daemon = Daemon::new(1);
    let page = daemon.pages.create(SLOT_STEP).unwrap();
    let (file, kept) = (descriptor(page), std::sync::Arc::new(()));
    let clock = Clock::with_offset(0);
    let table = LeaseTable::new(daemon.reader(), file, clock, std::sync::Arc::clone(&kept)).unwrap();
    let lease = table.clone().take(id(0), RAM).unwrap();
    drop(table);
    assert_eq!(std::sync::Arc::strong_count(lease.kept()), 2);
    drop(lease);
    assert_eq!(std::sync::Arc::strong_count(&kept), 1);
}

/// Each lease is counted, whoever takes it, whether it is still held or not, and no restart counts it twice.
#[test]
fn leases_taken_are_counted() {
    let mut daemon = Daemon::new(1);
    let (first, table) = daemon.session();
    let (_, other) = daemon.session();
    assert_eq!(daemon.pages.taken(), 0);
    let threads: Vec<_> = (0..4)
        .map(|_| {
            let table = table.clone();
            std::thread::spawn(move || (0..1000).for_each(|_| drop(table.take(id(0), RAM).unwrap())))
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    // More than a line has room for: they are taken in others.
    let held: Vec<_> = (0..20).map(|_| other.take(id(0), RAM).unwrap()).collect();
    assert!(other.take(id(1), RAM).is_err(), "what is not taken is not counted");
    assert_eq!(daemon.pages.taken(), 4020);
    drop(table.take(id(0), RAM));
    assert!(daemon.pages.remove(first).unwrap());
    assert_eq!(daemon.pages.taken(), 4021, "also those of a session that is gone");
    assert!(daemon.restart().is_empty());
    assert_eq!(daemon.pages.taken(), 0);
    drop(other.take(id(0), RAM));
    assert_eq!(daemon.pages.taken(), 1);
    drop(held);
}

#[test]
fn a_count_that_goes_back_is_no_count() {
    let mut daemon = Daemon::new(1);
    let (number, table) = daemon.session();
    drop(table.take(id(0), RAM).unwrap());
    assert_eq!(daemon.pages.taken(), 1);
    let file = descriptor(daemon.pages.get(number).unwrap());
    let counters = crate::layout::session_counters_at(ENTRIES) as u64;
    for lie in [0, u64::MAX, 1 << 60] {
        file.write_all_at(&lie.to_ne_bytes(), counters).unwrap();
        assert_eq!(daemon.pages.taken(), 1);
    }
    file.write_all_at(&((1_u64 << 60) + 5).to_ne_bytes(), counters).unwrap();
    assert_eq!(daemon.pages.taken(), 6);
}
