//! The running gate: put together from the configuration, and again when it changes.

use crate::builtins::BuiltinServers;
use crate::config::Config;
use crate::failure::Failure;
use crate::out::{aside_lines, counted};
use crate::place::read_config;
use crate::remember::{self, Kept};
use crate::stopping;
use crate::watch::{Contents, contents};
use portcullis_admit::{Admit, Loaded, Rules};
use portcullis_document::Colours;
use portcullis_gate::{Gate, Grants, InForce, Task, Upstreams};
use portcullis_ledger::{Draft, Grant, Kind, Ledger};
use portcullis_policy::{Direction, Policy};
use portcullis_runs::{Containment, Drops, Keepers, Program};
use portcullis_upstreams::{HttpClient, Upstream};
use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{Mutex, Notify};
use tokio_util::sync::CancellationToken;

/// The name of the base policy.
const EVERYONE: &str = "everyone";

/// What belongs to this process and stands above every configuration that it reads, at the start and at each reload.
#[derive(Debug, Default)]
pub(crate) struct Own {
    /// Where it listens; `None` where it does not.
    pub address: Option<SocketAddr>,
    /// `--listen`.
    pub listen: Option<String>,
    /// `--data`, from the root.
    pub data: Option<PathBuf>,
    /// `--containment`.
    pub containment: Option<Containment>,
}

impl Own {
    /// Puts it above what the file says.
    pub(crate) fn apply(&self, config: &mut Config) {
        if let Some(listen) = &self.listen {
            config.listen.clone_from(listen);
        }
        if let Some(data) = &self.data {
            config.data.clone_from(data);
        }
        // The gate may be called by the address that it listens on.
        if let Some(ip) = self.address.map(|address| address.ip()).filter(|ip| !ip.is_unspecified()) {
            config.options.hosts.push(if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() });
        }
    }
}

/// Everything that lives while the gate runs.
pub(crate) struct Running {
    pub gate: Arc<Gate>,
    pub config: Mutex<Config>,
    pub own: Own,
    pub keepers: Keepers,
    builtins: Arc<BuiltinServers>,
    /// Fires when what an earlier gate left is known.
    adopting: CancellationToken,
    pub(crate) client: HttpClient,
    /// Ends what looks at files.
    pub(crate) ending: CancellationToken,
    /// What is wrong with policies or the configuration at present, by name.
    troubles: std::sync::Mutex<BTreeMap<String, String>>,
    /// A changed file that waits for `portcullis reload`.
    pub waiting: std::sync::Mutex<Option<String>>,
    /// Told after each reload.
    pub reloaded: Notify,
    /// What stood in the files when they were taken last.
    taken: std::sync::Mutex<Contents>,
}

impl Running {
    /// Opens the ledger, loads policies and starts the upstreams.
    pub(crate) async fn start(mut config: Config, own: Own) -> Result<Arc<Self>, Failure> {
        own.apply(&mut config);
        // Before anything else can be done: what is dropped stays so.
        let drops = Drops::of(&config.data);
        if let Err(error) = drops.reserve() {
            tracing::warn!(%error, "there is no room on the disk for a drop: one holds only while this gate runs");
        }
        let ledger = Ledger::open(&config.data)?;
        let taken = contents(files_of(&config));
        let (rules, troubles) = load_rules(&config, None);
        let admit = Admit::new(ledger, rules, drops.clone())?;
        let grants = load_grants(admit.ledger(), &config)?;
        let keepers = keepers(&config.data, admit.ledger().clone(), own.containment, drops);
        let gate = Gate::new(admit, config.options.clone(), grants);
        let running = Arc::new(Self {
            gate,
            own,
            builtins: Arc::new(BuiltinServers::new(keepers.clone(), &config.data)),
            config: Mutex::new(config),
            keepers,
            adopting: CancellationToken::new(),
            client: HttpClient::default(),
            ending: CancellationToken::new(),
            troubles: std::sync::Mutex::new(troubles),
            waiting: std::sync::Mutex::default(),
            reloaded: Notify::new(),
            taken: std::sync::Mutex::new(taken),
        });
        {
            let config = running.config.lock().await;
            running.builtins.read(&config.upstreams);
            let upstreams = running.upstreams_of(&config).await;
            drop(running.gate.set_upstreams(upstreams));
        }
        running.gate.restore_tasks()?;
        running.gate.admit().resume_approvals()?;
        if running.gate.ledger().begins_anew() {
            let said = "the record begins anew: gate.key was there and ledger.db was not";
            tracing::warn!("{said}");
            running.note(said).await;
        }
        running.note("the gate started").await;
        tokio::spawn(running.gate.clone().sweep_for_ever());
        tokio::spawn(keep_pruned(running.clone()));
        tokio::spawn(crate::memory::give_back_for_ever());
        tokio::spawn({
            let running = running.clone();
            async move {
                running.builtins.adopt(&running.keepers.adopt().await);
                running.adopting.cancel();
            }
        });
        tokio::spawn(crate::webhook::tell_for_ever(running.clone()));
        tokio::spawn(stopping::watch(running.clone(), running.ending.clone()));
        Ok(running)
    }

