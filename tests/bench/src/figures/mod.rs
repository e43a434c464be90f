//! What is measured: a file a kind of figure. Each starts the daemons it needs, and nothing is left of them after it.

mod copies;
mod cycle;
mod fast;
mod gpu;
mod idle;
mod leases;
mod listing;
mod loaded;
mod object;
mod puts;
mod retire;
mod stream;
pub(crate) mod two;

use std::path::{Path, PathBuf};

use payload_manager::config::Machine;

use crate::Result;
use crate::cli::Cli;
use crate::row::Row;
use crate::scale::Scale;

/// A figure that can be asked for.
pub(crate) struct Figure {
    /// Its name.
    pub(crate) name: &'static str,
    kind: Kind,
    /// What it is, for people.
    pub(crate) what: &'static str,
}

/// Figures that are measured together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Leases,
    Loaded,
    Copies,
    Stream,
    Cycle,
    Listing,
    Fast,
    Puts,
    Retire,
    Object,
    Gpu,
    Idle,
}

const fn figure(name: &'static str, kind: Kind, what: &'static str) -> Figure {
    Figure { name, kind, what }
}

/// All of them, in the order in which they are measured.
pub(crate) static FIGURES: [Figure; 37] = [
    figure("lease.rpc.1", Kind::Leases, "a lease taken and released, at 1 payload, against two empty calls"),
    figure("lease.rpc.1k", Kind::Leases, "the same at 1,000 payloads, in RAM"),
    figure("lease.rpc.100k", Kind::Leases, "the same at 100,000 payloads, half in RAM and half on DISK"),
    figure(
        "lease.rpc.traced",
        Kind::Leases,
        "a lease taken and released with a span for each call sent, against without",
    ),
    figure("start.100k", Kind::Leases, "start to first answer with these 100,000 payloads, beside a start with none"),
    figure("lease.rpc.during_spill", Kind::Loaded, "a lease taken and released while 1 GiB spills, p99 against p99"),
    figure("spill.64m", Kind::Copies, "64 MiB from RAM to DISK, against writing them and fsync"),
    figure("promote.64m", Kind::Copies, "64 MiB from DISK to RAM, against reading them into memory"),
    figure("subscribe.delivery", Kind::Stream, "from Append's answer to delivery, 0 if that came first"),
    figure(
        "cycle.4",
        Kind::Cycle,
        "allocate, commit, delete by 4 clients: cycles a second against empty calls a second",
    ),
    figure("cycle.4.errors", Kind::Cycle, "errors in all of these"),
    figure("list.1m", Kind::Listing, "a page anywhere in a listing of 1,000,000, against one of 1,000"),
    figure("stats.1m", Kind::Listing, "Stats at 1,000,000 payloads, against an empty call"),
    figure("lease.fast.hot", Kind::Fast, "a view taken and dropped without a call, 1,000 payloads, one thread"),
    figure("lease.ffi", Kind::Fast, "the same through the C interface, against the Rust one"),
    figure("lease.fast.random", Kind::Fast, "the same at 100,000 payloads at random, against dependent random reads"),
    figure("lease.fast.two", Kind::Fast, "two threads against one, beside the same on plain private memory"),
    figure("lease.fast.two.processes", Kind::Fast, "the same with two processes"),
    figure(
        "lease.fast.during_churn",
        Kind::Fast,
        "how much slower than in quiet it is while another client spills and promotes, p99",
    ),
    figure("put.4k", Kind::Puts, "allocate, copy, commit 4 KiB, against two round trips on such a socket"),
    figure("put.4k.batch64", Kind::Puts, "64 at a time: for each, against the copy alone"),
    figure("put.1m", Kind::Puts, "the same with 1 MiB, against a warm copy and two round trips"),
    figure("put.64m", Kind::Puts, "the same with 64 MiB"),
    figure("get.1m", Kind::Puts, "1 MiB taken, every page touched, dropped, against touching a mapping"),
    figure("get.64m", Kind::Puts, "the same with 64 MiB"),
    figure("retire.10k", Kind::Retire, "one look for leases on 10,000 blocks in the full pages of 100 sessions"),
    figure(
        "object.spill.1g",
        Kind::Object,
        "16 x 64 MiB from RAM to OBJECT in a folder, against the store's crate alone",
    ),
    figure("object.promote.1g", Kind::Object, "the same back to RAM, against reading them with the crate alone"),
    figure("object.memory", Kind::Object, "resident memory while 4 GiB go there and back, above idle"),
    figure("object.spill.10k", Kind::Object, "10,000 x 4 KiB to OBJECT, against putting them with the crate alone"),
    figure("object.checksum", Kind::Object, "a copy of 256 MiB with its checksum, against one without"),
    figure("rebuild.100k", Kind::Object, "a catalog of 100,000 made again, against listing and reading the archives"),
    figure("gpu.spill.256m", Kind::Gpu, "256 MiB from a card to RAM, against a plain copy to pinned memory"),
    figure("gpu.promote.256m", Kind::Gpu, "the same back, against such a copy to the card"),
    figure("lease.gpu", Kind::Gpu, "a view on a card taken and dropped without a call, against one in RAM"),
    figure("idle.cpu", Kind::Idle, "processor time of an idle daemon with 10 subscribers"),
    figure("idle.rss", Kind::Idle, "its resident memory, shared pages included, payloads not"),
];

