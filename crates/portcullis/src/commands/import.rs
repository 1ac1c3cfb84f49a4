//! `portcullis import`: servers of other clients come behind the gate.

mod clients;
mod target;

use crate::cli::PlaceArgs;
use crate::control::Client;
use crate::failure::Failure;
use crate::import::client::{self, ClientFile, Found};
use crate::import::config::Addition;
use crate::import::filter::{ToolFilter, unasked};
use crate::import::journal::{Journal, Undone};
use crate::import::plan::{Before, Outcome, plan};
use crate::out::{aside, aside_lines, counted, say, say_lines};
use crate::peer;
use crate::place;
use clients::Fate;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::ExitCode;
use target::Target;

/// What the user asked for.
pub(crate) struct Wish {
    /// Files; empty: all that are known.
    pub files: Vec<PathBuf>,
    /// Whether clients are pointed at the gate.
    pub write: bool,
    /// Whether servers are started without asking, to see their tools, and clients are pointed without asking.
    pub yes: bool,
    /// Whether files that are shared in a repository are changed too.
    pub shared: bool,
    /// Whether the last import is taken back instead.
    pub undo: bool,
    /// One JSON object a line.
    pub json: bool,
}

/// Imports.
pub(crate) fn run(place: &PlaceArgs, wish: &Wish) -> Result<ExitCode, Failure> {
    if peer::inside_a_run() {
        return Err(Failure::denied(
            "this shell was started through the gate; servers are imported from outside of it",
        ));
    }
    if wish.undo {
        return undo(place, wish.json);
    }
    let found = find(&wish.files)?;
    if found.is_empty() {
        aside!("no servers were found in the files of MCP clients; `portcullis import FILE` reads a file");
        return Ok(ExitCode::SUCCESS);
    }
    let target = Target::of(place)?;
    let outcomes = plan(
        &found,
        Before {
            file: &target.file,
            listen: &target.config.listen,
            upstreams: target.config.upstreams.clone(),
            taken: target.taken_names(),
        },
    );
    let mut journal = Journal::of(&target.config.data);
    let additions = match target.take_over(&found, &outcomes, &mut journal) {
        Ok(additions) => additions,
        Err(Stopped::Nothing(why)) => {
            let _ = journal.take_back();
            return Err(why);
        }
        Err(Stopped::ByHand(why)) => {
            journal.save()?;
            return Err(why);
        }
    };
    journal.save()?;
    if !wish.json {
        report(&found, &outcomes, None);
    }
    say_what_changes(&found, &outcomes);
    // What was imported before and not seen, or is to leave its client now, is looked at again.
    let looks_at = |outcome: &Outcome| match outcome {
        Outcome::Import { name, .. } => Some(name.clone()),
        Outcome::Same { name, .. } if wish.write || target.is_unseen(name) => Some(name.clone()),
        Outcome::Same { .. } | Outcome::Skip(_) => None,
    };
    let mut wanted: BTreeMap<String, ToolFilter> = BTreeMap::new();
    for (found, outcome) in found.iter().zip(&outcomes) {
        if let Some(name) = looks_at(outcome) {
            let filter = wanted.remove(&name).unwrap_or_default();
            wanted.insert(name, filter.and(ToolFilter::of(&found.entry)));
        }
    }
    let seen = target.look(&wanted, wish.yes, &mut journal)?;
    say_next(place, wish, &target, &additions);
    let (fates, code) = match wish.write {
        true => clients::point_all(place, wish, &target, (&found, &outcomes), &seen, &mut journal)?,
        false => (Vec::new(), ExitCode::SUCCESS),
    };
    if wish.json {
        report(&found, &outcomes, Some(&fates));
    }
    Ok(code)
}

/// Says what does not come along as it was: what let tools be called unasked, and variables that the gate has to have.
fn say_what_changes(found: &[Found], outcomes: &[Outcome]) {
    let mut variables = BTreeSet::new();
    for (found, outcome) in found.iter().zip(outcomes) {
        if matches!(outcome, Outcome::Skip(_)) {
            continue;
        }
        for key in unasked(&found.entry) {
            aside!("`{key}` of {} is not taken over: the gate's policy decides what passes", found.name);
        }
        if let Outcome::Import { server, .. } = outcome {
            variables.extend(server.variables());
        }
    }
    if !variables.is_empty() {
        let names: Vec<String> = variables.into_iter().collect();
        aside!(
            "the gate needs {} in its own environment: it does not start where one of them is not set, and one that runs has to \
             be started again with them. Their values were not taken over",
            names.join(", ")
        );
    }
}