    /// Waits until what an earlier gate left is known: only then is the list of runs all that runs.
    pub(crate) async fn adopted(&self) {
        self.adopting.cancelled().await;
    }

    /// Records an act of the operator.
    pub(crate) async fn note(&self, message: &str) {
        let row = Draft { message: Some(message), ..Draft::of(Kind::Admin) }.write();
        if let Err(failure) = self.gate.ledger().append(row, Vec::new(), portcullis_ledger::Keep::Disk).await
        {
            tracing::error!(%failure, "an act of the operator could not be recorded");
        }
    }

    /// The servers that a configuration names. What goes on at those that it does not is given up.
    async fn upstreams_of(&self, config: &Config) -> Upstreams {
        let before = self.gate.upstreams();
        // Read once, and only where a server is started.
        let kept = std::cell::OnceCell::new();
        let mut upstreams = Upstreams::new();
        for spec in &config.upstreams {
            // One whose entry did not change goes on as it is, with all its sessions.
            let upstream = match before.get(&spec.name) {
                Some(old) if old.spec() == spec => old.clone(),
                _ => {
                    let kept = kept.get_or_init(|| Kept::read(self.gate.ledger()));
                    let before = kept.of(self.gate.ledger(), spec);
                    let (client, keepers) = (self.client.clone(), self.keepers.clone());
                    let builtins = self.builtins.clone();
                    let pins = self.gate.admit().pins().clone();
                    let new = Upstream::start(spec.clone(), client, keepers, builtins, before.clone(), pins);
                    remember::follow(self.gate.ledger(), &new, before);
                    new
                }
            };
            upstreams.insert(spec.name.clone(), upstream);
        }
        // While they can still be reached.
        let gone = |task: &Task| !upstreams.contains_key(&task.upstream);
        self.gate.give_up_tasks(gone, "its upstream was taken out of the configuration").await;
        upstreams
    }

    /// Takes the configuration and the policies as they are on disk now. A mistake anywhere keeps what is in
    /// force.
    pub(crate) async fn reload(&self) -> Result<String, Failure> {
        let mut config = self.config.lock().await;
        // Looked at before they are read: what is written in between is then a change, and not lost.
        let mut taken = contents([config.file.clone()].into_iter().filter_map(whole));
        let mut new = match config.file.as_os_str().is_empty() {
            true => return Err(Failure::usage("this gate runs without a configuration file")),
            false => read_config(&config.file)?,
        };
        self.own.apply(&mut new);
        new.data.clone_from(&config.data);
        taken.extend(contents(new.policies.values().cloned().filter_map(whole)));
        let (rules, troubles) = load_rules(&new, Some(&self.gate.admit().rules()));
        if !troubles.is_empty() {
            let names: Vec<&str> = troubles.keys().map(String::as_str).collect();
            let have = if names.len() == 1 { "policy {} has" } else { "policies {} have" };
            let have = have.replace("{}", &names.join(", "));
            let said = format!("nothing was changed: the {have} mistakes");
            let all: Vec<&str> = troubles.values().map(|why| why.trim_end()).collect();
            let all = all.join("\n");
            *self.troubles.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = troubles;
            return Err(Failure::usage(said).and_lines(&all));
        }
        let grants = load_grants(self.gate.ledger(), &new)?;
        self.builtins.read(&new.upstreams);
        let upstreams = self.upstreams_of(&new).await;
        self.gate.put_in_force(InForce { options: new.options.clone(), rules, grants, upstreams });
        let mut said = format!(
            "{}, {}",
            counted(new.upstreams.len(), "upstream", "upstreams"),
            counted(new.policies.len(), "policy", "policies")
        );
        if new.listen != config.listen {
            said.push_str("; a new listen address is taken at the next start");
        }
        *config = new;
        drop(config);
        *self.troubles.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = troubles;
        *self.waiting.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
        *self.taken.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = taken;
        self.reloaded.notify_one();
        self.note(&format!("configuration and policies reloaded: {said}")).await;
        tracing::info!("reloaded: {said}");
        Ok(said)
    }

