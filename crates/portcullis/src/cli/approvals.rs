//! `portcullis approvals …`.

use clap::{Args, Subcommand};

/// Commands on calls that wait.
#[derive(Debug, Subcommand)]
pub(crate) enum ApprovalsCommand {
    /// Show those that wait, or may still be used
    List {
        /// Also those that are over
        #[arg(long)]
        all: bool,
    },
    /// Show one, with all its arguments
    Show {
        /// Which
        id: String,
    },
    /// Let the call pass, once
    Approve(DecideArgs),
    /// Refuse the call
    Deny(DecideArgs),
}

/// What is decided.
#[derive(Debug, Args)]
pub(crate) struct DecideArgs {
    /// Which; the beginning of its name will do
    pub id: String,
    /// Why, for the record and for the caller
    #[arg(long, value_name = "TEXT")]
    pub reason: Option<String>,
}
