//! What it costs to know a tool: definitions read, classified, graded, looked through and fingerprinted, on one core,
//! beside parsing them and nothing else.

use crate::error::{Error, Result};
use portcullis_catalogue::{Known, fingerprint_of};
use serde_json::{Value, json};
use std::{
    fmt, fs,
    hint::black_box,
    path::PathBuf,
    time::{Duration, Instant},
};

/// Rounds of which the quickest counts: what else runs on the machine only ever adds.
const ROUNDS: usize = 5;

/// What was measured.
#[derive(Debug)]
pub struct Measured {
    definitions: usize,
    bytes: usize,
    parsed: Duration,
    known: Duration,
}

impl fmt::Display for Measured {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { definitions, bytes, parsed, known } = self;
        writeln!(
            out,
            "{definitions} definitions, {} bytes each, on one core",
            bytes / (*definitions).max(1)
        )?;
        writeln!(
            out,
            "  parsed alone                                     {:>7.0} ms",
            parsed.as_secs_f64() * 1e3
        )?;
        writeln!(
            out,
            "  fingerprinted, classified, graded, looked through {:>6.0} ms, {:.1} times that",
            known.as_secs_f64() * 1e3,
            known.as_secs_f64() / parsed.as_secs_f64()
        )
    }
}

/// Measures so many definitions: those of saved lists over and over under new names, or ones made up where no list is given.
///
/// # Errors
/// Where a list cannot be read.
pub fn measure(lists: &[PathBuf], count: usize) -> Result<Measured> {
    let mut known: Vec<Value> = Vec::new();
    for file in lists {
        let text = fs::read_to_string(file).map_err(Error::io(format!("reading {}", file.display())))?;
        let list: Value = serde_json::from_str(&text)
            .map_err(|error| Error::io(format!("reading {}", file.display()))(error.into()))?;
        known.extend(list.get("tools").and_then(Value::as_array).into_iter().flatten().cloned());
    }
    if known.is_empty() {
        known = made_up();
    }
    let tools: Vec<Value> = known
        .iter()
        .cycle()
        .take(count)
        .enumerate()
        .map(|(number, tool)| {
            let mut tool = tool.clone();
            let name = tool.get("name").and_then(Value::as_str).unwrap_or("tool").to_owned();
            if let Some(members) = tool.as_object_mut() {
                members.insert("name".into(), format!("{name}_{number}").into());
            }
            tool
        })
        .collect();
    let raw: Vec<String> = tools.iter().map(Value::to_string).collect();
    let page = json!({ "tools": tools }).to_string();
    let (mut parsed, mut took) = (Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        let began = Instant::now();
        black_box(serde_json::from_str::<Value>(&page).ok());
        parsed = parsed.min(began.elapsed());
        let began = Instant::now();
        let read: Vec<Value> = raw.iter().filter_map(|raw| serde_json::from_str(raw).ok()).collect();
        let fingerprints: Vec<String> = read.iter().map(fingerprint_of).collect();
        black_box((Known::of("server", read), fingerprints));
        took = took.min(began.elapsed());
    }
    Ok(Measured { definitions: tools.len(), bytes: page.len(), parsed, known: took })
}

/// Definitions of the length that real ones have.
fn made_up() -> Vec<Value> {
    let tool = |name: &str, description: &str| {
        let argument = |says: &str| json!({ "type": "string", "description": says });
        json!({
            "name": name, "description": description, "annotations": { "readOnlyHint": name.starts_with("get") },
            "inputSchema": { "type": "object", "required": ["id"], "properties": {
                "id": argument("The id of the thing that is meant, as the list gives it"),
                "fields": { "type": "array", "items": argument("A field that is to come back"), "default": ["id", "name"] },
                "filter": { "anyOf": [argument("A text to look for"), { "type": "null" }] },
                "options": { "type": "object", "properties": { "dry_run": { "type": "boolean",
                    "description": "Only say what would be done" }, "limit": { "type": "integer", "maximum": 100 } } },
            } },
        })
    };
    vec![
        tool(
            "get_issue",
            "Gets one issue with its comments. Use list_issues to find its id; returns an error where there is none.",
        ),
        tool(
            "create_issue",
            "Creates an issue in a repository, with labels and people. Returns its id. Nothing is sent to anybody by it.",
        ),
        tool(
            "delete_branch",
            "Deletes a branch. This cannot be undone; what was not merged is lost. Requires the right to push.",
        ),
        tool(
            "run_workflow",
            "Starts a workflow by its file and its branch, and returns at once. Use get_run to see how far it is.",
        ),
    ]
}
