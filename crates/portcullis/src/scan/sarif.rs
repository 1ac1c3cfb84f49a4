//! What was found, for tools that collect findings: SARIF 2.1.0 (OASIS).

use super::{Scanned, place};
use portcullis_catalogue::{Severity, says, written_out};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// One run with all findings of all servers.
pub(crate) fn sarif(servers: &[Scanned]) -> Value {
    let mut used = BTreeSet::new();
    let mut results = Vec::new();
    for server in servers {
        for (tool, finding) in server.all_findings() {
            used.insert(finding.rule.as_str());
            let place = place(tool, finding);
            let name = written_out(&server.name);
            results.push(json!({
                "ruleId": finding.rule,
                "level": if finding.severity == Severity::Block { "error" } else { "warning" },
                "message": { "text": format!("{name}: {place}: {}", finding.text) },
                "locations": [{
                    // There is no file: the definition comes from a server.
                    "physicalLocation": { "artifactLocation": { "uri": format!("mcp/{}", file_name(&server.name)) } },
                    "logicalLocations": [{ "fullyQualifiedName": format!("{name}/{place}"), "kind": "member" }],
                }],
                "partialFingerprints": { "portcullis/v1": format!("{name}/{place}/{}", finding.rule) },
            }));
        }
    }
    let rules: Vec<Value> = used
        .iter()
        .map(|id| json!({ "id": id, "shortDescription": { "text": says(id).unwrap_or_default() }, "helpUri": format!("{}/blob/main/docs/rules.md", env!("CARGO_PKG_REPOSITORY")) }))
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "portcullis", "version": env!("CARGO_PKG_VERSION"), "informationUri": env!("CARGO_PKG_REPOSITORY"),
                "rules": rules,
            } },
            "results": results,
        }],
    })
}

/// A server's name as a part of an address.
fn file_name(name: &str) -> String {
    name.chars()
        .map(|letter| if letter.is_ascii_alphanumeric() || "-._".contains(letter) { letter } else { '-' })
        .collect()
}
