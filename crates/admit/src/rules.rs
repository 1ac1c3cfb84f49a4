//! What configuration and policies say, compiled: replaced whole when something changes.

use crate::{Patience, Values};
use portcullis_catalogue::Risk;
use portcullis_ledger::{Grant, Keep};
use portcullis_policy::{Kind, Mode, Policy, Redactions, Target};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Everything that judging reads.
#[derive(Debug, Default)]
pub struct Rules {
    /// Policies by name.
    pub policies: BTreeMap<String, Loaded>,
    /// The base policy for all grants, where the configuration names one `everyone`.
    pub everyone: Option<Loaded>,
    /// What must be true before a call leaves.
    pub durability: Durability,
    /// What the record keeps of arguments.
    pub values: Values,
    /// How long calls wait for a person.
    pub patience: Patience,
}

/// A policy as it is in force.
#[derive(Debug, Clone)]
pub enum Loaded {
    /// It was read without errors.
    Good(Arc<Policy>),
    /// It was never read without errors: whoever needs it is denied, for this reason.
    Bad(String),
}

/// How far the record of a decision must have come before its call leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// In the operating system's hands.
    Process,
    /// On the disk for tools of high and critical risk, and for all that is no tool.
    #[default]
    Risky,
    /// On the disk.
    Every,
}

impl Durability {
    pub(crate) fn keep(self, risk: Risk) -> Keep {
        match self {
            Self::Process => Keep::Process,
            Self::Risky if risk < Risk::High => Keep::Process,
            Self::Risky | Self::Every => Keep::Disk,
        }
    }
}

/// The policies that judge a grant's calls to one upstream.
#[derive(Debug, Clone)]
pub(crate) struct InForce<'r> {
    pub name: &'r str,
    pub policy: &'r Arc<Policy>,
    pub everyone: Option<&'r Arc<Policy>>,
    /// Whether the grant's rules are enforced.
    pub mode: Mode,
}

impl Rules {
    /// Whether a policy asks what sessions called before.
    pub(crate) fn ask_for_session_calls(&self) -> bool {
        self.any(Policy::asks_for_session_calls)
    }

    /// Whether a policy asks what grants called in the last day. Whoever asks what a session called asks that, too.
    pub(crate) fn ask_for_grant_calls(&self) -> bool {
        self.any(|policy| policy.asks_for_grant_calls() || policy.asks_for_session_calls())
    }

    fn any(&self, asks: impl Fn(&Policy) -> bool) -> bool {
        self.policies.values().chain(&self.everyone).any(|loaded| match loaded {
            Loaded::Good(policy) => asks(policy),
            Loaded::Bad(_) => false,
        })
    }

    /// The policies for a grant at an upstream, or why there are none.
    pub(crate) fn in_force<'r>(&'r self, grant: &'r Grant, upstream: &str) -> Result<InForce<'r>, String> {
        let name = grant
            .policy_for(upstream)
            .ok_or_else(|| format!("The grant {} does not cover the upstream {upstream}.", grant.name))?;
        let policy = match self.policies.get(name) {
            Some(Loaded::Good(policy)) => policy,
            Some(Loaded::Bad(why)) => return Err(format!("The policy {name} cannot be used: {why}.")),
            None => return Err(format!("The configuration has no policy named {name}.")),
        };
        let everyone = match &self.everyone {
            None => None,
            Some(Loaded::Good(policy)) => Some(policy),
            Some(Loaded::Bad(why)) => return Err(format!("The policy everyone cannot be used: {why}.")),
        };
        let mode = if grant.shadow { Mode::Shadow } else { Mode::Enforced };
        Ok(InForce { name, policy, everyone, mode })
    }
}

impl<'r> InForce<'r> {
    fn all(&self) -> impl Iterator<Item = &'r Policy> {
        self.everyone.into_iter().chain([self.policy]).map(|policy| &**policy)
    }

    /// What those of them that cover something of a call cover.
    pub(crate) fn redactions(&self, target: &Target<'_>) -> Vec<Redactions<'r>> {
        let all = self.all().map(|policy| policy.redactions(target, self.mode));
        all.filter(|redactions| !redactions.is_empty()).collect()
    }

    pub(crate) fn visible(&self, tool: &Target<'_>) -> bool {
        self.all().all(|policy| policy.visible(tool, self.mode))
    }

    /// What tells these policies from all others.
    pub(crate) fn stamp(&self) -> String {
        let everyone = self.everyone.map_or("", |policy| policy.digest());
        format!("{}@{} {everyone}", self.name, self.policy.digest())
    }

    pub(crate) fn may(&self, kind: Kind) -> bool {
        self.all().all(|policy| policy.may(kind))
    }

    pub(crate) fn holds_calls(&self) -> bool {
        self.all().any(|policy| policy.holds_calls(self.mode))
    }

    pub(crate) fn default_allows(&self) -> bool {
        self.all().all(|policy| policy.default_allows())
    }
}
