//! What several tools are asked for.

use portcullis_document::duration;
use portcullis_runs::spool::{Stream, now_ms};
use portcullis_runs::{Begin, Wanted, millis};
use regex::Regex;
use serde::Deserialize;
use serde::de::{Deserializer, Error, Unexpected};
use serde_json::Value;
use std::time::Duration;

/// The longest time that anything may be waited for.
const LONGEST: Duration = Duration::from_hours(24);
/// Bytes and lines of a page where nothing else is said.
pub(crate) const PAGE: usize = 16 * 1024;
const TAIL: usize = 200;

/// A time: seconds as a number, or text with a unit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Time(pub(crate) Duration);

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let found = Value::deserialize(deserializer)?;
        let read = match &found {
            Value::Number(number) => number.as_f64().and_then(|it| Duration::try_from_secs_f64(it).ok()),
            Value::String(text) => duration(text),
            _ => None,
        };
        read.filter(|time| *time <= LONGEST).map(Self).ok_or_else(|| {
            let found = found.to_string();
            D::Error::invalid_value(
                Unexpected::Other(&found),
                &"seconds, or text such as \"500ms\", at most 24h",
            )
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "lowercase")]
pub(crate) enum StreamName {
    Stdout,
    Stderr,
}

/// What is wanted of a log.
pub(crate) fn wanted(
    cursor: Option<u64>,
    tail: Option<usize>,
    since: Option<Time>,
    grep: Option<String>,
    stream: Option<StreamName>,
    max_bytes: Option<usize>,
) -> Result<Wanted, String> {
    let grep = grep.as_deref().map(Regex::new).transpose();
    Ok(Wanted {
        from: match (cursor, tail) {
            (Some(_), Some(_)) => return Err("Say `cursor` or `tail`, not both.".into()),
            (Some(cursor), None) => Begin::At(cursor),
            (None, tail) => Begin::Tail(tail.unwrap_or(TAIL).clamp(1, 10_000)),
        },
        since_ms: since.map_or(0, |since| now_ms().saturating_sub(millis(since.0))),
        grep: grep.map_err(|error| format!("grep: expected a regular expression: {error}"))?,
        stream: stream.map(|stream| match stream {
            StreamName::Stdout => Stream::Out,
            StreamName::Stderr => Stream::Err,
        }),
        max_bytes: max_bytes.unwrap_or(PAGE).clamp(1024, 1 << 20),
    })
}
