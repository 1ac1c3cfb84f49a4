//! Which gate a command means: its configuration, its data folder, its socket.

use crate::cli::PlaceArgs;
use crate::config::{self, Config};
use crate::failure::Failure;
use data_encoding::HEXLOWER;
use portcullis_document::Colours;
use sha2::Digest;
use std::io::IsTerminal;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The configuration file that the arguments name or that is found from the current folder.
pub(crate) fn config_file(place: &PlaceArgs) -> Result<Option<PathBuf>, Failure> {
    match &place.config {
        Some(file) if file.is_file() => Ok(Some(file.clone())),
        Some(file) => Err(Failure::usage(format!("there is no configuration at {}", file.display()))),
        None => {
            let here = std::env::current_dir()
                .map_err(|error| Failure::usage(format!("no current folder: {error}")))?;
            Ok(config::find(&here))
        }
    }
}

/// Reads a configuration file.
pub(crate) fn read_config(file: &Path) -> Result<Config, Failure> {
    let text = read_text(file)?;
    config::read(file, &text).map_err(|problems| Failure::report(&rendered(&problems)))
}

fn read_text(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file)
        .map_err(|error| Failure::usage(format!("{} cannot be read: {error}", file.display())))
}

/// A list of mistakes for a person.
pub(crate) fn rendered(problems: &portcullis_document::Problems) -> String {
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    problems.render(100, if colours { Colours::Always } else { Colours::Never })
}

/// The data folder: `--data`, `PORTCULLIS_DATA`, or what the configuration says.
pub(crate) fn data_folder(place: &PlaceArgs) -> Result<PathBuf, Failure> {
    if let Some(data) = &place.data {
        return absolute(data);
    }
    match config_file(place)? {
        Some(file) => {
            let text = read_text(&file)?;
            config::read_data(&file, &text).map_err(|problems| Failure::report(&rendered(&problems)))
        }
        None => Err(Failure::unreachable(
            "no gate is known here: no portcullis.yaml in this folder or above, and no --data; `portcullis up` makes one",
        )),
    }
}

/// A path from the root.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| Failure::usage(format!("{}: {error}", path.display())))
}

/// Makes the data folder (mode 0700) and checks whose it is.
pub(crate) fn make_data_folder(folder: &Path) -> Result<(), Failure> {
    let failed =
        |why: String| Failure::usage(format!("the data folder {} cannot be used: {why}", folder.display()));
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| failed(error.to_string()))?;
    let meta = std::fs::metadata(folder).map_err(|error| failed(error.to_string()))?;
    if meta.permissions().mode() & 0o077 != 0 {
        return Err(failed(format!(
            "others may look into it (mode {:o}); `chmod 700` it",
            meta.permissions().mode() & 0o777
        )));
    }
    Ok(())
}

/// Where a gate that starts puts the control socket of its data folder. Socket paths have at most 107 bytes, so it stands in the user's runtime
/// folder under a hash of the data folder, or in the data folder itself.
pub(crate) fn socket(folder: &Path) -> Result<PathBuf, Failure> {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
    let hash = HEXLOWER
        .encode(sha2::Sha256::digest(folder.as_os_str().as_encoded_bytes()).get(..8).unwrap_or_default());
    let runtime = std::env::var_os("XDG_RUNTIME_DIR")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute() && path.is_dir());
    let path = match runtime {
        Some(runtime) => runtime.join("portcullis").join(format!("{hash}.sock")),
        None => folder.join("control.sock"),
    };
    if path.as_os_str().len() > 107 {
        return Err(Failure::usage(format!(
            "the socket's path {} is longer than 107 bytes: set XDG_RUNTIME_DIR or use a shorter --data",
            path.display()
        )));
    }
    Ok(path)
}
