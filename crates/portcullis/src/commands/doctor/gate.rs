//! The gate's own things: its address, data folder, ledger and socket, and whether it runs.

use super::check::Check;
use crate::config::is_loopback;
use crate::control::Client;
use http::Method;
use portcullis_ledger::{FILE, verify};
use serde_json::Value;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// Where the gate listens.
pub(super) fn listen(address: &str) -> Check {
    const NAME: &str = "listen address";
    let resolved: Vec<SocketAddr> = address.to_socket_addrs().map(Iterator::collect).unwrap_or_default();
    if resolved.is_empty() {
        return Check::fail(NAME, format!("{address} is no address"), "write one such as 127.0.0.1:7420");
    }
    if resolved.iter().all(is_loopback) {
        return Check::ok(NAME, format!("{address}, reached from this machine alone"));
    }
    let advice =
        "listen on 127.0.0.1 and put a proxy that ends TLS in front; `up` wants --insecure-listen for this";
    Check::warn(
        NAME,
        format!("{address} is reached by other machines, and tokens travel in the clear"),
        advice,
    )
}

/// The data folder.
pub(super) fn data(folder: &Path) -> Check {
    const NAME: &str = "data folder";
    let shown = folder.display();
    let meta = match std::fs::metadata(folder) {
        Ok(meta) => meta,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Check::ok(NAME, format!("{shown} is not there yet; the first start makes it"));
        }
        Err(error) => return Check::fail(NAME, format!("{shown}: {error}"), "check the folders above it"),
    };
    if !meta.is_dir() {
        return Check::fail(NAME, format!("{shown} is not a folder"), "name another one under `data`");
    }
    let own = rustix::process::getuid().as_raw();
    if meta.uid() != own {
        let found = format!("{shown} belongs to uid {}, this is uid {own}", meta.uid());
        return Check::fail(NAME, found, "run the gate as its owner, or name another folder under `data`");
    }
    let mode = meta.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        let found = format!("{shown} has mode {mode:o}: others may look into it");
        return Check::fail(NAME, found, format!("chmod 700 {shown}"));
    }
    Check::ok(NAME, format!("{shown}, mode {mode:o}"))
}

/// The record.
pub(super) fn ledger(data: &Path) -> Check {
    const NAME: &str = "ledger";
    if !data.join(FILE).is_file() {
        return Check::ok(NAME, "none yet; the first start begins one");
    }
    match verify(data, None) {
        Ok(report) if report.ok => Check::ok(NAME, format!("{} rows, every link holds", report.rows)),
        Ok(report) => {
            let row = report.first_bad.unwrap_or(0);
            let why = report.why.unwrap_or_default();
            let advice = "keep a copy of the file as it is; compare with a head that was kept elsewhere: \
                          `portcullis ledger verify --head HEAD`";
            Check::fail(NAME, format!("broken at row {row}: {why}"), advice)
        }
        Err(failure) => Check::fail(NAME, failure.to_string(), "check the file and the folder it is in"),
    }
}

/// Whether a gate runs, its socket, and its status where it answers.
pub(super) fn running(data: &Path) -> (Vec<Check>, Option<Value>) {
    const NAME: &str = "gate";
    let client = Client::at(data.to_owned());
    if !client.is_held() {
        return (vec![Check::warn(NAME, "does not run", "`portcullis up` starts it")], None);
    }
    let mut checks: Vec<Check> = client.socket().map(socket).into_iter().collect();
    match client.ask(Method::GET, "status", &Value::Null) {
        Ok(status) => {
            let text = |name: &str| status.get(name).map(Value::to_string).unwrap_or_default();
            let found = format!("runs, pid {}, on {}", text("pid"), text("listen").trim_matches('"'));
            match status.pointer("/ledger/trouble").and_then(Value::as_str) {
                Some(trouble) => {
                    let advice = "nothing passes until the ledger can be written: look at the disk";
                    checks.push(Check::fail(NAME, format!("{found}; {trouble}"), advice));
                }
                None => checks.push(Check::ok(NAME, found)),
            }
            (checks, Some(status))
        }
        Err(failure) => {
            let found = format!("holds the data folder and does not answer: {failure}");
            checks.push(Check::fail(
                NAME,
                found,
                "look at what it writes on stderr; stop it and start it again",
            ));
            (checks, None)
        }
    }
}

fn socket(path: &Path) -> Check {
    const NAME: &str = "control socket";
    match std::fs::metadata(path) {
        Err(error) => {
            Check::fail(NAME, format!("{}: {error}", path.display()), "stop the gate and start it again")
        }
        Ok(meta) if meta.permissions().mode() & 0o077 != 0 => {
            let found = format!("{} has mode {:o}", path.display(), meta.permissions().mode() & 0o777);
            Check::fail(NAME, found, format!("chmod 600 {}", path.display()))
        }
        Ok(_) => Check::ok(NAME, format!("{}, mode 600", path.display())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_that_others_reach_is_a_warning() {
        assert!(listen("127.0.0.1:7420").to_string().starts_with("ok"));
        assert!(listen("0.0.0.0:7420").to_string().starts_with("warn"));
        assert!(listen("nonsense").has_failed());
    }

    #[test]
    fn a_data_folder_that_others_may_read_fails() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        let check = data(folder.path());
        assert!(check.has_failed());
        assert!(check.to_string().contains("chmod 700"), "{check}");
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o700)).unwrap();
        assert!(!data(folder.path()).has_failed());
        assert!(!data(&folder.path().join("none")).has_failed());
    }
}
