//! `portcullis-policy-bench`: measures, prints, judges.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;

use portcullis_policy_bench::deciding::deciding;
use portcullis_policy_bench::error::Error;
use portcullis_policy_bench::loading::loading;
use portcullis_policy_bench::machine::Machine;
use portcullis_policy_bench::report::Report;

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
        let (mut agreed, mut decisions) = (Vec::new(), Vec::new());
        for rules in [1, 100, 1_000] {
            eprintln!("measuring: decisions with {rules} rules");
            let (agreement, measured) = deciding(rules)?;
            agreed.push(agreement);
            decisions.extend(measured);
        }
        eprintln!("measuring: files read");
        let report = Report::new(machine, agreed, decisions, loading()?);
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
