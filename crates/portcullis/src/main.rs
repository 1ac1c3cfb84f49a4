//! The gate between AI agents and everything they can run.

mod builtins;
mod cli;
mod commands;
mod config;
mod control;
mod failure;
mod first_run;
mod import;
mod lock;
mod log;
mod memory;
mod out;
mod peer;
mod place;
mod remember;
mod running;
mod scan;
mod stopping;
mod watch;
mod webhook;

use clap::Parser;
use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let result = log::set_up(&cli).and_then(|()| commands::run(cli));
    // A failure of the command itself says more than that its words did not arrive.
    let result = result.and_then(|code| out::finish().map(|()| code));
    match result {
        Ok(code) => code,
        Err(failure) => {
            out::aside_lines!("{failure}");
            failure.code()
        }
    }
}
