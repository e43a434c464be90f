//! `leases` and `sessions`: who holds what.

use std::time::SystemTime;

use anstyle::Style;
use clap::Args;
use futures_util::TryStreamExt as _;
use payload_manager_client::{Client, LeaseInfo, PayloadId, SessionInfo};
use serde_json::{Value, json};

use crate::exit::Outcome;
use crate::output::{BAD, Column, Output, heading, line, row};
use crate::words::{distance, size, timestamp};

/// `leases`
#[derive(Debug, Args)]
pub(crate) struct LeasesArgs {
    /// Only those on this payload
    pub(crate) id: Option<PayloadId>,
}

const fn column(name: &'static str, width: usize, number: bool) -> Column {
    Column { name, width, number }
}

const LEASES: [Column; 6] = [
    column("PAYLOAD", 36, false),
    column("TIER", 6, false),
    column("SIZE", 10, true),
    column("EXPIRES", 11, true),
    column("STATE", 7, false),
    column("SESSION", 7, true),
];

const SESSIONS: [Column; 7] = [
    column("SESSION", 7, true),
    column("PID", 8, true),
    column("UID", 8, true),
    column("SINCE", 8, true),
    column("LEASES", 6, true),
    column("LEASED", 10, true),
    column("SEGMENTS", 10, true),
];

/// Lists the leases on a payload, or all.
///
/// # Errors
/// The daemon can't be asked, or standard output not written to.
pub(crate) async fn leases(client: &Client, output: Output, args: LeasesArgs) -> Outcome {
    let (mut leases, now) = (client.leases(args.id), SystemTime::now());
    if !output.json {
        line(&heading(&LEASES))?;
    }
    while let Some(lease) = leases.try_next().await? {
        if output.json {
            output.object(&lease_object(&lease))?
        } else {
            line(&row(&LEASES, &lease_cells(&lease, now)))?
        }
    }
    Ok(())
}

fn lease_cells(lease: &LeaseInfo, now: SystemTime) -> [(String, Style); 6] {
    let plain = |text: String| (text, Style::new());
    [
        plain(lease.payload.to_string()),
        plain(lease.tier.to_string()),
        plain(size(lease.size)),
        plain(format!("in {}", distance(lease.expires, now))),
        if lease.revoked { ("REVOKED".to_owned(), BAD) } else { plain("LIVE".to_owned()) },
        plain(lease.session.map_or_else(|| "-".to_owned(), |session| session.to_string())),
    ]
}

fn lease_object(lease: &LeaseInfo) -> Value {
    json!({
        "payload": lease.payload.to_string(),
        "tier": lease.tier.to_string(),
        "size": lease.size,
        "expires_at": timestamp(lease.expires),
        "revoked": lease.revoked,
        "session": lease.session,
    })
}

/// Lists the clients that have a session.
///
/// # Errors
/// The daemon can't be asked, or standard output not written to.
pub(crate) async fn sessions(client: &Client, output: Output) -> Outcome {
    let (mut sessions, now) = (client.sessions(), SystemTime::now());
    if !output.json {
        line(&heading(&SESSIONS))?;
    }
    while let Some(session) = sessions.try_next().await? {
        let told = if output.json { session_object(&session).to_string() } else { session_row(&session, now) };
        line(&told)?;
    }
    Ok(())
}

fn session_row(session: &SessionInfo, now: SystemTime) -> String {
    let cells = [
        session.id.to_string(),
        session.pid.to_string(),
        session.uid.to_string(),
        distance(session.connected, now),
        session.live_leases.to_string(),
        size(session.leased_bytes),
        size(session.segment_bytes),
    ];
    row(&SESSIONS, &cells.map(|text| (text, Style::new())))
}

fn session_object(session: &SessionInfo) -> Value {
    json!({
        "session": session.id,
        "pid": session.pid,
        "uid": session.uid,
        "gid": session.gid,
        "connected_at": timestamp(session.connected),
        "leases": session.live_leases,
        "leased_bytes": session.leased_bytes,
        "segment_bytes": session.segment_bytes,
    })
}
