//! The command line: subcommands, their flags and the exit codes. It reads what was typed and does nothing.
//!
//! The flags for settings are not listed here: they are made from the table in [`config`].

use std::marker::PhantomData;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::{TypedValueParser, ValueParser};
use clap::{Arg, ArgAction, ArgMatches, Args, Command as Clap, FromArgMatches, Parser, Subcommand};

use payload_manager_tiers::object::Address;
use payload_manager_types::DeviceUuid;

use crate::config::{self, CONFIG_ENV, Given, KEYS, Key, Kind, Value};

/// How the program ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: all went well.
    Success,
    /// 1: something failed; the last lines of the log say what.
    Failure,
    /// 2: the command line or the configuration is wrong. Nothing was touched.
    Usage,
    /// 3: refused to start: another daemon has the folders, or the data in them belongs to another instance or to a newer
    /// version. Nothing was changed.
    Refused,
    /// 4: `gpu-check` found no GPU that it could check.
    NoGpu,
    /// 128 and the signal's number, as shells have it: a signal ended what had not come to its end.
    Signal(u8),
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Success => 0,
            Exit::Failure => 1,
            Exit::Usage => 2,
            Exit::Refused => 3,
            Exit::NoGpu => 4,
            Exit::Signal(number) => number.saturating_add(128),
        })
    }
}

const EXIT_CODES: &str = "Exit codes:
  0  all went well
  1  something failed
  2  the command line or the configuration is wrong; nothing was touched
  3  refused to start: the folders are in use, or their data belongs to another instance or a newer version";

const HEALTHCHECK_EXIT_CODES: &str = "Exit codes:
  0  it serves; with --live, it answers
  1  it does not
  2  the command line or the configuration is wrong";

const GPU_CHECK_EXIT_CODES: &str = "Exit codes:
  0  all of it holds
  1  something does not
  2  the command line is wrong
  4  there is no GPU, or no driver: nothing was checked";

const FILE_HELP: &str = "Read settings from this TOML file, whose keys are named as the flags are.
Flags win over the environment, and the environment wins over the file.";

/// Shares large immutable byte arrays between the processes of one host.
#[derive(Debug, Parser)]
#[command(name = "payload-manager", version, after_help = EXIT_CODES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the daemon; works without any configuration
    #[command(after_help = EXIT_CODES)]
    Serve(Flags<All>),
    /// Print the configuration that `serve` with the same flags would run with, and where each value comes from
    Config(ConfigArgs),
    /// Take real files through the whole life of a payload, between processes, and check every byte
    Demo(DemoArgs),
    /// Remove everything that a stopped daemon owns: shared memory, catalog, payload files
    Wipe(WipeArgs),
    /// Make a lost catalog again from what lies beside the payloads' bytes
    Rebuild(RebuildArgs),
    /// Read every durable copy and report what is bad or nobody's; beside a daemon, too
    Verify(VerifyArgs),
    /// Ask a daemon on this host whether it serves, for probes: the answer is the exit code
    #[command(after_help = HEALTHCHECK_EXIT_CODES)]
    Healthcheck(HealthcheckArgs),
    /// Check the GPU tier on this machine's GPUs, between processes, and measure it
    #[command(after_help = GPU_CHECK_EXIT_CODES)]
    GpuCheck(GpuCheckArgs),
    /// One of the processes that `demo` starts
    #[command(hide = true)]
    DemoPart(DemoPartArgs),
    /// The process that `gpu-check` starts
    #[command(hide = true)]
    GpuCheckPart(GpuCheckPartArgs),
}

/// What `healthcheck` takes.
#[derive(Debug, Args)]
pub struct HealthcheckArgs {
    /// Be content with any answer: for liveness, where the rest is for readiness
    #[arg(long)]
    pub live: bool,
    /// How long to wait for an answer
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = config::units::parse_time)]
    pub timeout: std::time::Duration,
    /// Where the daemon is.
    #[command(flatten)]
    pub flags: Flags<Sockets>,
}

/// What `gpu-check` takes.
#[derive(Debug, Args)]
pub struct GpuCheckArgs {
    /// Check this GPU alone [default: all that can be seen]
    #[arg(long, value_name = "GPU-UUID")]
    pub device: Option<DeviceUuid>,
    /// How large the payload is that is moved and timed
    #[arg(long, value_name = "SIZE", default_value = "256MiB", value_parser = config::units::parse_size)]
    pub size: u64,
    /// Make, move, read and delete payloads at random for so long, too
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "1m", value_parser = config::units::parse_time)]
    pub stress: Option<std::time::Duration>,
    /// Print the results as JSON
    #[arg(long)]
    pub json: bool,
}

/// What the process of `gpu-check` takes.
#[derive(Debug, Args)]
pub struct GpuCheckPartArgs {
    /// Where the daemon listens
    #[arg(long, value_name = "PATH")]
    pub socket: PathBuf,
}

/// What `config` takes.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// Print JSON instead of TOML
    #[arg(long)]
    pub json: bool,
    /// The same flags as those of `serve`.
    #[command(flatten)]
    pub flags: Flags<All>,
}

/// What `demo` takes.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Files, and folders to take files from [default: this project's own source and build files, up to 512 MiB]
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// What the RAM tier may hold; less than the files take, so that tiering has to work [default: a third of them]
    #[arg(long, value_name = "SIZE", value_parser = config::units::parse_size)]
    pub ram: Option<u64>,
    /// Take at most this much from the files
    #[arg(long, value_name = "SIZE", default_value = "512MiB", value_parser = config::units::parse_size)]
    pub limit: u64,
    /// Take at most this many files
    #[arg(long, value_name = "COUNT", default_value_t = 4096)]
    pub max_files: usize,
    /// Take everything to this object store and back, too; what the demo puts there goes again
    #[arg(long, value_name = "URI", value_parser = Address::parse, conflicts_with = "keep")]
    pub object_store: Option<Address>,
    /// Leave everything behind, and say where it is and how to be rid of it
    #[arg(long)]
    pub keep: bool,
    /// Print the results as JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// What `wipe` takes.
