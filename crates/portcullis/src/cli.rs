//! What a user types.

mod approvals;
mod policy;

pub(crate) use approvals::ApprovalsCommand;
pub(crate) use policy::{DiffArgs, PolicyCommand, ReplayArgs};

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use portcullis_catalogue::Tier;
use portcullis_ledger::Outcome;
use portcullis_runs::Scope;
use std::path::PathBuf;
use std::str::FromStr;

/// The gate between AI agents and everything they can run: every tool call is judged by a written policy,
/// recorded in a chained ledger, tracked while it runs, and can be stopped.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, max_term_width = 100, arg_required_else_help = false)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub place: PlaceArgs,
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Which gate is meant.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PlaceArgs {
    /// The configuration file [default: portcullis.yaml here or in the nearest folder above]
    #[arg(long, global = true, value_name = "FILE", env = "PORTCULLIS_CONFIG")]
    pub config: Option<PathBuf>,
    /// The data folder [default: what the configuration says]
    #[arg(long, global = true, value_name = "FOLDER", env = "PORTCULLIS_DATA")]
    pub data: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the gate (also without a command); with no configuration anywhere, make a working one first
    Up(UpArgs),
    /// MCP on stdin and stdout, for clients that speak nothing else
    Stdio {
        /// Speak for this grant
        #[arg(long, value_name = "NAME", default_value = "me")]
        grant: String,
        /// Only this upstream, under its own names
        #[arg(long, value_name = "NAME")]
        upstream: Option<String>,
    },
    /// One built-in server alone, on stdin and stdout: no gate, no policy
    Mcp {
        /// Which
        #[arg(value_name = "SERVER")]
        which: BuiltinArg,
        /// Its own configuration
        #[arg(long, value_name = "FILE", default_value = "services.yaml")]
        file: PathBuf,
    },
    /// The gate, its upstreams, grants, policies and ledger
    Status {
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Identities that agents use
    #[command(subcommand)]
    Grant(GrantCommand),
    /// Policy files
    #[command(subcommand)]
    Policy(PolicyCommand),
    /// What is running, and its end
    Runs {
        #[command(subcommand)]
        command: Option<RunsCommand>,
        /// One JSON object a line
        #[arg(long, global = true)]
        json: bool,
    },
    /// The emergency stop: from now on nothing passes, what runs is ended, until `raise`
    Drop(DropArgs),
    /// The end of a drop: of all of them, or of the one with this scope
    Raise {
        #[command(flatten)]
        scope: ScopeArgs,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Calls that wait for a person
    Approvals {
        #[command(subcommand)]
        command: Option<ApprovalsCommand>,
        /// One JSON object a line
        #[arg(long, global = true)]
        json: bool,
    },
    /// What is known of the tools behind the gate, and what of it was accepted
    Catalogue {
        #[command(subcommand)]
        command: Option<CatalogueCommand>,
        /// One JSON object a line
        #[arg(long, global = true)]
        json: bool,
    },
    /// The record
    #[command(subcommand)]
    Ledger(LedgerCommand),
    /// Take a changed configuration and changed policies
    Reload,
    /// Put the servers of other MCP clients behind the gate, each with a policy by what its tools do. It asks before it starts
    /// one to see them
    Import {
        /// Files of clients [default: all that are known, of this user and of this folder]
        #[arg(value_name = "FILE")]
        files: Vec<PathBuf>,
        /// Point the clients at the gate, with a backup of each file. A server leaves its client only where its tools
        /// were seen and its policy lets something pass
        #[arg(long)]
        write: bool,
        /// Start the servers without asking, to see what their tools do; with `--write`, change the clients' files
        /// without asking
        #[arg(long)]
        yes: bool,
        /// With `--write`: change files too that are shared in a repository
        #[arg(long, requires = "write")]
        shared: bool,
        /// Take the last import back: clients have their own servers again, and what was made goes, where nobody changed it since
        #[arg(long, conflicts_with_all = ["files", "write", "yes", "shared"])]
        undo: bool,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Look at servers before an agent is connected to them: what their tools do, how grave that is, and what says so. No
    /// tool is called. Without a URL or a command: the servers of `--config FILE`, or of all clients that are found
    Scan(ScanArgs),
    /// Look at the machine, the configuration and the upstreams, and say what to do
    Doctor {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// The JSON Schema of a file, for editors
    Schema {
        /// Of which file
        #[arg(value_name = "FILE")]
        of: SchemaOf,
    },
    /// Completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// What to look at.
#[derive(Debug, Args)]
pub(crate) struct ScanArgs {
    /// The address of a server
    #[arg(value_name = "URL")]
    pub url: Option<String>,
    /// The command that starts a server
    #[arg(value_name = "COMMAND", last = true)]
    pub command: Vec<String>,
    /// A header to send to that address, such as `Authorization: Bearer ${env:TOKEN}`; again for more of them
    #[arg(long = "header", value_name = "NAME: VALUE", requires = "url")]
    pub headers: Vec<String>,
    /// End with 1 where a tool is of this risk or a higher one, where something was found that speaks to the model, or where
    /// a definition is of this grade or a lower one; several with commas: critical, high, finding, grade:D
    #[arg(long, value_name = "WHAT", value_delimiter = ',')]
    pub fail_on: Vec<FailOn>,
    /// Start the programs of a configuration without asking
    #[arg(long)]
    pub yes: bool,
    /// One JSON object
    #[arg(long)]
    pub json: bool,
    /// Write a report for a browser here, which needs nothing but itself
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Write the findings here, as SARIF 2.1.0
    #[arg(long, value_name = "FILE")]
    pub sarif: Option<PathBuf>,
}

/// What a scan may fail on.
#[derive(Debug, Clone, Copy)]
pub(crate) enum FailOn {
    Critical,
    High,
    Finding,
    Grade(Tier),
}

impl FromStr for FailOn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let grade =
            |letter: &str| Tier::ALL.into_iter().find(|tier| tier.as_str().eq_ignore_ascii_case(letter));
        match text {
            "critical" => Ok(Self::Critical),
            "high" => Ok(Self::High),
            "finding" => Ok(Self::Finding),
            _ => text.strip_prefix("grade:").and_then(grade).map(Self::Grade).ok_or_else(|| {
                "expected critical, high, finding, or a grade from grade:A to grade:D".to_owned()
            }),
        }
    }
}

/// Files that have a schema.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum SchemaOf {
    /// portcullis.yaml
    Config,
    /// A policy file
    Policy,
}

/// Flags of `up`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct UpArgs {
    /// Listen here instead of where the configuration says
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Allow an address that other machines reach, without TLS
    #[arg(long)]
    pub insecure_listen: bool,
    /// Hold what is started by this means and no other [default: the best that this machine has]
    #[arg(long, value_name = "MEANS")]
    pub containment: Option<ContainmentArg>,
}

/// Commands on grants.
#[derive(Debug, Subcommand)]
pub(crate) enum GrantCommand {
    /// Add one and print its token, once
    Add {
        /// Its name
        name: String,
        /// Upstream and policy, `*=POLICY` for all; repeatable
        #[arg(long = "upstream", value_name = "U=POLICY", required = true)]
        upstreams: Vec<String>,
        /// A label; repeatable
        #[arg(long = "label", value_name = "K=V")]
        labels: Vec<String>,
        /// End after this time, such as 30d
        #[arg(long, value_name = "TIME")]
        expires: Option<String>,
        /// It may decide approvals
        #[arg(long)]
        approver: bool,
        /// Its policies are only tried: judged and recorded, not enforced
        #[arg(long)]
        shadow: bool,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Show them
    List {
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Give one a new token and print it, once
    Rotate {
        /// Its name
        name: String,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Take one away; its sessions end
    Revoke {
        /// Its name
        name: String,
    },
}

/// Commands on what runs.
#[derive(Debug, Subcommand)]
pub(crate) enum RunsCommand {
    /// Show them
    List(ListArgs),
    /// Show one
    Show {
        /// Its id
        id: String,
    },
    /// Show what one wrote; no gate need run
    Logs(LogsArgs),
    /// Wait until one is over; exit code 1 where it is not within the time
    Wait {
        /// Its id
        id: String,
        /// How long to wait, such as 30s [default: for ever]
        #[arg(long, value_name = "TIME")]
        timeout: Option<String>,
    },
    /// End them, and prove it: exit code 0 only where nothing is left
    Stop(StopArgs),
}

/// Flags of `runs list`.
#[derive(Debug, Default, Args)]
pub(crate) struct ListArgs {
    /// Also the last ones that are over
    #[arg(long)]
    pub all: bool,
    /// Those of this grant
    #[arg(long, value_name = "NAME")]
    pub grant: Option<String>,
    /// Those at this upstream
    #[arg(long, value_name = "NAME")]
    pub upstream: Option<String>,
    /// Those of this kind
    #[arg(long)]
    pub kind: Option<RunKind>,
}

/// Flags of `runs logs`.
#[derive(Debug, Args)]
pub(crate) struct LogsArgs {
    /// Its id
    pub id: String,
    /// The last lines
    #[arg(long, value_name = "LINES", default_value_t = 200, conflicts_with = "cursor")]
    pub tail: usize,
    /// On from there: what an earlier page gave as its cursor
    #[arg(long, value_name = "BYTES")]
    pub cursor: Option<u64>,
    /// Only what is not older, such as 10m
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only lines in which this regular expression is found
    #[arg(long, value_name = "REGEX")]
    pub grep: Option<String>,
    /// Only this stream
    #[arg(long, value_name = "STREAM")]
    pub stream: Option<StreamArg>,
    /// Go on until the run is over
    #[arg(long, short)]
    pub follow: bool,
}

/// A stream of a run.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum StreamArg {
    /// What it writes on stdout; of a server that speaks there nothing is kept
    Stdout,
    /// What it writes on stderr
    Stderr,
}

/// Flags of `runs stop`.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(true).args(["ids", "all", "grant", "upstream", "kind"]))]
pub(crate) struct StopArgs {
    /// Their ids
    #[arg(value_name = "ID", conflicts_with_all = ["all", "grant", "upstream", "kind"])]
    pub ids: Vec<String>,
    /// All that run
    #[arg(long)]
    pub all: bool,
    #[command(flatten)]
    pub scope: ScopeArgs,
    /// Those of this kind
    #[arg(long)]
    pub kind: Option<RunKind>,
    /// How long they may take after SIGTERM, such as 5s
    #[arg(long, value_name = "TIME", default_value = "5s")]
    pub grace: String,
}

/// How far a stop, a drop or a raise reaches.
#[derive(Debug, Args)]
pub(crate) struct ScopeArgs {
    /// Of this grant alone; the owner `gate` has what serves all
    #[arg(long, value_name = "NAME")]
    grant: Option<String>,
    /// Of this upstream alone
    #[arg(long, value_name = "NAME")]
    upstream: Option<String>,
}

impl ScopeArgs {
    pub(crate) fn scope(&self) -> Scope {
        Scope { grant: self.grant.clone(), upstream: self.upstream.clone() }
    }
}

/// Flags of `drop`.
#[derive(Debug, Args)]
pub(crate) struct DropArgs {
    #[command(flatten)]
    pub scope: ScopeArgs,
    /// Why, for whoever meets it
    #[arg(long, value_name = "TEXT", default_value = "no reason was given")]
    pub reason: String,
    /// How long what runs may take after SIGTERM, such as 5s
    #[arg(long, value_name = "TIME", default_value = "5s")]
    pub grace: String,
    /// One JSON object for each run, and one for the sum
    #[arg(long)]
    pub json: bool,
}

/// What runs.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum RunKind {
    /// A call in flight
    Call,
    /// A task of a server
    Task,
    /// The process of an upstream on stdio
    Upstream,
    /// A local service
    Service,
    /// A command that an agent runs
    Command,
}

impl RunKind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Task => "task",
            Self::Upstream => "upstream",
            Self::Service => "service",
            Self::Command => "command",
        }
    }
}

