//! Whether what the record says can have happened: the chain proves that nobody changed the rows, this looks for what a gate must
//! never have written.

use crate::query::{Filter, query};
use crate::schema::Failure;
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Findings that are listed; the rest are counted.
const LISTED: usize = 100;

/// What an audit found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Audit {
    /// Rows that were read.
    pub rows: u64,
    /// Calls that passed.
    pub calls: u64,
    /// Of those, how many never ended in the record, because their gate was killed.
    pub cut_off: u64,
    /// Calls that passed because a person approved them.
    pub approved: u64,
    /// Whether nothing was found.
    pub ok: bool,
    /// What cannot have happened, each with the number of its row.
    pub findings: Vec<Finding>,
    /// Findings beyond those that are listed.
    pub more: u64,
}

/// One thing that cannot have happened.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The number of the row.
    pub row: u64,
    /// What is wrong, for a person.
    pub text: String,
}

/// Reads the whole record and looks for
///
/// - an approval that let two calls pass, or one that nobody gave;
/// - a call that passed for a grant after its revocation;
/// - an end of a call that never passed, or a second one;
/// - a call without an end in a gate that was stopped in order;
/// - a process that ended twice.
///
/// What begins before the first row that is there, because retention let go of it, is not taken for a finding.
///
/// # Errors
/// Where the record cannot be read.
pub fn audit(folder: &Path) -> Result<Audit, Failure> {
    let mut state = State::default();
    query(folder, &Filter::default(), |row| {
        state.take(&row);
        true
    })?;
    state.found.ok = state.found.findings.is_empty();
    Ok(state.found)
}

#[derive(Default)]
struct State {
    found: Audit,
    /// Of calls that passed and have not ended, how often each run did.
    open: HashMap<String, i64>,
    /// Approvals that a person gave, and those that were used.
    given: HashSet<String>,
    used: HashSet<String>,
    revoked: HashSet<String>,
    /// Processes that ended.
    ended: HashSet<String>,
    /// Rows before the first that was read are not there.
    is_cut: bool,
}

impl State {
    fn finding(&mut self, row: u64, text: String) {
        if self.found.findings.len() < LISTED {
            self.found.findings.push(Finding { row, text });
        } else {
            self.found.more += 1;
        }
    }

    fn take(&mut self, row: &Map<String, Value>) {
        let text = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default();
        let n = row.get("n").and_then(Value::as_u64).unwrap_or(0);
        if self.found.rows == 0 {
            self.is_cut = n > 1;
        }
        self.found.rows += 1;
        match (text("kind"), text("outcome")) {
            ("decision", "allowed") => self.passed(n, text("grant"), text("run"), text("message")),
            ("outcome", _) => self.over(n, text("run")),
            ("approval", "allowed") => {
                self.given.extend(approval_in(text("message")).map(str::to_owned));
            }
            ("admin", _) => self.admin(n, text("message")),
            ("run", "") if row.contains_key("verdict") => {
                let run = text("run").to_owned();
                if !run.starts_with("t_") && !self.ended.insert(run.clone()) {
                    self.finding(n, format!("the process of the run {run} ended twice"));
                }
            }
            _ => {}
        }
    }

    fn passed(&mut self, n: u64, grant: &str, run: &str, message: &str) {
        self.found.calls += 1;
        *self.open.entry(run.to_owned()).or_default() += 1;
        if self.revoked.contains(grant) {
            self.finding(n, format!("a call of the grant {grant} passed after it was revoked"));
        }
        let Some(id) = approval_in(message).filter(|_| message.starts_with("approved by ")) else { return };
        self.found.approved += 1;
        if !self.given.contains(id) && !self.is_cut {
            self.finding(n, format!("a call passed by the approval {id}, which nobody gave"));
        }
        if !self.used.insert(id.to_owned()) {
            self.finding(n, format!("a second call passed by the approval {id}"));
        }
    }

