//! The built-in servers of the configuration.

use parking_lot::Mutex;
use portcullis_admit::covered_line;
use portcullis_builtin::serve;
use portcullis_runs::{Held, Keepers};
use portcullis_services::{Services, ServicesServer};
use portcullis_upstreams::{Builtin, BuiltinSpec, Builtins, How, Spec};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::DuplexStream;

/// Bytes that may wait for the other side to read them.
const BUFFER: usize = 64 * 1024;
/// Where in the data folder the output of services is kept.
const FOLDER: &str = "services";

/// The built-in servers by the names of their upstreams.
#[derive(Debug)]
pub(crate) struct BuiltinServers {
    keepers: Keepers,
    folder: PathBuf,
    all: Mutex<BTreeMap<Arc<str>, (BuiltinSpec, Services)>>,
}

impl BuiltinServers {
    pub(crate) fn new(keepers: Keepers, data: &Path) -> Self {
        Self { keepers, folder: data.join(FOLDER), all: Mutex::default() }
    }

    /// Takes those of a configuration, and reads their own files again.
    pub(crate) fn read(&self, upstreams: &[Spec]) {
        let mut all = self.all.lock();
        let mut before = std::mem::take(&mut *all);
        for spec in upstreams {
            let How::Builtin(builtin) = &spec.how else { continue };
            let Builtin::Services = builtin.kind;
            let services = match before.remove(&spec.name) {
                Some((old, services)) if old == *builtin => {
                    if let Err(why) = services.reload() {
                        tracing::warn!(upstream = %spec.name, "its services stay as they are: {why}");
                    }
                    services
                }
                _ => Services::new(
                    &spec.name,
                    &builtin.config,
                    &self.folder,
                    self.keepers.clone(),
                    covered_line,
                ),
            };
            all.insert(spec.name.clone(), (builtin.clone(), services));
        }
    }

    /// Gives what goes on since an earlier gate to whose it is.
    pub(crate) fn adopt(&self, runs: &[Arc<Held>]) {
        for (_, services) in self.all.lock().values() {
            services.adopt(runs);
        }
    }
}

impl Builtins for BuiltinServers {
    fn connect(&self, upstream: &str, owner: &str) -> Result<DuplexStream, String> {
        let all = self.all.lock();
        let (_, services) = all.get(upstream).ok_or("the configuration does not have it any more")?;
        let (ours, theirs) = tokio::io::duplex(BUFFER);
        let (reading, writing) = tokio::io::split(theirs);
        tokio::spawn(serve(Arc::new(ServicesServer::of(services, owner)), reading, writing));
        Ok(ours)
    }
}
