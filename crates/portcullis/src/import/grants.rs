//! The grant under which a client that was pointed at the gate reaches its servers: in `portcullis.yaml`, so that it is
//! there as soon as the gate has the upstreams, whether one runs now or not.

use super::config::{add_grant, grant_block};
use crate::config::Config;
use std::collections::BTreeSet;
use std::path::Path;

/// A grant for a client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ClientGrant {
    /// Its name.
    pub name: String,
    /// The file with its token, in the folder of secrets.
    pub token_file: String,
    /// The upstreams that it has to reach.
    pub upstreams: BTreeSet<String>,
}

impl ClientGrant {
    /// The grant of this client: the one that an earlier import made, or one of a name that nobody has. `secrets` is
    /// the folder of secrets, `stored` are the names of grants that commands have made.
    pub(crate) fn of(
        client: &str,
        upstreams: BTreeSet<String>,
        config: &Config,
        secrets: &Path,
        stored: &BTreeSet<String>,
    ) -> Self {
        let base = match client {
            "file" => "imported".to_owned(),
            client => client.to_ascii_lowercase().replace(' ', "-"),
        };
        let numbered = (2u32..).map(|number| format!("{base}-{number}"));
        let names = std::iter::once(base.clone()).chain(numbered);
        let is_ours = |name: &String| {
            let token = std::fs::read_to_string(secrets.join(token_file(name))).ok();
            let of_config = config.grants.iter().find(|grant| grant.name == *name);
            match of_config {
                Some(grant) => token.is_some_and(|token| token.trim_end() == grant.token),
                // The configuration's would stand in the place of a stored one, whose token would be unknown.
                None => !stored.contains(name),
            }
        };
        let name = names.into_iter().find(is_ours).unwrap_or(base);
        Self { token_file: token_file(&name), name, upstreams }
    }

    /// The configuration with it; `None` where it is better edited by hand.
    pub(crate) fn added_to(&self, file: &Path, text: &str, secrets: &str) -> Option<String> {
        add_grant(file, text, &self.name, &self.token(secrets), &self.upstreams)
    }

    /// What to paste into the configuration.
    pub(crate) fn block(&self, secrets: &str) -> String {
        grant_block(&self.name, &self.token(secrets), &self.upstreams)
    }

    fn token(&self, secrets: &str) -> String {
        format!("${{file:{secrets}/{}}}", self.token_file)
    }
}

fn token_file(name: &str) -> String {
    format!("grant-{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_keeps_its_grant_and_takes_nobody_s_name() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = folder.path().join("s");
        std::fs::create_dir(&secrets).unwrap();
        std::fs::write(secrets.join("grant-cursor"), "token-of-cursor").unwrap();
        std::fs::write(secrets.join("own"), "another-token").unwrap();
        let config = |grants: &str| {
            crate::config::read(&folder.path().join("portcullis.yaml"), &format!("data: d\n{grants}"))
                .unwrap()
        };
        let of = |client: &str, config: &Config, stored: &[&str]| {
            let stored = stored.iter().map(|name| (*name).to_owned()).collect();
            ClientGrant::of(client, BTreeSet::new(), config, &secrets, &stored).name
        };
        let none = config("");
        assert_eq!(of("Claude Code", &none, &["me"]), "claude-code");
        assert_eq!(of("Cursor", &none, &["cursor", "cursor-2"]), "cursor-3");
        assert_eq!(of("file", &none, &[]), "imported");
        let ours = config("grants: { cursor: { token: \"${file:s/grant-cursor}\", upstreams: {} } }\n");
        assert_eq!(of("Cursor", &ours, &[]), "cursor");
        let theirs = config("grants: { cursor: { token: \"${file:s/own}\", upstreams: {} } }\n");
        assert_eq!(of("Cursor", &theirs, &[]), "cursor-2");
    }
}
