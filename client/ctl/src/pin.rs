//! `pin`, `unpin` and `prefetch`: keeping copies where they are, and having them made in time.

use std::time::Duration;

use clap::Args;
use payload_manager_client::{Client, PayloadId};

use crate::cli::{IdArgs, TierName};
use crate::exit::{Each, Failure, Outcome};

/// `pin`
#[derive(Debug, Args)]
pub(crate) struct PinArgs {
    /// Which payloads.
    #[command(flatten)]
    pub(crate) which: IdArgs,
    /// How long, such as 90s or 2h; until they are unpinned, if nothing is said
    #[arg(long = "for", value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) time: Option<Duration>,
}

/// `prefetch`
#[derive(Debug, Args)]
pub(crate) struct PrefetchArgs {
    /// Which payload
    pub(crate) id: PayloadId,
    /// Where to
    #[arg(ignore_case = true)]
    pub(crate) tier: TierName,
}

/// Pins payloads.
///
/// # Errors
/// The first that could not be pinned.
pub(crate) async fn pin(client: &Client, json: bool, args: PinArgs) -> Outcome {
    let mut each = Each::new(json);
    for id in args.which.ids {
        each.take(client.pin(id, args.time).await.map_err(|error| Failure::from(error).about(id)))?;
    }
    each.end()
}

/// Unpins payloads; those that are not pinned are fine.
///
/// # Errors
/// The first that could not be unpinned.
pub(crate) async fn unpin(client: &Client, json: bool, args: IdArgs) -> Outcome {
    let mut each = Each::new(json);
    for id in args.ids {
        each.take(client.unpin(id).await.map_err(|error| Failure::from(error).about(id)))?;
    }
    each.end()
}

/// Begins to copy a payload to a faster tier.
///
/// # Errors
/// What is known at once to be impossible.
pub(crate) async fn prefetch(client: &Client, args: PrefetchArgs) -> Outcome {
    client.prefetch(args.id, args.tier.into()).await.map_err(|error| Failure::from(error).about(args.id))
}
