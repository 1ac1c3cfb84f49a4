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
    let result = log(&cli).and_then(|()| commands::run(cli));
    // A failure of the command itself says more than that its words did not arrive.
    let result = result.and_then(|code| out::finish().map(|()| code));
    match result {
        Ok(code) => code,
        Err(failure) => {
            out::aside!("{failure}");
            failure.code()
        }
    }
}

/// Sets up the log: one line for each event that matters, on stderr. What looks at servers says itself what came of it.
fn log(cli: &cli::Cli) -> Result<(), failure::Failure> {
    use tracing_subscriber::EnvFilter;
    let looks = matches!(cli.command, Some(cli::Command::Scan(_) | cli::Command::Import { .. }));
    let filter = match std::env::var("PORTCULLIS_LOG") {
        Err(_) if looks => EnvFilter::new("off"),
        Err(_) => EnvFilter::new("info,hyper=warn"),
        Ok(text) => EnvFilter::try_new(&text).map_err(|error| {
            failure::Failure::usage(format!(
                "PORTCULLIS_LOG=`{text}` is not a filter such as info or gate=debug: {error}"
            ))
        })?,
    };
    let colours =
        std::io::IsTerminal::is_terminal(&std::io::stderr()) && std::env::var_os("NO_COLOR").is_none();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .with_target(false)
        // It would say on stderr that stderr cannot be written, and panic.
        .log_internal_errors(false)
        .init();
    Ok(())
}
