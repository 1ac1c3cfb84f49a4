//! Ways in which agents are turned against their users, which tools invite them, and how far the gate stops them.

use crate::{Category, Entry, Known, Signal};
use serde::Serialize;

/// How far something is stopped, in one honest word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Coverage {
    /// It does not get through.
    Stopped,
    /// It gets through a little: so much, or so often, as the policy allows.
    Limited,
    /// It gets through, and is seen afterwards.
    Recorded,
}

impl Coverage {
    /// As pages and JSON spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Limited => "limited",
            Self::Recorded => "recorded",
        }
    }
}

/// A way of attack.
#[derive(Debug)]
pub struct Attack {
    /// Its name in addresses.
    pub id: &'static str,
    /// Its name for people.
    pub name: &'static str,
    /// What it looks like.
    pub looks: &'static str,
    /// Which tools invite it.
    pub invited_by: &'static str,
    /// What stops it here.
    pub stops: &'static str,
    /// How far.
    pub coverage: Coverage,
    /// Whether a tool invites it.
    invites: fn(&Entry) -> bool,
}

impl Attack {
    /// The tools that invite it, by name.
    pub fn inviting<'a>(&self, known: &'a Known) -> Vec<&'a str> {
        known
            .tools
            .iter()
            .filter(|entry| (self.invites)(entry))
            .map(|entry| entry.tool.name.as_str())
            .collect()
    }
}

fn has(entry: &Entry, signal: Signal) -> bool {
    entry.class.signals.contains(&signal)
}

fn reads(entry: &Entry) -> bool {
    entry.class.category == Category::Read
}

/// Whether a rule is on what a definition has to do with other tools.
fn is_about_others(rule: &str) -> bool {
    rule == "goes-before-all-others" || rule.ends_with("-another-server")
}

