//! The log: one line for each event that matters, on stderr.

use crate::cli::{Cli, Command};
use crate::failure::Failure;
use crate::out::one_line;
use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::format::debug_fn;

/// The field of a report of several lines of our own, such as mistakes in a file. Each stands behind a margin, so that none passes for
/// another entry of the log.
const LINES: &str = "lines";

/// Sets up the log. What looks at servers says itself what came of it.
pub(crate) fn set_up(cli: &Cli) -> Result<(), Failure> {
    let looks = matches!(cli.command, Some(Command::Scan(_) | Command::Import { .. }));
    let filter = match std::env::var("PORTCULLIS_LOG") {
        Err(_) if looks => EnvFilter::new("off"),
        Err(_) => EnvFilter::new("info,hyper=warn"),
        Ok(text) => EnvFilter::try_new(&text).map_err(|error| {
            Failure::usage(format!(
                "PORTCULLIS_LOG=`{text}` is not a filter such as info or gate=debug: {error}"
            ))
        })?,
    };
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    // Names, reasons and words of servers are in these: none of them makes a line or a colour of its own.
    let fields = debug_fn(|out, field, value| {
        let text = format!("{value:?}");
        match field.name() {
            "message" => write!(out, "{}", one_line(&text)),
            LINES => text.lines().try_for_each(|line| write!(out, "\n    {}", one_line(line))),
            name => write!(out, "{name}={}", one_line(&text)),
        }
    });
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .with_target(false)
        .fmt_fields(fields.delimited(" "))
        // It would say on stderr that stderr cannot be written, and panic.
        .log_internal_errors(false)
        .init();
    Ok(())
}
