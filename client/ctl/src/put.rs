//! `put`: files into payloads, straight from the file into the payload's memory.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::{Path, PathBuf};

use payload_manager_client::{Client, CreateOptions, Descriptor, EvictionPolicy};

use crate::cli::PutArgs;
use crate::copy;
use crate::exit::{Each, Failure, Outcome};
use crate::output::Output;

/// Something of known length to be read from its start.
#[derive(Debug)]
pub(crate) struct Source {
    name: String,
    file: File,
    len: u64,
}

/// Opens every file. What has no length, such as a pipe, is first written to a temporary file.
///
/// # Errors
/// A file can't be read; then nothing was stored.
pub(crate) fn open(files: &[PathBuf]) -> Outcome<Vec<Source>> {
    files.iter().map(|path| source(path)).collect()
}

fn source(path: &Path) -> Outcome<Source> {
    let name = if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() };
    let failed = |error| Failure::io(name.clone(), error);
    let file = if path == Path::new("-") { spool(&mut io::stdin().lock()) } else { opened(path) }.map_err(failed)?;
    let len = file.metadata().map_err(failed)?.len();
    if len == 0 {
        return Err(Failure::Usage(format!("{name} is empty, and a payload has at least one byte")));
    }
    Ok(Source { name, file, len })
}

fn opened(path: &Path) -> io::Result<File> {
    let mut file = File::open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { spool(&mut file) }
}

/// An unlinked file with everything that `from` has.
fn spool(from: &mut impl Read) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    io::copy(from, &mut file)?;
    file.rewind()?;
    Ok(file)
}

/// Stores every source, and prints the ids.
///
/// # Errors
/// The first that could not be stored.
pub(crate) async fn run(client: &Client, output: Output, args: PutArgs, sources: Vec<Source>) -> Outcome {
    let options = CreateOptions {
        tier: args.tier.into(),
        ttl: args.ttl,
        no_evict: args.no_evict,
        policy: EvictionPolicy { priority: args.priority.into(), ..EvictionPolicy::default() },
        protection: args.protection.into(),
        dataset: args.dataset,
        producer: args.producer,
        tags: args.tags.into_iter().collect(),
        device: None,
    };
    let mut each = Each::new(output.json);
    for source in sources {
        let name = source.name.clone();
        let stored = store(client, options.clone(), source).await.map_err(|failure| failure.about(&name));
        if let Some(descriptor) = each.take(stored)? {
            output.stored(&name, &descriptor)?;
        }
    }
    each.end()
}

async fn store(client: &Client, options: CreateOptions, mut source: Source) -> Outcome<Descriptor> {
    let mut payload = client.create_with(source.len, options).await?;
    let failed = |error| Failure::io(format!("{} could not be read whole", source.name), error);
    let bar = match payload.device_ptr() {
        None => copy::fill(&mut source.file, &mut payload, &source.name, failed).await?,
        Some(_) => {
            let put = |offset, bytes: &[u8]| Ok(payload.copy_from_host(offset, bytes)?);
            copy::fill_by(&mut source.file, source.len, &source.name, failed, put).await?
        }
    };
    // On DISK it has to reach the disk first.
    bar.say(format!("{}: committing", source.name));
    Ok(payload.commit().await?)
}
