//! `portcullis-bench`: its servers, its load generator, and the whole measurement.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use clap::{Args, Parser, Subcommand};
use portcullis_bench::{
    compare::Blocks,
    echo::echo,
    error::{Error, Result},
    gate::Binary,
    load::{Fleet, Until, settle},
    pass::pass,
    report::Report,
    run::{Plan, run},
    serve::listen,
    target::{Era, Target},
};
use tokio::{
    io::AsyncReadExt,
    signal::unix::{SignalKind, signal},
};

/// What the gate costs, measured beside what a bare hop costs.
#[derive(Parser)]
#[command(name = "portcullis-bench", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve MCP tools that answer with their message; GET /counts tells what was asked
    Echo {
        /// Speak one era only
        #[arg(long)]
        era: Option<Era>,
        #[command(flatten)]
        server: Server,
    },
    /// Forward everything to one server without looking inside
    Pass {
        /// Where to: http://127.0.0.1:PORT
        #[arg(long)]
        upstream: Target,
        #[command(flatten)]
        server: Server,
    },
    /// Call an endpoint from many workers, each with its own session, and tell the latencies
    Load {
        /// The endpoint: http://127.0.0.1:PORT/mcp
        target: Target,
        /// Workers, each with one call in flight
        #[arg(long, default_value_t = 1)]
        in_flight: usize,
        /// How long, in seconds
        #[arg(long, default_value_t = 5.0)]
        seconds: f64,
        /// Bearer token
        #[arg(long, env = "BENCH_TOKEN", hide_env_values = true)]
        token: Option<String>,
        /// The era to speak
        #[arg(long, value_enum, default_value_t = Era::Old)]
        era: Era,
    },
    /// Read, classify, grade, look through and fingerprint definitions, on one core
    Definitions {
        /// Saved tools/list results whose definitions are taken [default: made up]
        lists: Vec<PathBuf>,
        /// How many
        #[arg(long, default_value_t = 10_000)]
        count: usize,
    },
    /// Start everything, measure direct, pass-through and gate in turn, and judge
    Run(Box<Run>),
}

#[derive(Args)]
struct Server {
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 0)]
    port: u16,
    /// End when stdin closes
    #[arg(long, hide = true)]
    end_with_stdin: bool,
}

