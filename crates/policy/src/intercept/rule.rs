//! One rule of a tool.

use portcullis_document::{Kind, Value, duration};

use super::condition::{Condition, Polarity, path};
use super::report::Report;
use super::tool::Counters;
use super::write::{Clause, Counted, Said};
use super::{Members, scalar, some};

/// Whose rule it is.
#[derive(Debug, Clone, Copy)]
pub(super) enum Scope<'n> {
    Tool(&'n str),
    All,
}

impl Scope<'_> {
    /// The word for it in the path of a counter.
    fn word(self) -> String {
        match self {
            Self::Tool(name) => name.to_owned(),
            Self::All => "_global".to_owned(),
        }
    }
}

const KEYS: [&str; 9] = [
    "name",
    "description",
    "action",
    "conditions",
    "rate_limit",
    "state",
    "on_deny",
    "approval_timeout",
    "spend",
];
const WINDOWS: [&str; 3] = ["minute", "hour", "day"];

/// Adds what a rule says.
pub(super) fn rule(
    value: &Value<'_>,
    scope: Scope<'_>,
    counters: &mut Counters,
    said: &mut Said,
    report: &mut Report<'_>,
) {
    let Some(members) = Members::of(value) else { return };
    members.report_others(&KEYS, report);
    let rule = Rule {
        name: members.text("name").unwrap_or_else(|| "a rule without a name".to_owned()),
        words: members.text("on_deny"),
        members,
        scope,
    };
    let action = rule.members.text("action");
    let read = match (rule.some("spend"), action.as_deref().unwrap_or("evaluate")) {
        (Some(_), _) => {
            Err("`spend` reads the price out of a server's request for payment, which no rule here does"
                .to_owned())
        }
        (None, "deny") => rule.deny(said, report),
        (None, "evaluate") => rule.evaluate(counters, said, report),
        (None, "require_approval") => {
            rule.hold(said, report);
            Ok(())
        }
        (None, other) => Err(format!("Intercept has no action {other:?}")),
    };
    if let Err(why) = read {
        report.changed(value, &rule.name, &format!("{why}; every call is denied in its place"));
        said.deny_if.push(rule.clause(&why, Vec::new()));
    }
}

struct Rule<'v> {
    name: String,
    words: Option<String>,
    members: Members<'v>,
    scope: Scope<'v>,
}

