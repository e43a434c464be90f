//! `recvmsg`, with every descriptor that came in hands before anything else is looked at.
//!
//! By hand and not with `nix`, whose control messages can't be read any more once the kernel says that some were cut off:
//! those that were not cut off would stay open with nobody to close them.

use std::mem::{size_of, zeroed};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;

use nix::errno::Errno;
use nix::libc;

/// The most descriptors that Linux passes with one message (SCM_MAX_FD), whatever we allow.
const KERNEL_MOST: usize = 253;

/// Room for all of them, in words: a header must be aligned like one. Nothing else comes, as we ask for nothing else;
/// what did would be cut off by the kernel, and told.
const CONTROL_WORDS: usize = (size_of::<libc::cmsghdr>() + KERNEL_MOST * size_of::<RawFd>()).div_ceil(8) + 2;

pub(super) struct Received {
    pub(super) length: usize,
    pub(super) descriptors: Vec<OwnedFd>,
    /// The frame was longer than the room.
    pub(super) lost_bytes: bool,
    /// More descriptors were sent than came.
    pub(super) lost_descriptors: bool,
}

/// Receives one message. Interrupted calls are made again.
pub(super) fn receive(socket: BorrowedFd<'_>, room: &mut [u8], flags: libc::c_int) -> Result<Received, Errno> {
    let mut control = [0u64; CONTROL_WORDS];
    let mut part = libc::iovec { iov_base: room.as_mut_ptr().cast(), iov_len: room.len() };
    // SAFETY: zeros are a message header: null and empty.
    let mut header: libc::msghdr = unsafe { zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = size_of_val(&control) as _;
    let length = loop {
        // SAFETY: the header points to one part, which is `room`, and to `control`, with their lengths; all are ours
        // and alive during the call.
        let done = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, flags | libc::MSG_CMSG_CLOEXEC) };
        match Errno::result(done) {
            Err(Errno::EINTR) => {}
            done => break done?,
        }
    };
    let descriptors = descriptors(&header);
    Ok(Received {
        length: usize::try_from(length).unwrap_or(0),
        descriptors,
        lost_bytes: header.msg_flags & libc::MSG_TRUNC != 0,
        lost_descriptors: header.msg_flags & libc::MSG_CTRUNC != 0,
    })
}

/// Owns all descriptors in the control messages of a header that `recvmsg` filled.
fn descriptors(header: &libc::msghdr) -> Vec<OwnedFd> {
    let mut found = Vec::new();
    // SAFETY: the header is as `recvmsg` left it, its control buffer still there.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(header) };
    while !next.is_null() {
        // SAFETY: not null: a whole control message's header within the buffer, aligned as the buffer is.
        let message = unsafe { &*next };
        if message.cmsg_level == libc::SOL_SOCKET && message.cmsg_type == libc::SCM_RIGHTS {
            // SAFETY: as above; the data follow the header.
            let data = unsafe { libc::CMSG_DATA(next) };
            let before = data.addr() - next.addr();
            let count = (message.cmsg_len as usize).saturating_sub(before) / size_of::<RawFd>();
            found.extend((0..count).map(|n| {
                // SAFETY: within the message's data, which the kernel has written; aligned or not.
                own(unsafe { ptr::read_unaligned(data.cast::<RawFd>().add(n)) })
            }));
        }
        // SAFETY: the header as above, `next` the message in it that we are at.
        next = unsafe { libc::CMSG_NXTHDR(header, next) };
    }
    found
}

/// Owns a descriptor that the kernel just made for us.
pub(super) fn own(raw: RawFd) -> OwnedFd {
    // SAFETY: open, and nobody else's: it came from the system call that the caller has just made.
    unsafe { OwnedFd::from_raw_fd(raw) }
}
