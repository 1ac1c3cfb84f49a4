//! A program that is an upstream, and the keeper that holds it.

use crate::CommandSpec;
use portcullis_runs::{Ending, Hold, Keepers, Kind, Limits, OnLoss, Piped, Pipes, allowed_environment};
use std::sync::Arc;

/// Bytes of its stderr that are kept.
const STDERR: u64 = 1 << 20;

/// Starts a program, held by a keeper.
pub(crate) async fn start(
    spec: &CommandSpec,
    upstream: &Arc<str>,
    owner: &Arc<str>,
    keepers: &Keepers,
) -> Result<Piped, String> {
    let hold = Hold {
        kind: Kind::Upstream,
        owner: owner.clone(),
        upstream: upstream.clone(),
        name: None,
        port: None,
        program: spec.program.clone(),
        args: spec.args.clone(),
        env: allowed_environment().chain(spec.env.iter().cloned()).collect(),
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
