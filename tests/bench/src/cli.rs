//! The command line: which figures, how large, and how they are printed.

use std::path::PathBuf;

use clap::Parser;

use crate::figures::FIGURES;

/// Measures Payload Manager beside the floor of what this machine can do, and prints a row a figure.
///
/// Each figure is measured in turn with its floor, sample by sample or round by round, in the same run: absolute times
/// are the machine's, the ratio is ours. An "empty call" is the standard health check over the same connection to the
/// same daemon. A whole run takes some minutes, 2 GiB of shared memory and 4 GiB of disk; all of it is removed again.
#[derive(Debug, Parser)]
#[command(name = "payload-bench", version)]
pub(crate) struct Cli {
    /// Figures: a whole name, or what names begin with [default: all of them; see --list]
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Print one JSON object a line: name, p50, p99, unit, floor, floor_p50, ratio, target, holds
    #[arg(long)]
    pub(crate) json: bool,
    /// Say what there is to measure, and end
    #[arg(long)]
    list: bool,
    /// Small populations and few samples, to see that it works: names end in `.quick`, for these are not the figures
    #[arg(long)]
    pub(crate) quick: bool,
    /// Folder for the daemons' own folders; put it on the disk that is to be measured [default: the temporary folder, or
    /// /var/tmp if that is in memory]
    #[arg(long, value_name = "DIR")]
    pub(crate) dir: Option<PathBuf>,
}

/// What the command line came to.
pub(crate) enum Parsed {
    /// Measure.
    Run(Cli),
    /// The list was printed.
    Listed,
    /// It names something that there is not; that was said.
    Refused,
}

impl Cli {
    /// Reads it; ends the process where that is all there is to do.
    pub(crate) fn read() -> Parsed {
        let cli = Self::parse();
        if cli.list {
            println!("{}", listing());
            return Parsed::Listed;
        }
        let unknown: Vec<&str> = cli.names.iter().map(String::as_str).filter(|name| chosen(name).is_empty()).collect();
        if unknown.is_empty() {
            return Parsed::Run(cli);
        }
        eprintln!("payload-bench: nothing is called {}; there are:\n{}", unknown.join(", "), listing());
        Parsed::Refused
    }

    /// Whether everything is wanted because nothing was named.
    pub(crate) fn wants_all(&self) -> bool {
        self.names.is_empty()
    }

    /// The names of the figures that are asked for.
    pub(crate) fn wanted(&self) -> Vec<&'static str> {
        if self.names.is_empty() {
            return FIGURES.iter().map(|figure| figure.name).collect();
        }
        self.names.iter().flat_map(|name| chosen(name)).collect()
    }
}

/// The figures that a name means: the one of that name, else those that begin with it.
fn chosen(name: &str) -> Vec<&'static str> {
    let all = || FIGURES.iter().map(|figure| figure.name);
    match all().find(|figure| *figure == name) {
        Some(figure) => vec![figure],
        None => all().filter(|figure| figure.starts_with(name)).collect(),
    }
}

fn listing() -> String {
    let lines: Vec<String> = FIGURES.iter().map(|figure| format!("  {:<23} {}", figure.name, figure.what)).collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_means_itself_or_all_that_begin_with_it() {
        assert_eq!(chosen("lease.rpc.1"), ["lease.rpc.1"]);
        assert_eq!(chosen("idle"), ["idle.cpu", "idle.rss"]);
        assert_eq!((chosen("lease.rpc").len(), chosen("lease.fast").len()), (5, 5));
        assert!(chosen("no.such").is_empty());
    }

    #[test]
    fn the_command_line_is_well_formed() {
        <Cli as clap::CommandFactory>::command().debug_assert();
    }
}
