//! GPUs for machines that have none: a driver that tests load in place of CUDA's, and what they tell it.
//!
//! A [`Machine`] is a folder with the cards that it should have. Processes that are started with its
//! [environment](Machine::environment) find these cards and share their memory, as they would with the real driver:
//! it is handed from one to another, runs out, and is given back when a process dies. What should go wrong, and when, is
//! said by [`Fault`]s, also to processes that run already. It proves our logic, not CUDA; see `driver.c`.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a harness says by panicking that a test has failed")]

use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// The environment variable that names the folder.
pub const FOLDER: &str = "PAYLOAD_MANAGER_TEST_CUDA";

/// The environment variable by which our programs find the driver's library.
const DRIVER: &str = "PAYLOAD_MANAGER_CUDA_DRIVER";

/// Where the library is.
#[must_use]
pub fn library() -> &'static Path {
    Path::new(concat!(env!("OUT_DIR"), "/libpayload-manager-test-cuda.so"))
}

/// A card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// Its name for good.
    pub uuid: [u8; 16],
    /// How much memory it has.
    pub bytes: u64,
    /// Whether its memory can be handed on as a descriptor.
    pub vmm: bool,
    /// What its maker calls it; one line.
    pub name: String,
}

impl Card {
    /// One whose memory can be handed on as a descriptor. Its UUID is `number`, sixteen times.
    #[must_use]
    pub fn numbered(number: u8, bytes: u64) -> Self {
        Self { uuid: [number; 16], bytes, vmm: true, name: format!("Test GPU {number}") }
    }
}

/// Something that goes wrong. Counted over all processes, from when [`Machine::break_it`] said it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Calls fail. A call that fails has done nothing; but a wait that fails throws away what it should have waited for.
    Fail {
        /// The driver's function, like `cuMemAlloc`; `None`: every one.
        call: Option<&'static str>,
        /// Calls about this card; `None`: all calls.
        device: Option<usize>,
        /// The `CUresult`.
        error: i32,
        /// Calls that succeed first.
        skip: u64,
        /// Calls that fail then; `None`: all from then on.
        times: Option<u64>,
    },
    /// Copies take their time, until [`Machine::mend`], also those that are under way.
    Slow {
        /// On this card; `None`: on every one.
        device: Option<usize>,
        /// How fast they are.
        bytes_per_second: u64,
    },
}

impl Fault {
    /// The next call of this function fails, and no other.
    #[must_use]
    pub fn once(call: &'static str, error: i32) -> Self {
        Self::Fail { call: Some(call), device: None, error, skip: 0, times: Some(1) }
    }

    /// The card fails everything.
    #[must_use]
    pub fn lost(device: usize, error: i32) -> Self {
        Self::Fail { call: None, device: Some(device), error, skip: 0, times: None }
    }

    fn line(&self) -> String {
        let place = |device: &Option<usize>| device.map_or_else(|| "*".to_owned(), |device| device.to_string());
        match self {
            Self::Fail { call, device, error, skip, times } => {
                let times = times.map_or_else(|| "-1".to_owned(), |times| times.to_string());
                format!("{} {} {error} {skip} {times}\n", call.unwrap_or("*"), place(device))
            }
            Self::Slow { device, bytes_per_second } => {
                assert!(*bytes_per_second > 0, "a copy that never ends can't be told from one that is not slow");
                format!("slow {} {bytes_per_second}\n", place(device))
            }
        }
    }
}

/// A machine with GPUs. Its folder goes when it is dropped: let its processes end first.
#[derive(Debug)]
pub struct Machine {
    folder: TempDir,
}

impl Machine {
    /// With these cards, numbered in this order.
    ///
    /// # Panics
    /// If there are more than 16, if a name is longer than a line, or if the folder can't be made.
    #[must_use]
    pub fn new(cards: &[Card]) -> Self {
        assert!(cards.len() <= MOST_CARDS, "no more than {MOST_CARDS} cards");
        let mut lines = String::new();
        for Card { uuid, bytes, vmm, name } in cards {
            assert!(!name.contains('\n') && name.len() < 128, "{name:?} is no name of a card");
            uuid.iter().for_each(|byte| write!(lines, "{byte:02x}").unwrap());
            writeln!(lines, " {bytes} {} {name}", if *vmm { "vmm" } else { "novmm" }).unwrap();
        }
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("devices"), lines).unwrap();
        Self { folder }
    }

    /// With one card: `Card::numbered(1, bytes)`.
    #[must_use]
    pub fn with_one(bytes: u64) -> Self {
        Self::new(&[Card::numbered(1, bytes)])
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// What a process needs to be on this machine.
    #[must_use]
    pub fn environment(&self) -> [(&'static str, PathBuf); 2] {
        [(DRIVER, library().to_owned()), (FOLDER, self.folder().to_owned())]
    }

    /// From now on these things go wrong, and only these. The first that meets a call decides; the others do not count it.
    ///
    /// # Panics
    /// If there are more than 256, or if they can't be written.
    pub fn break_it(&self, rules: &[Fault]) {
        assert!(rules.len() <= MOST_RULES, "no more than {MOST_RULES} rules");
        let lines: String = rules.iter().map(Fault::line).collect();
        let unfinished = self.folder().join("faults.new");
        fs::write(&unfinished, lines).unwrap();
        fs::rename(&unfinished, self.folder().join("faults")).unwrap();
    }

    /// From now on nothing goes wrong.
    ///
    /// # Panics
    /// If the rules can't be removed.
    pub fn mend(&self) {
        match fs::remove_file(self.folder().join("faults")) {
            Err(error) if error.kind() != ErrorKind::NotFound => panic!("the rules can't be removed: {error}"),
            _ => {}
        }
    }

    /// Bytes of a card's memory that live processes have.
    ///
    /// # Panics
    /// If what the driver shares can't be read.
    #[must_use]
    pub fn used(&self, device: usize) -> u64 {
        let state = match fs::read(self.folder().join("state")) {
            Ok(state) => state,
            Err(error) if error.kind() == ErrorKind::NotFound => return 0,
            Err(error) => panic!("the driver's state can't be read: {error}"),
        };
        let Some((head, rows)) = state.split_at_checked(ROWS_AT) else { return 0 };
        let in_use = usize::try_from(word(head, ROWS_USED)).unwrap();
        let rows = rows.chunks_exact(ROW).take(in_use);
        let rows = rows.filter(|row| word(row, 2) == device as u64 && is_alive(word(row, 0), word(row, 1)));
        rows.map(|row| word(row, 3)).sum()
    }
}

const MOST_CARDS: usize = 16;
const MOST_RULES: usize = 256;

/// The driver's state, as `struct state` has it: where its rows begin, and which word says how many there are.
const ROWS_AT: usize = 2176;
const ROWS_USED: usize = 2;
/// Bytes of a row: the process, when it started, the card, bytes, kind, number.
const ROW: usize = 48;

fn word(bytes: &[u8], number: usize) -> u64 {
    let at = number * 8;
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// Whether this is a process that started then. One that nobody has waited for yet has none of its memory any more.
fn is_alive(process: u64, start: u64) -> bool {
    let Ok(text) = fs::read_to_string(format!("/proc/{process}/stat")) else { return false };
    // The name before may have anything in it; what follows are fields 3 and up, of which the 22nd is the start.
    let Some((_, fields)) = text.rsplit_once(')') else { return false };
    let fields: Vec<&str> = fields.split_whitespace().collect();
    process != 0 && !matches!(fields[0], "Z" | "X") && fields[19].parse() == Ok(start)
}
