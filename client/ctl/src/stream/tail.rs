//! `stream tail`: entries as they come, a line each, until somebody has had enough. It waits a restart of the daemon out,
//! and ends when nobody reads it any more, even if nothing comes.

use std::io;
use std::os::fd::AsFd as _;

use futures_util::{FutureExt as _, StreamExt as _};
use payload_manager_client::{Client, Start, StreamEntry, StreamName, Subscription};
use serde_json::json;
use tokio::io::Interest;
use tokio::net::unix::pipe;

use super::args::TailArgs;
use crate::exit::{Failure, Outcome};
use crate::output::{Output, line};
use crate::safe;
use crate::words::timestamp;

struct Tail<'a> {
    client: &'a Client,
    output: Output,
    stream: StreamName,
    group: Option<String>,
    /// What the group has come to and not committed yet.
    printed: Option<u64>,
}

/// Prints entries.
///
/// # Errors
/// The stream is deleted, retention overtakes us, the daemon stays away, or standard output can't be written to.
pub(super) async fn run(client: &Client, output: Output, stream: StreamName, args: TailArgs) -> Outcome {
    let start = match &args.group {
        Some(group) => client.committed_offset(&stream, group).await?.map_or(Start::Beginning, Start::Offset),
        None => args.from,
    };
    let end = if args.no_follow { Some(end(client, &stream, start).await?) } else { None };
    if args.limit == Some(0) || matches!(end, Some(None)) {
        return Ok(());
    }
    let entries = client.subscribe(&stream, start).await?;
    let mut tail = Tail { client, output, stream, group: args.group, printed: None };
    let outcome = tail.print(entries, args.limit.unwrap_or(u64::MAX), end.flatten()).await;
    // What was printed was printed, however it ended.
    let committed = tail.commit().await;
    outcome.and(committed)
}

/// The last offset that is there now; `None` if nothing is from the start on.
async fn end(client: &Client, stream: &StreamName, start: Start) -> Outcome<Option<u64>> {
    let (info, _) = client.stream_info(stream).await?;
    let from = match start {
        Start::Beginning => info.first,
        Start::Offset(offset) => offset,
        Start::Latest => info.next,
    };
    Ok(info.next.checked_sub(1).filter(|last| from <= *last))
}

impl Tail<'_> {
    async fn print(&mut self, mut entries: Subscription, limit: u64, end: Option<u64>) -> Outcome {
        let mut hung_up = std::pin::pin!(hung_up());
        for _ in 0..limit {
            let next = match entries.next().now_or_never() {
                Some(next) => next,
                None => {
                    self.commit().await?;
                    tokio::select! {
                        next = entries.next() => next,
                        () = &mut hung_up => return Err(Failure::OutputClosed),
                    }
                }
            };
            let Some(entry) = next.transpose()? else { return Ok(()) };
            self.line(&entry)?;
            self.printed = Some(entry.offset + 1);
            if end.is_some_and(|end| entry.offset >= end) {
                return Ok(());
            }
        }
        Ok(())
    }

    fn line(&self, entry: &StreamEntry) -> Outcome {
        let StreamEntry { offset, append_time, what } = entry;
        if self.output.json {
            return self.output.object(&json!({
                "stream": self.stream.name(),
                "namespace": self.stream.namespace(),
                "offset": offset,
                "append_time": timestamp(*append_time),
                "id": what.payload.to_string(),
                "event_time": what.event_time.map(|at| json!({ "seconds": at.seconds, "nanos": at.nanos })),
                "duration_ns": what.duration_ns,
                "tags": what.tags,
            }));
        }
        let time = timestamp(*append_time).unwrap_or_else(|| append_time.0.to_string());
        let tags = what.tags.iter().map(|(key, value)| safe::line(format!("  {key}={value}").as_bytes()));
        line(&format!("{offset}  {time}  {}{}", what.payload, tags.collect::<String>()))
    }

    async fn commit(&mut self) -> Outcome {
        if let (Some(group), Some(offset)) = (&self.group, self.printed.take()) {
            self.client.commit_offset(&self.stream, group, offset).await?;
        }
        Ok(())
    }
}

/// Ready when nobody reads standard output any more. A file, or what can't be watched, never says so.
async fn hung_up() {
    let watched = io::stdout().as_fd().try_clone_to_owned().and_then(pipe::Sender::from_owned_fd_unchecked);
    match watched {
        Ok(stdout) => drop(stdout.ready(Interest::ERROR).await),
        Err(_) => std::future::pending().await,
    }
}
