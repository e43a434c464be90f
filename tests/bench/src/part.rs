//! The other parts that this program plays, in processes of their own: the daemon that is measured, and the echo that a
//! round trip is measured with.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};

use crate::figures::two;
use clap::Parser;
use nix::sys::signal::Signal;
use payload_manager::cli::{Cli, Command as Part};
use payload_manager::config::ENV_PREFIX;
use payload_manager::run;
use payload_manager_shm::fdpass::{Listener, MOST_BYTES, SeqPacket, Wait};

/// What the first argument is then. Nobody types it.
const WORD: &str = "the-daemon-that-is-measured";

/// What it is for the other one.
const ECHO: &str = "the-echo-that-is-measured";

/// What it is for the other reader.
const READER: &str = "the-reader-that-is-measured";

/// Reads payloads as it is told on stdin, if this process was started for that.
pub(crate) fn of_the_reader() -> Option<ExitCode> {
    let mut words = std::env::args_os().skip(1);
    if words.next().is_none_or(|first| first != READER) {
        return None;
    }
    let address = words.next()?;
    Some(match two::read_as_told(&address.to_string_lossy()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the other reader: {error}");
            ExitCode::FAILURE
        }
    })
}

/// Starts another reader of the daemon at this address. It ends when its stdin does.
pub(crate) fn reader(address: &str) -> std::io::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([READER, address]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()
}

/// Sends back what it gets on a socket like that of sessions, until that is closed; if this process was started for that.
pub(crate) fn of_the_echo() -> Option<ExitCode> {
    let mut words = std::env::args_os().skip(1);
    if words.next().is_none_or(|first| first != ECHO) {
        return None;
    }
    let socket = words.next().and_then(|path| SeqPacket::connect(Path::new(&path)).ok())?;
    let mut room = vec![0; MOST_BYTES];
    while let Ok(frame) = socket.receive(&mut room, Wait::Yes) {
        if room.get(..frame.length).is_none_or(|bytes| socket.send(bytes, &[], Wait::Yes).is_err()) {
            break;
        }
    }
    Some(ExitCode::SUCCESS)
}

/// Starts an echo, and the end of the socket to it.
pub(crate) fn echo(folder: &Path) -> crate::Result<(SeqPacket, Child)> {
    let path = folder.join("echo.sock");
    let listener = Listener::bind(&path, 0o600)?;
    let child = Command::new(std::env::current_exe()?).arg(ECHO).arg(&path).spawn()?;
    let socket = listener.accept()?;
    std::fs::remove_file(&path)?;
    Ok((socket, child))
}

/// Serves, if that is what this process was started for.
pub(crate) fn of_the_daemon() -> Option<ExitCode> {
    if std::env::args_os().nth(1).is_none_or(|first| first != WORD) {
        return None;
    }
    // A measurement that is killed leaves no daemon behind. Should it be dead already, its socket folder is all there is.
    if let Err(error) = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL) {
        eprintln!("the daemon would outlive its measurement: {error}");
        return Some(ExitCode::FAILURE);
    }
    let program = OsString::from("payload-manager");
    let cli = Cli::parse_from(std::iter::once(program).chain(std::env::args_os().skip(2)));
    Some(match cli.command {
        Part::Serve(flags) => run::serve(&flags.given).into(),
        _ => ExitCode::from(2),
    })
}

/// The command that starts one with these settings, heeding nobody's environment.
pub(crate) fn command(settings: &[(&str, String)], log: &Path) -> std::io::Result<Command> {
    use std::os::unix::process::CommandExt;
    let mut command = Command::new(std::env::current_exe()?);
    command.args([WORD, "serve"]).args(settings.iter().flat_map(|(name, value)| [format!("--{name}"), value.clone()]));
    for (name, _) in std::env::vars_os().filter(|(name, _)| is_setting(name)) {
        command.env_remove(name);
    }
    // Ctrl-C in a terminal is for the measurement alone, which then ends its daemon.
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(std::fs::File::create(log)?);
    Ok(command)
}

/// Whether this environment variable is a setting of the daemon. What tests say to a stand-in for a driver is none.
pub(crate) fn is_setting(name: &OsString) -> bool {
    let name = name.as_encoded_bytes();
    name.starts_with(ENV_PREFIX.as_bytes()) && !name.starts_with(b"PAYLOAD_MANAGER_TEST_")
}