/// A run: where, how much, and who is told of the rows.
pub(crate) struct Bench<F> {
    base: PathBuf,
    scale: Scale,
    all: bool,
    told: F,
}

/// What a kind of figure is measured with.
struct Ground<'a> {
    base: &'a Path,
    scale: Scale,
    /// What is wanted of it.
    wanted: &'a [&'static str],
    /// Whether that is everything, named by nobody.
    all: bool,
    told: &'a mut dyn FnMut(&Row) -> Result<()>,
}

impl Ground<'_> {
    /// Hands a row over.
    fn tell(&mut self, row: Row) -> Result<()> {
        (self.told)(&Row { quick: self.scale.quick, ..row })
    }

    fn wants(&self, name: &str) -> bool {
        self.wanted.contains(&name)
    }
}

impl<F: FnMut(&Row) -> Result<()>> Bench<F> {
    /// A run that tells `told` each row as soon as it is measured.
    pub(crate) fn new(cli: &Cli, told: F) -> Self {
        let scale = if cli.quick { Scale::QUICK } else { Scale::FULL };
        Self { base: cli.dir.clone().unwrap_or_else(base), scale, all: cli.wants_all(), told }
    }

    /// Measures what is wanted.
    pub(crate) async fn run(&mut self, wanted: &[&'static str]) -> Result<()> {
        for kind in [
            Kind::Leases,
            Kind::Loaded,
            Kind::Copies,
            Kind::Stream,
            Kind::Cycle,
            Kind::Listing,
            Kind::Fast,
            Kind::Puts,
            Kind::Retire,
            Kind::Object,
            Kind::Gpu,
            Kind::Idle,
        ] {
            if !FIGURES.iter().any(|figure| figure.kind == kind && wanted.contains(&figure.name)) {
                continue;
            }
            let mut ground =
                Ground { base: &self.base, scale: self.scale, wanted, all: self.all, told: &mut self.told };
            match kind {
                Kind::Leases => leases::measure(&mut ground).await,
                Kind::Loaded => loaded::measure(&mut ground).await,
                Kind::Copies => copies::measure(&mut ground).await,
                Kind::Stream => stream::measure(&mut ground).await,
                Kind::Cycle => cycle::measure(&mut ground).await,
                Kind::Listing => listing::measure(&mut ground).await,
                Kind::Fast => fast::measure(&mut ground).await,
                Kind::Puts => puts::measure(&mut ground).await,
                Kind::Retire => retire::measure(&mut ground),
                Kind::Object => object::measure(&mut ground).await,
                Kind::Gpu => gpu::measure(&mut ground).await,
                Kind::Idle => idle::measure(&mut ground).await,
            }?;
        }
        Ok(())
    }
}

/// The temporary folder, or a lasting one if that is in memory: DISK is to be a disk.
fn base() -> PathBuf {
    let usual = std::env::temp_dir();
    let in_memory = Machine::this().and_then(|machine| machine.space(&usual)).is_ok_and(|space| space.in_memory);
    if in_memory { PathBuf::from("/var/tmp") } else { usual }
}
