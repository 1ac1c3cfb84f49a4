//! What a program that is an upstream gets: its environment, and a keeper that holds it.

use crate::CommandSpec;
use portcullis_runs::{Hold, Keepers, Piped};
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

/// Starts a program, held by a keeper.
pub(crate) async fn start(
    spec: &CommandSpec,
    upstream: &Arc<str>,
    owner: &Arc<str>,
    keepers: &Keepers,
) -> Result<Piped, String> {
    let own = ALLOWED.iter().filter_map(|name| Some(((*name).to_owned(), std::env::var(name).ok()?)));
    let hold = Hold {
        owner: owner.clone(),
        upstream: upstream.clone(),
        program: spec.program.clone(),
        args: spec.args.clone(),
        env: own.chain(spec.env.iter().cloned()).collect(),
        cwd: spec.cwd.clone(),
        log: spec.stderr.clone(),
    };
    keepers.hold(hold).await
}
