//! `ls`, `stat` and `stats`: looking, and changing nothing.

use std::time::SystemTime;

use anstyle::Style;
use futures_util::TryStreamExt as _;
use payload_manager_client::{
    Client, ListOptions, PayloadId, PayloadInfo, PayloadState, Space, SpillTarget, Stats, Summary,
};
use serde_json::{Value, json};

use crate::cli::LsArgs;
use crate::exit::{Each, Failure, Outcome};
use crate::output::{BAD, Column, MOVING, Output, heading, line, lines, row, table};
use crate::words::{distance, place, size, timestamp};

/// Lists payloads, newest first.
///
/// # Errors
/// The daemon can't be asked, or standard output not written to.
pub(crate) async fn list(client: &Client, output: Output, args: LsArgs) -> Outcome {
    let limit = args.limit.unwrap_or(u64::MAX);
    let page_size = u32::try_from(limit.clamp(1, 500)).unwrap_or(500);
    let options = ListOptions { tier: args.tier.map(Into::into), page_size };
    let mut payloads = client.list(options);
    let (mut text, mut seen, now) = (String::new(), 0, SystemTime::now());
    if !output.json {
        line(&heading(&COLUMNS))?;
    }
    while seen < limit
        && let Some(payload) = payloads.try_next().await?
    {
        seen += 1;
        text += &if output.json { summary(&payload).to_string() } else { row(&COLUMNS, &cells(&payload, now)) };
        text.push('\n');
        // A page at once: a million lines are not a million writes.
        if seen % u64::from(page_size) == 0 {
            lines(&std::mem::take(&mut text))?;
        }
    }
    lines(&text)
}

const fn column(name: &'static str, width: usize, number: bool) -> Column {
    Column { name, width, number }
}

const COLUMNS: [Column; 7] = [
    column("ID", 36, false),
    column("TIER", 6, false),
    column("STATE", 9, false),
    column("SIZE", 10, true),
    column("AGE", 8, true),
    column("EXPIRES", 11, true),
    column("LEASES", 6, true),
];

fn cells(payload: &Summary, now: SystemTime) -> [(String, Style); 7] {
    let expires = payload.expires.map_or_else(|| "-".to_owned(), |at| format!("in {}", distance(at, now)));
    let plain = |text: String| (text, Style::new());
    [
        plain(payload.id.to_string()),
        plain(payload.tier.to_string()),
        (payload.state.to_string(), style(payload.state)),
        plain(size(payload.size)),
        plain(distance(payload.created, now)),
        plain(expires),
        plain(payload.active_leases.to_string()),
    ]
}

/// How a state is shown: what rests is plain.
fn style(state: PayloadState) -> Style {
    match state {
        PayloadState::Active | PayloadState::Durable => Style::new(),
        PayloadState::Allocated | PayloadState::Spilling | PayloadState::Evicting => MOVING,
        PayloadState::Deleting | PayloadState::Expired | PayloadState::Deleted => BAD,
    }
}

fn summary(payload: &Summary) -> Value {
    json!({
        "id": payload.id.to_string(),
        "tier": payload.tier.to_string(),
        "state": payload.state.to_string(),
        "size": payload.size,
        "created_at": timestamp(payload.created),
        "expires_at": payload.expires.and_then(timestamp),
        "leases": payload.active_leases,
    })
}

/// Shows all that is known of some payloads.
///
/// # Errors
/// The first that is not there.
pub(crate) async fn stat(client: &Client, output: Output, ids: &[PayloadId]) -> Outcome {
    let mut each = Each::new(output.json);
    let mut shown = false;
    for id in ids {
        let found = client.get(*id).await.map_err(|error| Failure::from(error).about(id));
        let Some(info) = each.take(found)? else { continue };
        let facts = facts(&info);
        if output.json {
            output.object(&facts.into_iter().collect::<serde_json::Map<_, _>>())?;
        } else {
            if std::mem::replace(&mut shown, true) {
                line("")?;
            }
            let rows = facts.iter().filter_map(|(name, fact)| Some(vec![name.replace('_', " "), told(name, fact)?]));
            line(&table(&[], &[], rows))?;
        }
    }
    each.end()
}

