//! The producer: puts each file of the plan as a payload and appends it to the stream. It never looks back.

use std::fs::File;
use std::io::Read;
use std::time::{Duration, Instant};

use payload_manager_client::{Client, CreateOptions, NewEntry, PayloadMut, Reason, StreamName, Tier};
use tokio::time::sleep;
use xxhash_rust::xxh3::Xxh3;

use super::check::{CHUNK, digest};
use super::files::Taken;
use super::plan::{self, Event, FILE_TAG, Measure, Plan, SUM_TAG, Stage};

/// Puts everything.
///
/// # Errors
/// What could not be done, in words, with the file.
pub(super) async fn run(client: &Client, plan: &Plan) -> Result<(), String> {
    let stream = plan::stream()?;
    for (index, file) in plan.files.iter().enumerate() {
        let problem = |what: &str, error: &dyn std::fmt::Display| format!("{}: {what}: {error}", plan.name(index));
        let mut source = match Source::open(file) {
            Ok(source) => source,
            Err(why) => {
                Event::Skipped { file: index, why }.tell()?;
                continue;
            }
        };
        let mut clock = Stopwatch::default();
        let tier = if plan.fits_ram(source.len) { Tier::Ram } else { Tier::Disk };
        let started = Instant::now();
        let mut payload = allocate(client, source.len, tier).await.map_err(|e| problem("no room for it", &e))?;
        clock.add(started.elapsed());
        let sum = match source.pour(&mut payload, &mut clock) {
            Ok(sum) => sum,
            Err(why) => {
                payload.abort().await.map_err(|e| problem("its payload could not be given up", &e))?;
                Event::Skipped { file: index, why }.tell()?;
                continue;
            }
        };
        let started = Instant::now();
        let id = payload.commit().await.map_err(|e| problem("its payload could not be committed", &e))?.id;
        clock.add(started.elapsed());
        Event::took(Measure::Put, source.len, clock.0).tell()?;
        let tags = [(FILE_TAG.to_owned(), index.to_string()), (SUM_TAG.to_owned(), sum)];
        let entry = NewEntry { tags: tags.into(), ..id.into() };
        append(client, &stream, entry, source.len)
            .await
            .map_err(|e| problem(&format!("payload {id} could not be appended to the stream {stream}"), &e))?;
        Event::Done { stage: Stage::Put, bytes: source.len }.tell()?;
    }
    client.flush().await;
    Ok(())
}

async fn append(client: &Client, stream: &StreamName, entry: NewEntry, bytes: u64) -> Result<(), String> {
    let started = Instant::now();
    client.append(stream, [entry]).await.map_err(|error| error.to_string())?;
    Event::took(Measure::Append, bytes, started.elapsed()).tell()
}

/// How long the producer waits for the consumer to let go of what fills a tier.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(5);

/// Allocates; a tier that is full of what the consumer reads right now has room again soon.
async fn allocate(client: &Client, len: u64, tier: Tier) -> payload_manager_client::Result<PayloadMut> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let options = CreateOptions { tier, ..CreateOptions::default() };
        match client.create_with(len, options).await {
            Err(error) if error.reason() == Some(Reason::TierFull) && Instant::now() < deadline => sleep(PAUSE).await,
            answer => return answer,
        }
    }
}

/// Time that was spent on payloads, and not on the files.
#[derive(Debug, Default)]
struct Stopwatch(Duration);

impl Stopwatch {
    fn add(&mut self, time: Duration) {
        self.0 += time;
    }
}

/// A file that is being put.
struct Source {
    file: File,
    /// Bytes that are put of it.
    len: u64,
}

impl Source {
    /// Opens it as it is now: at most what the plan counts with, and less if it has shrunk.
    fn open(taken: &Taken) -> Result<Self, String> {
        let file = File::open(&taken.path).map_err(|error| format!("it can't be opened any more: {error}"))?;
        let len = file.metadata().map_err(|error| error.to_string())?.len().min(taken.len);
        if len == 0 {
            return Err("it is empty by now".into());
        }
        Ok(Self { file, len })
    }

    /// Fills the payload with its bytes. Answers with what they hash to: those that were read, not those that arrived.
    fn pour(&mut self, payload: &mut PayloadMut, clock: &mut Stopwatch) -> Result<String, String> {
        let mut buffer = vec![0; CHUNK.min(payload.len())];
        let mut hash = Xxh3::new();
        for part in payload.chunks_mut(CHUNK) {
            let read = buffer.get_mut(..part.len()).unwrap_or_default();
            self.file.read_exact(read).map_err(|error| format!("it changed while it was read: {error}"))?;
            hash.update(read);
            let started = Instant::now();
            part.copy_from_slice(read);
            clock.add(started.elapsed());
        }
        Ok(digest(&hash).to_string())
    }
}
