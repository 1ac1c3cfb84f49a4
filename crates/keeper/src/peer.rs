//! Who is at the other end of a local socket, as something that cannot become another process.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// `SO_PEERPIDFD`, which the C library's own header does not have everywhere.
const SO_PEERPIDFD: libc::c_int = 77;

/// A handle of the process that connected a Unix socket (Linux 6.5). A process id may be given to another process as soon as
/// its own has ended; a handle is never.
///
/// # Errors
/// Where the kernel has no such handles, or the process has ended already.
#[allow(unsafe_code, reason = "the safe interface does not have this option of sockets")]
pub fn peer_handle(socket: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut handle: libc::c_int = -1;
    let mut length = libc::socklen_t::try_from(size_of::<libc::c_int>()).unwrap_or(4);
    // SAFETY: the option's value is one int, and both pointers are to variables that live until the call has returned.
    let done = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_PEERPIDFD,
            (&raw mut handle).cast(),
            &raw mut length,
        )
    };
    if done != 0 || handle < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel made this descriptor just now, for this process alone.
    Ok(unsafe { OwnedFd::from_raw_fd(handle) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn the_peer_of_a_pair_is_this_process_and_lives() {
        let (one, _other) = UnixStream::pair().unwrap();
        match peer_handle(one.as_fd()) {
            Ok(handle) => {
                let mut poll = [rustix::event::PollFd::new(&handle, rustix::event::PollFlags::IN)];
                let none = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
                assert_eq!(rustix::event::poll(&mut poll, Some(&none)).unwrap(), 0, "it has not ended");
            }
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::ENOPROTOOPT), "{error}"),
        }
    }
}
