//! `portcullis policy explain`.

use super::facts::{Facts, Grant};
use super::{text, tools};
use crate::cli::PlaceArgs;
use crate::failure::Failure;
use crate::out::{self, say};
use crate::place::rendered;
use jiff::Timestamp;
use portcullis_document::{Document, Reading};
use portcullis_policy::{Call, Kind, Target};
use std::path::Path;
use std::process::ExitCode;

/// Says how a call would be judged.
pub(super) fn explain(
    place: &PlaceArgs,
    file: &Path,
    call: &Path,
    grant: Option<&str>,
    against: Option<&str>,
    as_json: bool,
) -> Result<ExitCode, Failure> {
    let policy = text::policy(file)?;
    let call_text = text::read(call)?;
    let wrong = |why: &str| Failure::usage(format!("{}: {why}", call.display()));
    portcullis_wire::check_strictly(call_text.trim()).map_err(|fault| wrong(&fault.what))?;
    let name = portcullis_wire::member(&call_text, "name")
        .and_then(portcullis_wire::text)
        .ok_or_else(|| wrong("expected an object {\"name\": …, \"arguments\": {…}}"))?;
    let arguments = portcullis_wire::member(&call_text, "arguments").unwrap_or("{}");
    if !arguments.starts_with('{') {
        return Err(wrong("`arguments` must be an object"));
    }
    let tools = against.map(|against| tools::of(place, against)).transpose()?.unwrap_or_default();
    let known = tools::known(against.unwrap_or_default(), &name, &tools);
    let said = |key| portcullis_wire::member(&call_text, key).and_then(portcullis_wire::text);
    let (upstream, category) = (said("upstream"), said("category"));
    // Beside what is called, the file may say what surrounds the call, as a file of cases does.
    // It is JSON, whatever its name: `-` is stdin.
    let called = call.with_added_extension("json");
    let called = if call.extension().is_some_and(|it| it == "json") { call } else { &called };
    let document = Document::read(&called.to_string_lossy(), &call_text)
        .map_err(|it| Failure::report(&rendered(&it)))?;
    let reading = Reading::new(&document);
    let mut facts = reading
        .root()
        .fields()
        .map(|mut fields| Facts::read(&mut fields, Facts::default()))
        .unwrap_or_default();
    let problems = reading.finish();
    if problems.has_errors() {
        return Err(Failure::report(&rendered(&problems)));
    }
    if let Some(name) = grant {
        let given = facts.grant.take();
        let (labels, calls) = given.map(|grant| (grant.labels, grant.calls)).unwrap_or_default();
        facts.grant = Some(Grant { name: name.to_owned(), labels, calls });
    }
    facts.time.get_or_insert_with(Timestamp::now);
    let tool = Target {
        kind: Kind::Tool,
        upstream: upstream.as_deref().or(against).unwrap_or_default(),
        name: &name,
        category: category.as_deref().unwrap_or(known.category.as_str()),
    };
    let facts = facts.of(known.risk.as_str());
    let explanation = policy.explain(&Call { tool, arguments, properties: &known.properties, facts });
    if as_json {
        let mut value =
            serde_json::to_value(&explanation).map_err(|error| Failure::bug(error.to_string()))?;
        if let (Some(grant), Some(members)) = (grant, value.as_object_mut()) {
            members.insert("grant".into(), grant.into());
        }
        say!("{value}");
    } else {
        out::say_lines!("{}", explanation.to_string().trim_end_matches('\n'));
    }
    Ok(ExitCode::SUCCESS)
}
