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
    /// Show one, with its arguments
    Show {
        /// Which; the beginning of its name will do
        id: String,
        /// Show also what is covered because it looks like a secret, and what is cut because it is long; the record says that you
        /// saw it
        #[arg(long)]
        reveal: bool,
    },
    /// Let the call pass, once
    Approve {
        #[command(flatten)]
        args: DecideArgs,
        /// Also where parts of the arguments were not shown to you; the record says so
        #[arg(long)]
        unseen: bool,
    },
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
