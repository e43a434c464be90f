//! What can be typed after `stream`.

use std::time::Duration;

use clap::{Args, Subcommand};
use payload_manager_client::{PayloadId, Start};

use crate::cli::tag;

/// `stream`
#[derive(Debug, Args)]
pub(crate) struct StreamArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: StreamCommand,
    /// The namespace of the streams that are named
    #[arg(long, global = true, default_value = "")]
    pub(crate) namespace: String,
}

/// What to do with streams.
#[derive(Debug, Subcommand)]
pub(crate) enum StreamCommand {
    /// List streams, of every namespace
    Ls,
    /// Make a stream
    Create(CreateArgs),
    /// Delete streams with their entries; those that are not there are fine
    Rm {
        /// Which streams
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
    /// Append committed payloads, all or none; prints the offset of each
    Append(AppendArgs),
    /// Print entries as they come: offset, time of the append, payload, tags
    Tail(TailArgs),
    /// Say how far a consumer group has come
    Commit {
        /// Which stream
        name: String,
        /// Which group
        group: String,
        /// The offset that it wants to see next
        offset: u64,
    },
    /// Show a stream's bounds and retention, and its consumer groups
    Show {
        /// Which stream
        name: String,
    },
}

/// `stream create`
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Its name
    pub(crate) name: String,
    /// Keep so many entries; all, if nothing is said
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) keep: Option<u64>,
    /// Keep them so long, such as 2h, in whole seconds; for good, if nothing is said
    #[arg(long, value_name = "TIME", value_parser = age)]
    pub(crate) max_age: Option<Duration>,
}

/// `stream append`
#[derive(Debug, Args)]
pub(crate) struct AppendArgs {
    /// Which stream
    pub(crate) name: String,
    /// Which payloads, in order
    #[arg(required = true, value_name = "ID")]
    pub(crate) ids: Vec<PayloadId>,
    /// A tag of each entry; may be given several times
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = tag)]
    pub(crate) tags: Vec<(String, String)>,
}

/// `stream tail`
#[derive(Debug, Args)]
pub(crate) struct TailArgs {
    /// Which stream
    pub(crate) name: String,
    /// Where to begin: an offset, beginning, or latest for what is appended from now on
    #[arg(long, value_name = "OFFSET|beginning|latest", default_value = "beginning", value_parser = start)]
    pub(crate) from: Start,
    /// End after so many entries
    #[arg(short = 'n', value_name = "N")]
    pub(crate) limit: Option<u64>,
    /// End after what is there now
    #[arg(long)]
    pub(crate) no_follow: bool,
    /// Begin where this consumer group stopped, and commit what was printed
    #[arg(long, conflicts_with = "from")]
    pub(crate) group: Option<String>,
}

fn start(text: &str) -> Result<Start, String> {
    match text {
        "beginning" => Ok(Start::Beginning),
        "latest" => Ok(Start::Latest),
        number => number.parse().map(Start::Offset).map_err(|_| "an offset, beginning or latest".to_owned()),
    }
}

fn age(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("no time at all would keep nothing; leave it out to keep all".to_owned()),
        parsed => parsed.map_err(|error| error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_is_an_offset_or_one_of_two_words() {
        assert_eq!(start("18446744073709551615"), Ok(Start::Offset(u64::MAX)));
        assert_eq!((start("beginning"), start("latest")), (Ok(Start::Beginning), Ok(Start::Latest)));
        assert!(start("-1").is_err() && start("end").is_err() && start("").is_err());
    }

    #[test]
    fn an_age_of_nothing_is_not_taken_for_ever() {
        assert!(age("0s").is_err() && age("soon").is_err());
        assert_eq!(age("1ms"), Ok(Duration::from_millis(1)));
    }
}
