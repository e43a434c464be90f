//! `get`: a payload's bytes to standard output, or to a file that appears when it is whole.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, IsTerminal as _, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use payload_manager_client::{Client, PayloadView, ReadOptions};

use crate::cli::GetArgs;
use crate::copy;
use crate::exit::{Failure, Outcome};

/// Writes one payload.
///
/// # Errors
/// It can't be read, or written; a file that was there before is as it was then.
pub(crate) async fn run(client: &Client, args: GetArgs) -> Outcome {
    let to = args.output.as_deref();
    if to.is_none() && io::stdout().is_terminal() {
        return Err(Failure::Usage(
            "a payload's bytes may upset a terminal: use -o FILE, or -o - to insist".to_owned(),
        ));
    }
    let options = ReadOptions { on_device: true, ..ReadOptions::default() };
    let view = client.read_with(args.id, options).await.map_err(|error| Failure::from(error).about(args.id))?;
    match to.filter(|path| *path != Path::new("-")) {
        None => drain(&view, &mut io::stdout().lock(), &args.id.to_string(), Failure::output).await?,
        Some(path) => save(&view, path, &args.id.to_string()).await?,
    }
    Ok(view.release().await?)
}

/// From wherever the bytes are.
async fn drain(view: &PayloadView, to: &mut impl Write, name: &str, failed: impl Fn(io::Error) -> Failure) -> Outcome {
    match view.device_ptr() {
        None => copy::drain(view, to, name, failed).await,
        Some(_) => {
            let take = |offset, into: &mut [u8]| Ok(view.copy_to_host(offset, into)?);
            copy::drain_by(view.descriptor().size, to, name, failed, take).await
        }
    }
}

async fn save(view: &PayloadView, path: &Path, name: &str) -> Outcome {
    let failed = |error| Failure::io(path.display().to_string(), error);
    let Some(path) = replaceable(path).map_err(failed)? else {
        // A device or a pipe is written to, not replaced.
        let mut file = OpenOptions::new().write(true).open(path).map_err(failed)?;
        return drain(view, &mut file, name, failed).await;
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // As any new file: what the umask leaves of it. A signal on the way drops it, which removes it.
    let mut file = tempfile::Builder::new()
        .prefix(".payloadctl-")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)
        .map_err(failed)?;
    drain(view, &mut file, name, failed).await?;
    file.persist(&path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// The file to be replaced: where a link leads, or `None` for what is no ordinary file.
fn replaceable(path: &Path) -> io::Result<Option<PathBuf>> {
    match fs::canonicalize(path) {
        Ok(found) if found.is_file() => Ok(Some(found)),
        Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(_) => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Some(path.to_owned())),
        Err(error) => Err(error),
    }
}