    /// Takes those changed policies that only tighten what is in force: by the rules, no call passes that did not before. What else
    /// changed waits for whoever may let more pass.
    pub(crate) async fn tighten(&self) {
        let config = self.config.lock().await;
        let before = self.gate.admit().rules();
        let mut policies = before.policies.clone();
        let mut taken = self.taken();
        let mut names = Vec::new();
        for (name, path) in
            config.policies.iter().filter_map(|(name, path)| Some((name, whole(path.clone())?)))
        {
            let now = std::fs::read(&path).ok();
            if taken.get(&path) == Some(&now) {
                continue;
            }
            let new = now.as_deref().and_then(|text| std::str::from_utf8(text).ok());
            let new = new.and_then(|text| Policy::parse(&path.to_string_lossy(), text).ok());
            if let (Some(new), Some(Loaded::Good(old))) = (new, before.policies.get(name))
                && old.direction(&new) == Direction::Tightens
            {
                policies.insert(name.clone(), Loaded::Good(Arc::new(new)));
                taken.insert(path, now);
                names.push(name.as_str());
            }
        }
        if names.is_empty() {
            return;
        }
        let everyone = policies.get(EVERYONE).cloned();
        let Rules { durability, values, patience, .. } = *before;
        self.gate.set_rules(Rules { policies, everyone, durability, values, patience });
        *self.taken.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = taken;
        let said = format!("taken, because it only tightens: {}", names.join(", "));
        tracing::info!("{said}");
        self.note(&said).await;
    }

    /// Reads the grants again after one was added, rotated or revoked.
    pub(crate) async fn refresh_grants(&self) -> Result<(), Failure> {
        let config = self.config.lock().await;
        let grants = load_grants(self.gate.ledger(), &config)?;
        drop(config);
        self.gate.set_grants(grants).await;
        Ok(())
    }

    /// Takes a grant out of what is in force, before its revocation is recorded: no call of it is recorded after that.
    pub(crate) async fn shut_out(&self, grant: &str) {
        let _config = self.config.lock().await;
        self.gate.set_grants(self.gate.grants().without(grant)).await;
    }

    /// Says at the start which policies are not to be had. Their loading says nothing, so that it is said once.
    pub(crate) fn say_troubles(&self) {
        for (name, why) in self.troubles() {
            aside_lines!("the policy {name} denies everything until it is mended:\n{why}");
        }
    }

