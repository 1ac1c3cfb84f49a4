//! `portcullis mcp`: a built-in server alone, on stdin and stdout. Nothing is judged, since there is no grant; what it runs
//! is recorded, held and stopped as behind a gate.

use super::start;
use crate::cli::{BuiltinArg, PlaceArgs};
use crate::failure::Failure;
use crate::lock::Lock;
use crate::place;
use crate::running::keepers;
use portcullis_admit::covered_line;
use portcullis_builtin::serve;
use portcullis_ledger::Ledger;
use portcullis_runs::Drops;
use portcullis_services::{Services, ServicesServer};
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};

/// Whoever is on the other side of stdin.
const OWNER: &str = "local";

/// Serves until stdin ends, and stops what was started then, but for what is to be kept.
pub(crate) fn run(place: &PlaceArgs, which: BuiltinArg, file: &Path) -> Result<ExitCode, Failure> {
    let BuiltinArg::Services = which;
    if !file.is_file() {
        let shown = file.display();
        return Err(Failure::usage(format!(
            "{shown} is not there; `--file FILE` says where the services stand"
        )));
    }
    let data = place::data_folder(place)?;
    std::fs::create_dir_all(&data)
        .map_err(|error| Failure::usage(format!("{} cannot be made: {error}", data.display())))?;
    let lock = Lock::take(&data)?;
    let runtime = start::runtime(tokio::runtime::Builder::new_multi_thread().worker_threads(2))?;
    let done = runtime.block_on(async {
        let ledger = Ledger::open(&data)?;
        let keepers = keepers(&data, ledger.clone(), None, Drops::of(&data));
        let services = Services::new("services", file, &data.join("services"), keepers.clone(), covered_line);
        services.adopt(&keepers.adopt().await);
        let server = Arc::new(ServicesServer::of(&services, OWNER));
        let mut end = signal(SignalKind::terminate()).map_err(|error| Failure::bug(error.to_string()))?;
        tokio::select! {
            () = serve(server, tokio::io::stdin(), tokio::io::stdout()) => {}
            _ = end.recv() => {}
            _ = tokio::signal::ctrl_c() => {}
        }
        keepers.stop_all().await;
        ledger.close().await;
        Ok(())
    });
    drop(lock);
    // A thread that still waits for stdin must not keep the process.
    runtime.shutdown_background();
    done.map(|()| ExitCode::SUCCESS)
}
