//! `portcullis policy …`.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Commands on policies.
#[derive(Debug, Subcommand)]
pub(crate) enum PolicyCommand {
    /// Check a file, also against the tools of an upstream
    Check {
        /// The policy file
        file: PathBuf,
        /// A saved tools/list, or the name of an upstream of the running gate
        #[arg(long, value_name = "UPSTREAM|LIST.json")]
        against: Option<String>,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Write a policy for a server to begin with, by what its tools do
    Recommend {
        /// A saved tools/list, or the name of an upstream of the running gate
        #[arg(value_name = "UPSTREAM|LIST.json")]
        of: String,
        /// The version of the policy language: in 2, people are asked about payments
        #[arg(long, value_name = "1|2", default_value = "1", value_parser = ["1", "2"])]
        policy_version: String,
        /// The same as one JSON object
        #[arg(long)]
        json: bool,
    },
    /// Say how a call would be judged, and why
    Explain {
        /// The policy file
        file: PathBuf,
        /// The call: a JSON file with name and arguments, `-` for stdin
        #[arg(long, value_name = "CALL.json")]
        call: PathBuf,
        /// The grant that would call
        #[arg(long, value_name = "NAME")]
        grant: Option<String>,
        /// A saved tools/list, or the name of an upstream of the running gate
        #[arg(long, value_name = "UPSTREAM|LIST.json")]
        against: Option<String>,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Judge cases that are written down, and say which come out otherwise than expected; exit code 1 where one does
    Test {
        /// A file of cases, or a folder in which all *.cases.yaml and *.cases.json are judged
        #[arg(value_name = "FOLDER|FILE")]
        path: PathBuf,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Say what becomes of calls when one policy takes the place of another
    Diff(DiffArgs),
    /// Say what would have come of recorded calls under a policy
    Replay(ReplayArgs),
    /// Translate a policy of Intercept (`rules`), and say what means another thing here; exit code 1 where something does
    Convert {
        /// Intercept's file
        file: PathBuf,
        /// Write the policy here instead of on stdout; the file must not be there yet
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
}

/// What is compared.
#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The policy file as it is
    pub a: PathBuf,
    /// The one that takes its place
    pub b: PathBuf,
    /// A saved tools/list, or the name of an upstream of the running gate; again for more of them [default: the tools that the
    /// policies name]
    #[arg(long, value_name = "UPSTREAM|LIST.json")]
    pub against: Vec<String>,
    /// End with 1 where calls may pass that did not before
    #[arg(long, value_name = "WHAT", value_parser = ["loosens"])]
    pub fail_on: Option<String>,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}

/// What is judged again.
#[derive(Debug, Args)]
pub(crate) struct ReplayArgs {
    /// The policy file
    pub file: PathBuf,
    /// Calls at or after this time, or not older, such as 7d
    #[arg(long, value_name = "TIME", default_value = "7d")]
    pub since: String,
    /// Calls of this upstream alone
    #[arg(long, value_name = "NAME")]
    pub upstream: Option<String>,
    /// Calls of this grant alone
    #[arg(long, value_name = "NAME")]
    pub grant: Option<String>,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
}
