//! Questions that a server puts into an answer, or into what is told of a task (`inputRequests`, 2026-07-28).

use portcullis_wire::{Envelope, Kind, check_strictly, keys, member, reads_as, text};

/// The member in which they stand.
const INPUTS: &str = "inputRequests";
/// The member in which stands what a task has come to.
pub(crate) const RESULT: &str = "result";
/// The members of one of them.
const PARTS: [&str; 2] = ["method", "params"];

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputRequest {
    /// Its key.
    pub key: String,
    /// What is asked.
    pub method: String,
    /// Its parameters, JSON.
    pub params: String,
}

/// The questions of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InputRequests {
    /// These, or none.
    Plain(Vec<InputRequest>),
    /// Something that only some readers take for questions, or that they take for different ones.
    Odd,
}

impl InputRequests {
    /// Those of a message. Nearly no message has any, and none needs to be read for it.
    #[must_use]
    pub fn of(message: &Envelope) -> Self {
        if !may_name_inputs(message.bytes()) {
            return Self::Plain(Vec::new());
        }
        let Some(inside) = message.result().or_else(|| message.params()) else {
            return Self::Plain(Vec::new());
        };
        // What a task has come to asks nothing any more. Of a call that does not ask, a result may have any member.
        let tells_of_a_task = message.kind() == Kind::Notification || member(inside, "status").is_some();
        let mut asks_later = false;
        portcullis_json::members(inside, &mut |name, value| {
            asks_later |= tells_of_a_task
                && reads_as(&name, RESULT)
                && keys(value).iter().any(|name| reads_as(name, INPUTS));
        });
        let names = keys(inside);
        let mut named = names.iter().filter(|name| reads_as(name, INPUTS));
        match (named.next(), named.next()) {
            _ if asks_later => Self::Odd,
            (None, _) => Self::Plain(Vec::new()),
            (Some(name), None) if name == INPUTS => match member(inside, INPUTS) {
                Some("null") | None => Self::Plain(Vec::new()),
                Some(inputs) => read(inputs).map_or(Self::Odd, Self::Plain),
            },
            (Some(_), _) => Self::Odd,
        }
    }

    /// Those that can be told apart.
    #[must_use]
    pub fn plain(self) -> Vec<InputRequest> {
        match self {
            Self::Plain(all) => all,
            Self::Odd => Vec::new(),
        }
    }
}

/// `None` where it is no object of questions that every reader reads in the same way.
fn read(inputs: &str) -> Option<Vec<InputRequest>> {
    if check_strictly(inputs).is_err() {
        return None;
    }
    let mut all = Some(Vec::new());
    portcullis_json::members(inputs, &mut |key, value| {
        let is_known = keys(value).iter().all(|name| PARTS.contains(&&**name));
        let method = member(value, "method").and_then(text).filter(|_| is_known);
        all = match (all.take(), method) {
            (Some(mut all), Some(method)) => {
                let params = member(value, "params").unwrap_or("{}").to_owned();
                all.push(InputRequest { key: key.into_owned(), method: method.into_owned(), params });
                Some(all)
            }
            _ => None,
        };
    })?;
    all
}

/// Whether the name of questions could stand in a text, by a search of its bytes. Whatever case it is in, and also where a letter of
/// it is escaped. The letters around the rarest have no other form.
fn may_name_inputs(text: &[u8]) -> bool {
    const AROUND: &[u8] = b"nputreque";
    let is_named = |q: usize| {
        let found = q.checked_sub(6).and_then(|from| text.get(from..from + AROUND.len()));
        found.is_some_and(|found| found.eq_ignore_ascii_case(AROUND))
    };
    let is_escape = |at: usize| text.get(at + 1) == Some(&b'u');
    memchr::memchr2_iter(b'q', b'Q', text).any(is_named) || memchr::memchr_iter(b'\\', text).any(is_escape)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_are_found_however_their_name_is_written() {
        let of = |inside: &str| {
            let text =
                format!(r#"{{"jsonrpc":"2.0","id":1,"result":{{"resultType":"input_required",{inside}}}}}"#);
            match InputRequests::of(&Envelope::reply(text.into()).unwrap()) {
                InputRequests::Plain(all) if all.is_empty() => "none",
                InputRequests::Plain(_) => "plain",
                InputRequests::Odd => "odd",
            }
        };
        let asks = r#"{"k":{"method":"sampling/createMessage"}}"#;
        for (name, found) in [
            ("inputRequests", "plain"),
            (r"\u0069nputRequests", "plain"),
            (r"input\u0052equests", "plain"),
            (r"inputRe\u0071uests", "plain"),
            ("InputRequests", "odd"),
            ("INPUTREQUESTS", "odd"),
            ("inputRequest\u{17f}", "odd"),
            ("\u{131}nputRequests", "odd"),
            (r"input\u0072equests", "odd"),
            ("inputRequest", "none"),
            ("input_requests", "none"),
        ] {
            assert_eq!(of(&format!(r#""{name}":{asks}"#)), found, "{name}");
            let twice = if found == "none" { "none" } else { "odd" };
            assert_eq!(of(&format!(r#""inputRequests":{{}},"{name}":{asks}"#)), twice, "{name}");
        }
        assert_eq!(of(r#""inputRequests":null"#), "none");
        for odd in [
            r#"[{"method":"elicitation/create"}]"#,
            r#""elicitation/create""#,
            "7",
            r#"{"k":[]}"#,
            r#"{"k":{}}"#,
            r#"{"k":{"method":7}}"#,
            r#"{"k":{"method":"roots/list","method":"elicitation/create"}}"#,
            r#"{"k":{"method":"roots/list","m\u0065thod":"elicitation/create"}}"#,
            r#"{"k":{"method":"roots/list","Method":"elicitation/create"}}"#,
            r#"{"k":{"method":"roots/list","text":"please"}}"#,
            r#"{"k":{"method":"roots/list","params":{},"params":{"message":"?"}}}"#,
            r#"{"k":{"method":"roots/list","params":{"a":1,"a":2}}}"#,
            r#"{"k":{"method":"roots/list"},"k":{"method":"elicitation/create"}}"#,
        ] {
            assert_eq!(of(&format!(r#""inputRequests":{odd}"#)), "odd", "{odd}");
        }
        let asks = r#"{"inputRequests":{"k":{"method":"elicitation/create"}}}"#;
        for name in ["result", "Result", "re\u{17f}ult"] {
            assert_eq!(of(&format!(r#""status":"completed","{name}":{asks}"#)), "odd", "{name}");
            let notice =
                format!(r#"{{"jsonrpc":"2.0","method":"notifications/tasks","params":{{"{name}":{asks}}}}}"#);
            assert_eq!(InputRequests::of(&Envelope::reply(notice.into()).unwrap()), InputRequests::Odd);
        }
        assert_eq!(of(r#""text":"\u00e9 inputRequests q""#), "none");
    }
}
