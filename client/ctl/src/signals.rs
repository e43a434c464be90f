//! Ctrl-C and SIGTERM: a chance to undo what was begun, and an end for a program that does not take it.

use std::future::Future;
use std::thread;
use std::time::Duration;

use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use crate::exit::{Failure, Outcome};

/// How long undoing may take, a write to a reader that does not read included.
const PATIENCE: Duration = Duration::from_secs(2);

/// Watches from now on; the answer is the number of the signal that came.
///
/// # Errors
/// The system gives no thread to watch with.
pub(crate) fn watch() -> Outcome<impl Future<Output = u8>> {
    let (tell, told) = oneshot::channel();
    let runtime = Builder::new_current_thread().enable_all().build().map_err(cannot)?;
    let (mut interrupt, mut terminate) = {
        let _inside = runtime.enter();
        (signal(SignalKind::interrupt()).map_err(cannot)?, signal(SignalKind::terminate()).map_err(cannot)?)
    };
    let wait = move || {
        let number = runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => 2,
                _ = terminate.recv() => 15,
            }
        });
        // The program may be ending already.
        let _ = tell.send(number);
        runtime.block_on(async { tokio::time::sleep(PATIENCE).await });
        std::process::exit(128 + i32::from(number));
    };
    thread::Builder::new().name("signals".to_owned()).spawn(wait).map_err(cannot)?;
    Ok(async {
        match told.await {
            Ok(number) => number,
            Err(_) => std::future::pending().await,
        }
    })
}

fn cannot(error: std::io::Error) -> Failure {
    Failure::io("signals can't be watched for", error)
}
