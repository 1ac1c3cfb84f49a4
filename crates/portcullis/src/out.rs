//! What commands say on stdout, and beside it on stderr.
//!
//! A reader that closed the pipe (`… | head -1`) has seen enough: nothing more is said, and the command ends as it would
//! have. Any other failure to write is the command's own: what it was asked to show did not arrive.

use crate::failure::Failure;
use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::sync::OnceLock;

/// Why nothing more can be said.
static ENDED: OnceLock<io::Error> = OnceLock::new();

/// Says one line on stdout, as `println!` does, which panics where nobody reads.
macro_rules! say {
    ($($what:tt)*) => { $crate::out::line(format_args!($($what)*)) };
}
pub(crate) use say;

/// Says one line on stderr, to the person at the terminal. Where nobody reads it, it is lost, and the exit code tells.
macro_rules! aside {
    ($($what:tt)*) => { $crate::out::line_aside(format_args!($($what)*)) };
}
pub(crate) use aside;

/// Says one line on stderr.
pub(crate) fn line_aside(what: fmt::Arguments<'_>) {
    // At once: whoever follows a file of it never sees half a line.
    let _ = io::stderr().lock().write_all(format!("{what}\n").as_bytes());
}

/// Says one line.
pub(crate) fn line(what: fmt::Arguments<'_>) {
    text(format_args!("{what}\n"));
}

/// Says a text that brings its own line ends.
pub(crate) fn text(what: fmt::Arguments<'_>) {
    if !has_ended() {
        note(io::stdout().lock().write_fmt(what));
    }
}

/// Keeps the first failure of a write; gives whether there was none.
pub(crate) fn note(written: io::Result<()>) -> bool {
    match written {
        Ok(()) => true,
        Err(error) => {
            let _ = ENDED.set(error);
            false
        }
    }
}

/// Whether what is said arrives nowhere.
pub(crate) fn has_ended() -> bool {
    ENDED.get().is_some()
}

/// Sends what was said on its way.
///
/// # Errors
/// Where it did not arrive, unless the reader had seen enough.
pub(crate) fn finish() -> Result<(), Failure> {
    note(io::stdout().flush());
    match ENDED.get() {
        Some(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::untrue(format!("stdout cannot be written: {error}")))
        }
        _ => Ok(()),
    }
}

/// How many there are of something, in words that fit the number.
pub(crate) fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}
