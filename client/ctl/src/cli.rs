//! The command line: what can be typed, and what it means. It reads and does nothing.

use std::path::PathBuf;
use std::time::Duration;

use anstream::ColorChoice;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use payload_manager_client::{PayloadId, Priority, Protection, SpillTarget, Tier};

use crate::exit::CODES;
use crate::holders::LeasesArgs;
use crate::lineage::LineageArgs;
use crate::meta::MetaArgs;
use crate::pin::{PinArgs, PrefetchArgs};
use crate::stream::StreamArgs;
use crate::top::TopArgs;
use crate::watch::WatchArgs;

/// Puts, gets, lists and moves the payloads of a daemon on this host.
#[derive(Debug, Parser)]
#[command(name = "payloadctl", version, after_help = CODES)]
pub(crate) struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
    /// Where the daemon is.
    #[command(flatten)]
    pub(crate) place: Place,
    /// Print JSON for programs, one object a line; errors too, on standard error
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// When to use colours: where a terminal shows them and NO_COLOR is not set, always, or never
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub(crate) color: Colors,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Colors {
    /// Where a terminal shows them
    Auto,
    /// Even in a pipe
    Always,
    /// Not at all
    Never,
}

impl From<Colors> for ColorChoice {
    fn from(colors: Colors) -> Self {
        match colors {
            Colors::Auto => Self::Auto,
            Colors::Always => Self::Always,
            Colors::Never => Self::Never,
        }
    }
}

/// Where the daemon is, and how long it may take.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// The daemon's socket, or http://HOST:PORT on loopback
    ///
    /// Without this and --runtime-dir the daemon is looked for in $PAYLOAD_MANAGER_RUNTIME_DIR if that is set, else in
    /// $XDG_RUNTIME_DIR/payload-manager, /run/payload-manager and payload-manager-UID in the temporary folder.
    #[arg(long, global = true, value_name = "ADDRESS", conflicts_with = "runtime_dir")]
    pub(crate) socket: Option<String>,
    /// The daemon's runtime folder
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) runtime_dir: Option<PathBuf>,
    /// How long each call to the daemon may take, such as 30s; for ever, if nothing is said
    #[arg(long, global = true, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) timeout: Option<Duration>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Store files as payloads; prints their ids
    Put(PutArgs),
    /// Write a payload's bytes to a file or to standard output
    Get(GetArgs),
    /// List payloads, newest first
    Ls(LsArgs),
    /// Show all that is known of payloads
    Stat(IdArgs),
    /// Show what keeps payloads where they are: copies, leases and who has them, policy, and whether eviction takes them
    Why(IdArgs),
    /// Copy a payload to a faster tier, keeping the slower copies
    Promote(PromoteArgs),
    /// Copy payloads to a slower tier, then drop the faster copies
    Spill(SpillArgs),
    /// Keep payloads' fastest copies where they are
    Pin(PinArgs),
    /// Let payloads move again; those that are not pinned are fine
    Unpin(IdArgs),
    /// Begin to copy a payload to a faster tier, and do not wait for it
    Prefetch(PrefetchArgs),
    /// Read and say what is said about a payload
    Meta(MetaArgs),
    /// Show what a payload was made from, as a tree
    Lineage(LineageArgs),
    /// Make, fill, follow and list streams of payloads
    Stream(StreamArgs),
    /// Delete payloads in every tier
    Rm(RmArgs),
    /// Show what the daemon holds
    Stats,
    /// Show what the daemon holds, again and again, with what changes; q ends it
    Top(TopArgs),
    /// Print every change of every payload, as it comes
    Watch(WatchArgs),
    /// List who holds payloads where they are
    Leases(LeasesArgs),
    /// List the clients that have a session
    Sessions,
    /// Print the completions of a shell
    ///
    /// For bash: payloadctl completions bash > ~/.local/share/bash-completion/completions/payloadctl
    #[command(verbatim_doc_comment)]
    Completions {
        /// Which shell
        shell: Shell,
    },
    /// Print the manual page
    ///
    /// To read it at once: payloadctl man | man -l -
    #[command(verbatim_doc_comment)]
    Man {
        /// Write it into this folder, and one page a subcommand beside it
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
}

/// `put`
#[derive(Debug, Args)]
pub(crate) struct PutArgs {
    /// Files to store; - is standard input, which is first written to an unlinked temporary file, because a payload's
    /// length must be known before its first byte
    #[arg(required = true, value_name = "FILE|-")]
    pub(crate) files: Vec<PathBuf>,
    /// Where to store them
    #[arg(long, default_value = "ram", ignore_case = true)]
    pub(crate) tier: TierName,
    /// How long they live, such as 90s or 2h; for good, if nothing is said
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub(crate) ttl: Option<Duration>,
    /// A tag; may be given several times
    #[arg(long = "tag", value_name = "KEY=VALUE", value_parser = tag)]
    pub(crate) tags: Vec<(String, String)>,
    /// What they belong to
    #[arg(long, default_value = "")]
    pub(crate) dataset: String,
    /// Who made them
    #[arg(long, default_value = "")]
    pub(crate) producer: String,
    /// Never evict them
    #[arg(long)]
    pub(crate) no_evict: bool,
    /// How soon they are evicted
    #[arg(long, default_value = "normal", ignore_case = true)]
    pub(crate) priority: PriorityName,
    /// Who could still write their bytes
    #[arg(long, default_value = "shared", ignore_case = true)]
    pub(crate) protection: ProtectionName,
}

