//! Pointing clients at the gate: what works behind it leaves their files, anything else stays.

use super::Wish;
use super::target::Target;
use crate::cli::PlaceArgs;
use crate::config::Config;
use crate::control::Client;
use crate::failure::Failure;
use crate::import::client::{ClientFile, Found, is_yaml};
use crate::import::filter::ToolFilter;
use crate::import::grants::ClientGrant;
use crate::import::journal::Journal;
use crate::import::moving::{Look, why_it_stays};
use crate::import::plan::Outcome;
use crate::import::point::{Gate, Gone, Pointed, point};
use crate::import::shared::is_shared;
use crate::out::{aside, aside_lines};
use crate::place::read_config;
use http::Method;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::IsTerminal;
use std::process::ExitCode;

/// What became of an entry of a client's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is in no client's file, or was not imported.
    None,
    /// The file names the gate in its place.
    Moved,
    /// It is still there, and why.
    Kept(String),
}

/// A file and what is to leave it.
struct Change<'f> {
    file: &'f ClientFile,
    gone: Vec<Gone>,
    upstreams: BTreeSet<String>,
    /// Where the entries stand among all that were found.
    at: Vec<usize>,
}

/// Points clients at the gate, each under a grant of its own. Gives what became of each entry, and whether all that
/// could be done was.
pub(super) fn point_all(
    place: &PlaceArgs,
    wish: &Wish,
    target: &Target,
    (found, outcomes): (&[Found], &[Outcome]),
    seen: &BTreeMap<String, Look>,
    journal: &mut Journal,
) -> Result<(Vec<Fate>, ExitCode), Failure> {
    let mut fates = vec![Fate::None; found.len()];
    if !target.file.exists() {
        return Ok((fates, ExitCode::SUCCESS));
    }
    let now = read_config(&target.file)?;
    let mut changes = choose(&now, found, outcomes, seen, &mut fates);
    changes.retain(|change| keep_where(consent(wish, change).err(), change, &mut fates));
    let mut upstreams: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for change in &changes {
        upstreams.entry(change.file.client).or_default().extend(change.upstreams.iter().cloned());
    }
    let grants: BTreeMap<&str, ClientGrant> = upstreams
        .into_iter()
        .map(|(client, upstreams)| (client, target.grant_of(client, upstreams, &now)))
        .collect();
    if !grants.is_empty() {
        target.grant(&grants.values().collect::<Vec<_>>(), journal)?;
        // A client that starts now is to find its grant.
        let why =
            reload(place).err().map(|why| format!("the running gate does not take the configuration: {why}"));
        changes.retain(|change| keep_where(why.clone(), change, &mut fates));
    }
    for change in &changes {
        let Some(grant) = grants.get(change.file.client) else { continue };
        let done = point(change.file, &change.gone, &gate(place, target, &grant.name)).and_then(
            |Pointed { file, text }| {
                let backup = journal.replace_with_backup(&file, &text)?;
                Ok((file, backup))
            },
        );
        match done {
            Ok((file, backup)) => {
                journal.save()?;
                aside!(
                    "{} names the gate now, under the grant `{}`; what it had is in {} (`portcullis import --undo` puts it back)",
                    file.display(),
                    grant.name,
                    backup.display()
                );
                set(&mut fates, change, &Fate::Moved);
            }
            Err(why) => drop(keep_where(Some(why), change, &mut fates)),
        }
    }
    let done = fates.contains(&Fate::Moved) || !fates.iter().any(|fate| matches!(fate, Fate::Kept(_)));
    Ok((fates, ExitCode::from(u8::from(!done))))
}

