//! The producer: puts each file of the plan as a payload and appends it to the stream. It never looks back.

use std::fmt::Display;
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
    let producer = Producer { client, plan, stream: plan::stream()? };
    for (index, file) in plan.files.iter().enumerate() {
        let put = match Source::open(file) {
            Ok(source) => producer.put(index, source).await,
            Err(why) => Err(Trouble::Skip(why)),
        };
        match put {
            Ok(()) => {}
            Err(Trouble::Skip(why)) => Event::Skipped { file: index, why }.tell()?,
            Err(Trouble::Stop(why)) => return Err(format!("{}: {why}", plan.name(index))),
        }
    }
    client.flush().await;
    Ok(())
}

/// Why a file was not put.
enum Trouble {
    /// The file is to blame: the rest can be put all the same.
    Skip(String),
    /// It makes no sense to go on.
    Stop(String),
}

/// Anything but a file's own trouble, with what was being done.
fn stop<E: Display>(what: &str) -> impl FnOnce(E) -> Trouble {
    move |error| Trouble::Stop(format!("{what}: {error}"))
}

struct Producer<'a> {
    client: &'a Client,
    plan: &'a Plan,
    stream: StreamName,
}

impl Producer<'_> {
    async fn put(&self, index: usize, mut source: Source) -> Result<(), Trouble> {
        let len = source.len;
        let mut clock = Stopwatch::default();
        let tier = if self.plan.fits_ram(len) { Tier::Ram } else { Tier::Disk };
        let started = Instant::now();
        let mut payload = allocate(self.client, len, tier).await.map_err(stop("no room for it"))?;
        clock.add(started.elapsed());
        let sum = match source.pour(&mut payload, &mut clock) {
            Ok(sum) => sum,
            Err(why) => {
                payload.abort().await.map_err(stop("its payload can't be given up"))?;
                return Err(Trouble::Skip(why));
            }
        };
        let started = Instant::now();
        let id = payload.commit().await.map_err(stop("its payload can't be committed"))?.id;
        clock.add(started.elapsed());
        Event::took(Measure::Put, len, clock.0).tell().map_err(Trouble::Stop)?;
        let tags = [(FILE_TAG.to_owned(), index.to_string()), (SUM_TAG.to_owned(), sum)];
        self.append(NewEntry { tags: tags.into(), ..id.into() }, len).await
    }

    async fn append(&self, entry: NewEntry, len: u64) -> Result<(), Trouble> {
        let what = format!("payload {} can't be appended to the stream {}", entry.payload, self.stream);
        let started = Instant::now();
        self.client.append(&self.stream, [entry]).await.map_err(stop(&what))?;
        let took = Event::took(Measure::Append, len, started.elapsed());
        let told = took.tell().and_then(|()| Event::Done { stage: Stage::Put, bytes: len }.tell());
        told.map_err(Trouble::Stop)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_changed_since_it_was_picked_is_put_as_far_as_the_plan_counts_with_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let taken = Taken { path: file.path().to_path_buf(), len: 10 };
        let open = |bytes: &[u8]| {
            std::fs::write(file.path(), bytes).unwrap();
            Source::open(&taken).map(|source| source.len)
        };
        assert_eq!(open(b"0123456789"), Ok(10));
        assert_eq!(open(b"0123456789 and more"), Ok(10));
        assert_eq!(open(b"0123"), Ok(4));
        assert!(open(b"").is_err());
        file.close().unwrap();
        assert!(Source::open(&taken).is_err_and(|why| why.contains("opened")));
    }
}