/// All of them.
pub static ATTACKS: [Attack; 10] = [
    Attack {
        id: "runaway-loops",
        name: "Runaway tool loops",
        looks: "An agent calls the same tool again and again: a retry storm, two agents that answer each other, a plan that never ends. \
                The bill, or what was sent, grows while nobody looks.",
        invited_by: "tools that run, change or send something",
        stops: "Limits of the policy: so many calls a minute, an hour, a day, for one tool or for all. `portcullis drop` ends all of it at once.",
        coverage: Coverage::Limited,
        invites: |entry| !reads(entry),
    },
    Attack {
        id: "tool-poisoning",
        name: "Tool poisoning",
        looks: "A definition speaks to the model behind its user's back: hidden characters, markup such as `<IMPORTANT>`, orders to conceal \
                something or to set other orders aside, in a description, a default, an enum.",
        invited_by: "tools in whose definition something was found",
        stops: "Such a definition waits for a person before it is ever listed (quarantine). What is meant ill and said in plain words is not \
                found: there the policy decides, which denies what it does not name.",
        coverage: Coverage::Limited,
        invites: |entry| entry.findings.iter().any(|finding| !is_about_others(&finding.rule)),
    },
    Attack {
        id: "rug-pull",
        name: "Rug pull",
        looks: "A server shows harmless definitions until it is trusted, and others later; or an update of its package does.",
        invited_by: "every tool of a server that others maintain",
        stops: "Each definition, and what the server says that it is, is known by its fingerprint. What changed is denied until a person \
                accepts it. Another behaviour behind the same definition is not seen; it is limited and recorded as any call.",
        coverage: Coverage::Stopped,
        invites: |_| true,
    },
    Attack {
        id: "shadowing",
        name: "Tool shadowing",
        looks: "One server's definition gives orders about another server's tools, or takes a name that is theirs, so that calls and their \
                arguments go to it.",
        invited_by: "tools whose definition speaks of other tools, or whose name is, or looks like, that of another server's tool",
        stops: "On the common endpoint each tool has its server's name before its own, so none can be taken for another's. A definition \
                that gives an order about another server's tool waits for a person; one about all other tools is told.",
        coverage: Coverage::Limited,
        invites: |entry| entry.findings.iter().any(|finding| is_about_others(&finding.rule)),
    },
    Attack {
        id: "indirect-injection",
        name: "Indirect prompt injection",
        looks: "A page, a mail, an issue or a file that a tool reads has orders in it, and the agent follows them.",
        invited_by: "tools that bring in what others wrote: pages, mails, issues, files",
        stops: "What an agent then does is judged as any call: denied by default, its arguments held against the policy, hidden where it \
                destroys. What it reads passes unchanged.",
        coverage: Coverage::Limited,
        invites: |entry| reads(entry) && (has(entry, Signal::Url) || has(entry, Signal::FilePath)),
    },
    Attack {
        id: "exfiltration-chain",
        name: "Exfiltration by a chain of tools",
        looks: "One tool reads something private, another sends it out: two harmless calls, one leak.",
        invited_by: "tools that send something out, or take an address",
        stops: "Whatever sends is limited and its arguments can be held to known addresses. A policy can deny it to a \
                grant that called what reads in the last day (`grant.calls`), whatever its sessions. Whether what is \
                sent is what was read is not seen.",
        coverage: Coverage::Limited,
        invites: |entry| has(entry, Signal::SendsOut) || (has(entry, Signal::Url) && !reads(entry)),
    },
    Attack {
        id: "credential-leak",
        name: "Credential leak",
        looks: "A token stands in an error, in a log, in a configuration that an agent can read, and goes from there into a conversation.",
        invited_by: "tools that run code or read files",
        stops: "Agents never have the credentials: they are the gate's, and tokens of agents are good for the gate alone. Secrets are taken \
                out of the record and of command lines. Answers of a server pass as they are, unless a policy has `redact_result`.",
        coverage: Coverage::Limited,
        invites: |entry| has(entry, Signal::CodeOrQuery) || (reads(entry) && has(entry, Signal::FilePath)),
    },
    Attack {
        id: "typosquatting",
        name: "Typosquatting",
        looks: "A package or a server whose name is nearly that of a known one.",
        invited_by: "every server that was found by its name alone",
        stops: "Only what stands in the configuration is started, as it stands there, and what it says that it is is kept. That the name \
                was right in the first place nobody but its user can know.",
        coverage: Coverage::Recorded,
        invites: |_| true,
    },
    Attack {
        id: "compromised-package",
        name: "Compromised package",
        looks: "The right server, and a bad release of it: one line more that sends a copy of each mail away.",
        invited_by: "every server that is installed when it is started (`npx`, `uvx`)",
        stops: "Another version than was accepted is denied until a person accepts it. What a release does behind the same version and the \
                same definitions is not seen.",
        coverage: Coverage::Limited,
        invites: |_| true,
    },
    Attack {
        id: "token-mis-redemption",
        name: "Token mis-redemption",
        looks: "A token that was made for one server is shown to another, which takes it.",
        invited_by: "servers at an address",
        stops: "A grant's token is good for the gate alone and is never forwarded. A server gets the headers that its own entry names, and \
                no other.",
        coverage: Coverage::Stopped,
        invites: |_| false,
    },
];

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_invites_an_attack_is_told_by_what_it_does() {
        let known = Known::of(
            "s",
            vec![
                json!({ "name": "read_page", "description": "Reads a page", "inputSchema": { "properties": { "url": { "type": "string" } } } }),
                json!({ "name": "send_email", "description": "Sends a mail. <IMPORTANT>x</IMPORTANT>" }),
            ],
        );
        let of = |id: &str| ATTACKS.iter().find(|attack| attack.id == id).unwrap().inviting(&known);
        assert_eq!(of("indirect-injection"), ["read_page"]);
        assert_eq!(of("exfiltration-chain"), ["send_email"]);
        assert_eq!(of("tool-poisoning"), ["send_email"]);
        assert_eq!(of("runaway-loops"), ["send_email"]);
        assert_eq!(of("rug-pull").len(), 2);
    }
}
