//! What several tools answer.

use crate::commands::Commands;
use portcullis_builtin::Answer;
use portcullis_ledger::time_text;
use portcullis_runs::{Held, Page, Stopped, Verdict, Wanted, page};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::Path;

pub(crate) async fn read(own: &Commands, spool: &Path, wanted: Wanted) -> Page {
    let (spool, cover) = (spool.to_owned(), own.services.0.cover);
    tokio::task::spawn_blocking(move || page(&spool, &wanted, cover)).await.unwrap_or_default()
}

pub(crate) fn paged(page: &Page, more: Map<String, Value>) -> Answer {
    let (text, content) = paper(page, more);
    Answer::of(text, content)
}

/// A page as text and as data.
pub(crate) fn paper(page: &Page, more: Map<String, Value>) -> (String, Value) {
    let mut text: Vec<&str> = page.lines.iter().map(|line| line.text.as_str()).collect();
    let dropped = format!("[{} bytes before this are not kept any more]", page.dropped_bytes);
    if page.dropped_bytes > 0 {
        text.insert(0, &dropped);
    }
    let lines: Vec<Value> = page
        .lines
        .iter()
        .map(|line| json!({ "time": time(line.time_ms), "stream": line.stream.as_str(), "text": line.text }))
        .collect();
    let mut content = json!({
        "lines": lines, "next_cursor": page.cursor, "dropped_bytes": page.dropped_bytes, "more": page.more,
    });
    if let Some(members) = content.as_object_mut() {
        members.extend(more);
    }
    (text.join("\n"), content)
}

/// Results with how many came to what, in words too.
pub(crate) fn summed(results: Vec<Value>, by: &str) -> (String, Value) {
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    for result in &results {
        *counts.entry(result[by].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    let words: Vec<String> = counts.iter().map(|(what, count)| format!("{count} {what}")).collect();
    let text = if words.is_empty() { "Nothing to do.".to_owned() } else { format!("{}.", words.join(", ")) };
    (text, json!({ "results": results, "counts": counts }))
}

pub(crate) fn ending(held: &Held) -> String {
    let Some(ended) = held.over() else { return "runs".into() };
    let exit = ended.exit.as_ref().map_or_else(|| "ended".to_owned(), ToString::to_string);
    ended.cause.as_ref().map_or(exit, |cause| format!("was stopped: {cause}"))
}

pub(crate) fn outcome(held: &Held) -> Map<String, Value> {
    let over = held.over();
    let exit = held.exit().or_else(|| over.as_ref().and_then(|over| over.exit.clone()));
    let shown = json!({
        "run": held.about.id.as_str(), "state": held.state(),
        "exit_code": exit.as_ref().and_then(|exit| exit.code),
        "signal": exit.as_ref().and_then(|exit| exit.signal),
        "cause": over.as_ref().and_then(|over| over.cause.clone()),
        "verdict": over.as_ref().map(|over| over.stopped.verdict),
    });
    match shown {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// The verdict on a run: in words, as data, and whether nothing is left.
pub(crate) fn verdict_of(held: Option<&Held>, stopped: &Stopped) -> (String, Value, bool) {
    let id = held.map(|held| held.about.id.as_str());
    let mut content = json!({ "run": id });
    if let (Some(content), Ok(Value::Object(stopped))) =
        (content.as_object_mut(), serde_json::to_value(stopped))
    {
        content.extend(stopped);
    }
    let mut text = stopped.summary();
    if let (Verdict::AlreadyEnded, Some(held)) = (stopped.verdict, held) {
        let how = ending(held);
        text = format!("it had ended before: it {how}");
        content = with(content, "how", how);
    }
    (text, content, stopped.verdict.is_final())
}

pub(crate) fn told(text: &str, content: Value, good: bool) -> Answer {
    if good { Answer::of(text, content) } else { Answer::failed_with(text, content) }
}

pub(crate) fn with(mut content: Value, name: &str, value: impl Serialize) -> Value {
    if let Some(members) = content.as_object_mut() {
        members.insert(name.into(), json!(value));
    }
    content
}

pub(crate) fn time(ms: u64) -> String {
    time_text(i64::try_from(ms).unwrap_or(i64::MAX))
}
