//! The consumer: follows the stream and checks each payload as it comes; then spills all, sees RAM empty, promotes each
//! and checks it again. A payload that is not what was put is reported, and the rest is checked all the same.

use std::hint::black_box;
use std::io::BufRead;
use std::time::Instant;

use futures_util::TryStreamExt;
use payload_manager_client::{Client, Descriptor, PayloadId, PayloadView, Start, StreamEntry, Tier};
use payload_manager_client::{ReadOptions, SpillOptions, SpillTarget};
use tokio::sync::oneshot;

use super::check::{self, Verdict};
use super::plan::{self, Event, FILE_TAG, Measure, Plan, SUM_TAG, Stage};

/// Checks everything.
///
/// # Errors
/// What could not be done, in words, with the file and the payload.
pub(super) async fn run(client: &Client, plan: &Plan) -> Result<(), String> {
    let consumer = Consumer { client, plain: client.without_session(), plan };
    let all = consumer.follow(total()).await?;
    consumer.settled(&all).await?;
    for known in &all {
        consumer.spill(known).await.map_err(|why| known.about(plan, &why))?;
    }
    let stats = client.stats().await.map_err(|error| error.to_string())?;
    let nearer = [Tier::Ram, Tier::Disk].into_iter().filter(|tier| *tier < plan.far());
    Event::Spilled { left: nearer.map(|tier| stats.tier(tier).bytes).sum() }.tell()?;
    for known in &all {
        consumer.recheck(known).await.map_err(|why| known.about(plan, &why))?;
    }
    client.flush().await;
    Ok(())
}

/// Ready when the demo says on standard input how many entries the stream has in all.
fn total() -> oneshot::Receiver<usize> {
    let (tell, total) = oneshot::channel();
    std::thread::spawn(move || {
        let mut line = String::new();
        let read = std::io::stdin().lock().read_line(&mut line);
        if let (Ok(_), Ok(entries)) = (read, line.trim().parse()) {
            // Nobody waits for it any more: the consumer has failed.
            let _ = tell.send(entries);
        }
    });
    total
}

/// A payload that came by.
struct Known {
    id: PayloadId,
    file: usize,
    sum: String,
    len: u64,
}

impl Known {
    fn of(entry: &StreamEntry) -> Result<Self, String> {
        let tag = |name: &str| {
            let value = entry.what.tags.get(name).cloned();
            value.ok_or_else(|| format!("entry {} of the stream came without its tag {name}", entry.offset))
        };
        let file = tag(FILE_TAG)?.parse().map_err(|_| format!("entry {} names no file", entry.offset))?;
        Ok(Self { id: entry.what.payload, file, sum: tag(SUM_TAG)?, len: 0 })
    }

    fn about(&self, plan: &Plan, why: &str) -> String {
        format!("{} (payload {}): {why}", plan.name(self.file), self.id)
    }

    fn wrong(&self, what: &str) -> Result<(), String> {
        Event::Wrong { file: self.file, what: format!("payload {}: {what}", self.id) }.tell()
    }
}

struct Consumer<'a> {
    client: &'a Client,
    /// The same without a session.
    plain: Client,
    plan: &'a Plan,
}

