//! `stream`: logs of payload ids, made, filled, listed and removed; `tail` follows one.

mod args;
mod tail;

use std::time::{Duration, SystemTime};

use futures_util::TryStreamExt as _;
use payload_manager_client::{Client, NewEntry, Retention, StreamInfo, StreamName, UnixMillis};
use serde_json::{Value, json};

pub(crate) use args::StreamArgs;
use args::{AppendArgs, CreateArgs, StreamCommand};

use crate::exit::{Failure, Outcome};
use crate::output::{Output, line, table};
use crate::safe;
use crate::words::{distance, timestamp};

/// Carries out one of its commands.
///
/// # Errors
/// The daemon says no, or standard output can't be written to.
pub(crate) async fn run(client: &Client, output: Output, args: StreamArgs) -> Outcome {
    let named =
        |name: String| StreamName::new(args.namespace.clone(), name).map_err(|error| Failure::Usage(error.to_string()));
    match args.command {
        StreamCommand::Ls => list(client, output).await,
        StreamCommand::Create(args) => Ok(client.create_stream(&named(args.name.clone())?, kept(&args)).await?),
        StreamCommand::Rm { names } => {
            for name in names {
                client.delete_stream(&named(name)?).await?;
            }
            Ok(())
        }
        StreamCommand::Append(args) => append(client, output, &named(args.name.clone())?, args).await,
        StreamCommand::Tail(args) => tail::run(client, output, named(args.name.clone())?, args).await,
        StreamCommand::Commit { name, group, offset } => {
            Ok(client.commit_offset(&named(name)?, &group, offset).await?)
        }
        StreamCommand::Show { name } => show(client, output, &named(name)?).await,
    }
}

fn kept(args: &CreateArgs) -> Retention {
    // In whole seconds, as the daemon counts them; a part of one must not become for ever.
    let seconds = |age: Duration| age.as_secs() + u64::from(age.subsec_nanos() > 0);
    Retention { max_entries: args.keep.unwrap_or(0), max_age_sec: args.max_age.map_or(0, seconds) }
}

async fn append(client: &Client, output: Output, stream: &StreamName, args: AppendArgs) -> Outcome {
    let tags: std::collections::BTreeMap<_, _> = args.tags.into_iter().collect();
    let entries = args.ids.iter().map(|id| NewEntry { tags: tags.clone(), ..(*id).into() });
    let offsets = client.append(stream, entries).await?;
    for (id, offset) in args.ids.iter().zip(offsets) {
        if output.json {
            output.object(&json!({ "id": id.to_string(), "offset": offset }))?;
        } else {
            line(&offset.to_string())?;
        }
    }
    Ok(())
}

async fn list(client: &Client, output: Output) -> Outcome {
    let (mut streams, mut rows, now) = (client.list_streams(), Vec::new(), SystemTime::now());
    while let Some(info) = streams.try_next().await? {
        if output.json {
            output.object(&facts(&info))?;
        } else {
            rows.push(row(&info, now));
        }
    }
    if output.json {
        return Ok(());
    }
    line(&table(&["NAME", "ENTRIES", "FIRST", "NEXT", "KEEP", "MAX AGE", "AGE"], &[1, 2, 3, 4, 5, 6], rows))
}

fn row(info: &StreamInfo, now: SystemTime) -> Vec<String> {
    vec![
        safe::line(info.name.to_string().as_bytes()),
        info.next.saturating_sub(info.first).to_string(),
        info.first.to_string(),
        info.next.to_string(),
        keep(info.retention),
        max_age(info.retention),
        distance(info.created, now),
    ]
}

fn keep(retention: Retention) -> String {
    if retention.max_entries == 0 { "all".to_owned() } else { retention.max_entries.to_string() }
}

fn max_age(retention: Retention) -> String {
    match retention.max_age_sec {
        0 => "any".to_owned(),
        seconds => humantime::format_duration(Duration::from_secs(seconds)).to_string(),
    }
}

fn facts(info: &StreamInfo) -> Value {
    json!({
        "name": info.name.name(),
        "namespace": info.name.namespace(),
        "first_offset": info.first,
        "next_offset": info.next,
        "max_entries": info.retention.max_entries,
        "max_age_sec": info.retention.max_age_sec,
        "created_at": timestamp(info.created),
    })
}

async fn show(client: &Client, output: Output, stream: &StreamName) -> Outcome {
    let (info, groups) = client.stream_info(stream).await?;
    if output.json {
        let mut all = facts(&info);
        let groups = groups.iter().map(
            |group| json!({ "name": group.name, "committed_offset": group.offset, "committed_at": timestamp(group.at) }),
        );
        all["groups"] = groups.collect();
        return output.object(&all);
    }
    let told = |at: UnixMillis| timestamp(at).unwrap_or_else(|| at.0.to_string());
    let facts = [
        ("name", safe::line(info.name.to_string().as_bytes())),
        ("entries", info.next.saturating_sub(info.first).to_string()),
        ("first offset", info.first.to_string()),
        ("next offset", info.next.to_string()),
        ("keeps entries", keep(info.retention)),
        ("keeps age", max_age(info.retention)),
        ("created at", told(info.created)),
    ];
    line(&table(&[], &[], facts.map(|(name, fact)| vec![name.to_owned(), fact])))?;
    if groups.is_empty() {
        return Ok(());
    }
    let rows = groups.iter().map(|group| {
        let behind = info.next.saturating_sub(group.offset).to_string();
        vec![safe::line(group.name.as_bytes()), group.offset.to_string(), behind, told(group.at)]
    });
    line("")?;
    line(&table(&["GROUP", "COMMITTED", "BEHIND", "AT"], &[1, 2], rows))
}
