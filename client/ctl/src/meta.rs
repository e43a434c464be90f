//! `meta`: what users say about a payload, read and said.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read, Write as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use futures_util::TryStreamExt as _;
use payload_manager_client::{
    Client, Metadata, MetadataEvent, MetadataOptions, NewMetadataEvent, PayloadId, StoredMetadata,
};
use serde_json::{Value, json};

use crate::exit::{Failure, Outcome};
use crate::output::{HEADING, Output, line};
use crate::safe;
use crate::words::{size, timestamp};

/// `meta`
#[derive(Debug, Args)]
pub(crate) struct MetaArgs {
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: MetaCommand,
}

/// What to do with metadata.
#[derive(Debug, Subcommand)]
pub(crate) enum MetaCommand {
    /// Write a payload's metadata to standard output: to a file or a pipe as it is, to a terminal as readable text
    Get {
        /// Which payload
        id: PayloadId,
    },
    /// Set a payload's metadata
    Set(SetArgs),
    /// Add to a payload's history
    Event(EventArgs),
    /// Show a payload's history, oldest first
    Events {
        /// Which payload
        id: PayloadId,
    },
}

/// `meta set`
#[derive(Debug, Args)]
pub(crate) struct SetArgs {
    /// Which payload
    pub(crate) id: PayloadId,
    /// What is said.
    #[command(flatten)]
    pub(crate) what: WhatArgs,
    /// Keep the stored data or schema where none is given
    #[arg(long)]
    pub(crate) merge: bool,
    /// Who sets it
    #[arg(long, default_value = "")]
    pub(crate) actor: String,
    /// Why
    #[arg(long, default_value = "")]
    pub(crate) reason: String,
}

/// `meta event`
#[derive(Debug, Args)]
pub(crate) struct EventArgs {
    /// Which payload
    pub(crate) id: PayloadId,
    /// What is said.
    #[command(flatten)]
    pub(crate) what: WhatArgs,
    /// Who says so
    #[arg(long, default_value = "")]
    pub(crate) source: String,
    /// The version of who says so
    #[arg(long, default_value = "")]
    pub(crate) source_version: String,
}

/// What is said, and in which form.
#[derive(Debug, Args)]
pub(crate) struct WhatArgs {
    /// The file that holds the data; - is standard input
    #[arg(value_name = "FILE|-", required_unless_present_any = ["data", "schema"])]
    pub(crate) file: Option<PathBuf>,
    /// The data itself
    #[arg(long, value_name = "TEXT", conflicts_with = "file")]
    pub(crate) data: Option<String>,
    /// What the data is, such as application/json
    #[arg(long)]
    pub(crate) schema: Option<String>,
}

/// One more than the daemon takes: it says best what is too much, and nobody has to hold more.
const READ: u64 = (64 << 10) + 1;

impl MetaArgs {
    /// What is to be said, read whole before anything is begun.
    ///
    /// # Errors
    /// A file can't be read.
    pub(crate) fn read(&self) -> Outcome<Metadata> {
        match &self.command {
            MetaCommand::Set(SetArgs { what, .. }) | MetaCommand::Event(EventArgs { what, .. }) => what.read(),
            MetaCommand::Get { .. } | MetaCommand::Events { .. } => Ok(Metadata::default()),
        }
    }
}

impl WhatArgs {
    fn read(&self) -> Outcome<Metadata> {
        let data = match (&self.file, &self.data) {
            (Some(path), _) if path == Path::new("-") => start(io::stdin().lock(), "standard input")?,
            (Some(path), _) => {
                let name = path.display().to_string();
                start(File::open(path).map_err(|error| Failure::io(name.clone(), error))?, &name)?
            }
            (None, Some(text)) => text.clone().into_bytes(),
            (None, None) => Vec::new(),
        };
        Ok(Metadata { data, schema: self.schema.clone().unwrap_or_default() })
    }
}

fn start(from: impl Read, name: &str) -> Outcome<Vec<u8>> {
    let mut data = Vec::new();
    from.take(READ).read_to_end(&mut data).map_err(|error| Failure::io(name.to_owned(), error))?;
    Ok(data)
}

