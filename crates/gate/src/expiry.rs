//! Grants whose time is over: what they ask for is refused, what they have open ends.

use crate::answer::{Answer, plain};
use crate::gate::Gate;
use crate::session::Route;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderValue, StatusCode};
use parking_lot::Mutex;
use portcullis_admit::Principal;
use portcullis_ledger::now_ms;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The rule that rows of such refusals name.
const RULE: &str = "(expired)";
/// Each grant has one row in this time. The operator sees that somebody still tries, and a token that was meant to be
/// worth nothing any more cannot make the record grow.
const ONE_ROW: Duration = Duration::from_mins(1);

/// What was refused to expired grants.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    count: AtomicU64,
    rows: Mutex<HashMap<String, Since>>,
}

/// A grant's last row, and how many requests were refused since.
#[derive(Debug)]
struct Since {
    row: Instant,
    unsaid: u64,
}

impl Refusals {
    /// All of them since the start.
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Counts one. Gives how many others no row speaks of yet, where a row is due.
    fn add(&self, grant: &str, now: Instant) -> Option<u64> {
        self.count.fetch_add(1, Ordering::Relaxed);
        let mut rows = self.rows.lock();
        match rows.get_mut(grant) {
            Some(since) if now.saturating_duration_since(since.row) < ONE_ROW => {
                since.unsaid += 1;
                None
            }
            Some(since) => {
                since.row = now;
                Some(std::mem::take(&mut since.unsaid))
            }
            None => {
                rows.insert(grant.to_owned(), Since { row: now, unsaid: 0 });
                Some(0)
            }
        }
    }
}

/// Refuses a request of a grant that has expired, on every route and in every session.
pub(crate) async fn check(gate: &Gate, who: &Principal, route: &Route) -> Result<(), Answer> {
    if !who.expired(now_ms()) {
        return Ok(());
    }
    let name = who.name();
    if let Some(others) = gate.expired.add(name, Instant::now()) {
        let upstream = match route {
            Route::One(upstream) => Some(&**upstream),
            Route::All => None,
        };
        let mut why = format!("The grant {name} has expired.");
        if others > 0 {
            why.push_str(&format!(" {others} more of its requests were refused since the row before."));
        }
        gate.admit.turned_away(who, upstream, None, RULE, &why).await;
    }
    let why = format!(
        "the grant `{name}` has expired; its operator ends it with `portcullis grant revoke {name}` and makes another with `grant add`"
    );
    let mut answer = plain(StatusCode::UNAUTHORIZED, &why);
    // RFC 6750, section 3.1.
    let challenge = "Bearer error=\"invalid_token\", error_description=\"The grant has expired\"";
    answer.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    Err(answer)
}

/// Ends what expired grants still have open.
pub(crate) async fn sweep(gate: &Arc<Gate>) {
    let now = now_ms();
    let grants = gate.grants();
    let over: Vec<_> =
        grants.all().into_iter().filter(|grant| grant.expires.is_some_and(|end| now >= end)).collect();
    if !over.is_empty() {
        let expired = |name: &str| over.iter().any(|grant| grant.name == name);
        gate.end_what_is_of(expired, "its grant has expired");
        gate.give_up_tasks(|task| expired(&task.owner), "its grant has expired").await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grant_that_goes_on_trying_has_one_row_a_minute_which_counts_the_others() {
        let refusals = Refusals::default();
        let now = Instant::now();
        assert_eq!(refusals.add("a", now), Some(0));
        assert_eq!(refusals.add("a", now), None);
        assert_eq!(refusals.add("a", now + Duration::from_secs(59)), None);
        assert_eq!(refusals.add("b", now), Some(0));
        assert_eq!(refusals.add("a", now + ONE_ROW), Some(2));
        assert_eq!(refusals.add("a", now + ONE_ROW), None);
        assert_eq!(refusals.count(), 6);
    }
}
