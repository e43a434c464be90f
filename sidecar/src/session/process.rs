//! Whether a process is known to be gone, of whom no descriptor is left: after a restart of the daemon, and on kernels
//! that give none.

use std::fs;

/// When a process began, in ticks since the host started: with its number, a name that no other process of this boot has.
/// `None` if it is not there, or can't be seen.
pub(super) fn born(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may have anything in it, parentheses too.
    text.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// Whether the process of that number that began then is known to be gone. What is not known may live.
pub(super) fn is_gone(pid: Option<u32>, then: Option<u64>) -> bool {
    let (Some(pid), Some(then)) = (pid, then) else { return false };
    match fs::metadata(format!("/proc/{pid}")) {
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
        Ok(_) => born(pid).is_some_and(|now| now != then),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_gone_once_it_has_ended_and_not_before() {
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = child.id();
        let then = born(pid);
        assert!(then.is_some() && !is_gone(Some(pid), then));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(is_gone(Some(pid), then));
        assert!(!is_gone(None, then) && !is_gone(Some(pid), None), "what is not known may live");
    }

    #[test]
    fn another_process_of_the_same_number_is_not_the_one_that_was() {
        let pid = std::process::id();
        assert!(is_gone(Some(pid), born(pid).map(|then| then + 1)));
    }
}
