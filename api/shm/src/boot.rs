//! Which boot of the host this is, what time its monotonic clock shows, and whom pages belong to.

use std::fs;
use std::io;

use nix::time::{ClockId, clock_gettime};
use payload_manager_types::InstanceId;

/// Whose pages they are, and of which boot: written into each, checked at each opening.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The daemon's belongings.
    pub instance: InstanceId,
    /// The boot under which shared memory and the monotonic clock mean anything.
    pub boot: [u8; 16],
}

impl Identity {
    /// `instance` on this boot of this host.
    ///
    /// # Errors
    /// The boot's id can't be read.
    pub fn of(instance: InstanceId) -> io::Result<Self> {
        Ok(Self { instance, boot: boot_id()? })
    }
}

/// The id of this boot of the host.
///
/// # Errors
/// `/proc` is not there, or shows no UUID.
pub fn boot_id() -> io::Result<[u8; 16]> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let id: InstanceId = text.trim().parse().map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
    Ok(*id.as_bytes())
}

/// Milliseconds of `CLOCK_MONOTONIC`, the same clock in every process of the host (of one time namespace).
///
/// Reads 0 if the clock can't be read, which Linux does not let happen.
#[must_use]
pub fn monotonic_ms() -> u64 {
    let Ok(now) = clock_gettime(ClockId::CLOCK_MONOTONIC) else { return 0 };
    let seconds = u64::try_from(now.tv_sec()).unwrap_or(0);
    let nanos = u64::try_from(now.tv_nsec()).unwrap_or(0);
    seconds * 1_000 + nanos / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_has_an_id_and_the_clock_does_not_go_back() {
        assert_eq!(boot_id().unwrap(), boot_id().unwrap());
        let before = monotonic_ms();
        assert!(before > 0 && monotonic_ms() >= before);
    }
}
