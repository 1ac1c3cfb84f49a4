//! Counters of a policy that was not in force, counted through what was recorded.

use portcullis_policy::{Call, Counts, Decimal, Due, Limit, Scope};
use std::collections::HashMap;

/// What was used of each counter, by window and scope.
#[derive(Default)]
pub(super) struct Budget(HashMap<(String, String, i64, String), Decimal>);

impl Budget {
    /// Charges a call that may pass, or gives the limit that refuses it. Sessions are not in the record, so a limit of a session is
    /// counted as one of its grant. How many ran at once is not looked at.
    pub(super) fn draw<P>(&mut self, due: &Due<'_>, call: &Call<'_, P>, unix_ms: i64) -> Option<String> {
        let mut taken: Vec<((String, String, i64, String), Decimal)> = Vec::new();
        for (limit, amount) in due.iter() {
            let key = key(limit, call, unix_ms);
            let used = self.0.get(&key).copied().unwrap_or(Decimal::ZERO);
            let same = taken.iter().position(|(other, _)| *other == key);
            let amount = same.and_then(|at| taken.get(at)).map_or(amount, |(_, other)| amount.max(*other));
            if !used.checked_add(&amount).is_ok_and(|used| used <= limit.max) {
                return Some(limit.pointer().to_owned());
            }
            match same.and_then(|at| taken.get_mut(at)) {
                Some(taken) => taken.1 = amount,
                None => taken.push((key, amount)),
            }
        }
        for (key, amount) in taken {
            let used = self.0.entry(key).or_insert(Decimal::ZERO);
            *used = used.checked_add(&amount).unwrap_or(*used);
        }
        None
    }
}

fn key<P>(limit: &Limit, call: &Call<'_, P>, unix_ms: i64) -> (String, String, i64, String) {
    let scope = match (&limit.counts, limit.scope) {
        (Counts::Identical, _) => {
            let arguments = portcullis_wire::canonical(call.arguments);
            format!("{} {}/{} {arguments}", call.facts.grant, call.tool.upstream, call.tool.name)
        }
        (_, Scope::Grant | Scope::Session) => format!("grant {}", call.facts.grant),
        (_, Scope::Upstream) => format!("upstream {}", call.tool.upstream),
        (_, Scope::Everyone) => String::new(),
    };
    (limit.counter.clone(), limit.window.to_string(), limit.window.start(unix_ms), scope)
}
