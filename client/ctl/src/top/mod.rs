//! `top`: tiers, leases, sessions and the backlog, again and again: in place in a terminal, one table after the other
//! elsewhere, one object a line for programs. It asks for the figures that `stats` and `sessions` ask for.

mod frame;
mod screen;

use std::time::{Duration, Instant};

use clap::Args;
use futures_util::TryStreamExt as _;
use payload_manager_client::{Client, SessionInfo, Stats};
use tokio::time::{MissedTickBehavior, interval};

use self::screen::Screen;
use crate::exit::Outcome;
use crate::output::{Output, line};

/// Sessions that are asked for at each look; the others are counted.
const MOST_SESSIONS: usize = 500;

/// `top`
#[derive(Debug, Args)]
pub(crate) struct TopArgs {
    /// How often to look
    #[arg(short, long, value_name = "TIME", default_value = "1s", value_parser = period)]
    pub(crate) interval: Duration,
    /// Look once and end
    #[arg(long, conflicts_with = "count")]
    pub(crate) once: bool,
    /// End after so many looks
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) count: Option<u64>,
}

fn period(text: &str) -> Result<Duration, String> {
    let period = humantime::parse_duration(text).map_err(|error| error.to_string())?;
    // The daemon goes through lease pages for each look.
    if period < Duration::from_millis(100) { Err("not more often than every 100ms".to_owned()) } else { Ok(period) }
}

/// One look at the daemon.
struct Look {
    at: Instant,
    stats: Stats,
    sessions: Vec<SessionInfo>,
}

/// Looks until so many were shown, q is pressed or a signal comes.
///
/// # Errors
/// The daemon can't be asked, or standard output not written to.
pub(crate) async fn run(client: &Client, output: Output, args: TopArgs) -> Outcome {
    let mut left = if args.once { 1 } else { args.count.unwrap_or(u64::MAX) };
    let mut screen = if output.json || args.once { None } else { Screen::open()? };
    let mut ticks = interval(args.interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut before: Option<Look> = None;
    while left > 0 {
        tokio::select! {
            _ = ticks.tick() => {}
            () = quit(screen.as_mut()) => break,
        }
        let now = look(client).await?;
        show(&now, before.as_ref(), client.address(), output, screen.as_mut())?;
        before = Some(now);
        left -= 1;
    }
    Ok(())
}

async fn quit(screen: Option<&mut Screen>) {
    match screen {
        Some(screen) => screen.quit().await,
        None => std::future::pending().await,
    }
}

async fn look(client: &Client) -> Outcome<Look> {
    let stats = client.stats().await?;
    let mut listed = client.sessions();
    let mut sessions = Vec::new();
    while sessions.len() < MOST_SESSIONS
        && let Some(session) = listed.try_next().await?
    {
        sessions.push(session);
    }
    sessions.sort_by_key(|session| (std::cmp::Reverse((session.leased_bytes, session.live_leases)), session.id));
    Ok(Look { at: Instant::now(), stats, sessions })
}

fn show(now: &Look, before: Option<&Look>, address: &str, output: Output, screen: Option<&mut Screen>) -> Outcome {
    if output.json {
        return output.object(&frame::object(now, before));
    }
    let text = frame::text(now, before, address);
    match screen {
        Some(screen) => screen.draw(&text),
        // A line of nothing ends each, so that readers can tell them apart.
        None => line(&format!("{text}\n")),
    }
}
