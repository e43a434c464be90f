//! Long copies: in pieces, so that a signal is seen in between, with a bar for whoever watches.

use std::io::{self, Read, Write};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::exit::Outcome;

const PIECE: usize = 4 << 20;
/// Copies below this are over before anyone could read a bar.
const LONG: u64 = 32 << 20;
/// Between two signs of life.
const TICK: Duration = Duration::from_millis(100);

/// Fills `to` from `from`. The bar stays until it is dropped, for what comes after.
///
/// # Errors
/// What `failed` makes of a read error; `UnexpectedEof` when `from` ends too early.
pub(crate) async fn fill(
    from: &mut impl Read,
    to: &mut [u8],
    name: &str,
    failed: impl Fn(io::Error) -> crate::exit::Failure,
) -> Outcome<Bar> {
    let bar = bar(to.len() as u64, name);
    for piece in to.chunks_mut(PIECE) {
        from.read_exact(piece).map_err(&failed)?;
        advance(&bar, piece.len()).await;
    }
    Ok(bar)
}

/// Fills what is no memory of this process, of `len` bytes, by `put`, which is told where each piece goes.
///
/// # Errors
/// As [`fill`], and what `put` fails with.
pub(crate) async fn fill_by(
    from: &mut impl Read,
    len: u64,
    name: &str,
    failed: impl Fn(io::Error) -> crate::exit::Failure,
    mut put: impl FnMut(u64, &[u8]) -> Outcome,
) -> Outcome<Bar> {
    let bar = bar(len, name);
    let mut buffer = vec![0; PIECE];
    for (offset, piece) in pieces(len) {
        let piece = buffer.get_mut(..piece).unwrap_or_default();
        from.read_exact(piece).map_err(&failed)?;
        put(offset, piece)?;
        advance(&bar, piece.len()).await;
    }
    Ok(bar)
}

/// Writes all of what is no memory of this process, of `len` bytes, by `take`, which is told where each piece comes from.
///
/// # Errors
/// As [`drain`], and what `take` fails with.
pub(crate) async fn drain_by(
    len: u64,
    to: &mut impl Write,
    name: &str,
    failed: impl Fn(io::Error) -> crate::exit::Failure,
    mut take: impl FnMut(u64, &mut [u8]) -> Outcome,
) -> Outcome {
    let bar = bar(len, name);
    let mut buffer = vec![0; PIECE];
    for (offset, piece) in pieces(len) {
        let piece = buffer.get_mut(..piece).unwrap_or_default();
        take(offset, piece)?;
        to.write_all(piece).map_err(&failed)?;
        advance(&bar, piece.len()).await;
    }
    to.flush().map_err(&failed)
}

/// Where each piece of so many bytes begins, and how long it is.
fn pieces(len: u64) -> impl Iterator<Item = (u64, usize)> {
    let step = PIECE as u64;
    (0..len.div_ceil(step)).map(move |n| (n * step, usize::try_from(step.min(len - n * step)).unwrap_or(PIECE)))
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
    let bar = bar(from.len() as u64, name);
    for piece in from.chunks(PIECE) {
        to.write_all(piece).map_err(&failed)?;
        advance(&bar, piece.len()).await;
    }
    to.flush().map_err(&failed)
}

/// What whoever watches sees; gone when dropped.
#[derive(Debug)]
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// Says what is going on, and that it is.
    pub(crate) fn say(&self, what: String) {
        self.0.set_message(what);
        self.0.enable_steady_tick(TICK);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

async fn advance(bar: &Bar, bytes: usize) {
    bar.0.inc(bytes as u64);
    // Signals, and the renewal of leases, get their turn.
    tokio::task::yield_now().await;
}

/// On standard error, and only if that is a terminal.
fn bar(len: u64, name: &str) -> Bar {
    let target = if len < LONG { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(Some(len), target).with_message(name.to_owned());
    let style = "{msg} {bar:30} {binary_bytes}/{binary_total_bytes} {binary_bytes_per_sec}, {eta} left {spinner}";
    Bar(match ProgressStyle::with_template(style) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    })
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
