//! `why`: what a payload is kept by, from the daemon's own lists: its copies, who has leases on them, what its producer
//! and others said, and whether eviction would take it. A payload that is deleted and still leased is told of, too.
//!
//! Facts of a few moments, one call after the other; nothing is held still meanwhile.

mod told;
mod verdict;

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;

use futures_util::TryStreamExt as _;
use payload_manager_client::{Client, Code, LeaseInfo, PayloadId, PayloadInfo, SessionInfo};
use serde_json::{Value, json};

use self::verdict::{Verdict, verdict};
use crate::exit::{Each, Failure, Outcome};
use crate::output::{Output, line};
use crate::words::{place, timestamp};

/// All that is found out about one payload.
struct Found {
    id: PayloadId,
    /// `None`: it is deleted, and leases keep bytes of it.
    payload: Option<(PayloadInfo, Verdict)>,
    leases: Vec<Held>,
}

/// A lease, and who has it.
struct Held {
    lease: LeaseInfo,
    /// `None`: it was taken by a call, or the session went meanwhile.
    holder: Option<Holder>,
    /// No copy that can be found: the lease alone keeps the bytes.
    alone: bool,
}

/// A process with a session.
#[derive(Clone)]
struct Holder {
    session: SessionInfo,
    program: Option<String>,
}

/// Shows why payloads are where they are, and what keeps them there.
///
/// # Errors
/// The first of them that is not there at all, or can't be asked for.
pub(crate) async fn run(client: &Client, output: Output, ids: &[PayloadId]) -> Outcome {
    let mut each = Each::new(output.json);
    let mut shown = false;
    for id in ids {
        let found = find(client, *id).await.map_err(|error| error.about(id));
        let Some(found) = each.take(found)? else { continue };
        if output.json {
            output.object(&object(&found))?;
        } else {
            if std::mem::replace(&mut shown, true) {
                line("")?;
            }
            line(&told::text(&found))?;
        }
    }
    each.end()
}

async fn find(client: &Client, id: PayloadId) -> Outcome<Found> {
    let info = match client.get(id).await {
        Ok(info) => Ok(info),
        Err(error) if error.code() == Some(Code::NotFound) => Err(error),
        Err(error) => return Err(error.into()),
    };
    let leases: Vec<LeaseInfo> = client.leases(Some(id)).try_collect().await?;
    let info = match info {
        Err(error) if leases.is_empty() => return Err(Failure::from(error)),
        info => info.ok(),
    };
    let holders =
        if leases.iter().any(|lease| lease.session.is_some()) { holders(client).await? } else { BTreeMap::new() };
    let stats = client.stats().await?;
    let payload = info.map(|info| {
        let verdict = verdict(&info, &leases, &stats);
        (info, verdict)
    });
    let copies = payload.as_ref().map(|(info, _)| info.descriptor.copies).unwrap_or_default();
    let held = |lease: LeaseInfo| Held {
        holder: lease.session.and_then(|session| holders.get(&session).cloned()),
        alone: !copies.contains(lease.tier),
        lease,
    };
    Ok(Found { id, payload, leases: leases.into_iter().map(held).collect() })
}

async fn holders(client: &Client) -> Outcome<BTreeMap<u64, Holder>> {
    let sessions: Vec<SessionInfo> = client.sessions().try_collect().await?;
    Ok(sessions.into_iter().map(|session| (session.id, Holder { program: program(&session), session })).collect())
}

/// What the process runs. Nothing where it is not seen from here, or the number is another's here.
fn program(session: &SessionInfo) -> Option<String> {
    let folder = format!("/proc/{}", session.pid);
    let owner = std::fs::metadata(&folder).ok()?.uid();
    let name = std::fs::read_to_string(format!("{folder}/comm")).ok()?;
    (owner == session.uid).then(|| name.trim_end().chars().filter(|c| !c.is_control()).collect())
}

fn object(found: &Found) -> Value {
    let leases: Vec<Value> = found.leases.iter().map(lease_object).collect();
    let Some((info, verdict)) = &found.payload else {
        return json!({ "id": found.id.to_string(), "state": "DELETED", "leases": leases });
    };
    let d = &info.descriptor;
    json!({
        "id": found.id.to_string(),
        "state": d.state.to_string(),
        "tier": d.tier.to_string(),
        "size": d.size,
        "copies": d.copies.iter().map(|tier| tier.to_string()).collect::<Vec<_>>(),
        "location": d.location.as_ref().map(place),
        "segment": told::segment(info),
        "leases": leases,
        "pinned": info.pinned.is_some(),
        "pinned_until": info.pinned.and_then(|pin| pin.until).and_then(timestamp),
        "expires_at": d.expires.and_then(timestamp),
        "no_evict": info.no_evict,
        "priority": format!("{:?}", d.policy.priority).to_uppercase(),
        "require_durable": d.policy.require_durable,
        "min_residency_tier": d.policy.min_residency.map(|tier| tier.to_string()),
        "evictable": verdict.kept.is_empty(),
        "evicts_to": verdict.way_out.map(told::target),
        "kept_by": verdict.kept.iter().map(|r| json!({ "reason": r.name(), "text": r.to_string() })).collect::<Vec<_>>(),
    })
}

fn lease_object(held: &Held) -> Value {
    json!({
        "tier": held.lease.tier.to_string(),
        "size": held.lease.size,
        "expires_at": timestamp(held.lease.expires),
        "revoked": held.lease.revoked,
        "only_keeper": held.alone,
        "session": held.lease.session,
        "pid": held.holder.as_ref().map(|holder| holder.session.pid),
        "uid": held.holder.as_ref().map(|holder| holder.session.uid),
        "program": held.holder.as_ref().and_then(|holder| holder.program.clone()),
    })
}
