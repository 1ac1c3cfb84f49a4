//! What deciding costs: our language, Cedar and CEL, with the same policies and the same calls in one run.
//!
//! All engines have to give the same answers before anything is timed. `bench/README.md` says what is compared with what.

mod agreement;
mod allocations;
mod calls;
mod cedar;
mod cel;
mod deciding;
mod engine;
mod error;
mod loading;
// The one that the other benchmark has: a path, so that this one is built without its servers.
#[path = "../../src/machine.rs"]
mod machine;
mod ours;
mod policies;
mod report;
mod rounds;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

use crate::error::Error;
use crate::machine::Machine;
use crate::report::Report;

/// What deciding costs: our language beside Cedar and CEL.
#[derive(Parser)]
#[command(name = "portcullis-policy-bench", version)]
struct Cli {
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

fn main() -> ExitCode {
    match Cli::parse().carry_out() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("portcullis-policy-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

impl Cli {
    fn carry_out(&self) -> Result<ExitCode, Error> {
        let machine = Machine::now();
        let (mut agreed, mut deciding) = (Vec::new(), Vec::new());
        for rules in [1, 100, 1_000] {
            eprintln!("measuring: decisions with {rules} rules");
            let (agreement, measured) = deciding::deciding(rules)?;
            agreed.push(agreement);
            deciding.extend(measured);
        }
        eprintln!("measuring: files read");
        let report = Report::new(machine, agreed, deciding, loading::loading()?);
        print!("{report}");
        if let Some(file) = &self.markdown {
            write(file, report.to_string())?;
        }
        if let Some(file) = &self.json {
            let json = serde_json::to_string_pretty(&report).map_err(|error| failed(file, error.into()))?;
            write(file, json + "\n")?;
        }
        Ok(if self.enforce && !report.holds() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    }
}

fn write(file: &Path, text: String) -> Result<(), Error> {
    fs::write(file, text).map_err(|error| failed(file, error))
}

fn failed(file: &Path, error: std::io::Error) -> Error {
    Error::Write { file: file.display().to_string(), error }
}