#[derive(Debug, Args)]
pub struct WipeArgs {
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
    /// Where what is to be removed lies. `--data-dir` or `--config` must be given: nothing is wiped by default.
    #[command(flatten)]
    pub flags: Flags<Places>,
}

/// What `rebuild` takes.
#[derive(Debug, Args)]
pub struct RebuildArgs {
    /// The DISK tier's folder, or the object store's prefix as a URI; both may be given
    #[arg(long, value_name = "PATH|URI", required = true)]
    pub from: Vec<String>,
    /// Where the daemon is that the catalog is for.
    #[command(flatten)]
    pub flags: Flags<Home>,
}

/// What `verify` takes.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// The DISK tier's folder, or the object store's prefix as a URI; both may be given
    #[arg(long, value_name = "PATH|URI", required = true)]
    pub from: Vec<String>,
    /// Read at most so many bytes a second
    #[arg(long, value_name = "SIZE", value_parser = config::units::parse_size)]
    pub rate: Option<u64>,
    /// Write what is bad anew where the other place has a good copy
    #[arg(long)]
    pub repair: bool,
    /// Remove objects that the catalog does not know, from a prefix that is this catalog's
    #[arg(long)]
    pub delete_orphans: bool,
    /// Where the daemon is whose they are; its catalog says what is an orphan.
    #[command(flatten)]
    pub flags: Flags<Home>,
}

/// What a process of the demo takes.
#[derive(Debug, Args)]
pub struct DemoPartArgs {
    /// Its part
    #[arg(value_enum)]
    pub part: DemoPart,
    /// The demo's folder, where sockets and the plan lie
    #[arg(long, value_name = "FOLDER")]
    pub folder: PathBuf,
}

/// The part that a process plays in the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum DemoPart {
    /// Serves.
    Daemon,
    /// Puts the files.
    Producer,
    /// Follows the stream and checks them.
    Consumer,
}

/// Which settings a command has flags for.
pub trait Scope {
    /// Whether it has one for this key.
    fn has(key: &Key) -> bool;
    /// The flags of which one must be given, if any.
    const NEEDS_ONE_OF: &'static [&'static str] = &[];
}

/// All of them.
#[derive(Debug, Clone, Copy)]
pub struct All;

impl Scope for All {
    fn has(_: &Key) -> bool {
        true
    }
}

/// Those that say where the daemon's things lie.
#[derive(Debug, Clone, Copy)]
pub struct Places;

impl Scope for Places {
    fn has(key: &Key) -> bool {
        matches!(key.name, "runtime-dir" | "data-dir" | "disk-root" | "shm-prefix")
    }
    const NEEDS_ONE_OF: &'static [&'static str] = &["config", "data-dir"];
}

/// Those that say where the daemon itself is.
#[derive(Debug, Clone, Copy)]
pub struct Home;

impl Scope for Home {
    fn has(key: &Key) -> bool {
        matches!(key.name, "runtime-dir" | "data-dir" | "shm-prefix")
    }
}

/// The one that says where its sockets are.
#[derive(Debug, Clone, Copy)]
pub struct Sockets;

impl Scope for Sockets {
    fn has(key: &Key) -> bool {
        key.name == "runtime-dir"
    }
}

/// The flags for settings that were given.
#[derive(Debug, Clone)]
pub struct Flags<S> {
    /// What they say.
    pub given: Given,
    scope: PhantomData<S>,
}

impl<S: Scope> Args for Flags<S> {
    fn augment_args(command: Clap) -> Clap {
        let file = Arg::new("config").long("config").value_name("FILE").value_parser(ValueParser::path_buf());
        let file = file
            .help("Read settings from this TOML file, whose keys are named as the flags are")
            .long_help(format!("{FILE_HELP}\n[env: {CONFIG_ENV}]"));
        let command =
            KEYS.iter().filter(|key| S::has(key)).fold(command.arg(file), |command, key| command.arg(arg(key)));
        if S::NEEDS_ONE_OF.is_empty() {
            return command;
        }
        command.group(clap::ArgGroup::new("place").args(S::NEEDS_ONE_OF).required(true).multiple(true))
    }

    fn augment_args_for_update(command: Clap) -> Clap {
        Self::augment_args(command)
    }
}

fn arg(key: &'static Key) -> Arg {
    let arg =
        Arg::new(key.name).long(key.name).help(key.short_help()).long_help(key.long_help()).help_heading(key.group);
    if key.kind == Kind::Switch {
        return arg.action(ArgAction::SetTrue);
    }
    let parser = clap::builder::StringValueParser::new().try_map(move |text: String| key.kind.parse(&text));
    arg.value_name(key.kind.placeholder()).value_parser(ValueParser::from(parser))
}

impl<S: Scope> FromArgMatches for Flags<S> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut flags = Self { given: Given::default(), scope: PhantomData };
        flags.update_from_arg_matches(matches)?;
        Ok(flags)
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.given.file = matches.get_one::<PathBuf>("config").cloned();
        self.given
            .flags
            .extend(KEYS.iter().filter(|key| S::has(key)).filter_map(|key| Some((key, value(key, matches)?))));
        Ok(())
    }
}

fn value(key: &Key, matches: &ArgMatches) -> Option<Value> {
    if key.kind == Kind::Switch {
        return matches.get_flag(key.name).then_some(Value::Switch(true));
    }
    matches.get_one::<Value>(key.name).cloned()
}

#[cfg(test)]
mod tests;
