//! A look at several servers, side by side.

use super::started::Started;
use super::{Failed, Scanned, Target, look};
use crate::commands::start;
use crate::failure::Failure;
use crate::out::aside;
use futures_util::{StreamExt, TryStreamExt};
use portcullis_catalogue::{compare, written_out};
use portcullis_upstreams::How;
use std::io::IsTerminal;
use std::time::Duration;

/// How long a server may take to come up: it may be installed by that.
const PATIENCE: Duration = Duration::from_mins(2);
/// Servers that are looked at side by side.
const AT_ONCE: usize = 4;

/// Programs that the user did not name, and that were not started before, are started only where the user says so.
pub(crate) fn ask_first(targets: &mut [Target], yes: bool) {
    let started = Started::read();
    let is_new = |target: &Target| {
        let program = target.how.as_ref().ok().filter(|how| matches!(how, How::Command(_)));
        program.filter(|how| !target.named && !started.has(how)).is_some()
    };
    let new: Vec<&Target> = targets.iter().filter(|target| is_new(target)).collect();
    if new.is_empty() {
        return;
    }
    if yes || say_so(&new) {
        return started.add(new.iter().filter_map(|target| target.how.as_ref().ok()));
    }
    for target in targets.iter_mut().filter(|target| is_new(target)) {
        target.how = Err("not started: nobody said so (`--yes` does)".to_owned());
    }
}

/// Whether the user says that these are to be started.
fn say_so(targets: &[&Target]) -> bool {
    aside!("To look at these, {} started:", if targets.len() == 1 { "a program is" } else { "programs are" });
    for target in targets {
        aside!("{}", written_out(&format!("  {}: {}", target.called, target.starts().unwrap_or_default())));
    }
    let mut answer = String::new();
    if std::io::stdin().is_terminal() {
        aside!("Start them? [y/N]");
        let _ = std::io::stdin().read_line(&mut answer);
    }
    matches!(answer.trim(), "y" | "Y" | "yes")
}

/// Looks at a few at a time, and gives what was found in the order of the targets.
pub(crate) fn look_at_all(targets: Vec<Target>, tell: bool) -> Result<Vec<Result<Scanned, Failed>>, Failure> {
    let runtime = start::runtime(&mut tokio::runtime::Builder::new_current_thread())?;
    runtime.block_on(async {
        tokio::select! {
            found = all(targets, tell) => found,
            // What was started is stopped by its keeper, which loses us.
            _ = tokio::signal::ctrl_c() => Err(Failure::untrue("stopped by Ctrl-C")),
        }
    })
}

async fn all(targets: Vec<Target>, tell: bool) -> Result<Vec<Result<Scanned, Failed>>, Failure> {
    let count = targets.len();
    let looks = targets.into_iter().enumerate().map(|(number, Target { called, how, named })| async move {
        if tell {
            aside!("{} of {count}: connecting to {} …", number + 1, written_out(&called));
        }
        match how {
            Ok(how) => {
                let mut found = look(&called, how, PATIENCE).await?;
                if let (Ok(server), false) = (&mut found, named) {
                    server.found_as = Some(called);
                }
                Ok(found)
            }
            Err(reason) => Ok(Err(Failed { name: called, reason })),
        }
    });
    let found: Result<Vec<Result<Scanned, Failed>>, Failure> =
        futures_util::stream::iter(looks).buffered(AT_ONCE).try_collect().await;
    let mut found = found?;
    let seen = found.iter_mut().flatten();
    let named =
        seen.map(|Scanned { name, found_as, known, .. }| (found_as.as_deref().unwrap_or(name), known));
    compare(&mut named.collect::<Vec<_>>());
    Ok(found)
}
