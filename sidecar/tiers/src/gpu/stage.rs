//! Buffers of the host that copies from and to cards go through: registered with the driver when they are first wanted,
//! then kept for the next copy, and never more than a few.

use std::sync::Arc;

use parking_lot::Mutex;

use super::card::{Buffer, Card};
use crate::store::{Buffers, Lent};

/// How long one is, in bytes: long enough that a card is busy, short enough that the next is filled meanwhile.
const BYTES: usize = 4 << 20;

/// The buffers of one card.
pub(super) struct Stage {
    card: Arc<dyn Card>,
    pool: Mutex<Pool>,
    most: usize,
}

#[derive(Default)]
struct Pool {
    idle: Vec<Box<dyn Buffer>>,
    made: usize,
}

impl Stage {
    /// None yet, and at most so many.
    pub(super) fn new(card: Arc<dyn Card>, most: usize) -> Arc<Self> {
        Arc::new(Self { card, pool: Mutex::default(), most })
    }

    fn give_back(&self, buffer: Box<dyn Buffer>) {
        self.pool.lock().idle.push(buffer);
    }
}

/// A way to a card's buffers that gives back what was lent.
pub(super) struct Way(pub(super) Arc<Stage>);

impl Buffers for Way {
    fn lend(&self) -> Option<Box<dyn Lent>> {
        let stage = &self.0;
        let idle = {
            let mut pool = stage.pool.lock();
            let idle = pool.idle.pop();
            if idle.is_none() {
                if pool.made == stage.most {
                    return None;
                }
                pool.made += 1;
            }
            idle
        };
        let buffer = idle.map_or_else(|| stage.card.pin(BYTES), Ok);
        match buffer {
            Ok(buffer) => Some(Box::new(OnLoan { buffer: Some(buffer), stage: Arc::clone(stage) })),
            // Copies go through ordinary memory then, which is slower and nothing else.
            Err(_) => {
                stage.pool.lock().made -= 1;
                None
            }
        }
    }
}

struct OnLoan {
    buffer: Option<Box<dyn Buffer>>,
    stage: Arc<Stage>,
}

impl Lent for OnLoan {
    fn bytes(&self) -> &[u8] {
        self.buffer.as_ref().map_or(&[], |buffer| buffer.bytes())
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self.buffer.as_mut().map_or(&mut [], |buffer| buffer.bytes_mut())
    }
}

impl Drop for OnLoan {
    fn drop(&mut self) {
        if let Some(buffer) = self.buffer.take() {
            self.stage.give_back(buffer);
        }
    }
}
