//! `watch`: every change of every payload, a line each, as it comes.

use std::time::Duration;

use anstyle::Style;
use clap::Args;
use futures_util::StreamExt as _;
use payload_manager_client::{Client, Code, Error, Event, EventKind, Watch, WatchFrom};
use serde_json::{Value, json};

use crate::exit::{Failure, Outcome};
use crate::output::{BAD, Column, MOVING, Output, heading, line, lines, row};
use crate::words::size;

/// Between two attempts while the daemon is out of reach.
const RETRY: Duration = Duration::from_millis(250);

/// Lines printed at once, at most, when so many are there.
const AT_ONCE: usize = 256;

/// `watch`
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// Go on after the event that carried this token, which --json shows
    #[arg(long, value_name = "TOKEN")]
    pub(crate) from: Option<String>,
    /// Begin with what there is
    #[arg(long, conflicts_with = "from")]
    pub(crate) current: bool,
    /// End after so many events
    #[arg(short = 'n', long, value_name = "N")]
    pub(crate) limit: Option<u64>,
}

/// Prints every change, until so many were printed or a signal comes. A daemon that goes away is waited for.
///
/// # Errors
/// The daemon can't be asked, the token is of no use, or standard output not written to.
pub(crate) async fn run(client: &Client, output: Output, args: WatchArgs) -> Outcome {
    let anew = if args.current { WatchFrom::Snapshot } else { WatchFrom::Now };
    let mut events = client.watch(args.from.map_or_else(|| anew.clone(), WatchFrom::Token)).await?;
    let mut left = args.limit.unwrap_or(u64::MAX);
    if !output.json {
        line(&heading(&COLUMNS))?;
    }
    let mut token = None;
    while left > 0 {
        let Err(error) = follow(&mut events, output, &mut left, &mut token).await? else { break };
        events = resume(client, error, token.clone(), &anew).await?;
    }
    Ok(())
}

/// Prints what comes, until enough has or the watch ends.
async fn follow(
    events: &mut Watch,
    output: Output,
    left: &mut u64,
    token: &mut Option<String>,
) -> Outcome<Result<(), Error>> {
    let mut ready = events.ready_chunks(AT_ONCE);
    while let Some(some) = ready.next().await {
        let mut text = String::new();
        let mut ended = Ok(());
        for event in some {
            match event {
                Ok(event) if *left > 0 => {
                    *left -= 1;
                    text += &told(&event, output);
                    text.push('\n');
                    *token = event.token.or(token.take());
                }
                Ok(_) => {}
                Err(error) => ended = Err(error),
            }
        }
        lines(&text)?;
        if ended.is_err() || *left == 0 {
            return Ok(ended);
        }
    }
    Ok(Ok(()))
}

/// Watches again, from where it was if the daemon still knows that; says so if not.
async fn resume(client: &Client, error: Error, token: Option<String>, anew: &WatchFrom) -> Outcome<Watch> {
    if !comes_back(&error) {
        return Err(error.into());
    }
    eprintln!("payloadctl: {error}");
    let mut from = token.map_or_else(|| anew.clone(), WatchFrom::Token);
    loop {
        match client.watch(from.clone()).await {
            Ok(events) => return Ok(events),
            Err(error) if error.code() == Some(Code::OutOfRange) && from != *anew => {
                eprintln!("payloadctl: watching anew; what changed in between is not told");
                from = anew.clone();
            }
            Err(error) if comes_back(&error) => tokio::time::sleep(RETRY).await,
            Err(error) => return Err(Failure::from(error)),
        }
    }
}

/// Whether a watch that ended so can be begun again.
fn comes_back(error: &Error) -> bool {
    matches!(error, Error::Unreachable { .. }) || matches!(error.code(), Some(Code::Unavailable | Code::OutOfRange))
}

const COLUMNS: [Column; 6] = [
    Column { name: "EVENT", width: 12, number: false },
    Column { name: "ID", width: 36, number: false },
    Column { name: "VERSION", width: 7, number: true },
    Column { name: "TIER", width: 6, number: false },
    Column { name: "STATE", width: 9, number: false },
    Column { name: "SIZE", width: 10, number: true },
];

fn told(event: &Event, output: Output) -> String {
    if output.json {
        return object(event).to_string();
    }
    let kind = (event.kind.to_string(), style(event.kind));
    let plain = |text: String| (text, Style::new());
    let Some(payload) = &event.payload else { return row(&COLUMNS, &[kind]) };
    let cells = [
        kind,
        plain(payload.id.to_string()),
        plain(payload.version.to_string()),
        plain(payload.tier.to_string()),
        plain(payload.state.to_string()),
        plain(size(payload.size)),
    ];
    row(&COLUMNS, &cells)
}

/// How an event is shown: what has come to rest is plain.
fn style(kind: EventKind) -> Style {
    match kind {
        EventKind::Allocated => MOVING,
        EventKind::Deleted | EventKind::Expired => BAD,
        _ => Style::new(),
    }
}

fn object(event: &Event) -> Value {
    let mut object = json!({ "event": event.kind.to_string(), "token": event.token });
    if let Some(payload) = &event.payload {
        object["id"] = payload.id.to_string().into();
        object["version"] = payload.version.into();
        object["tier"] = payload.tier.to_string().into();
        object["state"] = payload.state.to_string().into();
        object["copies"] = payload.copies.iter().map(|tier| tier.to_string()).collect::<Vec<_>>().into();
        object["size"] = payload.size.into();
    }
    object
}
