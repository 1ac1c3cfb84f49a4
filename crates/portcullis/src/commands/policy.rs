//! `portcullis policy …`.

use crate::cli::{PlaceArgs, PolicyCommand};
use crate::control::Client;
use crate::failure::Failure;
use crate::out::{self, aside, say};
use crate::place::rendered;
use http::Method;
use portcullis_catalogue::{Known, Language, Surroundings, Tool, recommended, recommended_text};
use portcullis_document::{Problem, Problems, Severity};
use portcullis_policy::{Call, Policy, Target, ToolShape};
use serde_json::{Value, json};
use std::io::Read;
use std::path::Path;
use std::process::ExitCode;

/// Runs one command on a policy file.
pub(crate) fn run(place: &PlaceArgs, command: PolicyCommand) -> Result<ExitCode, Failure> {
    match command {
        PolicyCommand::Check { file, against, json } => check(place, &file, against.as_deref(), json),
        PolicyCommand::Recommend { of, policy_version, json } => {
            let language = if policy_version == "2" { Language::Two } else { Language::One };
            recommend(place, &of, language, json)
        }
        PolicyCommand::Explain { file, call, grant, against, json } => {
            explain(place, &file, &call, grant.as_deref(), against.as_deref(), json)
        }
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|error| Failure::usage(format!("stdin cannot be read: {error}")))?;
        return Ok(text);
    }
    std::fs::read_to_string(path)
        .map_err(|error| Failure::usage(format!("{} cannot be read: {error}", path.display())))
}

fn check(place: &PlaceArgs, file: &Path, against: Option<&str>, as_json: bool) -> Result<ExitCode, Failure> {
    let text = read(file)?;
    let mut found: Vec<Problems> = Vec::new();
    match Policy::parse(&file.to_string_lossy(), &text) {
        Err(problems) => found.push(problems),
        Ok(policy) => {
            found.push(policy.warnings().clone());
            if let Some(against) = against {
                let tools = tools_of(place, against)?;
                let kinds = kinds(against, &tools);
                found.push(policy.check_against(&shapes(against, &tools, &kinds)));
            }
        }
    }
    let ok = !found.iter().any(Problems::has_errors);
    if as_json {
        let of = |severity: Severity| -> Vec<&Problem> {
            found.iter().flat_map(Problems::iter).filter(|problem| problem.severity == severity).collect()
        };
        say!(
            "{}",
            json!({
                "file": file.to_string_lossy(), "ok": ok,
                "errors": of(Severity::Error), "warnings": of(Severity::Warning),
            })
        );
    } else {
        for problems in found.iter().filter(|problems| !problems.is_empty()) {
            aside!("{}", rendered(problems).trim_end());
        }
        if ok {
            say!("{}: ok", file.display());
        }
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::from(2) })
}

fn explain(
    place: &PlaceArgs,
    file: &Path,
    call: &Path,
    grant: Option<&str>,
    against: Option<&str>,
    as_json: bool,
) -> Result<ExitCode, Failure> {
    let text = read(file)?;
    let policy = Policy::parse(&file.to_string_lossy(), &text)
        .map_err(|problems| Failure::usage(rendered(&problems)))?;
    let call_text = read(call)?;
    let wrong = |why: &str| Failure::usage(format!("{}: {why}", call.display()));
    portcullis_wire::check_strictly(call_text.trim()).map_err(|fault| wrong(&fault.what))?;
    let name = portcullis_wire::member(&call_text, "name")
        .and_then(portcullis_wire::text)
        .ok_or_else(|| wrong("expected an object {\"name\": …, \"arguments\": {…}}"))?;
    let arguments = portcullis_wire::member(&call_text, "arguments").unwrap_or("{}");
    if !arguments.starts_with('{') {
        return Err(wrong("`arguments` must be an object"));
    }
    let tools = against.map(|against| tools_of(place, against)).transpose()?.unwrap_or_default();
    let listed = tools.iter().find(|tool| tool.get("name").and_then(Value::as_str) == Some(&*name));
    // Without its definition, what is known of a tool is its name.
    let definition = listed.cloned().unwrap_or_else(|| json!({ "name": name }));
    let names = tools.iter().filter_map(|tool| tool.get("name")?.as_str());
    let known = Tool::read(&definition.to_string(), &Surroundings::of(against.unwrap_or_default(), names));
    let said = |key| portcullis_wire::member(&call_text, key).and_then(portcullis_wire::text);
    let (upstream, category) = (said("upstream"), said("category"));
    let tool = Target {
        upstream: upstream.as_deref().or(against).unwrap_or_default(),
        name: &name,
        category: category.as_deref().unwrap_or(known.category.as_str()),
    };
    let explanation = policy.explain(&Call { tool, arguments, properties: &known.properties });
    if as_json {
        let mut value =
            serde_json::to_value(&explanation).map_err(|error| Failure::bug(error.to_string()))?;
        if let (Some(grant), Some(members)) = (grant, value.as_object_mut()) {
            members.insert("grant".into(), grant.into());
        }
        say!("{value}");
    } else {
        out::text(format_args!("{explanation}"));
    }
    Ok(ExitCode::SUCCESS)
}

fn recommend(place: &PlaceArgs, of: &str, language: Language, as_json: bool) -> Result<ExitCode, Failure> {
    let known = Known::of(of, tools_of(place, of)?);
    match as_json {
        true => say!("{}", recommended(&known, language)),
        false => out::text(format_args!("{}", recommended_text(of, &known, language))),
    }
    Ok(ExitCode::SUCCESS)
}

/// The tools of a saved list (a result, a whole response, or the bare array) or of an upstream of the gate.
fn tools_of(place: &PlaceArgs, against: &str) -> Result<Vec<Value>, Failure> {
    let value: Value = if Path::new(against).is_file() {
        serde_json::from_str(&read(Path::new(against))?)
            .map_err(|error| Failure::usage(format!("{against} is not JSON: {error}")))?
    } else {
        Client::of(place)?.ask(Method::GET, &format!("upstreams/{against}/tools"), &Value::Null)?
    };
    let list = ["/result/tools", "/tools", ""].iter().find_map(|at| value.pointer(at)?.as_array());
    list.cloned().ok_or_else(|| Failure::usage(format!("{against} holds no list of tools (`tools`: […])")))
}

/// What each of the tools of a server does.
fn kinds(server: &str, tools: &[Value]) -> Vec<Tool> {
    let around = Surroundings::of(server, tools.iter().filter_map(|tool| tool.get("name")?.as_str()));
    tools.iter().map(|tool| Tool::read(&tool.to_string(), &around)).collect()
}

fn shapes<'a>(upstream: &'a str, tools: &'a [Value], kinds: &'a [Tool]) -> Vec<ToolShape<'a>> {
    static NONE: Value = Value::Null;
    tools
        .iter()
        .zip(kinds)
        .filter_map(|(tool, kind)| {
            let target =
                Target { upstream, name: tool.get("name")?.as_str()?, category: kind.category.as_str() };
            Some(ToolShape { tool: target, input_schema: tool.get("inputSchema").unwrap_or(&NONE) })
        })
        .collect()
}
