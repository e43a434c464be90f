//! What one look at the daemon shows, and by how much it has grown since the one before: what came less what went.

use payload_manager_client::{SessionInfo, Space, Tier};
use serde_json::{Value, json};

use super::Look;
use crate::output::{HEADING, table};
use crate::words::size;

/// For people: the tiers, then who has sessions, those that keep most first.
pub(super) fn text(now: &Look, before: Option<&Look>, address: &str) -> String {
    let stats = &now.stats;
    let tiers = stats.tiers.iter().filter(|tier| tier.space.is_some() || tier.payloads > 0);
    let rows = tiers.map(|tier| {
        let (used, capacity, full) = room(tier.space);
        let payloads = per_second(now, before, |look| look.stats.tier(tier.tier).payloads);
        let bytes = per_second(now, before, |look| used_bytes(look, tier.tier));
        vec![tier.tier.to_string(), tier.payloads.to_string(), used, capacity, full, count(payloads), bytes_told(bytes)]
    });
    let heading = ["TIER", "PAYLOADS", "USED", "CAPACITY", "FULL", "GROWTH/S", "BYTES/S"];
    let tiers = table(&heading, &[1, 2, 3, 4, 5, 6], rows);
    let leases = count(per_second(now, before, |look| look.stats.live_leases));
    let totals = format!(
        "{} leases ({leases}/s), {} sessions, {} in {} blocks kept by leases only",
        stats.live_leases,
        stats.sessions,
        size(stats.backlog_bytes),
        stats.backlog_blocks
    );
    let mut text = format!("{HEADING}payload-manager{HEADING:#} at {address}\n{totals}\n\n{tiers}");
    if !now.sessions.is_empty() {
        let rows = now.sessions.iter().map(session);
        let heading = ["SESSION", "PID", "UID", "LEASES", "LEASED", "SEGMENTS"];
        text = format!("{text}\n\n{}", table(&heading, &[0, 1, 2, 3, 4, 5], rows));
    }
    text
}

fn session(session: &SessionInfo) -> Vec<String> {
    vec![
        session.id.to_string(),
        session.pid.to_string(),
        session.uid.to_string(),
        session.live_leases.to_string(),
        size(session.leased_bytes),
        size(session.segment_bytes),
    ]
}

/// What of a tier is taken, what it has, and how full that is.
fn room(space: Option<Space>) -> (String, String, String) {
    match space {
        Some(Space::Limited { capacity, free }) => {
            let used = capacity.saturating_sub(free);
            let percent = u128::from(used) * 100 / u128::from(capacity.max(1));
            (size(used), size(capacity), format!("{percent}%"))
        }
        Some(Space::Unlimited) => ("-".to_owned(), "unlimited".to_owned(), "-".to_owned()),
        None => ("-".to_owned(), "not configured".to_owned(), "-".to_owned()),
    }
}

fn used_bytes(look: &Look, tier: Tier) -> u64 {
    let row = look.stats.tier(tier);
    match row.space {
        Some(Space::Limited { capacity, free }) => capacity.saturating_sub(free),
        Some(Space::Unlimited) | None => row.bytes,
    }
}

/// By how much a figure grew each second since the look before. `None` at the first.
fn per_second(now: &Look, before: Option<&Look>, figure: impl Fn(&Look) -> u64) -> Option<f64> {
    let before = before?;
    let seconds = now.at.saturating_duration_since(before.at).as_secs_f64();
    let (new, old) = (figure(now), figure(before));
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let grown = if new >= old { (new - old) as f64 } else { -((old - new) as f64) };
    (seconds > 0.0).then(|| grown / seconds)
}

fn count(rate: Option<f64>) -> String {
    rate.map_or_else(|| "-".to_owned(), |rate| format!("{rate:+.0}"))
}

fn bytes_told(rate: Option<f64>) -> String {
    let Some(rate) = rate else { return "-".to_owned() };
    let sign = if rate < 0.0 { '-' } else { '+' };
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate for people")]
    let bytes = rate.abs() as u64;
    format!("{sign}{}", size(bytes))
}

/// For programs: figures and their growth a second.
pub(super) fn object(now: &Look, before: Option<&Look>) -> Value {
    let stats = &now.stats;
    let tier = |tier: &payload_manager_client::TierStats| {
        let (capacity, free) = match tier.space {
            Some(Space::Limited { capacity, free }) => (Some(capacity), Some(free)),
            Some(Space::Unlimited) | None => (None, None),
        };
        json!({
            "tier": tier.tier.to_string(),
            "payloads": tier.payloads,
            "bytes": tier.bytes,
            "capacity": capacity,
            "free": free,
            "payloads_per_second": per_second(now, before, |look| look.stats.tier(tier.tier).payloads),
            "bytes_per_second": per_second(now, before, |look| used_bytes(look, tier.tier)),
        })
    };
    let session = |session: &SessionInfo| {
        json!({
            "session": session.id,
            "pid": session.pid,
            "uid": session.uid,
            "leases": session.live_leases,
            "leased_bytes": session.leased_bytes,
            "segment_bytes": session.segment_bytes,
        })
    };
    json!({
        "tiers": stats.tiers.iter().filter(|row| row.space.is_some() || row.payloads > 0).map(tier).collect::<Vec<_>>(),
        "leases": stats.live_leases,
        "leases_per_second": per_second(now, before, |look| look.stats.live_leases),
        "sessions": now.sessions.iter().map(session).collect::<Vec<_>>(),
        "backlog_blocks": stats.backlog_blocks,
        "backlog_bytes": stats.backlog_bytes,
    })
}