impl<'v> Rule<'v> {
    /// A member that says something.
    fn some(&self, key: &str) -> Option<Value<'v>> {
        let says = |value: &&Value<'_>| match &value.node().kind {
            Kind::Null => false,
            Kind::List(nodes) => !nodes.is_empty(),
            Kind::Map(entries) => !entries.is_empty(),
            _ => true,
        };
        self.members.get(key).filter(says).cloned()
    }

    fn clause(&self, more: &str, conditions: Vec<String>) -> Clause {
        let comment = if more.is_empty() { self.name.clone() } else { format!("{}: {more}", self.name) };
        Clause { comment, conditions, words: self.words.clone(), timeout: None }
    }

    fn conditions(&self) -> Option<Vec<Value<'v>>> {
        self.some("conditions").map(|value| value.list().unwrap_or_default())
    }

    fn deny(&self, said: &mut Said, report: &mut Report<'_>) -> Result<(), String> {
        if self.some("conditions").is_some() || self.some("rate_limit").is_some() {
            return Err("Intercept takes neither conditions nor a limit beside `deny`".into());
        }
        if let Some(state) = self.some("state") {
            report.kept(&state, &self.name, "a rule that denies counts nothing");
        }
        said.deny_if.push(self.clause("", Vec::new()));
        Ok(())
    }

    /// Conditions that must hold for a call to pass, and how often it may.
    fn evaluate(
        &self,
        counters: &mut Counters,
        said: &mut Said,
        report: &mut Report<'_>,
    ) -> Result<(), String> {
        let conditions = self.conditions();
        if let Some(limit) = self.some("rate_limit") {
            if conditions.is_some() || self.some("state").is_some() {
                return Err("Intercept takes neither conditions nor `state` beside `rate_limit`".into());
            }
            let (max, window) = rate(&limit).ok_or("`rate_limit` is not written as 10/minute")?;
            let counter = counters.name(&self.scope.word(), &format!("_rate_{window}"));
            self.limit(
                Counted { comment: self.name.clone(), counter, window, max, amount: None },
                &limit,
                said,
                report,
            );
            return Ok(());
        }
        let conditions = conditions.ok_or("Intercept takes no rule without conditions")?;
        let state = State::of(self)?;
        let own = state.as_ref().map(|state| format!("state.{}.{}", self.scope.word(), state.counter));
        let (mut required, mut bound, mut remarks) = (Vec::new(), None, Vec::new());
        for value in &conditions {
            let condition = Condition::of(value, own.as_deref(), Polarity::Required, report)?;
            match condition {
                Condition::Judged { predicate, remark } => {
                    required.push(predicate);
                    remarks.extend(remark.map(|remark| (value, remark)));
                }
                Condition::Bound(max) => bound = Some(bound.map_or(max, |bound: i64| bound.min(max))),
            }
        }
        // Not before all of it is known to be kept: a rule that denies everything differs in nothing else.
        let limit = match (&state, bound) {
            (Some(state), Some(bound)) => Some(state.limit(self, bound, counters)?),
            _ => None,
        };
        for (value, remark) in remarks {
            report.changed(value, &self.name, &remark);
        }
        if !required.is_empty() {
            said.require.push(self.clause("", required));
        }
        match (limit, &state) {
            (Some(limit), Some(state)) => {
                if state.increment < 0 {
                    let why = "it counted downwards there and so refused nothing; here each call counts 1";
                    report.changed(&state.value, &self.name, why);
                }
                self.limit(limit, &state.value, said, report);
            }
            (None, Some(state)) => {
                let why = "without a bound on it (`lt` or `lte`), the counter counted nothing there, and is not there here";
                report.kept(&state.value, &self.name, why);
            }
            _ => {}
        }
        Ok(())
    }

    fn limit(&self, limit: Counted, at: &Value<'_>, said: &mut Said, report: &mut Report<'_>) {
        let mut why = "what ends in a JSON-RPC error is not given back here".to_owned();
        if limit.amount.is_some() {
            why.push_str("; fractions count here, and a negative amount is denied");
        }
        if self.words.is_some() {
            why.push_str("; the caller reads when it begins anew, and not the text of `on_deny`");
        }
        let what = format!("{}: {} per {}", self.name, limit.max, limit.window);
        report.changed(at, &what, &why);
        said.limit(limit);
    }

    /// Conditions under which a person is asked. What of them cannot be said here is left out, so that one is asked more often.
    fn hold(&self, said: &mut Said, report: &mut Report<'_>) {
        for key in ["state", "rate_limit"] {
            if let Some(value) = self.some(key) {
                report.changed(
                    &value,
                    &self.name,
                    "what waits for a person is not counted by the rule that lets it wait",
                );
            }
        }
        let (mut conditions, mut left_out) = (Vec::new(), Vec::new());
        for value in self.conditions().unwrap_or_default() {
            match Condition::of(&value, None, Polarity::Held, report) {
                Ok(Condition::Judged { predicate, remark }) => {
                    conditions.push(predicate);
                    if let Some(remark) = remark {
                        report.changed(&value, &self.name, &remark);
                    }
                }
                Ok(Condition::Bound(_)) => {}
                Err(why) => {
                    report.changed(
                        &value,
                        &self.name,
                        &format!("{why}; a person is asked without this condition"),
                    );
                    left_out.push(why);
                }
            }
        }
        let timeout = self.some("approval_timeout").and_then(|value| {
            let time = scalar(&value).and_then(|text| time(&text));
            if time.is_none() {
                report.changed(
                    &value,
                    &self.name,
                    "it is no time such as 30m, so that of portcullis.yaml holds",
                );
            }
            time
        });
        said.hold_if.push(Clause { timeout, ..self.clause(&left_out.join(", "), conditions) });
    }
}