/// What may leave each file. What stays is named with its reason.
fn choose<'f>(
    now: &Config,
    found: &'f [Found],
    outcomes: &[Outcome],
    seen: &BTreeMap<String, Look>,
    fates: &mut [Fate],
) -> Vec<Change<'f>> {
    let mut changes: Vec<Change<'f>> = Vec::new();
    for (at, (found, outcome)) in found.iter().zip(outcomes).enumerate() {
        let (Outcome::Import { name, .. } | Outcome::Same { name, .. }) = outcome else { continue };
        // What a registry says is nobody's own file.
        if found.under.is_empty() {
            continue;
        }
        let filter = ToolFilter::of(&found.entry);
        let policy = now.policies.get(name).map(std::path::PathBuf::as_path);
        if let Some(why) = why_it_stays(name, seen.get(name), policy, &filter) {
            aside!("{} stays in {}: {why}", found.name, found.file.path.display());
            if let Some(fate) = fates.get_mut(at) {
                *fate = Fate::Kept(why);
            }
            continue;
        }
        let entry = (found.under.clone(), found.name.clone());
        match changes.iter_mut().find(|change| change.file.path == found.file.path) {
            Some(change) => {
                change.gone.push(entry);
                change.upstreams.insert(name.clone());
                change.at.push(at);
            }
            None => changes.push(Change {
                file: &found.file,
                gone: vec![entry],
                upstreams: BTreeSet::from([name.clone()]),
                at: vec![at],
            }),
        }
    }
    changes
}

/// Says why a file stays as it is, where it does. Gives whether it goes on.
fn keep_where(why: Option<String>, change: &Change<'_>, fates: &mut [Fate]) -> bool {
    let Some(why) = why else { return true };
    aside_lines!("{} was not changed: {why}", change.file.path.display());
    set(fates, change, &Fate::Kept(why));
    false
}

fn set(fates: &mut [Fate], change: &Change<'_>, to: &Fate) {
    for at in &change.at {
        if let Some(fate) = fates.get_mut(*at) {
            *fate = to.clone();
        }
    }
}

/// Whether the user wants this file to be changed.
///
/// # Errors
/// Why it is not.
fn consent(wish: &Wish, change: &Change<'_>) -> Result<(), String> {
    // It is told what to paste.
    if is_yaml(&change.file.path).is_some() {
        return Ok(());
    }
    let file = change.file.path.display();
    let path = change.file.path.canonicalize().unwrap_or_else(|_| change.file.path.clone());
    let names: Vec<&str> = change.gone.iter().map(|(_, name)| name.as_str()).collect();
    let take =
        format!("Take {} out of {file}, and have {} start the gate?", names.join(", "), change.file.client);
    if is_shared(&path) && !wish.shared {
        return match ask(&format!("{file} is shared in a repository: all who use it would have this machine's gate.\n{take}")) {
            Some(true) => Ok(()),
            Some(false) => Err("you said no".into()),
            None => Err("it is shared in a repository, and all who use it would have this machine's gate; `--shared` changes it \
                         all the same"
                .into()),
        };
    }
    match wish.yes.then_some(true).or_else(|| ask(&take)) {
        Some(true) => Ok(()),
        Some(false) => Err("you said no".into()),
        None => Err("nobody said that it may be (`--yes` does)".into()),
    }
}

/// What the user says to a question; `None` where nobody is at a terminal.
fn ask(question: &str) -> Option<bool> {
    if !std::io::stdin().is_terminal() {
        return None;
    }
    aside_lines!("{question} [y/N]");
    let mut answer = String::new();
    let _ = std::io::stdin().read_line(&mut answer);
    Some(matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Has the gate take the configuration, where one runs.
fn reload(place: &PlaceArgs) -> Result<(), Failure> {
    let client = Client::of(place)?;
    if client.socket().is_some() {
        client.ask(Method::POST, "reload", &Value::Null)?;
    }
    Ok(())
}

/// How a client starts its side of the gate.
fn gate(place: &PlaceArgs, target: &Target, grant: &str) -> Gate {
    let program =
        std::env::current_exe().map_or_else(|_| "portcullis".into(), |path| path.display().to_string());
    let mut args = vec!["stdio".to_owned(), "--config".into(), target.file.display().to_string()];
    args.extend(["--grant".into(), grant.to_owned()]);
    if place.data.is_some() {
        args.extend(["--data".into(), target.config.data.display().to_string()]);
    }
    Gate { program, args, grant: grant.to_owned(), variables: target.variables() }
}
