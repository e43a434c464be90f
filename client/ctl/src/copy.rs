//! Long copies: in pieces, so that a signal is seen in between, with a bar for whoever watches.

use std::io::{self, Read, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::exit::Outcome;

const PIECE: usize = 4 << 20;
/// Copies below this are over before anyone could read a bar.
const LONG: u64 = 32 << 20;

/// Fills `to` from `from`.
///
/// # Errors
/// What `failed` makes of a read error; `UnexpectedEof` when `from` ends too early.
pub(crate) async fn fill(
    from: &mut impl Read,
    to: &mut [u8],
    name: &str,
    failed: impl Fn(io::Error) -> crate::exit::Failure,
) -> Outcome {
    let bar = bar(to.len(), name);
    for piece in to.chunks_mut(PIECE) {
        from.read_exact(piece).map_err(&failed)?;
        advance(&bar, piece.len()).await;
    }
    bar.finish_and_clear();
    Ok(())
}

/// Writes all of `from`.
///
/// # Errors
/// What `failed` makes of a write error.
pub(crate) async fn drain(
    from: &[u8],
    to: &mut impl Write,
    name: &str,
    failed: impl Fn(io::Error) -> crate::exit::Failure,
) -> Outcome {
    let bar = bar(from.len(), name);
    for piece in from.chunks(PIECE) {
        to.write_all(piece).map_err(&failed)?;
        advance(&bar, piece.len()).await;
    }
    to.flush().map_err(&failed)?;
    bar.finish_and_clear();
    Ok(())
}

async fn advance(bar: &ProgressBar, bytes: usize) {
    bar.inc(bytes as u64);
    // Signals, and the renewal of leases, get their turn.
    tokio::task::yield_now().await;
}

/// On standard error, and only if that is a terminal.
fn bar(len: usize, name: &str) -> ProgressBar {
    let len = len as u64;
    let target = if len < LONG { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(Some(len), target).with_message(name.to_owned());
    let style = "{msg} {bar:30} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec}, {eta} left";
    match ProgressStyle::with_template(style) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::Failure;

    #[tokio::test]
    async fn what_is_longer_than_a_piece_is_copied_whole() {
        let bytes: Vec<u8> = (0..PIECE * 2 + 5).map(|n| n.to_le_bytes()[0]).collect();
        let (mut there, mut back) = (vec![0; bytes.len()], Vec::new());
        fill(&mut bytes.as_slice(), &mut there, "x", |e| Failure::io("x", e)).await.unwrap();
        drain(&there, &mut back, "x", Failure::output).await.unwrap();
        assert!(bytes == back);
    }

    #[tokio::test]
    async fn a_source_that_ends_too_early_is_a_failure() {
        let failed = fill(&mut &b"ab"[..], &mut [0; 3], "x", |e| Failure::io("x", e)).await;
        assert!(matches!(failed, Err(Failure::Io { error, .. }) if error.kind() == io::ErrorKind::UnexpectedEof));
    }
}