/// What a rule counts.
struct State<'v> {
    value: Value<'v>,
    counter: String,
    window: &'static str,
    increment: i64,
    /// The path of the argument that is counted.
    amount: Option<String>,
}

impl<'v> State<'v> {
    fn of(rule: &Rule<'v>) -> Result<Option<Self>, String> {
        let Some(value) = rule.some("state") else { return Ok(None) };
        let members = match value.node().kind {
            Kind::Map(_) => Members::of(&value),
            _ => None,
        };
        let members = members.ok_or("`state` is no map")?;
        let counter =
            members.text("counter").filter(|text| !text.trim().is_empty()).ok_or("`state` has no counter")?;
        let window = members.text("window").unwrap_or_default();
        let window = WINDOWS
            .into_iter()
            .find(|known| *known == window)
            .ok_or("its window is none of minute, hour and day")?;
        let amount = match members.text("increment_from") {
            None => None,
            Some(text) => Some(path(&text).ok_or("`increment_from` is no path to an argument")?),
        };
        let increment = match members.get("increment").and_then(some) {
            None => 1,
            Some(_) if amount.is_some() => {
                return Err("it counts by `increment` and by `increment_from`".into());
            }
            Some(value) => match scalar(&value)
                .and_then(|text| text.parse().ok())
                .ok_or("`increment` is no whole number")?
            {
                0 => 1,
                increment => increment,
            },
        };
        Ok(Some(Self { value, counter, window, increment, amount }))
    }

    /// The limit that comes of a bound on the counter.
    fn limit(&self, rule: &Rule<'_>, bound: i64, counters: &mut Counters) -> Result<Counted, String> {
        if bound < 0 {
            return Err("its counter never is so low, so it let no call pass".into());
        }
        let counter = counters.name(&rule.scope.word(), &self.counter);
        // So many calls fit below the bound.
        let max = bound / self.increment.max(1);
        Ok(Counted {
            comment: rule.name.clone(),
            counter,
            window: self.window,
            max,
            amount: self.amount.clone(),
        })
    }
}

/// Reads `10/minute`.
fn rate(value: &Value<'_>) -> Option<(i64, &'static str)> {
    let text = scalar(value)?;
    let (count, window) = text.split_once('/')?;
    let count = count.trim().parse().ok().filter(|count| *count > 0)?;
    Some((count, WINDOWS.into_iter().find(|known| *known == window.trim())?))
}

/// A time such as `1h30m`, as this language writes it: one number and one unit.
fn time(text: &str) -> Option<String> {
    let mut millis = 0u128;
    let mut rest = text;
    while !rest.is_empty() {
        let unit = rest.find(|c: char| !c.is_ascii_digit())?;
        let end = rest.get(unit..)?.find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |end| unit + end);
        let (part, after) = rest.split_at_checked(end)?;
        // Days are none of Go's units.
        millis += duration(part).filter(|_| !part.ends_with('d'))?.as_millis();
        rest = after;
    }
    let (length, unit) = [(3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms")]
        .into_iter()
        .find(|(length, _)| millis > 0 && millis.is_multiple_of(*length))?;
    Some(format!("{}{unit}", millis / length))
}

#[cfg(test)]
mod tests {
    use super::time;

    #[test]
    fn times_of_go_have_several_units() {
        assert_eq!(time("30m").as_deref(), Some("30m"));
        assert_eq!(time("1h30m").as_deref(), Some("90m"));
        assert_eq!(time("1m0.5s"), None);
        assert_eq!(time("2h0m0s").as_deref(), Some("2h"));
        for none in ["", "0s", "5", "1d", "soon", "-5m"] {
            assert_eq!(time(none), None, "{none}");
        }
    }
}