/// Takes the last import back.
fn undo(place: &PlaceArgs, as_json: bool) -> Result<ExitCode, Failure> {
    let done = Journal::last(&place::data_folder(place)?)?.take_back();
    for Undone { file, left } in &done {
        match left {
            _ if as_json => say!(
                "{}",
                json!({ "file": file.to_string_lossy(), "undone": left.is_none(), "reason": left })
            ),
            None if file.exists() => say!("as before  {}", file.display()),
            None => say!("gone       {}", file.display()),
            Some(why) => say!("left       {}: {why}", file.display()),
        }
    }
    let left = done.iter().any(|it| it.left.is_some());
    if Client::of(place).is_ok_and(|client| client.socket().is_some()) {
        aside!("`portcullis reload` has the running gate let go of what is gone");
    }
    Ok(ExitCode::from(u8::from(left)))
}

/// Why an import went no further.
enum Stopped {
    /// Nothing of it is to stay.
    Nothing(Failure),
    /// The user goes on with what was made so far.
    ByHand(Failure),
}

impl From<Failure> for Stopped {
    fn from(why: Failure) -> Self {
        Self::Nothing(why)
    }
}

fn find(named: &[PathBuf]) -> Result<Vec<Found>, Failure> {
    let files: Vec<ClientFile> = if named.is_empty() {
        let here =
            std::env::current_dir().map_err(|error| Failure::usage(format!("no current folder: {error}")))?;
        client::files(client::home().as_deref(), &here)
    } else {
        named.iter().map(|path| client::named(path)).collect()
    };
    let mut found = Vec::new();
    for file in &files {
        match client::read(file) {
            Ok(servers) => found.extend(servers),
            Err(why) if named.is_empty() => aside!("{} is left out: {why}", file.path.display()),
            Err(why) => return Err(Failure::usage(format!("{}: {why}", file.path.display()))),
        }
    }
    Ok(found)
}

/// Says what becomes of each; as JSON where the fates of their entries are known.
fn report(found: &[Found], outcomes: &[Outcome], fates: Option<&[Fate]>) {
    for (at, (found, outcome)) in found.iter().zip(outcomes).enumerate() {
        let same;
        let (name, kind, skipped) = match outcome {
            Outcome::Import { name, server } => (Some(name), Some(server.kind()), None),
            Outcome::Same { name, kind } => {
                same = format!("it is the same server as `{name}`");
                (Some(name), Some(*kind), Some(&same))
            }
            Outcome::Skip(why) => (None, None, Some(why)),
        };
        if let Some(fates) = fates {
            let fate = fates.get(at);
            let line = json!({
                "client": found.file.client, "file": found.file.path.to_string_lossy(), "name": found.name,
                "imported_as": name, "kind": kind, "skipped": skipped,
                "moved": matches!(fate, Some(Fate::Moved)),
                "kept": match fate { Some(Fate::Kept(why)) => Some(why), _ => None },
            });
            say!("{line}");
            continue;
        }
        let from = format!("{} ({})", found.file.client, found.file.path.display());
        match (outcome, skipped) {
            (Outcome::Import { name, .. }, _) => say!("imported  {} from {from} as `{name}`", found.name),
            (_, Some(why)) => say!("skipped   {} from {from}: {why}", found.name),
            (_, None) => {}
        }
    }
}

/// What to do next; beside JSON it goes to stderr.
fn say_next(place: &PlaceArgs, wish: &Wish, target: &Target, additions: &[Addition]) {
    if additions.is_empty() {
        return;
    }
    let pairs: Vec<String> = additions.iter().map(|a| format!("--upstream {0}={0}", a.name)).collect();
    let pairs = pairs.join(" ");
    let start = match Client::of(place).is_ok_and(|client| client.socket().is_some()) {
        true => "portcullis reload     takes the new upstreams",
        false => "portcullis up         starts the gate with them",
    };
    let others = if target.config.policies.contains_key("careful") { "--upstream '*=careful' " } else { "" };
    // Clients that are pointed at the gate get theirs.
    let me = format!(
        "The grant `me` reaches them under the policy that it names for `*`. To have theirs instead:\n  \
         portcullis grant revoke me\n  portcullis grant add me {others}{pairs}\n"
    );
    let me = if wish.write { "" } else { &me };
    let text = format!(
        "\nAdded {} to {}. Each has a policy of its own in {}; what it does not name is denied.\nThe gate starts their programs when it starts or reloads: look them over first.\n\n\
         next:\n  {start}\n  portcullis status     shows whether they start, and how many tools they list\n\n\
         A grant of their own:\n  portcullis grant add agent {pairs}\n{me}",
        counted(additions.len(), "upstream", "upstreams"),
        target.file.display(),
        target.folder.join("policies").display(),
    );
    if wish.json { aside_lines!("{text}") } else { say_lines!("{text}") }
}
