//! `demo`: takes real files through the whole life of a payload, between real processes, and checks every byte.
//!
//! ```text
//!  files ─► ground ─► story ──────────────► table
//!                       │ starts and hears        plan.json, then events on standard output
//!                       ├──► daemon      part ─► serve
//!                       ├──► producer    part ─► producer
//!                       └──► consumer    part ─► consumer ─► check
//! ```
//!
//! It uses the daemon as anybody would, through its program and the client crate, and leaves nothing behind.

mod check;
mod consumer;
mod files;
mod ground;
mod measure;
mod part;
mod plan;
mod processes;
mod producer;
mod screen;
mod signals;
mod store;
mod story;
mod table;

use std::io::Write;
use std::path::Path;

pub use part::part;

use crate::cli::{DemoArgs, Exit};
use crate::config::units::size_for_people;
use files::{Most, Picked};
use ground::Ground;
use processes::Cast;
use screen::Screen;
use signals::Signals;
use story::Told;
use table::Results;

/// Runs the demo.
#[must_use]
pub fn run(args: &DemoArgs) -> Exit {
    let mut screen = Screen::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(live(args, &mut screen)),
        Err(error) => Err(End::Failed(error.to_string())),
    };
    ended.unwrap_or_else(|end| {
        let (why, exit) = match end {
            End::Refused(why) => (why, Exit::Usage),
            End::Failed(why) => (why, Exit::Failure),
        };
        screen.say(&format!("payload-manager: {why}"));
        exit
    })
}

/// Why it ended before it had results.
enum End {
    /// What was asked for can't be.
    Refused(String),
    /// Something went wrong.
    Failed(String),
}

/// How the story ended.
enum Outcome {
    /// It was told to its end, or went wrong.
    Told(Result<(), String>),
    /// This signal came first.
    Signal(u8),
}

async fn live(args: &DemoArgs, screen: &mut Screen) -> Result<Exit, End> {
    let picked = pick(args, screen).map_err(End::Refused)?;
    // From here on there is something to be removed.
    let mut signals = Signals::listen().map_err(|error| End::Failed(error.to_string()))?;
    let ground = Ground::make(&picked, args.ram, args.object_store.as_ref()).map_err(End::Refused)?;
    introduce(screen, &picked, &ground);
    let plan = ground.plan(picked.files);
    let mut results = Results { files: plan.files.len(), ram: plan.ram, ..Results::default() };
    let mut cast = Cast::default();
    plan.write(ground.folder()).map_err(|error| End::Failed(format!("the plan can't be written: {error}")))?;
    let mut told = Told { screen, results: &mut results, plan: &plan };
    let outcome = tokio::select! {
        told = story::tell(&mut cast, &plan, ground.folder(), &mut told) => Outcome::Told(told),
        signal = signals.next() => Outcome::Signal(signal),
    };
    screen.close();
    let last_words = cast.daemons_last_words();
    let stopped = cast.end(&mut signals).await;
    let left = leave(ground, args.keep, screen);
    if let Outcome::Told(Err(why)) = &outcome {
        results.failed = Some(format!("{why}\nThe last that the daemon said:{last_words}"));
    } else if !stopped {
        results.failed = Some(format!("the daemon did not stop in order\nThe last that it said:{last_words}"));
    }
    let exit = match outcome {
        Outcome::Signal(number) => Exit::Signal(number),
        Outcome::Told(_) if results.all_right() => Exit::Success,
        Outcome::Told(_) => Exit::Failure,
    };
    conclude(args, screen, &results, matches!(exit, Exit::Signal(_)));
    left.map_err(|why| End::Failed(format!("not everything could be removed: {why}")))?;
    Ok(exit)
}

/// Less than this is little to show tiering with, in bytes.
const LITTLE: u64 = 16 << 20;

fn pick(args: &DemoArgs, screen: &Screen) -> Result<Picked, String> {
    let most = Most { bytes: args.limit, files: args.max_files };
    let mut picked = Picked::default();
    let mut add = |path: &Path| picked.add(path, most).map_err(|error| format!("{}: {error}", path.display()));
    if !args.paths.is_empty() {
        args.paths.iter().try_for_each(|path| add(path))?;
    } else {
        let program = std::env::current_exe().map_err(|error| error.to_string())?;
        let current = std::env::current_dir().map_err(|error| error.to_string())?;
        files::usual(&current, &program).iter().try_for_each(|path| add(path))?;
        if picked.bytes < LITTLE {
            let found = size_for_people(picked.bytes);
            screen.say(&format!("Only {found} of files were found, so this program itself is taken too."));
            picked.add(&program, most).map_err(|error| format!("{}: {error}", program.display()))?;
        }
    }
    if picked.files.is_empty() {
        let why = left_out(&picked).unwrap_or_else(|| "there are none".into());
        return Err(format!("no file can be taken ({why}); name files or folders that can be read"));
    }
    Ok(picked)
}

fn left_out(picked: &Picked) -> Option<String> {
    let reasons: Vec<_> = picked.left_out.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    (!reasons.is_empty()).then(|| format!("left out: {}", reasons.join(", ")))
}

fn introduce(screen: &Screen, picked: &Picked, ground: &Ground) {
    let (files, bytes, ram) = (picked.files.len(), size_for_people(picked.bytes), size_for_people(ground.ram()));
    let left_out = left_out(picked).map(|text| format!(" ({text})")).unwrap_or_default();
    screen.say(&format!("{files} files with {bytes} are taken{left_out}."));
    ground.warnings().iter().for_each(|warning| screen.say(warning));
    if ground.ram() >= picked.bytes {
        screen.say(&format!("RAM may hold {ram}, which is all of it: nothing will have to make room. Try less --ram."));
    } else {
        screen.say(&format!("RAM may hold {ram}, so that tiering has to work; DISK holds the rest."));
    }
    let large = picked.largest();
    if large > ground.ram() {
        screen
            .say(&format!("The largest file has {}: what is larger than RAM is put on DISK.", size_for_people(large)));
    }
}

/// Removes what the demo made, or says where it is.
fn leave(ground: Ground, keep: bool, screen: &Screen) -> Result<(), String> {
    if !keep {
        return ground.clear();
    }
    screen.say(&ground.keep());
    Ok(())
}

/// Says what came of it: where it was interrupted, only that.
fn conclude(args: &DemoArgs, screen: &Screen, results: &Results, interrupted: bool) {
    if interrupted {
        return screen.say("Stopped before the end.");
    }
    let text = match &results.failed {
        _ if args.json => Some(format!("{:#}", results.json())),
        Some(_) => None,
        None => Some(results.table()),
    };
    if let Some(text) = text {
        // Who does not want to read it does not have to.
        let _ = writeln!(std::io::stdout(), "{text}");
    }
    match &results.failed {
        Some(why) => screen.say(&format!("payload-manager: {why}")),
        None if results.all_right() => screen.say("Every byte was right, twice."),
        None => screen.say("Not every byte was shown to be right: this is a bug, please report it."),
    }
}