/// All facts by name, the important ones first.
fn facts(info: &PayloadInfo) -> Vec<(String, Value)> {
    let d = &info.descriptor;
    let target = match d.policy.target() {
        SpillTarget::Tier(tier) => tier.to_string(),
        SpillTarget::Void => "VOID".to_owned(),
    };
    let facts = [
        ("id", json!(d.id.to_string())),
        ("state", json!(d.state.to_string())),
        ("tier", json!(d.tier.to_string())),
        ("copies", json!(d.copies.iter().map(|tier| tier.to_string()).collect::<Vec<_>>())),
        ("size", json!(d.size)),
        ("location", json!(d.location.as_ref().map(place))),
        ("checksum_xxh3_128", json!(d.checksum.map(|sum| sum.to_string()))),
        ("created_at", json!(timestamp(d.created))),
        ("expires_at", json!(d.expires.and_then(timestamp))),
        ("version", json!(d.version)),
        ("leases", json!(info.active_leases)),
        ("pinned", json!(info.pinned.is_some())),
        ("pinned_until", json!(info.pinned.and_then(|pin| pin.until).and_then(timestamp))),
        ("no_evict", json!(info.no_evict)),
        ("priority", json!(format!("{:?}", d.policy.priority).to_uppercase())),
        ("spill_target", json!(target)),
        ("require_durable", json!(d.policy.require_durable)),
        ("min_residency_tier", json!(d.policy.min_residency.map(|tier| tier.to_string()))),
        ("protection", json!(format!("{:?}", d.protection).to_uppercase())),
        ("dies_with_daemon", json!(d.dies_with_daemon)),
        ("dataset", json!(info.dataset)),
        ("producer", json!(info.producer)),
        ("tags", json!(info.tags)),
    ];
    facts.map(|(name, fact)| (name.to_owned(), fact)).into()
}

/// A fact for people; `None` for one that says nothing.
fn told(name: &str, fact: &Value) -> Option<String> {
    let joined = |parts: Vec<String>| Some(parts.join(", ")).filter(|text| !text.is_empty());
    match fact {
        Value::Null | Value::Bool(false) => None,
        Value::Bool(true) => Some("yes".to_owned()),
        Value::String(text) => joined(vec![text.clone()]),
        Value::Array(items) => joined(items.iter().filter_map(Value::as_str).map(str::to_owned).collect()),
        Value::Object(tags) => {
            joined(tags.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect())
        }
        Value::Number(number) => match number.as_u64().filter(|_| name == "size") {
            Some(bytes) => Some(format!("{} ({bytes} bytes)", size(bytes))),
            None => Some(number.to_string()),
        },
    }
}

/// Shows what the daemon holds.
///
/// # Errors
/// The daemon can't be asked, or standard output not written to.
pub(crate) async fn stats(client: &Client, output: Output) -> Outcome {
    let stats = client.stats().await?;
    if output.json {
        return output.object(&figures(&stats));
    }
    let rows = stats.tiers.iter().filter(|tier| tier.space.is_some() || tier.payloads > 0).map(|tier| {
        let (capacity, free) = match tier.space {
            Some(Space::Limited { capacity, free }) => (size(capacity), size(free)),
            Some(Space::Unlimited) => ("unlimited".to_owned(), "-".to_owned()),
            None => ("not configured".to_owned(), "-".to_owned()),
        };
        vec![tier.tier.to_string(), tier.payloads.to_string(), size(tier.bytes), capacity, free]
    });
    line(&table(&["TIER", "PAYLOADS", "BYTES", "CAPACITY", "FREE"], &[1, 2, 3, 4], rows))?;
    line(&format!(
        "\n{} leases, {} sessions, {} in {} blocks kept by leases only",
        stats.live_leases,
        stats.sessions,
        size(stats.backlog_bytes),
        stats.backlog_blocks
    ))
}

fn figures(stats: &Stats) -> Value {
    let tiers = stats.tiers.iter().map(|tier| {
        let (capacity, free) = match tier.space {
            Some(Space::Limited { capacity, free }) => (Some(capacity), Some(free)),
            Some(Space::Unlimited) | None => (None, None),
        };
        json!({
            "tier": tier.tier.to_string(),
            "configured": tier.space.is_some(),
            "payloads": tier.payloads,
            "bytes": tier.bytes,
            "capacity": capacity,
            "free": free,
        })
    });
    json!({
        "tiers": tiers.collect::<Vec<_>>(),
        "leases": stats.live_leases,
        "sessions": stats.sessions,
        "backlog_blocks": stats.backlog_blocks,
        "backlog_bytes": stats.backlog_bytes,
    })
}