/// Carries `meta` out, with what was read for it.
///
/// # Errors
/// The daemon says no, or standard output can't be written to.
pub(crate) async fn run(client: &Client, output: Output, args: MetaArgs, metadata: Metadata) -> Outcome {
    match args.command {
        MetaCommand::Get { id } => get(client, output, id).await.map_err(|failure| failure.about(id)),
        MetaCommand::Set(SetArgs { id, merge, actor, reason, .. }) => {
            let options = MetadataOptions { merge, actor, reason };
            let stored = client.set_metadata_with(id, metadata, options).await;
            let stored = stored.map_err(|error| Failure::from(error).about(id))?;
            if output.json { output.object(&object(id, &stored)) } else { Ok(()) }
        }
        MetaCommand::Event(EventArgs { id, source, source_version: version, .. }) => {
            let at = client.append_metadata_event(id, NewMetadataEvent { metadata, source, version }).await;
            let at = at.map_err(|error| Failure::from(error).about(id))?;
            if output.json { output.object(&json!({ "id": id.to_string(), "at": timestamp(at) })) } else { Ok(()) }
        }
        MetaCommand::Events { id } => events(client, output, id).await.map_err(|failure| failure.about(id)),
    }
}

async fn get(client: &Client, output: Output, id: PayloadId) -> Outcome {
    let stored = client.metadata(id).await?;
    match stored {
        Some(stored) if output.json => output.object(&object(id, &stored)),
        None if output.json => output.object(&json!({ "id": id.to_string(), "schema": null, "updated_at": null })),
        Some(stored) if io::stdout().is_terminal() => {
            let schema = safe::line(stored.metadata.schema.as_bytes());
            let updated = timestamp(stored.updated).unwrap_or_default();
            line(&format!("{HEADING}{schema} {updated}{HEADING:#}"))?;
            line(&safe::text(&stored.metadata.data))
        }
        Some(stored) => {
            let mut out = io::stdout().lock();
            out.write_all(&stored.metadata.data).and_then(|()| out.flush()).map_err(Failure::output)
        }
        None => Ok(()),
    }
}

fn object(id: PayloadId, stored: &StoredMetadata) -> Value {
    let (form, data) = safe::data(&stored.metadata.data);
    json!({
        "id": id.to_string(),
        "schema": stored.metadata.schema,
        "updated_at": timestamp(stored.updated),
        form: data,
    })
}

async fn events(client: &Client, output: Output, id: PayloadId) -> Outcome {
    let mut events = client.metadata_events(id);
    while let Some(MetadataEvent { at, what, .. }) = events.try_next().await? {
        let NewMetadataEvent { metadata, source, version } = what;
        if output.json {
            let (form, data) = safe::data(&metadata.data);
            output.object(&json!({
                "at": timestamp(at), "source": source, "version": version, "schema": metadata.schema, form: data,
            }))?;
            continue;
        }
        let words = [&source, &version, &metadata.schema].map(|word| word_or_dash(word));
        line(&format!("{}  {}  {}", timestamp(at).unwrap_or_default(), words.join("  "), glimpse(&metadata.data)))?;
    }
    Ok(())
}

fn word_or_dash(word: &str) -> String {
    if word.is_empty() { "-".to_owned() } else { safe::line(word.as_bytes()) }
}

/// The beginning of some data, on one line.
fn glimpse(data: &[u8]) -> String {
    const SHOWN: usize = 60;
    if data.len() <= SHOWN {
        return safe::line(data);
    }
    // Not in the middle of a character, whose bytes after its first are 10xxxxxx.
    let at_a_character = |at: &usize| data.get(*at).is_some_and(|byte| byte & 0xc0 != 0x80);
    let end = (SHOWN - 3..=SHOWN).rev().find(at_a_character).unwrap_or(SHOWN);
    let start = data.get(..end).unwrap_or(data);
    format!("{}… ({})", safe::line(start), size(data.len() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glimpse_ends_between_characters() {
        assert_eq!(glimpse("é".repeat(30).as_bytes()), "é".repeat(30));
        let odd = format!("x{}", "é".repeat(40));
        assert_eq!(glimpse(odd.as_bytes()), format!("x{}… (81 B)", "é".repeat(29)));
        assert_eq!(glimpse(&[0x80; 100]), format!("{}… (100 B)", "\\x80".repeat(60)));
    }
}
