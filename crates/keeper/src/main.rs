//! The program that holds one run. It is started by the gate, with the run's stdin and stdout as its own and a socket
//! to the gate as its stderr; everything else comes in one message.

mod control;
mod hold;
mod output;
mod signals;
mod spawn;

use std::process::ExitCode;

fn main() -> ExitCode {
    if std::env::args_os().len() > 1 {
        println!(
            "portcullis-keeper holds what Portcullis runs. The gate starts it; there is nothing to do by hand."
        );
        return ExitCode::from(2);
    }
    match hold::hold() {
        Ok(()) => ExitCode::SUCCESS,
        // The socket is the only way out, and it is gone or was never there.
        Err(_) => ExitCode::FAILURE,
    }
}