impl Consumer<'_> {
    /// Follows the stream until as many entries were seen as there are.
    async fn follow(&self, mut total: oneshot::Receiver<usize>) -> Result<Vec<Known>, String> {
        let subscribed = self.client.subscribe(&plan::stream()?, Start::Beginning).await;
        let mut entries = subscribed.map_err(|error| format!("the stream can't be followed: {error}"))?;
        let (mut seen, mut all) = (Vec::new(), None);
        while all != Some(seen.len()) {
            tokio::select! {
                entry = entries.try_next() => {
                    let entry = entry.map_err(|error| format!("the stream broke off: {error}"))?;
                    let entry = entry.ok_or("the stream ended, and a stream has no end")?;
                    seen.push(self.arrived(&entry, seen.len()).await?);
                }
                told = &mut total, if all.is_none() => all = Some(told.map_err(|_| "the demo is gone")?),
            }
        }
        Ok(seen)
    }

    async fn arrived(&self, entry: &StreamEntry, expected: usize) -> Result<Known, String> {
        let mut known = Known::of(entry)?;
        if entry.offset != expected as u64 {
            known.wrong(&format!("it came at offset {} of the stream instead of {expected}", entry.offset))?;
        }
        let why = |why: String| known.about(self.plan, &why);
        let view = self.lease(&known, None).await.map_err(why)?;
        let len = view.len() as u64;
        self.compare(&known, &view)?;
        view.release().await.map_err(|error| known.about(self.plan, &error.to_string()))?;
        Event::Done { stage: Stage::Check, bytes: len }.tell()?;
        known.len = len;
        Ok(known)
    }

    /// Leases, and touches the first byte.
    async fn lease(&self, known: &Known, min_tier: Option<Tier>) -> Result<PayloadView, String> {
        let options = ReadOptions { min_tier, ..ReadOptions::default() };
        let started = Instant::now();
        let view = self.client.read_with(known.id, options).await;
        let leased = started.elapsed();
        let view = view.map_err(|error| format!("it can't be leased: {error}"))?;
        black_box(view.first().copied());
        let touched = started.elapsed();
        let bytes = view.len() as u64;
        Event::took(Measure::Lease, bytes, leased).tell()?;
        Event::took(Measure::first_byte(view.descriptor().tier), bytes, touched).tell()?;
        Ok(view)
    }

    fn compare(&self, known: &Known, view: &PayloadView) -> Result<(), String> {
        let Some(file) = self.plan.files.get(known.file) else {
            return known.wrong("it names a file that was not to be put");
        };
        let tier = view.descriptor().tier;
        match check::check(view, &file.path, &known.sum) {
            Verdict::Right => Ok(()),
            Verdict::Changed => Event::Changed { file: known.file }.tell(),
            Verdict::Wrong { at: Some(at) } => known.wrong(&format!("byte {at} of {} in {tier} is wrong", view.len())),
            Verdict::Wrong { at: None } => known.wrong(&format!("its bytes in {tier} are not those that were put")),
        }
    }

    /// Says where everything is after the first round.
    async fn settled(&self, all: &[Known]) -> Result<(), String> {
        let (mut in_ram, mut on_disk) = (0, 0);
        for known in all {
            if self.resolve(known).await?.copies.contains(Tier::Ram) { in_ram += 1 } else { on_disk += 1 }
        }
        Event::Settled { in_ram, on_disk }.tell()
    }

    async fn resolve(&self, known: &Known) -> Result<Descriptor, String> {
        let found = self.client.resolve(known.id).await;
        found.map_err(|error| known.about(self.plan, &format!("it can't be found: {error}")))
    }

    /// Spills a payload, and sees that the far tier alone has it, with the checksum of what was put.
    async fn spill(&self, known: &Known) -> Result<(), String> {
        let was_in_ram = self.resolve(known).await?.copies.contains(Tier::Ram);
        let far = self.plan.far();
        let options =
            SpillOptions { wait_for_leases: true, target: Some(SpillTarget::Tier(far)), ..SpillOptions::default() };
        let started = Instant::now();
        let spilled = self.client.spill_with(&[known.id], options).await;
        let took = started.elapsed();
        let result = spilled.and_then(|results| results.into_iter().next().transpose());
        let descriptor = result.map_err(|error| format!("it can't be spilled: {error}"))?.flatten();
        let descriptor = descriptor.ok_or("the daemon does not say where it was spilled to")?;
        if descriptor.copies.iter().ne([far]) {
            let tiers: Vec<_> = descriptor.copies.iter().map(|tier| tier.to_string()).collect();
            known.wrong(&format!("it was spilled, and is in {} now", tiers.join(" and ")))?;
        }
        if descriptor.checksum.is_some_and(|sum| sum.to_string() != known.sum) {
            known.wrong("the daemon has another checksum for it")?;
        }
        if was_in_ram {
            Event::took(Measure::Spill, known.len, took).tell()?;
        }
        Event::Done { stage: Stage::Spill, bytes: known.len }.tell()
    }

    /// Reads from DISK in place, if it is there, promotes unless RAM can never hold it, and compares once more.
    async fn recheck(&self, known: &Known) -> Result<(), String> {
        let fits = self.plan.fits_ram(known.len);
        if fits && self.plan.far() == Tier::Disk {
            // A look at it where it is: DISK is read in place, too.
            let view = self.lease(known, None).await?;
            if view.descriptor().tier != Tier::Disk {
                known.wrong(&format!("it was dropped from RAM, and is read from {}", view.descriptor().tier))?;
            }
            view.release().await.map_err(|error| error.to_string())?;
        }
        if fits {
            let started = Instant::now();
            let promoted = self.client.promote(known.id, Tier::Ram).await;
            let took = started.elapsed();
            promoted.map_err(|error| format!("it can't be promoted: {error}"))?;
            Event::took(Measure::Promote, known.len, took).tell()?;
        }
        let view = self.lease(known, fits.then_some(Tier::Ram)).await?;
        if view.len() as u64 != known.len {
            known.wrong(&format!("it had {} bytes and now has {}", known.len, view.len()))?;
        }
        self.compare(known, &view)?;
        if fits {
            self.again(known).await?;
        }
        view.release().await.map_err(|error| error.to_string())?;
        Event::Done { stage: Stage::Recheck, bytes: known.len }.tell()
    }

    /// Takes and gives back a lease on what is read right now, both ways.
    async fn again(&self, known: &Known) -> Result<(), String> {
        for (client, what) in [(self.client, Measure::LeaseAgain), (&self.plain, Measure::LeaseByCall)] {
            let started = Instant::now();
            let view = client.read(known.id).await.map_err(|error| format!("it can't be leased again: {error}"))?;
            view.release().await.map_err(|error| error.to_string())?;
            Event::took(what, known.len, started.elapsed()).tell()?;
        }
        Ok(())
    }
}
