//! What was found out, in words for people: one thing a line, what matters last.

use std::time::SystemTime;

use payload_manager_client::{Location, PayloadInfo, SpillTarget};

use super::verdict::Verdict;
use super::{Found, Held};
use crate::output::{BAD, HEADING};
use crate::words::{distance, place, size};

/// All of it, without a line break at its end.
pub(super) fn text(found: &Found) -> String {
    let now = SystemTime::now();
    let mut lines = match &found.payload {
        Some((info, _)) => facts(found, info, now),
        None => vec![format!("{HEADING}{}{HEADING:#}  {BAD}deleted{BAD:#}; leases keep its memory", found.id)],
    };
    if found.leases.is_empty() {
        lines.push("  no leases".to_owned());
    }
    lines.extend(found.leases.iter().map(|held| lease(held, now)));
    if let Some((_, verdict)) = &found.payload {
        lines.extend(eviction(verdict));
    }
    lines.join("\n")
}

fn facts(found: &Found, info: &PayloadInfo, now: SystemTime) -> Vec<String> {
    let d = &info.descriptor;
    let mut lines = vec![format!("{HEADING}{}{HEADING:#}  {}  {}", found.id, d.state, size(d.size))];
    for (at, tier) in d.copies.iter().enumerate() {
        let place = d.location.as_ref().filter(|_| at == 0);
        let segment = segment(info).filter(|_| at == 0).map(|n| format!(", in segment {n}")).unwrap_or_default();
        let place = place.map(|location| format!(" at {}{segment}", self::place(location))).unwrap_or_default();
        lines.push(format!("  a copy in {tier}{place}"));
    }
    if let Some(end) = d.expires {
        lines.push(format!("  expires in {}", distance(end, now)));
    }
    lines.push(rules(info));
    lines
}

/// What its producer said about eviction.
fn rules(info: &PayloadInfo) -> String {
    let policy = info.descriptor.policy;
    let rules = [
        Some(format!("priority {}", format!("{:?}", policy.priority).to_uppercase())),
        Some(format!("spills to {}", target(policy.target()))),
        policy.min_residency.map(|floor| format!("never slower than {floor}")),
        policy.require_durable.then(|| "must be durable before it goes".to_owned()),
    ];
    let rules: Vec<String> = rules.into_iter().flatten().collect();
    format!("  policy: {}", rules.join(", "))
}

fn lease(held: &Held, now: SystemTime) -> String {
    let who = match (&held.holder, held.lease.session) {
        (Some(holder), Some(session)) => {
            let program = holder.program.as_ref().map(|name| format!(" ({name})")).unwrap_or_default();
            format!("process {}{program} of user {}, session {session}", holder.session.pid, holder.session.uid)
        }
        (None, Some(session)) => format!("session {session}"),
        (_, None) => "a client that took it by a call".to_owned(),
    };
    let left = distance(held.lease.expires, now);
    let alone = if held.alone { "; nothing else keeps these bytes" } else { "" };
    let revoked = if held.lease.revoked { format!(", {BAD}revoked{BAD:#}") } else { String::new() };
    let (bytes, tier) = (size(held.lease.size), held.lease.tier);
    format!("  a lease on {bytes} in {tier}: {who}, {left} left{revoked}{alone}")
}

fn eviction(verdict: &Verdict) -> Vec<String> {
    if verdict.kept.is_empty() {
        let to = match verdict.way_out {
            Some(SpillTarget::Tier(tier)) => format!(" to {tier}"),
            Some(SpillTarget::Void) => ", and deletes it".to_owned(),
            None => String::new(),
        };
        return vec![format!("eviction takes it when room is needed{to}")];
    }
    let mut lines = vec!["eviction does not take it:".to_owned()];
    lines.extend(verdict.kept.iter().map(|reason| format!("  {reason}")));
    lines
}

/// A spill's target in one word.
pub(super) fn target(target: SpillTarget) -> String {
    match target {
        SpillTarget::Tier(tier) => tier.to_string(),
        SpillTarget::Void => "VOID".to_owned(),
    }
}

/// The segment that its fastest copy is in, if it has no object of its own.
pub(super) fn segment(info: &PayloadInfo) -> Option<u32> {
    match info.descriptor.location {
        Some(Location::Ram { unit, .. }) if unit != 0 => Some(unit),
        _ => None,
    }
}