    /// What is wrong with policies at present.
    pub(crate) fn troubles(&self) -> BTreeMap<String, String> {
        self.troubles.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// The files that the configuration in force stands in.
    pub(crate) async fn files(&self) -> Vec<PathBuf> {
        files_of(&*self.config.lock().await).collect()
    }

    /// What stood in them when they were taken last.
    pub(crate) fn taken(&self) -> Contents {
        self.taken.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }

    /// Ends everything in order: calls, sessions, servers, the record.
    pub(crate) async fn stop(&self) {
        self.ending.cancel();
        self.gate.shut_down().await;
        self.keepers.stop_all().await;
        self.note("the gate stopped").await;
        self.gate.ledger().close().await;
    }
}

/// The keeper as it was built with this program.
const KEEPER: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/portcullis-keeper"));

/// Whoever holds what runs on a data folder.
pub(crate) fn keepers(
    data: &Path,
    ledger: Ledger,
    containment: Option<Containment>,
    drops: Drops,
) -> Keepers {
    let program = Program::new(KEEPER, env!("KEEPER_SHA256"), data);
    Keepers::new(program, ledger, containment, drops, portcullis_admit::covered_line)
}

fn files_of(config: &Config) -> impl Iterator<Item = PathBuf> {
    [&config.file].into_iter().chain(config.policies.values()).cloned().filter_map(whole)
}

fn whole(file: PathBuf) -> Option<PathBuf> {
    std::path::absolute(file).ok()
}

/// Loads the policies. One with mistakes keeps its last good version, or denies whoever needs it where there is
/// none.
fn load_rules(config: &Config, before: Option<&Rules>) -> (Rules, BTreeMap<String, String>) {
    let mut troubles = BTreeMap::new();
    let mut policies = BTreeMap::new();
    for (name, path) in &config.policies {
        let loaded = load_policy(path).unwrap_or_else(|why| {
            troubles.insert(name.clone(), why);
            let kept = before.and_then(|rules| match name.as_str() {
                EVERYONE => rules.everyone.clone(),
                name => rules.policies.get(name).cloned(),
            });
            let first =
                format!("its file {} has mistakes; `portcullis policy check` shows them", path.display());
            kept.unwrap_or(Loaded::Bad(first))
        });
        policies.insert(name.clone(), loaded);
    }
    let everyone = policies.get(EVERYONE).cloned();
    let rules = Rules {
        policies,
        everyone,
        durability: config.durability,
        values: config.values,
        patience: config.patience,
    };
    (rules, troubles)
}

fn load_policy(path: &PathBuf) -> Result<Loaded, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
    // Without colours: it is shown by `status --json` too, wherever that writes.
    let policy = Policy::parse(&path.to_string_lossy(), &text)
        .map_err(|problems| problems.render(100, Colours::Never))?;
    Ok(Loaded::Good(Arc::new(policy)))
}

/// Grants of the store and of the configuration; the configuration's stand where both have a name.
fn load_grants(ledger: &Ledger, config: &Config) -> Result<Grants, Failure> {
    let named: HashSet<&str> = config.grants.iter().map(|grant| grant.name.as_str()).collect();
    let mut all: Vec<_> =
        ledger.grants()?.into_iter().filter(|(_, grant)| !named.contains(grant.name.as_str())).collect();
    for grant in &config.grants {
        let hash = ledger.token_hash(&grant.token);
        let grant = Grant {
            name: grant.name.clone(),
            upstreams: grant.upstreams.clone(),
            labels: grant.labels.clone(),
            expires: None,
            created: 0,
            approver: false,
            shadow: grant.shadow,
        };
        all.push((hash, grant));
    }
    Ok(Grants::new(all))
}

/// A duration as the configuration writes it.
fn in_units(duration: std::time::Duration) -> String {
    let seconds = duration.as_secs();
    let units = [(86_400, "d"), (3_600, "h"), (60, "m"), (1, "s")];
    let fits = units.into_iter().find(|(size, _)| seconds >= *size && seconds.is_multiple_of(*size));
    fits.map_or(format!("{}ms", duration.as_millis()), |(size, unit)| format!("{}{unit}", seconds / size))
}

/// Lets old rows go, once at the start and then every hour.
async fn keep_pruned(running: Arc<Running>) {
    let mut tick = tokio::time::interval(std::time::Duration::from_hours(1));
    loop {
        tick.tick().await;
        let now = match running.gate.ledger().trusted_now() {
            Ok(now) => now,
            Err(failure) => {
                tracing::warn!(%failure, "nothing old was let go");
                continue;
            }
        };
        // The longest window is a day, and a clock may be set back.
        let two_days_ago = now.saturating_sub(2 * 86_400_000);
        if let Err(failure) = running.gate.ledger().forget_counters(two_days_ago).await {
            tracing::warn!(%failure, "old counters could not be let go");
        }
        let Some(retain) = running.config.lock().await.retain else { continue };
        let rule = format!("retain: {}", in_units(retain));
        let retain = i64::try_from(retain.as_millis()).unwrap_or(i64::MAX);
        let before = now.saturating_sub(retain);
        if let Err(failure) = running.gate.ledger().prune(before, &rule).await {
            tracing::warn!(%failure, "old rows could not be let go");
        }
    }
}
