//! All services of one configuration: started and stopped in their order.

use crate::config::{Configuration, read};
use crate::definition::{Condition, Definition};
use crate::service::{Begun, Now, Service, State};
use parking_lot::{Mutex, MutexGuard};
use portcullis_document::Colours;
use portcullis_runs::{Held, Keepers, Kind, Stopped};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long a dependency that has to end with exit code 0 may take.
const DEPENDENCY_ENDS: Duration = Duration::from_mins(10);

/// Services and commands of one upstream. Clones share them.
#[derive(Debug, Clone)]
pub struct Services(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) upstream: Arc<str>,
    pub(crate) keepers: Keepers,
    pub(crate) cover: fn(&str) -> String,
    /// Where the output of services is kept.
    folder: PathBuf,
    file: PathBuf,
    /// Those of the file, and those that an earlier one had and that still run.
    all: Mutex<BTreeMap<Arc<str>, Arc<Service>>>,
    /// Those of the file.
    wanted: Mutex<BTreeSet<Arc<str>>>,
    /// What is wrong with the file at present.
    trouble: Mutex<Option<String>>,
    /// What is hardly meant so in the file that was taken, a line each.
    warnings: Mutex<Vec<String>>,
}

/// How a start ended.
pub(crate) enum Started {
    /// It runs, and is ready where it says how that is known; whether it ran before.
    Up(Now, bool),
    /// It runs, and is not ready yet.
    NotYet(Now),
    /// It does not run, and why.
    Failed(String),
}

/// What a stop came to.
pub(crate) struct Stopping {
    pub(crate) id: Arc<str>,
    /// Its last run, where it had one.
    pub(crate) run: Option<Arc<Held>>,
    pub(crate) stopped: Stopped,
}

impl Services {
    /// Reads the services of `file` for the upstream of that name. Their output is kept in `folder`. A file with mistakes
    /// leaves it without services, and every call says so.
    #[must_use]
    pub fn new(
        upstream: &str,
        file: &Path,
        folder: &Path,
        keepers: Keepers,
        cover: fn(&str) -> String,
    ) -> Self {
        let services = Self(Arc::new(Inner {
            upstream: upstream.into(),
            keepers,
            cover,
            folder: folder.join(upstream),
            file: file.to_owned(),
            all: Mutex::default(),
            wanted: Mutex::default(),
            trouble: Mutex::default(),
            warnings: Mutex::default(),
        }));
        if let Err(why) = services.reload() {
            tracing::warn!(upstream, "no services: {why}");
        }
        services
    }

    /// Reads the file again. What runs goes on as it was started; what is not in the file any more can still be stopped.
    ///
    /// # Errors
    /// What is wrong with the file; the services stay as they are.
    pub fn reload(&self) -> Result<(), String> {
        let read = configuration(&self.0.file);
        *self.0.trouble.lock() = read.as_ref().err().cloned();
        let Configuration { definitions, warnings } = read?;
        let warnings: Vec<String> = warnings.iter().map(|warning| warning.message.clone()).collect();
        for warning in &warnings {
            tracing::warn!(upstream = %self.0.upstream, "{warning}");
        }
        *self.0.warnings.lock() = warnings;
        let mut all = self.0.all.lock();
        *self.0.wanted.lock() = definitions.keys().cloned().collect();
        for (id, definition) in definitions {
            match all.get(&id) {
                Some(service) => service.define(definition),
                None => drop(all.insert(id, Arc::new(self.make(definition)))),
            }
        }
        Ok(())
    }

    fn make(&self, definition: Arc<Definition>) -> Service {
        let spool = self.0.folder.join(&*definition.id);
        Service::new(definition, self.0.upstream.clone(), self.0.keepers.clone(), spool)
    }

