//! What a gate needs before it starts, for `up` and for a `stdio` that finds none to attach to.

use crate::cli::{PlaceArgs, UpArgs};
use crate::config::Config;
use crate::failure::Failure;
use crate::first_run;
use crate::lock::Lock;
use crate::out::aside_lines;
use crate::place::{self, config_file, read_config, rendered};
use crate::running::Own;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

/// All that is needed.
pub(super) struct Prepared {
    pub config: Config,
    pub own: Own,
    /// Holds the data folder.
    pub lock: Lock,
    /// Whether the configuration was made just now.
    pub fresh: bool,
}

/// The runtime of a gate. From here on a write beyond the limit on file size fails and says so; by default its
/// signal would end the gate without a word.
pub(crate) fn runtime(builder: &mut tokio::runtime::Builder) -> Result<Runtime, Failure> {
    let bug = |error: std::io::Error| Failure::bug(error.to_string());
    let runtime = builder.enable_all().build().map_err(bug)?;
    let inside = runtime.enter();
    // Heard and not ignored: what is ignored here would be ignored in every program that the gate starts.
    let _heard = signal(SignalKind::from_raw(rustix::process::Signal::XFSZ.as_raw())).map_err(bug)?;
    drop(inside);
    Ok(runtime)
}

/// Reads the configuration, or makes one where there is none, and takes the data folder.
pub(super) fn prepare(place: &PlaceArgs, args: &UpArgs) -> Result<Prepared, Failure> {
    let found = config_file(place)?;
    let fresh = found.is_none();
    let file = match found {
        Some(file) => file,
        None => first_run::make()?.file,
    };
    let mut config = read_config(&file)?;
    let own = Own {
        address: None,
        listen: args.listen.clone(),
        containment: args.containment.map(Into::into),
        data: place.data.as_deref().map(place::absolute).transpose()?,
    };
    own.apply(&mut config);
    if !config.warnings.is_empty() {
        aside_lines!("{}", rendered(&config.warnings).trim_end());
    }
    place::make_data_folder(&config.data)?;
    let lock = Lock::take(&config.data)?;
    Ok(Prepared { config, own, lock, fresh })
}
