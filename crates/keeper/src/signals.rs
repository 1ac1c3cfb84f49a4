//! Signals to the keeper itself: whoever ends it ends its run first.

#![allow(unsafe_code, reason = "blocking signals and waiting for them has no safe interface")]

use crate::hold::News;
use std::io;
use std::sync::mpsc::Sender;

const ENDS: [libc::c_int; 3] = [libc::SIGTERM, libc::SIGINT, libc::SIGHUP];

/// Lets signals through in a child between fork and exec. It only makes a system call.
pub(crate) fn unblock() {
    let mut none = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigemptyset` initialises the set that it is given, and the set is only read after that.
    unsafe {
        libc::sigemptyset(none.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut());
    }
}

/// Keeps out all signals that can be.
pub(crate) fn keep_out() {
    let mut all = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigfillset` initialises the set that it is given, and the set is only read after that.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::sigprocmask(libc::SIG_BLOCK, all.as_ptr(), std::ptr::null_mut());
    }
}

/// Turns signals that would end the keeper into news. To be called before any other thread is started, so that all of
/// them have the signals blocked. A child would have them blocked too: see [`unblock`].
pub(crate) fn turn_into_news(news: Sender<News>) -> io::Result<()> {
    let mut set = std::mem::MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `sigemptyset` initialises the set that it is given, the others only read or change that one.
    let set = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        let mut set = set.assume_init();
        for signal in ENDS {
            libc::sigaddset(&raw mut set, signal);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
        set
    };
    std::thread::Builder::new().name("signals".into()).spawn(move || {
        let mut signal = 0;
        // SAFETY: both point to variables of this thread, and the signals of the set are blocked.
        if unsafe { libc::sigwait(&raw const set, &raw mut signal) } == 0 {
            let _ = news.send(News::Signal);
        }
    })?;
    Ok(())
}