    fn over(&mut self, n: u64, run: &str) {
        match self.open.get_mut(run) {
            Some(open) if *open > 1 => *open -= 1,
            Some(_) => drop(self.open.remove(run)),
            None if self.is_cut => {}
            None => self.finding(n, format!("the run {run} ended more often than a call of it passed")),
        }
    }

    fn admin(&mut self, n: u64, message: &str) {
        let grant = message.strip_prefix("the grant ");
        if let Some(name) = grant.and_then(|rest| rest.strip_suffix(" was revoked")) {
            self.revoked.insert(name.to_owned());
        } else if let Some((name, _)) = grant.and_then(|rest| rest.split_once(" was added: ")) {
            self.revoked.remove(name);
        } else if message == "the gate stopped" {
            for (run, open) in std::mem::take(&mut self.open) {
                self.finding(
                    n,
                    format!("{open} calls of the run {run} have no end, and the gate was stopped in order"),
                );
            }
        } else if message == "the gate started" {
            // What the gate before had under way when it was killed.
            self.found.cut_off += self.open.drain().map(|(_, open)| open.unsigned_abs()).sum::<u64>();
        }
    }
}

/// The id of an approval in what is said of it, such as `approved by me (a_…)`.
fn approval_in(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("(a_")?;
    let (id, _) = rest.split_once(')')?;
    message.get(message.len() - rest.len() - 2..message.len() - rest.len() + id.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn findings(rows: &[Value]) -> Vec<(u64, String)> {
        let mut state = State::default();
        for (n, row) in (1..).zip(rows) {
            let mut row = row.as_object().unwrap().clone();
            row.insert("n".into(), Value::from(n));
            state.take(&row);
        }
        state.found.findings.into_iter().map(|found| (found.row, found.text)).collect()
    }

    #[test]
    fn what_cannot_have_happened_is_found_and_what_can_is_not() {
        let passed = |run: &str, message: &str| json!({"kind": "decision", "outcome": "allowed", "grant": "g", "run": run, "message": message});
        let over = |run: &str| json!({"kind": "outcome", "outcome": "allowed", "run": run});
        let said = |message: &str| json!({"kind": "admin", "message": message});
        let given =
            json!({"kind": "approval", "outcome": "allowed", "message": "approved by me (a_x): fine"});
        let end = json!({"kind": "run", "run": "r_p", "verdict": {}});
        for (rows, row, wrong) in [
            (vec![passed("a", ""), passed("a", ""), over("a"), over("a"), said("the gate stopped")], 0, ""),
            (vec![passed("a", ""), said("the gate started"), passed("b", ""), over("b")], 0, ""),
            (vec![given.clone(), passed("a", "approved by me (a_x)"), over("a")], 0, ""),
            (
                vec![said("the grant g was revoked"), said("the grant g was added: {}"), passed("a", "")],
                0,
                "",
            ),
            (vec![end.clone(), json!({"kind": "run", "run": "r_q", "verdict": {}})], 0, ""),
            (
                vec![given, passed("a", "approved by me (a_x)"), passed("b", "approved by me (a_x)")],
                3,
                "second",
            ),
            (vec![passed("a", "approved by me (a_y)")], 1, "nobody gave"),
            (vec![said("the grant g was revoked"), passed("a", "")], 2, "after it was revoked"),
            (vec![over("a")], 1, "more often"),
            (vec![passed("a", ""), over("a"), over("a")], 3, "more often"),
            (vec![passed("a", ""), said("the gate stopped")], 2, "no end"),
            (vec![end.clone(), end], 2, "ended twice"),
        ] {
            let found = findings(&rows);
            match row {
                0 => assert_eq!(found, [], "{rows:?}"),
                row => assert!(
                    found.len() == 1 && found[0].0 == row && found[0].1.contains(wrong),
                    "{found:?} {rows:?}"
                ),
            }
        }
    }
}