/// `get`
#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// Which payload
    pub(crate) id: PayloadId,
    /// Write to this file, which appears when it is whole; - is standard output, even a terminal
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// `ls`
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// Only payloads whose fastest copy is in this tier
    #[arg(long, ignore_case = true)]
    pub(crate) tier: Option<TierName>,
    /// At most so many
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<u64>,
}

/// Payloads.
#[derive(Debug, Args)]
pub(crate) struct IdArgs {
    /// Which payloads
    #[arg(required = true, value_name = "ID")]
    pub(crate) ids: Vec<PayloadId>,
}

/// `promote`
#[derive(Debug, Args)]
pub(crate) struct PromoteArgs {
    /// Which payload
    pub(crate) id: PayloadId,
    /// Where to
    #[arg(ignore_case = true)]
    pub(crate) tier: TierName,
    /// Do not wait for the copy
    #[arg(long)]
    pub(crate) background: bool,
}

/// `spill`
#[derive(Debug, Args)]
pub(crate) struct SpillArgs {
    /// Which payloads.
    #[command(flatten)]
    pub(crate) which: IdArgs,
    /// Where to; each payload's own target, or disk, if nothing is said. void deletes
    #[arg(long, ignore_case = true)]
    pub(crate) target: Option<TargetName>,
    /// Wait until the memory of the faster copies is free, leases on it too
    #[arg(long, conflicts_with = "background")]
    pub(crate) wait: bool,
    /// Do not wait for the copies
    #[arg(long)]
    pub(crate) background: bool,
}

/// `rm`
#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// Which payloads.
    #[command(flatten)]
    pub(crate) which: IdArgs,
    /// Even under leases, which end at once
    #[arg(short, long)]
    pub(crate) force: bool,
}

/// The tiers, as they are typed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum TierName {
    /// Device memory
    Gpu,
    /// Shared memory
    Ram,
    /// A file
    Disk,
    /// An object in a bucket
    Object,
}

/// Where a spill goes, as it is typed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum TargetName {
    /// Shared memory
    Ram,
    /// A file
    Disk,
    /// An object in a bucket
    Object,
    /// Nowhere: the payload is deleted
    Void,
}

/// Eviction classes, as they are typed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum PriorityName {
    /// First to go
    Low,
    /// In between
    Normal,
    /// Last to go
    High,
    /// Not at all
    Never,
}

/// Protections, as they are typed.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ProtectionName {
    /// Their producer
    Shared,
    /// Nobody under another user: the daemon keeps a copy of its own
    Strict,
    /// Nobody at all; such a payload in memory dies with the daemon
    Sealed,
}

impl From<TierName> for Tier {
    fn from(name: TierName) -> Self {
        match name {
            TierName::Gpu => Self::Gpu,
            TierName::Ram => Self::Ram,
            TierName::Disk => Self::Disk,
            TierName::Object => Self::Object,
        }
    }
}

impl From<TargetName> for SpillTarget {
    fn from(name: TargetName) -> Self {
        match name {
            TargetName::Ram => Self::Tier(Tier::Ram),
            TargetName::Disk => Self::Tier(Tier::Disk),
            TargetName::Object => Self::Tier(Tier::Object),
            TargetName::Void => Self::Void,
        }
    }
}

impl From<PriorityName> for Priority {
    fn from(name: PriorityName) -> Self {
        match name {
            PriorityName::Low => Self::Low,
            PriorityName::Normal => Self::Normal,
            PriorityName::High => Self::High,
            PriorityName::Never => Self::Never,
        }
    }
}

impl From<ProtectionName> for Protection {
    fn from(name: ProtectionName) -> Self {
        match name {
            ProtectionName::Shared => Self::Shared,
            ProtectionName::Strict => Self::Strict,
            ProtectionName::Sealed => Self::Sealed,
        }
    }
}

/// A tag, as it is typed.
///
/// # Errors
/// It has no key.
pub(crate) fn tag(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("a tag is written KEY=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_tag_needs_a_key_and_keeps_further_equal_signs() {
        assert_eq!(tag("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(tag("a="), Ok(("a".to_owned(), String::new())));
        assert!(tag("=b").is_err() && tag("a").is_err());
    }

    #[test]
    fn tiers_are_read_in_either_case() {
        let id = "30313233-3435-3637-3839-616263646566";
        for tier in ["ram", "RAM"] {
            assert!(Cli::try_parse_from(["payloadctl", "promote", id, tier]).is_ok());
        }
        assert!(Cli::try_parse_from(["payloadctl", "promote", id, "void"]).is_err());
        assert!(Cli::try_parse_from(["payloadctl", "stat", "not-an-id"]).is_err());
    }
}
