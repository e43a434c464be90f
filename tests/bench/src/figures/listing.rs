//! A listing page and Stats at 1,000,000 payloads.
//!
//! The payloads are rows of the catalog whose bytes are gone: such payloads stay listed, and listing and counting them is
//! the same work. A million real ones would take the file system longer than the measurement.

use super::Ground;
use crate::Result;
use crate::daemon::Daemon;
use crate::prefill;
use crate::row::{Row, Target};
use crate::rpc::{EMPTY, Rpc};
use crate::sample::in_turn;

/// Rows of a page: what a caller gets who does not say.
const PAGE: i32 = 0;
/// Rows of a page on the way to those that are measured: the most there are.
const STRIDE: i32 = 500;
/// Pages that are measured, spread over the whole listing.
const PAGES: usize = 100;

pub(super) async fn measure(ground: &mut Ground<'_>) -> Result<()> {
    let huge = filled(ground, ground.scale.huge).await?;
    if ground.wants("list.1m") {
        let few = filled(ground, ground.scale.few).await?;
        pages(ground, &huge, &few).await?;
    }
    if ground.wants("stats.1m") { stats(ground, &huge).await } else { Ok(()) }
}

async fn filled(ground: &Ground<'_>, count: u32) -> Result<Daemon> {
    let mut daemon = Daemon::start_new(ground.base, 64 << 20, 64 << 20).await?;
    daemon.stop().await?;
    prefill::rows(&daemon, count).await?;
    daemon.start().await?;
    Ok(daemon)
}

async fn pages(ground: &mut Ground<'_>, huge: &Daemon, few: &Daemon) -> Result<()> {
    let (mut huge, mut few) = (huge.rpc().await?, few.rpc().await?);
    let (of_huge, of_few) = (tokens(&mut huge).await?, tokens(&mut few).await?);
    let (mut of_huge, mut of_few) = (of_huge.iter().cycle(), of_few.iter().cycle());
    let beside = in_turn(
        ground.scale.calls,
        async || page(&mut huge, of_huge.next()).await,
        async || page(&mut few, of_few.next()).await,
    )
    .await?;
    ground.tell(Row::beside("list.1m", "us", &beside, "a page of 1,000 payloads", Target::Times(1.2)))
}

/// Where pages begin, spread over the listing.
async fn tokens(rpc: &mut Rpc) -> Result<Vec<String>> {
    let mut tokens = vec![String::new()];
    loop {
        let token = tokens.last().cloned().unwrap_or_default();
        let next = rpc.page(STRIDE, &token).await?.next_page_token;
        if next.is_empty() {
            break;
        }
        tokens.push(next);
    }
    let step = tokens.len().div_ceil(PAGES);
    Ok(tokens.into_iter().step_by(step).collect())
}

async fn page(rpc: &mut Rpc, token: Option<&String>) -> Result<()> {
    let page = rpc.page(PAGE, token.ok_or("no pages")?).await?;
    if page.payloads.is_empty() { Err("an empty page".into()) } else { Ok(()) }
}

async fn stats(ground: &mut Ground<'_>, huge: &Daemon) -> Result<()> {
    let mut rpc = huge.rpc().await?;
    let mut empty = rpc.clone();
    let beside = in_turn(
        ground.scale.calls,
        async || {
            rpc.stats().await?;
            Ok(())
        },
        async || Ok(empty.empty().await?),
    )
    .await?;
    let floor = format!("an empty call ({EMPTY})");
    ground.tell(Row::beside("stats.1m", "us", &beside, &floor, Target::Times(1.3)))
}
