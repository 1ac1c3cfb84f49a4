//! The configuration that an import adds to.

use super::Stopped;
use crate::cli::PlaceArgs;
use crate::config::{self, Config};
use crate::failure::Failure;
use crate::first_run;
use crate::import::client::{self, Found};
use crate::import::config::{Addition, add, block};
use crate::import::filter::ToolFilter;
use crate::import::grants::ClientGrant;
use crate::import::journal::{self, Journal, make_private_folder};
use crate::import::moving::Look;
use crate::import::plan::Outcome;
use crate::import::server::variables_in;
use crate::import::{policy, secret};
use crate::out::{aside, counted};
use crate::place::{self, config_file, read_config, rendered};
use crate::scan::{self, ask_first, look_at_all};
use portcullis_catalogue::{Entry, Known, Language, recommended_text, written_out};
use portcullis_document::Document;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The configuration that is added to.
pub(super) struct Target {
    pub(super) file: PathBuf,
    pub(super) folder: PathBuf,
    text: String,
    /// What it was before the import.
    pub(super) config: Config,
    is_new: bool,
}

impl Target {
    pub(super) fn of(place: &PlaceArgs) -> Result<Self, Failure> {
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
    pub(super) fn taken_names(&self) -> BTreeSet<String> {
        let mut taken = BTreeSet::from(["everyone".to_owned()]);
        taken.extend(self.config.policies.keys().cloned());
        taken.extend(self.config.upstreams.iter().map(|spec| spec.name.to_string()));
        if let Ok(document) = Document::read(&self.file.to_string_lossy(), &self.text) {
            let root = client::value(document.root());
            let names = root.get("upstreams").and_then(Value::as_object);
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
    pub(super) fn take_over(
        &self,
        found: &[Found],
        outcomes: &[Outcome],
        journal: &mut Journal,
    ) -> Result<Vec<Addition>, Stopped> {
        let (secrets, shown) = self.secrets();
        let mut additions = Vec::new();
        for (found, outcome) in found.iter().zip(outcomes) {
            let Outcome::Import { name, server } = outcome else { continue };
            let mut server = server.clone();
            for secret in secret::take_out(name, &mut server, &shown, &|file, text| {
                holds_other(&secrets.join(file), text)
            }) {
                self.make_secrets()?;
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

    /// The folder of secrets, and how the configuration names it.
    fn secrets(&self) -> (PathBuf, String) {
        let secrets = self.config.data.join("secrets");
        let shown = secrets.strip_prefix(&self.folder).unwrap_or(&secrets).to_string_lossy().into_owned();
        (secrets, shown)
    }

    fn make_secrets(&self) -> Result<(), Failure> {
        make_private_folder(&self.config.data)?;
        place::make_data_folder(&self.secrets().0)
    }

    /// Looks at these upstreams, and writes for each that answers a policy by what its tools do, in place of one that
    /// lets nothing pass because nobody had looked. What a client has switched off stays so. Gives what was seen of
    /// each.
    pub(super) fn look(
        &self,
        wanted: &BTreeMap<String, ToolFilter>,
        yes: bool,
        journal: &mut Journal,
    ) -> Result<BTreeMap<String, Look>, Failure> {
        let mut seen = BTreeMap::new();
        if wanted.is_empty() {
            return Ok(seen);
        }
        let config = read_config(&self.file)?;
        let mut targets: Vec<scan::Target> = config
            .upstreams
            .into_iter()
            .filter(|spec| wanted.contains_key(&*spec.name))
            .map(|spec| scan::Target { called: spec.name.to_string(), how: Ok(spec.how), named: false })
            .collect();
        ask_first(&mut targets, yes);
        // An address is somebody else's machine: it is asked only where the rest is too.
        let may_look = yes || targets.iter().any(|target| target.how.is_ok() && target.starts().is_some());
        if !may_look {
            return Ok(seen);
        }
        for looked in look_at_all(targets, false)? {
            match looked {
                Ok(mut server) => {
                    let name = server.called().to_owned();
                    let file = self.policy_file(&name);
                    let filter = wanted.get(&name).cloned().unwrap_or_default();
                    if !holds_other(&file, &policy::nothing_yet(&name)) {
                        let text = recommended(&name, &mut server.known, &filter);
                        journal
                            .replace(&file, &text, 0o644)
                            .map_err(|error| cannot("written", &file, &error))?;
                        journal.save()?;
                    }
                    let (known, tools) = (&server.known, counted(server.known.tools.len(), "tool", "tools"));
                    aside!("{name}: {tools} ({}); its policy is {}", known.told(), file.display());
                    seen.insert(name, Ok(server.known));
                }
                Err(failed) => {
                    let why = written_out(&failed.reason);
                    if !holds_other(&self.policy_file(&failed.name), &policy::nothing_yet(&failed.name)) {
                        aside!("{}: its policy lets nothing pass yet: {why}", failed.name);
                    }
                    seen.insert(failed.name, Err(why));
                }
            }
        }
        Ok(seen)
    }

    /// Where an import puts the policy of an upstream.
    fn policy_file(&self, name: &str) -> PathBuf {
        self.folder.join("policies").join(format!("{name}.yaml"))
    }

    /// Whether nobody has looked at an upstream yet: its policy is the one that an import begins with.
    pub(super) fn is_unseen(&self, name: &str) -> bool {
        let file = self.policy_file(name);
        file.exists() && !holds_other(&file, &policy::nothing_yet(name))
    }

    /// Puts the grants of clients into the configuration, with new tokens where there are none.
    pub(super) fn grant(&self, grants: &[&ClientGrant], journal: &mut Journal) -> Result<(), Failure> {
        let (secrets, shown) = self.secrets();
        let before = read_config(&self.file)?;
        let mut text =
            std::fs::read_to_string(&self.file).map_err(|error| cannot("read", &self.file, &error))?;
        for grant in grants {
            let Some(with) = grant.added_to(&self.file, &text, &shown) else {
                let said = format!(
                    "{} has a shape that is better edited by hand: put this into it",
                    self.file.display()
                );
                return Err(Failure::untrue(said).and_lines(&format!("\n{}", grant.block(&shown))));
            };
            text = with;
            let file = secrets.join(&grant.token_file);
            if !file.exists() {
                self.make_secrets()?;
                let token =
                    portcullis_ledger::new_token().map_err(|error| Failure::bug(error.to_string()))?;
                make(journal, &file, &token, 0o600)?;
            }
        }
        let after = config::read(&self.file, &text).map_err(|problems| {
            let said = format!("{} would not be valid with a grant for a client:", self.file.display());
            Failure::untrue(said).and_lines(&rendered(&problems))
        })?;
        let ours = |name: &str| grants.iter().any(|grant| grant.name == name);
        let kept = after.upstreams == before.upstreams
            && after.policies == before.policies
            && before.grants.iter().all(|grant| ours(&grant.name) || after.grants.contains(grant))
            && grants.iter().all(|grant| after.grants.iter().any(|it| it.name == grant.name));
        if !kept {
            return Err(Failure::bug("the grants would not be read as they are meant"));
        }
        let file = self.file.canonicalize().unwrap_or_else(|_| self.file.clone());
        let mode = std::fs::metadata(&file).map_or(0o644, |meta| meta.permissions().mode() & 0o777);
        journal.replace(&file, &text, mode).map_err(|error| cannot("replaced", &file, &error))?;
        journal.save()
    }

    /// Variables of the environment without which the upstreams cannot be read.
    pub(super) fn variables(&self) -> Vec<String> {
        fn collect(value: &Value, names: &mut BTreeSet<String>) {
            match value {
                Value::String(text) => names.extend(variables_in(text)),
                Value::Array(items) => items.iter().for_each(|it| collect(it, names)),
                Value::Object(members) => members.values().for_each(|it| collect(it, names)),
                Value::Null | Value::Bool(_) | Value::Number(_) => {}
            }
        }
        let mut names = BTreeSet::new();
        let text = std::fs::read_to_string(&self.file).unwrap_or_default();
        if let Ok(document) = Document::read(&self.file.to_string_lossy(), &text) {
            let root = client::value(document.root());
            collect(root.get("upstreams").unwrap_or(&Value::Null), &mut names);
        }
        names.into_iter().collect()
    }

    /// The grant of a client, by what is configured now.
    pub(super) fn grant_of(&self, client: &str, upstreams: BTreeSet<String>, now: &Config) -> ClientGrant {
        let stored = portcullis_ledger::grants(&self.config.data).unwrap_or_default();
        let stored = stored.into_iter().map(|(_, grant)| grant.name).collect();
        ClientGrant::of(client, upstreams, now, &self.secrets().0, &stored)
    }
}

/// The policy by what the tools do, without those that a client has switched off.
fn recommended(name: &str, known: &mut Known, filter: &ToolFilter) -> String {
    let all = std::mem::take(&mut known.tools);
    let (on, off) = all.into_iter().partition(|entry| filter.lets(&entry.tool.name));
    known.tools = on;
    let mut text = recommended_text(name, known, Language::One);
    let names: Vec<_> = off.iter().map(|entry: &Entry| written_out(&entry.tool.name)).collect();
    if !names.is_empty() {
        text.push_str(&format!("\n# Switched off in a client, and so denied: {}\n", names.join(", ")));
    }
    known.tools.extend(off);
    text
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

pub(super) fn cannot(what: &str, path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("{} cannot be {what}: {error}", path.display()))
}
