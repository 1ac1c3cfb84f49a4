//! `portcullis import`: servers of other clients come behind the gate.

use crate::cli::PlaceArgs;
use crate::config::{self, Config};
use crate::control::Client;
use crate::failure::Failure;
use crate::first_run;
use crate::import::client::{self, ClientFile, Found};
use crate::import::config::{Addition, add, block};
use crate::import::journal::{self, Journal, Undone};
use crate::import::plan::{Before, Outcome, plan};
use crate::import::point::{Gate, Gone, Pointed, backup_of, point};
use crate::import::{policy, secret};
use crate::out::{aside, aside_lines, counted, say, say_lines};
use crate::peer;
use crate::place::{self, config_file, read_config, rendered};
use crate::scan::{self, ask_first, look_at_all};
use portcullis_catalogue::{Language, recommended_text, written_out};
use serde_json::json;
use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What the user asked for.
pub(crate) struct Wish {
    /// Files; empty: all that are known.
    pub files: Vec<PathBuf>,
    /// Whether clients are pointed at the gate.
    pub write: bool,
    /// Whether servers are started without asking, to see their tools.
    pub yes: bool,
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
    if wish.write {
        refuse_old_backups(&found, &outcomes)?;
    }
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
    report(&found, &outcomes, wish.json);
    target.recommend(&additions, wish, &mut journal)?;
    say_next(place, &target, &additions, wish.json);
    match wish.write {
        true => point_clients(&target.file, &found, &outcomes, &mut journal),
        false => Ok(ExitCode::SUCCESS),
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

/// The configuration that is added to.
struct Target {
    file: PathBuf,
    folder: PathBuf,
    text: String,
    config: Config,
    is_new: bool,
}

impl Target {
    fn of(place: &PlaceArgs) -> Result<Self, Failure> {
        let (file, text, config, is_new) = match config_file(place)? {
            Some(file) => {
                let text = std::fs::read_to_string(&file).map_err(|error| cannot("read", &file, &error))?;
                let config = read_config(&file)?;
                (place::absolute(&file)?, text, config, false)
            }
            None => {
                let here = std::env::current_dir()
                    .map_err(|error| Failure::usage(format!("no current folder: {error}")))?;
                let file = here.join("portcullis.yaml");
                let text = first_run::without_upstreams();
                let config = config::read(&file, &text).map_err(|problems| {
                    Failure::bug("what was written is not valid:").and_lines(&rendered(&problems))
                })?;
                (file, text, config, true)
            }
        };
        let mut config = config;
        if let Some(data) = &place.data {
            config.data = place::absolute(data)?;
        }
        let folder = file.parent().unwrap_or(Path::new(".")).to_owned();
        Ok(Self { file, folder, text, config, is_new })
    }

    /// Names of upstreams, also of those that are switched off, and of policies: each import makes one of both.
    fn taken_names(&self) -> BTreeSet<String> {
        let mut taken = BTreeSet::from(["everyone".to_owned()]);
        taken.extend(self.config.policies.keys().cloned());
        taken.extend(self.config.upstreams.iter().map(|spec| spec.name.to_string()));
        if let Ok(document) = portcullis_document::Document::read(&self.file.to_string_lossy(), &self.text) {
            let root = client::value(document.root());
            let names = root.get("upstreams").and_then(serde_json::Value::as_object);
            taken.extend(names.into_iter().flat_map(|names| names.keys().cloned()));
        }
        let files = std::fs::read_dir(self.folder.join("policies")).into_iter().flatten().flatten();
        taken.extend(files.filter_map(|file| {
            let name = file.path().file_stem()?.to_str()?.to_owned();
            // An import that ended with a block to paste left its policies; the next one takes them up.
            holds_other(&file.path(), &policy::nothing_yet(&name)).then_some(name)
        }));
        taken
    }

    /// Whether all that was configured still is, and the additions are, and nothing else.
    fn is_kept_in(&self, read: &Config, additions: &[Addition]) -> bool {
        read.upstreams.len() == self.config.upstreams.len() + additions.len()
            && self.config.upstreams.iter().all(|spec| read.upstreams.contains(spec))
            && self.config.policies.iter().all(|(name, path)| read.policies.get(name) == Some(path))
            && self.config.grants == read.grants
            && self.config.listen == read.listen
            && additions.iter().all(|addition| {
                read.policies.contains_key(&addition.name)
                    && read.upstreams.iter().any(|spec| *spec.name == *addition.name)
            })
    }

    /// Writes secrets, policies and the configuration. The configuration comes last and only when its reader
    /// takes it, so that a failure leaves nothing behind.
    fn take_over(
        &self,
        found: &[Found],
        outcomes: &[Outcome],
        journal: &mut Journal,
    ) -> Result<Vec<Addition>, Stopped> {
        let secrets = self.config.data.join("secrets");
        let shown = secrets.strip_prefix(&self.folder).unwrap_or(&secrets).to_string_lossy().into_owned();
        let mut additions = Vec::new();
        for (found, outcome) in found.iter().zip(outcomes) {
            let Outcome::Import { name, server } = outcome else { continue };
            let mut server = server.clone();
            for secret in secret::take_out(name, &mut server, &shown, &|file, text| {
                holds_other(&secrets.join(file), text)
            }) {
                place::make_data_folder(&self.config.data)?;
                place::make_data_folder(&secrets)?;
                let path = secrets.join(&secret.file);
                make(journal, &path, &secret.text, 0o600)?;
                aside!("a secret of {} is kept in {}, not in portcullis.yaml", found.name, path.display());
            }
            let from = format!("{}: {}", found.file.client, found.file.path.display());
            additions.push(Addition { name: name.clone(), from, server });
        }
        if additions.is_empty() {
            return Ok(additions);
        }
        let policies = self.folder.join("policies");
        std::fs::create_dir_all(&policies).map_err(|error| cannot("made", &policies, &error))?;
        for addition in &additions {
            let path = policies.join(format!("{}.yaml", addition.name));
            make(journal, &path, &policy::nothing_yet(&addition.name), 0o644)?;
        }
        let by_hand = |why: &str| {
            let said = format!(
                "{} was left as it is: {why}. The policies are written; put this into it:",
                self.file.display()
            );
            Stopped::ByHand(Failure::untrue(said).and_lines(&format!("\n{}", block(&additions))))
        };
        let Some(new) = add(&self.file, &self.text, &additions) else {
            return Err(by_hand("it has a shape that is better edited by hand"));
        };
        let refused = |why: &str| {
            Failure::untrue(format!(
                "nothing was imported: {} would not be valid: {why}",
                self.file.display()
            ))
        };
        match config::read(&self.file, &new) {
            Ok(read) if self.is_kept_in(&read, &additions) => {}
            Ok(_) => return Err(refused("the additions would not be read as they are meant").into()),
            Err(problems) => return Err(refused("").and_lines(&rendered(&problems)).into()),
        }
        let careful = policies.join("careful.yaml");
        if self.is_new && !careful.exists() {
            first_run::write_careful(&self.folder)?;
            let text = std::fs::read_to_string(&careful).map_err(|error| cannot("read", &careful, &error))?;
            journal.note(&careful, &text, journal::Before::Nothing);
        }
        // A link to the file stays a link.
        let file = self.file.canonicalize().unwrap_or_else(|_| self.file.clone());
        let mode = std::fs::metadata(&file).map_or(0o644, |meta| meta.permissions().mode() & 0o777);
        journal.replace(&file, &new, mode).map_err(|error| cannot("replaced", &file, &error))?;
        Ok(additions)
    }
}

impl Target {
    /// Looks at the servers that came, and writes for each that answers a policy by what its tools do, in place of the one
    /// that lets nothing pass.
    fn recommend(&self, additions: &[Addition], wish: &Wish, journal: &mut Journal) -> Result<(), Failure> {
        if additions.is_empty() {
            return Ok(());
        }
        let config = read_config(&self.file)?;
        let mut targets: Vec<scan::Target> = config
            .upstreams
            .into_iter()
            .filter(|spec| additions.iter().any(|addition| addition.name == *spec.name))
            .map(|spec| scan::Target { called: spec.name.to_string(), how: Ok(spec.how), named: false })
            .collect();
        ask_first(&mut targets, wish.yes);
        // An address is somebody else's machine: it is asked only where the rest is too.
        let may_look =
            wish.yes || targets.iter().any(|target| target.how.is_ok() && target.starts().is_some());
        if !may_look {
            return Ok(());
        }
        for looked in look_at_all(targets, false)? {
            match looked {
                Ok(server) => {
                    let (name, known) = (server.called(), &server.known);
                    let path = self.folder.join("policies").join(format!("{name}.yaml"));
                    let text = recommended_text(name, known, Language::One);
                    journal.replace(&path, &text, 0o644).map_err(|error| cannot("written", &path, &error))?;
                    journal.save()?;
                    let tools = counted(known.tools.len(), "tool", "tools");
                    aside!("{name}: {tools} ({}); its policy is {}", known.told(), path.display());
                }
                Err(failed) => aside!(
                    "{}: its policy lets nothing pass yet: {}",
                    failed.name,
                    written_out(&failed.reason)
                ),
            }
        }
        Ok(())
    }
}

/// Writes a file, unless it is there with just this text.
fn make(journal: &mut Journal, path: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    if path.exists() && !holds_other(path, text) {
        return Ok(());
    }
    journal.write(path, text, mode).map_err(|error| cannot("written", path, &error))
}

/// Whether a file is there with another text than this.
fn holds_other(path: &Path, text: &str) -> bool {
    path.exists() && std::fs::read_to_string(path).ok().as_deref() != Some(text)
}

fn cannot(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("{} cannot be {what}: {error}", path.display()))
}

fn report(found: &[Found], outcomes: &[Outcome], as_json: bool) {
    for (found, outcome) in found.iter().zip(outcomes) {
        let same;
        let (name, kind, skipped) = match outcome {
            Outcome::Import { name, server } => (Some(name), Some(server.kind()), None),
            Outcome::Same { name, kind } => {
                same = format!("it is the same server as `{name}`");
                (Some(name), Some(*kind), Some(&same))
            }
            Outcome::Skip(why) => (None, None, Some(why)),
        };
        if as_json {
            let line = json!({
                "client": found.file.client, "file": found.file.path.to_string_lossy(), "name": found.name,
                "imported_as": name, "kind": kind, "skipped": skipped,
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
fn say_next(place: &PlaceArgs, target: &Target, additions: &[Addition], as_json: bool) {
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
    let text = format!(
        "\nAdded {} to {}. Each has a policy of its own in {}; what it does not name is denied.\nThe gate starts their programs when it starts or reloads: look them over first.\n\n\
         next:\n  {start}\n  portcullis status     shows whether they start, and how many tools they list\n\n\
         A grant of their own:\n  portcullis grant add agent {pairs}\n\
         The grant `me` reaches them under the policy that it names for `*`. To have theirs instead:\n  \
         portcullis grant revoke me\n  portcullis grant add me {others}{pairs}\n",
        counted(additions.len(), "upstream", "upstreams"),
        target.file.display(),
        target.folder.join("policies").display(),
    );
    if as_json { aside_lines!("{text}") } else { say_lines!("{text}") }
}

/// The entries of each file that are behind the gate now.
fn gone(found: &[Found], outcomes: &[Outcome]) -> Vec<(PathBuf, Vec<Gone>)> {
    let mut files: Vec<(PathBuf, Vec<Gone>)> = Vec::new();
    for (found, outcome) in found.iter().zip(outcomes) {
        // What a registry says is nobody's own file.
        if matches!(outcome, Outcome::Skip(_)) || found.under.is_empty() {
            continue;
        }
        let entry = (found.under.clone(), found.name.clone());
        match files.iter_mut().find(|(file, _)| *file == found.file.path) {
            Some((_, gone)) => gone.push(entry),
            None => files.push((found.file.path.clone(), vec![entry])),
        }
    }
    files
}

/// A backup that is there is the only copy of what the user had: it stops the import before anything changes.
fn refuse_old_backups(found: &[Found], outcomes: &[Outcome]) -> Result<(), Failure> {
    for (file, _) in gone(found, outcomes) {
        let backup = backup_of(&file.canonicalize().unwrap_or(file));
        if backup.exists() {
            return Err(Failure::usage(format!(
                "nothing was changed: the backup {} is there already; move it away, then import again",
                backup.display()
            )));
        }
    }
    Ok(())
}

fn point_clients(
    config: &Path,
    found: &[Found],
    outcomes: &[Outcome],
    journal: &mut Journal,
) -> Result<ExitCode, Failure> {
    let program =
        std::env::current_exe().map_or_else(|_| "portcullis".into(), |path| path.display().to_string());
    let args = vec!["stdio".into(), "--config".into(), config.display().to_string()];
    let gate = Gate { program, args };
    let mut failed = false;
    for (file, gone) in gone(found, outcomes) {
        match point(&file, &gone, &gate) {
            Ok(Pointed { file, text, backup }) => {
                aside!(
                    "{} names the gate now; what it had is in {} (`portcullis import --undo` puts it back)",
                    file.display(),
                    backup.display()
                );
                journal.note(&file, &text, journal::Before::Backup(backup));
                journal.save()?;
            }
            Err(why) => {
                failed = true;
                aside!("{} was not changed: {why}", file.display());
            }
        }
    }
    Ok(if failed { ExitCode::from(1) } else { ExitCode::SUCCESS })
}
