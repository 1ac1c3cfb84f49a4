//! The program that holds one run. It is started by the gate, with the run's stdin and stdout as its own and a socket
//! to the gate as its stderr; everything else comes in one message.

mod control;
mod hold;
mod namespace;
mod output;
mod signals;
mod spawn;

use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    if let Some(code) = namespace::part(&words) {
        return code;
    }
    if !words.is_empty() {
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
