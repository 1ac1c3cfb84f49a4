//! Connecting to a server for one look.

use super::{Failed, Scanned};
use crate::failure::Failure;
use crate::running::keepers;
use portcullis_admit::{PinRules, Pins};
use portcullis_catalogue::ListKind;
use portcullis_ledger::Ledger;
use portcullis_runs::{Drops, RunId};
use portcullis_upstreams::{Before, Builtins, How, HttpClient, Limits, Per, Roots, Spec, State, Upstream};
use portcullis_wire::{member, meta, text};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::DuplexStream;

/// A folder for what holds servers that are started for a look, which goes with it.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Result<Self, Failure> {
        use std::os::unix::fs::DirBuilderExt;
        let random = RunId::fresh().map_err(|error| Failure::bug(error.to_string()))?;
        let folder = std::env::temp_dir().join(format!("portcullis-scan-{random}"));
        let made = std::fs::DirBuilder::new().mode(0o700).create(&folder);
        made.map_err(|error| Failure::untrue(format!("{} cannot be made: {error}", folder.display())))?;
        Ok(Self(folder))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A scan names its servers itself.
#[derive(Debug)]
struct NoBuiltins;

impl Builtins for NoBuiltins {
    fn connect(&self, upstream: &str, _: &str) -> Result<DuplexStream, String> {
        Err(format!("`{upstream}` is no server that is built in"))
    }
}

/// Connects to a server, asks what it offers, and ends what was started for that. `patience` is for a start that may have to
/// install the server first.
pub(crate) async fn look(
    called: &str,
    how: How,
    patience: Duration,
) -> Result<Result<Scanned, Failed>, Failure> {
    let folder = Folder::make()?;
    let ledger = Ledger::open(&folder.0)?;
    let keepers = keepers(&folder.0, ledger.clone(), None, Drops::of(&folder.0));
    let spec = Spec {
        name: "scan".into(),
        how,
        per: Per::Gate,
        roots: Roots::None,
        forward_headers: Vec::new(),
        forward_meta: Arc::default(),
        limits: Limits { first_connect: patience, ..Limits::default() },
        pins: PinRules::default(),
    };
    // In a store of its own, which goes with the look.
    let pins = Pins::of(ledger.clone())?;
    let upstream = Upstream::start(
        spec,
        HttpClient::default(),
        keepers.clone(),
        Arc::new(NoBuiltins),
        Before::default(),
        pins,
    );
    let found = ask(called, &upstream, patience).await;
    futures_util::future::join_all(upstream.end()).await;
    keepers.stop_all().await;
    ledger.close().await;
    Ok(found.map_err(|reason| Failed { name: called.to_owned(), reason }))
}

async fn ask(called: &str, upstream: &Arc<Upstream>, patience: Duration) -> Result<Scanned, String> {
    let mut state = upstream.watch_state();
    // One look: what did not work the first time is for a person to mend.
    let settled = state.wait_for(|state| *state != State::Starting);
    match tokio::time::timeout(patience, settled).await.map(|state| state.map(|state| state.clone())) {
        Ok(Ok(State::Down(why))) => return Err(why),
        Err(_) => return Err(format!("it did not answer within {} s", patience.as_secs())),
        _ => {}
    }
    let link = upstream.ready().await.map_err(|unavailable| unavailable.reason)?;
    // The new era has it beside the answer.
    let beside = || member(member(link.hello(), "_meta")?, meta::SERVER);
    let info = member(link.hello(), "serverInfo").or_else(beside).unwrap_or_default();
    let said = |name: &str| member(info, name).and_then(text).map(std::borrow::Cow::into_owned);
    let mut lists = Vec::new();
    for kind in ListKind::ALL.into_iter().filter(|kind| link.declares(kind.capability())) {
        match upstream.list(kind, &link).await {
            Ok(list) => lists.push(list),
            Err(failed) if kind == ListKind::Tools => return Err(failed.to_string()),
            // Who has resources need not have templates of them.
            Err(_) => {}
        }
    }
    let instructions = member(link.hello(), "instructions").and_then(text);
    let name = said("name").unwrap_or_else(|| called.to_owned());
    Ok(Scanned::of(name, link.version().to_owned(), said("version"), instructions.as_deref(), &lists))
}