    /// Takes over what an earlier gate started. One that the file does not have any more can be stopped all the same.
    pub fn adopt(&self, runs: &[Arc<Held>]) {
        let own = runs.iter().filter(|run| {
            run.about.kind == Kind::Service && run.about.upstream == self.0.upstream && run.over().is_none()
        });
        for run in own {
            let Some(id) = &run.about.name else { continue };
            let service = self
                .0
                .all
                .lock()
                .entry(id.clone())
                .or_insert_with(|| {
                    let (nowhere, nothing) = (PathBuf::new(), Vec::new());
                    Arc::new(self.make(Arc::new(Definition::new(id, nothing, nowhere))))
                })
                .clone();
            service.adopt(run.clone());
        }
    }

    /// What is wrong with the file at present.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.0.trouble.lock().clone()
    }

    /// What is hardly meant so in the file that was taken.
    pub(crate) fn warnings(&self) -> Vec<String> {
        self.0.warnings.lock().clone()
    }

    /// The folder that relative paths of commands are meant from.
    pub(crate) fn folder_of_file(&self) -> PathBuf {
        let folder = self.0.file.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
        std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned())
    }

    pub(crate) fn list(&self) -> Vec<Arc<Service>> {
        self.known().values().cloned().collect()
    }

    fn known(&self) -> MutexGuard<'_, BTreeMap<Arc<str>, Arc<Service>>> {
        let mut all = self.0.all.lock();
        let wanted = self.0.wanted.lock();
        // What is not in the file any more goes when it has ended for good.
        all.retain(|id, service| wanted.contains(id) || service.now().may_run());
        all
    }

    /// A service by its name.
    pub(crate) fn get(&self, id: &str) -> Result<Arc<Service>, String> {
        if let Some(found) = self.known().get(id) {
            return Ok(found.clone());
        }
        if id.is_empty() {
            return Err("`server_id` is empty; `list_servers` shows the names".into());
        }
        if !Definition::is_id(id) {
            return Err(format!(
                "`{}` cannot be a server_id: expected 1 to 64 of A-Z a-z 0-9 - _ . :, a letter or digit first",
                id.chars().take(80).collect::<String>()
            ));
        }
        let why = self.trouble().map(|why| format!(" The file has mistakes: {why}")).unwrap_or_default();
        let file = self.0.file.display();
        Err(format!("There is no service `{id}` in {file}; `list_servers` shows those there are.{why}"))
    }

    /// Starts a service after all that it depends on, and waits until it is ready, at most so long.
    pub(crate) async fn start(&self, id: &str, port: Option<u16>, wait: Option<Duration>) -> Started {
        let service = match self.get(id) {
            Ok(service) => service,
            Err(why) => return Started::Failed(why),
        };
        let definition = service.now().definition;
        let needs = definition.depends_on.iter().map(|(other, condition)| self.provide(other, *condition));
        let needs: Vec<_> = needs.collect();
        for done in futures_util::future::join_all(needs).await {
            if let Err(why) = done {
                return Started::Failed(format!("`{id}` is not started: {why}"));
            }
        }
        let own = match service.begin(port).await {
            Begun::Run(own) => own,
            Begun::Not(why) => return Started::Failed(format!("`{id}` is not started: {why}")),
        };
        let longest = definition.ready.as_ref().map_or(Duration::from_secs(5), |ready| ready.timeout);
        let wait = wait.unwrap_or(longest + Duration::from_secs(1));
        let now = service.wait_for(|now| now.state != State::Starting, wait).await;
        match now.state {
            state if state.is_up() => Started::Up(now, !own),
            State::Starting => Started::NotYet(now),
            State::Restarting | State::Failed => {
                // Nothing of it is left when this is said.
                if let Some(run) = &now.run {
                    let _ = run.ended().await;
                }
                let why = now.reason.clone().unwrap_or_default();
                let lines = service.last_lines(self.0.cover);
                let last = match lines.is_empty() {
                    true => String::new(),
                    false => format!("\nIts last lines:\n{}", lines.join("\n")),
                };
                let again = if now.state == State::Restarting { " It will be started again." } else { "" };
                Started::Failed(format!("`{id}` did not come up: {why}.{again}{last}"))
            }
            _ => Started::Failed(format!("`{id}` was stopped while it was starting.")),
        }
    }

    /// Brings about what a service needs of another.
    async fn provide(&self, id: &str, condition: Condition) -> Result<(), String> {
        let service = self.get(id)?;
        // Others that need the same wait here as well.
        let started = Box::pin(self.start(
            id,
            None,
            Some(match condition {
                Condition::Started | Condition::Exited | Condition::ExitedOk => Duration::ZERO,
                Condition::Ready => Duration::MAX / 4,
            }),
        ))
        .await;
        match (condition, started) {
            (Condition::Exited | Condition::ExitedOk, _) => {
                let over = |now: &Now| now.run.as_ref().is_some_and(|run| run.exit().is_some());
                let now = service.wait_for(over, DEPENDENCY_ENDS).await;
                match now.run.and_then(|run| run.exit()) {
                    Some(exit) if condition == Condition::Exited || exit.code == Some(0) => Ok(()),
                    Some(exit) => Err(format!("`{id}`, which it depends on, {exit}")),
                    None => Err(format!("`{id}`, which it depends on, did not end")),
                }
            }
            (_, Started::Failed(why)) => Err(why),
            (Condition::Ready, Started::NotYet(_)) => {
                Err(format!("`{id}`, which it depends on, is not ready"))
            }
            _ => Ok(()),
        }
    }

    /// Stops a service; what depends on it goes on.
    pub(crate) async fn stop(&self, id: &str, grace: Option<Duration>) -> Result<Stopping, String> {
        let service = self.get(id)?;
        let (run, stopped) = service.stop(grace).await;
        Ok(Stopping { id: service.id.clone(), run, stopped })
    }

    /// Those of these names or with one of these tags; all where neither is said. [`Definition::only_by_name`] is up to
    /// the caller.
    pub(crate) fn chosen(&self, names: &[String], tags: &[String]) -> Result<Vec<Arc<Service>>, String> {
        for name in names {
            self.get(name)?;
        }
        let mut all = self.list();
        all.retain(|service| {
            let tagged = || service.now().definition.tags.iter().any(|tag| tags.contains(tag));
            (names.is_empty() && tags.is_empty())
                || names.iter().any(|name| **name == *service.id)
                || tagged()
        });
        Ok(all)
    }

    /// Stops services, those first on which nothing depends, side by side where that may be, with one deadline.
    pub(crate) async fn stop_all(&self, chosen: Vec<Arc<Service>>, grace: Option<Duration>) -> Vec<Stopping> {
        let began = Instant::now();
        let mut left: BTreeMap<Arc<str>, Arc<Service>> =
            chosen.into_iter().map(|service| (service.id.clone(), service)).collect();
        let mut stopped = Vec::new();
        while !left.is_empty() {
            let needed: BTreeSet<Arc<str>> = left
                .values()
                .flat_map(|service| service.now().definition.depends_on.clone())
                .map(|(other, _)| other)
                .collect();
            let mut free: Vec<Arc<Service>> =
                left.values().filter(|service| !needed.contains(&service.id)).cloned().collect();
            if free.is_empty() {
                // A circle, which a file that was changed while services run can make.
                free = left.values().cloned().collect();
            }
            let grace = grace.map(|grace| grace.saturating_sub(began.elapsed()));
            let each = free.iter().map(|service| async move {
                let (run, stopped) = service.stop(grace).await;
                Stopping { id: service.id.clone(), run, stopped }
            });
            stopped.extend(futures_util::future::join_all(each).await);
            left.retain(|id, _| !free.iter().any(|service| service.id == *id));
        }
        stopped
    }
}

fn configuration(file: &Path) -> Result<Configuration, String> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("{} cannot be read: {error}", file.display()))?;
    read(file, &text).map_err(|problems| problems.render(100, Colours::Never))
}
