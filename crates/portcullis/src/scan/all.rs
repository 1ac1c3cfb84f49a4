//! A look at several servers, side by side.

use super::{Failed, Scanned, Target, look};
use crate::commands::start;
use crate::failure::Failure;
use crate::out::aside;
use futures_util::{StreamExt, TryStreamExt};
use portcullis_catalogue::written_out;
use std::io::IsTerminal;
use std::time::Duration;

/// How long a server may take to come up: it may be installed by that.
const PATIENCE: Duration = Duration::from_mins(2);
/// Servers that are looked at side by side.
const AT_ONCE: usize = 4;

/// Programs that the user did not name are started only where the user says so.
pub(crate) fn ask_first(targets: &mut [Target], yes: bool) {
    let lines: Vec<String> = targets
        .iter()
        .filter(|target| !target.named)
        .filter_map(|target| Some(format!("  {}: {}", target.called, target.starts()?)))
        .collect();
    if lines.is_empty() || yes {
        return;
    }
    aside!("To look at these, {} started:", if lines.len() == 1 { "a program is" } else { "programs are" });
    lines.iter().for_each(|line| aside!("{}", written_out(line)));
    let mut answer = String::new();
    if std::io::stdin().is_terminal() {
        aside!("Start them? [y/N]");
        let _ = std::io::stdin().read_line(&mut answer);
    }
    if matches!(answer.trim(), "y" | "Y" | "yes") {
        return;
    }
    for target in targets.iter_mut().filter(|target| !target.named && target.starts().is_some()) {
        target.how = Err("not started: nobody said so (`--yes` does)".to_owned());
    }
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
    futures_util::stream::iter(looks).buffered(AT_ONCE).try_collect().await
}
