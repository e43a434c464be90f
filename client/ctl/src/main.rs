//! `payloadctl`: what an operator asks a daemon, from a shell. It is a client like any other and knows nothing more.

mod cli;
mod copy;
mod exit;
mod get;
mod holders;
mod lineage;
mod look;
mod manual;
mod meta;
mod output;
mod pin;
mod put;
mod safe;
mod signals;
mod stream;
mod tiering;
mod top;
mod watch;
mod why;
mod words;

use std::process::ExitCode;

use anstream::ColorChoice;
use clap::Parser as _;
use payload_manager_client::{Client, Metadata};

use crate::cli::{Cli, Command, Place};
use crate::exit::{Failure, Outcome};
use crate::output::Output;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.json;
    ColorChoice::from(cli.color).write_global();
    let outcome = match cli.command {
        Command::Completions { shell } => manual::completions(shell),
        Command::Man { dir } => manual::pages(dir.as_deref()),
        _ => ask(cli),
    };
    exit::end(outcome, json)
}

/// Does what needs a daemon.
fn ask(cli: Cli) -> Outcome {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::io("the program can't start", error))
        .and_then(|runtime| runtime.block_on(run(cli)))
}

/// Carries the command out, unless a signal comes first: then what it has begun is undone.
async fn run(cli: Cli) -> Outcome {
    // What has no length yet is read before there is anything to undo, so that a signal may simply end the program.
    let read = match &cli.command {
        Command::Put(args) => Input::Files(put::open(&args.files)?),
        Command::Meta(args) => Input::Metadata(args.read()?),
        _ => Input::Nothing,
    };
    let client = connect(&cli.place).await?;
    let signal = signals::watch()?;
    let (output, bounded) = (Output::new(cli.json), client.with_deadline(cli.place.timeout));
    let outcome = tokio::select! {
        outcome = command(cli.command, read, &bounded, output) => outcome,
        signal = signal => Err(Failure::Signal(signal)),
    };
    client.flush().await;
    outcome
}

async fn connect(place: &Place) -> Result<Client, Failure> {
    Ok(match (&place.socket, &place.runtime_dir) {
        (Some(address), _) => Client::connect(address.as_str()).await?,
        (None, Some(folder)) => Client::connect(folder.join("control.sock")).await?,
        (None, None) => Client::connect_default().await?,
    })
}

/// What was read for a command before it began.
enum Input {
    Nothing,
    Files(Vec<put::Source>),
    Metadata(Metadata),
}

async fn command(command: Command, input: Input, client: &Client, output: Output) -> Outcome {
    match (command, input) {
        (Command::Put(args), Input::Files(sources)) => put::run(client, output, args, sources).await,
        (Command::Meta(args), Input::Metadata(metadata)) => meta::run(client, output, args, metadata).await,
        (command, _) => without_input(command, client, output).await,
    }
}

async fn without_input(command: Command, client: &Client, output: Output) -> Outcome {
    match command {
        Command::Get(args) => get::run(client, args).await,
        Command::Ls(args) => look::list(client, output, args).await,
        Command::Stat(args) => look::stat(client, output, &args.ids).await,
        Command::Why(args) => why::run(client, output, &args.ids).await,
        Command::Top(args) => top::run(client, output, args).await,
        Command::Stats => look::stats(client, output).await,
        Command::Promote(args) => tiering::promote(client, output, args).await,
        Command::Spill(args) => tiering::spill(client, output, args).await,
        Command::Rm(args) => tiering::remove(client, output.json, args).await,
        Command::Pin(args) => pin::pin(client, output.json, args).await,
        Command::Unpin(args) => pin::unpin(client, output.json, args).await,
        Command::Prefetch(args) => pin::prefetch(client, args).await,
        Command::Lineage(args) => lineage::run(client, output, args).await,
        Command::Stream(args) => stream::run(client, output, args).await,
        Command::Watch(args) => watch::run(client, output, args).await,
        Command::Leases(args) => holders::leases(client, output, args).await,
        Command::Sessions => holders::sessions(client, output).await,
        // They were done without a daemon, or with what was read for them.
        Command::Completions { .. } | Command::Man { .. } | Command::Put(_) | Command::Meta(_) => Ok(()),
    }
}
