//! Policies that are made from what a server says of its tools.

use crate::house::{House, Plan, fixture_http, text};
use serde_json::{Value, json};

#[tokio::test]
async fn what_is_recommended_for_a_server_loads_fits_it_and_holds() {
    let (_server, url) = fixture_http(&["--extra"]);
    let upstreams = format!("  fix: {{ url: \"{url}\" }}");
    let deny = "version: \"1\"\ndefault: deny\n";
    let house = House::build(&Plan { upstreams: &upstreams, policy: deny, more: "" });
    let session = house.session("/mcp/fix").await;
    let (code, policy, err) = house.run(&["policy", "recommend", "fix"]);
    assert_eq!(code, 0, "{err}");
    std::fs::write(house.folder.path().join("policy.yaml"), &policy).unwrap();
    let (code, out, err) = house.run(&["policy", "check", "policy.yaml", "--against", "fix"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}\n{policy}");
    let (code, document, _) = house.run(&["policy", "recommend", "fix", "--json"]);
    assert_eq!(code, 0);
    std::fs::write(house.folder.path().join("same.json"), &document).unwrap();
    assert_eq!(house.run(&["policy", "check", "same.json", "--against", "fix"]).0, 0, "{document}");
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(
        document["tools"]["create_charge"],
        json!({ "deny_if": [{ "conditions": [], "on_deny": "Requires human approval." }] })
    );

    assert_eq!(house.run(&["reload"]).0, 0);
    let charge = session.call(1, "create_charge", json!({ "amount": 1 })).await;
    assert_eq!(text(&charge), "[POLICY DENIED] Requires human approval.");

    // In version 2 a person is asked.
    let (code, second, err) = house.run(&["policy", "recommend", "fix", "--policy-version", "2"]);
    assert_eq!(code, 0, "{err}");
    assert!(
        second.contains("hold_if: [{ conditions: [], on_hold:") && second.contains("waits for a person"),
        "{second}"
    );
    std::fs::write(house.folder.path().join("policy.yaml"), &second).unwrap();
    let (code, out, err) = house.run(&["policy", "check", "policy.yaml", "--against", "fix"]);
    assert_eq!((code, err.as_str()), (0, ""), "{out}\n{second}");
    let (code, document, _) = house.run(&["policy", "recommend", "fix", "--policy-version", "2", "--json"]);
    std::fs::write(house.folder.path().join("same.json"), &document).unwrap();
    assert_eq!(
        (code, house.run(&["policy", "check", "same.json", "--against", "fix"]).0),
        (0, 0),
        "{document}"
    );
    house.configure("policies:", "approvals: { wait: 100ms }\npolicies:");
    assert_eq!(house.run(&["reload"]).0, 0);
    let charge = session.call(2, "create_charge", json!({ "amount": 1 })).await;
    assert!(text(&charge).starts_with("[APPROVAL NEEDED] It moves money, so a person decides."), "{charge}");
    let count = session.call(2, "count", json!({})).await;
    assert!(!count["result"]["isError"].as_bool().unwrap_or(false), "{count}");
}

/// Names and descriptions that would break out of a comment or of a key.
#[test]
fn a_hostile_list_makes_no_other_policy() {
    let house = House::empty();
    let tools = json!({ "tools": [
        { "name": "read\n  evil: {}", "description": "Reads.\nhide: []\n# x" },
        { "name": "true", "description": "Deletes all\r\ntools: {}" },
        { "name": "delete: {}", "description": "Deletes it" },
        { "name": "get \"x\" \u{202e}#", "description": "Gets \u{1b}[2J it" },
    ] });
    std::fs::write(house.folder.path().join("list.json"), tools.to_string()).unwrap();
    let (code, policy, err) = house.run(&["policy", "recommend", "list.json"]);
    assert_eq!(code, 0, "{err}");
    assert!(!policy.contains(['\u{1b}', '\u{202e}']), "{policy:?}");
    std::fs::write(house.folder.path().join("p.yaml"), &policy).unwrap();
    let (code, out, err) = house.run(&["policy", "check", "p.yaml", "--against", "list.json"]);
    assert_eq!(code, 0, "{out}{err}\n{policy}");
    let call = json!({ "name": "evil", "arguments": {} }).to_string();
    std::fs::write(house.folder.path().join("call.json"), call).unwrap();
    let (_, said, _) = house.run(&["policy", "explain", "p.yaml", "--call", "call.json", "--json"]);
    let said: Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["outcome"], "denied", "{policy}");
}
