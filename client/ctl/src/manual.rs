//! `completions` and `man`: what a shell and a reader are told of the command line, made from its one definition.
//!
//! Neither asks a daemon for anything.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use clap::CommandFactory as _;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::cli::Cli;
use crate::exit::{Failure, Outcome};

/// Prints what `shell` has to run to complete the command line.
///
/// # Errors
/// Standard output can't be written to.
pub(crate) fn completions(shell: Shell) -> Outcome {
    let mut command = Cli::command();
    let name = command.get_name().to_owned();
    // The generator does not expect a reader to hang up, so it writes to memory.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    io::stdout().lock().write_all(&script).map_err(Failure::output)
}

/// Prints the manual page of the command or, into a folder, those of all its subcommands, too.
///
/// # Errors
/// Standard output or the folder can't be written to.
pub(crate) fn pages(folder: Option<&Path>) -> Outcome {
    match folder {
        None => {
            let mut page = Vec::new();
            let rendered = Man::new(Cli::command()).render(&mut page);
            rendered.and_then(|()| io::stdout().lock().write_all(&page)).map_err(Failure::output)
        }
        Some(folder) => fs::create_dir_all(folder)
            .and_then(|()| clap_mangen::generate_to(Cli::command(), folder))
            .map_err(|error| Failure::io(folder.display().to_string(), error)),
    }
}
