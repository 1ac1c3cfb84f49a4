//! Grants: who may come in, to which upstreams, under which policies.

use data_encoding::BASE32_NOPAD;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A keyed hash of a token.
pub type TokenHash = [u8; 32];

/// An identity that an agent uses.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Its name, unique.
    pub name: String,
    /// Upstream name to policy name; `*` stands for all upstreams that are not named.
    pub upstreams: BTreeMap<String, String>,
    /// Free labels.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// When it ends, in milliseconds since 1970. `None`: never.
    pub expires: Option<i64>,
    /// When it was made, in milliseconds since 1970.
    pub created: i64,
    /// Whether it may decide approvals of others.
    #[serde(default)]
    pub approver: bool,
    /// Whether the rules of its policies are only tried.
    #[serde(default)]
    pub shadow: bool,
}

impl Grant {
    /// The policy for an upstream, where the grant covers it.
    #[must_use]
    pub fn policy_for(&self, upstream: &str) -> Option<&str> {
        self.upstreams.get(upstream).or_else(|| self.upstreams.get("*")).map(String::as_str)
    }
}

/// A fresh token: 160 random bits behind a prefix that secret scanners can look for.
///
/// # Errors
/// Where the system gives no random bytes.
pub fn new_token() -> Result<String, getrandom::Error> {
    let mut random = [0; 20];
    getrandom::fill(&mut random)?;
    Ok(format!("pcl_{}", BASE32_NOPAD.encode(&random).to_ascii_lowercase()))
}
