//! What happens in the demo, from the daemon's start to the last check, as the two players report it.

use std::path::Path;
use std::time::{Duration, Instant};

use payload_manager_client::{Client, Retention};

use super::plan::{self, Event, Plan, Stage};
use super::processes::{Cast, Process};
use super::screen::Screen;
use super::table::Results;
use crate::config::units::size_for_people;

/// Tells it all, and writes down what came of it.
///
/// # Errors
/// Why it could not be told to the end, in words.
pub(super) async fn tell(cast: &mut Cast, plan: &Plan, folder: &Path, told: &mut Told<'_>) -> Result<(), String> {
    let daemon = cast.start_daemon(folder)?;
    let client = first_contact(daemon, &plan.socket).await?;
    let stream = plan::stream()?;
    let made = client.create_stream(&stream, Retention::default()).await;
    made.map_err(|error| format!("the stream {stream} can't be made: {error}"))?;
    let pid = daemon.pid;
    told.screen.say(&format!("The daemon runs: process {pid}, in {}.", folder.display()));
    cast.start_players(folder)?;
    let started = Instant::now();
    told.putting(cast);
    let followed = follow(cast, told).await;
    told.results.took = started.elapsed();
    followed
}

/// How long the daemon may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

/// Connects as soon as the daemon answers.
async fn first_contact(daemon: &mut Process, socket: &Path) -> Result<Client, String> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match Client::connect(socket).await {
            Ok(client) => return Ok(client),
            Err(error) if Instant::now() >= deadline => return Err(format!("the daemon does not answer: {error}")),
            Err(_) => {}
        }
        tokio::select! {
            status = daemon.ended() => return Err(format!("the daemon did not start ({})", status?)),
            () = tokio::time::sleep(PAUSE) => {}
        }
    }
}

/// Listens to both players until both have ended.
async fn follow(cast: &mut Cast, told: &mut Told<'_>) -> Result<(), String> {
    let Cast { daemon: Some(daemon), producer: Some(producer), consumer: Some(consumer) } = cast else {
        return Err("not everybody was started".into());
    };
    let mut producing = true;
    loop {
        tokio::select! {
            report = producer.next(), if producing => match report? {
                Some(event) => told.heard(event),
                None => {
                    producing = false;
                    consumer.say(&told.results.payloads.to_string()).await?;
                }
            },
            report = consumer.next() => match report? {
                Some(event) => told.heard(event),
                None if producing => return Err("the consumer ended before everything was put".into()),
                None => return Ok(()),
            },
            status = daemon.ended() => return Err(format!("the daemon ended in the middle of it ({})", status?)),
        }
    }
}

/// What was told so far, and to whom.
pub(super) struct Told<'a> {
    /// Who looks on.
    pub(super) screen: &'a mut Screen,
    /// What came of it.
    pub(super) results: &'a mut Results,
    /// What is put.
    pub(super) plan: &'a Plan,
}

impl Told<'_> {
    fn putting(&mut self, cast: &Cast) {
        let pid = |player: &Option<super::processes::Player>| player.as_ref().map_or(0, |p| p.process.pid);
        self.screen.say(&format!(
            "A producer (process {}) puts each file and appends it to a stream. A consumer (process {}) follows the \
             stream, leases each payload and compares every byte with the file.",
            pid(&cast.producer),
            pid(&cast.consumer)
        ));
        let bytes = self.plan.files.iter().map(|file| file.len).sum();
        self.screen.begin(Stage::Put, bytes);
        self.screen.begin(Stage::Check, bytes);
    }

    fn heard(&mut self, event: Event) {
        match event {
            Event::Took { what, bytes, nanos } => self.results.measured.add(what, bytes, nanos),
            Event::Done { stage, bytes } => self.done(stage, bytes),
            Event::Skipped { file, why } => {
                self.results.skipped.insert(self.plan.name(file), why);
            }
            Event::Changed { file } => {
                let name = self.plan.name(file);
                if !self.results.changed.contains(&name) {
                    self.results.changed.push(name);
                }
            }
            Event::Wrong { file, what } => {
                let wrong = format!("{}: {what}", self.plan.name(file));
                self.screen.say(&format!("WRONG: {wrong}"));
                self.results.wrong.push(wrong);
            }
            Event::Settled { in_ram, on_disk } => self.settled(in_ram, on_disk),
            Event::Spilled { left } => self.spilled(left),
            // The player itself keeps it until it has ended.
            Event::Failed { .. } => {}
        }
    }

    fn done(&mut self, stage: Stage, bytes: u64) {
        self.screen.advance(stage, bytes);
        match stage {
            Stage::Put => {
                self.results.payloads += 1;
                self.results.bytes += bytes;
                self.results.never_in_ram += u64::from(!self.plan.fits_ram(bytes));
            }
            Stage::Recheck => self.results.checked_twice += 1,
            Stage::Check | Stage::Spill => {}
        }
    }

    fn settled(&mut self, in_ram: u64, on_disk: u64) {
        self.results.made_room = on_disk.saturating_sub(self.results.never_in_ram);
        self.screen.say(&format!(
            "All is put and checked. {in_ram} payloads are in RAM; {} had to leave it for DISK to make room. Now \
             everything is spilled to {} and dropped from {}.",
            self.results.made_room,
            self.plan.far(),
            self.nearer()
        ));
        self.screen.begin(Stage::Spill, self.results.bytes);
    }

    fn nearer(&self) -> &'static str {
        if self.plan.object { "RAM and DISK" } else { "RAM" }
    }

    fn spilled(&mut self, left: u64) {
        let nearer = self.nearer();
        if left > 0 {
            let wrong = format!("everything was spilled, and {} is still in {nearer}", size_for_people(left));
            self.screen.say(&format!("WRONG: {wrong}"));
            self.results.wrong.push(wrong);
        } else {
            let is = if self.plan.object { "are" } else { "is" };
            self.screen
                .say(&format!("{nearer} {is} empty. Now each payload is promoted back into RAM and checked again."));
        }
        self.screen.begin(Stage::Recheck, self.results.bytes);
    }
}