#[derive(Args)]
struct Run {
    /// The gate's executable
    #[arg(long, default_value = "target/release/portcullis")]
    gate: PathBuf,
    /// Measure direct and pass-through only
    #[arg(long)]
    yardstick: bool,
    /// Put a second pass-through in the gate's place: shows how much is noise
    #[arg(long)]
    stand_in: bool,
    /// Compare the gate with an earlier one, and nothing else
    #[arg(long, value_name = "GATE", conflicts_with_all = ["yardstick", "stand_in"])]
    before: Option<PathBuf>,
    /// Under a minute: short blocks, fewer calls and sessions
    #[arg(long)]
    quick: bool,
    /// Length of a block in seconds [default: 1, quick: 0.5]
    #[arg(long)]
    seconds: Option<f64>,
    /// Blocks for each side [default: 11, quick: 3]
    #[arg(long)]
    rounds: Option<usize>,
    /// Calls over which memory is watched [default: 200000, quick: 20000]
    #[arg(long)]
    calls: Option<u64>,
    /// The era to speak
    #[arg(long, value_enum, default_value_t = Era::Old)]
    era: Era,
    /// Where temporary folders go; this decides the disk [default: the system's]
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Write the results as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the results as Markdown
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Exit with 1 when a bar is missed
    #[arg(long)]
    enforce: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match Cli::parse().command.carry_out().await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("portcullis-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Command {
    async fn carry_out(self) -> Result<ExitCode> {
        match self {
            Self::Echo { era, server } => {
                let (listener, address) = listen(server.port).await?;
                server.until_the_end(address, echo(listener, era)).await;
            }
            Self::Pass { upstream, server } => {
                let (listener, address) = listen(server.port).await?;
                server.until_the_end(address, pass(listener, upstream)).await;
            }
            Self::Load { mut target, in_flight, seconds, token, era } => {
                target.era = era;
                if let Some(token) = token {
                    target = target.with_token(&token);
                }
                load(&target, in_flight, seconds).await?;
            }
            Self::Definitions { lists, count } => {
                print!("{}", portcullis_bench::definitions::measure(&lists, count)?)
            }
            Self::Run(options) => return options.carry_out().await,
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Server {
    async fn until_the_end(&self, address: std::net::SocketAddr, serving: impl Future<Output = ()>) {
        eprintln!("ready http://{address}");
        if !self.end_with_stdin {
            return serving.await;
        }
        let mut nothing = Vec::new();
        let mut stdin = tokio::io::stdin();
        tokio::select! {
            () = serving => {}
            _ = stdin.read_to_end(&mut nothing) => {}
        }
    }
}

async fn load(target: &Target, in_flight: usize, seconds: f64) -> Result<()> {
    settle(target).await?;
    let block =
        Fleet::open(target, in_flight).await?.run(Until::Time(Duration::from_secs_f64(seconds))).await?;
    println!(
        "{} calls, {:.0} a second, p50 {:.0} µs, p99 {:.0} µs",
        block.calls(),
        block.per_second(),
        block.quantile(0.50),
        block.quantile(0.99)
    );
    Ok(())
}

impl Run {
    async fn carry_out(&self) -> Result<ExitCode> {
        let plan = self.plan()?;
        let mut end = signal(SignalKind::terminate()).map_err(Error::io("listening for SIGTERM"))?;
        // Dropping the run kills what it started.
        let report = tokio::select! {
            report = run(&plan, |doing| eprintln!("measuring: {doing}")) => report?,
            _ = tokio::signal::ctrl_c() => return Ok(ExitCode::from(130)),
            _ = end.recv() => return Ok(ExitCode::from(143)),
        };
        print!("{report}");
        self.write(&report)?;
        Ok(if self.enforce && !report.holds() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }

    fn plan(&self) -> Result<Plan> {
        let gate = match (self.yardstick, self.stand_in) {
            (true, _) => None,
            (false, true) => Some(Binary::StandIn),
            (false, false) => Some(executable(&self.gate, "cargo build --release, or --gate")?),
        };
        let choose = |full, quick| if self.quick { quick } else { full };
        Ok(Plan {
            gate,
            before: self.before.as_deref().map(|path| executable(path, "--before")).transpose()?,
            folder: self.folder.clone().unwrap_or_else(std::env::temp_dir),
            era: self.era,
            blocks: Blocks {
                seconds: self.seconds.unwrap_or(if self.quick { 0.5 } else { 1.0 }),
                rounds: self.rounds.unwrap_or(if self.quick { 3 } else { 11 }),
            },
            starts: 5,
            sessions: 1_000,
            sessions_left: choose(10_000, 1_000),
            calls: self.calls.unwrap_or(choose(200_000, 20_000)),
        })
    }

    fn write(&self, report: &Report) -> Result<()> {
        let save = |file: &Path, text: String| {
            fs::write(file, text).map_err(Error::io(format!("writing {}", file.display())))
        };
        if let Some(file) = &self.markdown {
            save(file, report.to_string())?;
        }
        if let Some(file) = &self.json {
            let json = serde_json::to_string_pretty(report).map_err(|error| {
                Error::answer("writing the results", "a report that JSON can hold", error.to_string())
            })?;
            save(file, json + "\n")?;
        }
        Ok(())
    }
}

fn executable(path: &Path, named_by: &str) -> Result<Binary> {
    let expected = format!("finding the gate, expected an executable at {} ({named_by})", path.display());
    fs::canonicalize(path).map(Binary::Portcullis).map_err(Error::io(expected))
}