/// A built-in server.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum BuiltinArg {
    /// Local services and commands
    Services,
}

/// How runs are held together.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum ContainmentArg {
    Cgroup,
    Namespace,
    Subreaper,
    Group,
}

impl From<ContainmentArg> for portcullis_runs::Containment {
    fn from(arg: ContainmentArg) -> Self {
        match arg {
            ContainmentArg::Cgroup => Self::Cgroup,
            ContainmentArg::Namespace => Self::Namespace,
            ContainmentArg::Subreaper => Self::Subreaper,
            ContainmentArg::Group => Self::Group,
        }
    }
}

/// Commands on the catalogue.
#[derive(Debug, Subcommand)]
pub(crate) enum CatalogueCommand {
    /// Show the tools, with what waits for a person
    List {
        /// Of this upstream alone
        upstream: Option<String>,
    },
    /// Show all that is known of one
    Show {
        /// The upstream
        upstream: String,
        /// The tool, by its server's own name [default: all of them]
        tool: Option<String>,
    },
    /// Accept what changed or is new, so that it may be used
    Accept {
        /// The upstream
        upstream: String,
        /// The tool, by its server's own name [default: all that waits, and the server as it is now]
        tool: Option<String>,
        /// Why, for the record
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Show what is different from what was accepted
    Diff {
        /// The upstream
        upstream: String,
        /// The tool, by its server's own name [default: all of them]
        tool: Option<String>,
    },
}

/// Commands on the record.
#[derive(Debug, Subcommand)]
pub(crate) enum LedgerCommand {
    /// The last rows, then new ones as they come
    Tail {
        /// How many rows to begin with
        #[arg(short = 'n', long, default_value_t = 10)]
        lines: usize,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Rows that match
    Query {
        /// Since this time (RFC 3339) or this long ago (7d)
        #[arg(long, value_name = "TIME")]
        since: Option<String>,
        /// Of this grant
        #[arg(long, value_name = "NAME")]
        grant: Option<String>,
        /// Of this tool
        #[arg(long, value_name = "NAME")]
        tool: Option<String>,
        /// With this outcome
        #[arg(long, value_name = "OUTCOME", value_parser = PossibleValuesParser::new(Outcome::ALL.map(Outcome::name)))]
        outcome: Option<String>,
        /// Of this run
        #[arg(long, value_name = "ID")]
        run: Option<String>,
        /// The last so many
        #[arg(long, value_name = "N")]
        limit: Option<usize>,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Check the whole chain; with a head kept elsewhere, also that it was not rewritten or cut
    Verify {
        /// A signed head: its file, or its JSON text
        #[arg(long, value_name = "HEAD")]
        head: Option<String>,
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// Look for what a gate must never have written: an approval used twice, a call of a grant that was revoked, …
    Audit {
        /// One JSON object
        #[arg(long)]
        json: bool,
    },
    /// The signed head of the chain, to be kept elsewhere
    Head,
    /// Every row as one JSON object a line
    Export {
        /// Into this file instead of stdout
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}
