//! The program `payload-manager`: reads the command line and runs what it names.

use std::process::ExitCode;

use clap::Parser;
use payload_manager::cli::{Cli, Command};
use payload_manager::{demo, gpu_check, healthcheck, rebuild, run, verify, wipe};

fn main() -> ExitCode {
    let exit = match Cli::parse().command {
        Command::Serve(flags) => run::serve(&flags.given),
        Command::Config(args) => run::print_config(&args),
        Command::Demo(args) => demo::run(&args),
        Command::DemoPart(args) => demo::part(&args),
        Command::Healthcheck(args) => healthcheck::run(&args),
        Command::GpuCheck(args) => gpu_check::run(&args),
        Command::GpuCheckPart(args) => gpu_check::part(&args),
        Command::Rebuild(args) => rebuild::run(&args),
        Command::Verify(args) => verify::run(&args),
        Command::Wipe(args) => wipe::run(&args),
    };
    exit.into()
}
