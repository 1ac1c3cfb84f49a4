//! What a program that is an upstream gets: its environment, and a keeper that holds it.

use crate::CommandSpec;
use portcullis_runs::{Ending, Hold, Keepers, Kind, Limits, OnLoss, Piped, Pipes};
use std::sync::Arc;

/// Variables of the gate's own environment that a child sees; everything else only where its entry says so.
const ALLOWED: [&str; 14] = [
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LOGNAME",
    "NODE_EXTRA_CA_CERTS",
    "PATH",
    "SHELL",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
];

/// Bytes of its stderr that are kept.
const STDERR: u64 = 1 << 20;

/// Starts a program, held by a keeper.
pub(crate) async fn start(
    spec: &CommandSpec,
    upstream: &Arc<str>,
    owner: &Arc<str>,
    keepers: &Keepers,
) -> Result<Piped, String> {
    let own = ALLOWED.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)));
    let hold = Hold {
        kind: Kind::Upstream,
        owner: owner.clone(),
        upstream: upstream.clone(),
        name: None,
        program: spec.program.clone(),
        args: spec.args.clone(),
        env: own.chain(spec.env.iter().cloned()).collect(),
        cwd: spec.cwd.clone(),
        pipes: Pipes::Both,
        spool: None,
        keep: STDERR,
        limits: Limits::default(),
        ending: Ending::default(),
        // What it had agreed on with its gate is lost with the gate.
        on_loss: OnLoss::StopAfter(0),
    };
    keepers.hold(hold).await
}
