//! Calls that a policy leaves to a person.

use crate::house::{Held, House, Plan, fixture_http, seen, text};
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

const POLICY: &str = "version: \"2\"
default: deny
tools:
  echo:
    hold_if:
      - conditions: [{ path: args.message, op: starts_with, value: pay }]
        on_hold: Payments are made by people.
    limits: [{ counter: echoes, window: day, max: 3, scope: grant }]
";

/// A gate whose held calls are answered after that time, and the fixture's address.
fn house(policy: &str, wait: &str) -> (House, Held, String) {
    let (server, url) = fixture_http(&["--extra"]);
    let upstreams = format!("  fix: {{ url: \"{url}\" }}");
    let more = format!("ledger: {{ durability: process }}\napprovals: {{ wait: {wait}, timeout: 10m }}");
    (House::build(&Plan { upstreams: &upstreams, policy, more: &more }), server, url)
}

fn waiting(house: &House) -> Vec<Value> {
    let (code, out, err) = house.run(&["approvals", "--json"]);
    assert_eq!(code, 0, "{err}");
    let all = out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|one| one["state"] == "waiting").collect()
}

/// The one that waits, as soon as it does.
async fn one_that_waits(house: &House) -> Value {
    for _ in 0..200 {
        if let Some(one) = waiting(house).pop() {
            return one;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("nothing waits");
}

fn pays(what: &str) -> Value {
    json!({ "message": format!("pay {what}") })
}

/// What was asked of a held call's answer: its approval.
fn id_of(answer: &Value) -> String {
    let decision = &answer["result"]["_meta"]["portcullis/decision"];
    assert_eq!(decision["outcome"], "held", "{answer}");
    let id = decision["approval"].as_str().unwrap().to_owned();
    assert!(text(answer).starts_with("[APPROVAL NEEDED] ") && text(answer).contains(&id), "{answer}");
    assert_eq!(answer["result"]["isError"], true);
    id
}

async fn reached(house: &House, url: &str) -> usize {
    seen(house, url).await["calls"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_call_waits_for_a_person_and_runs_once() {
    let (house, _server, url) = house(POLICY, "45s");
    let session = house.session("/mcp/fix").await;
    assert_eq!(text(&session.call(1, "echo", json!({ "message": "hello" })).await), "hello");
    let person = async {
        let one = one_that_waits(&house).await;
        assert_eq!(
            (&one["grant"], &one["upstream"], &one["tool"]),
            (&json!("t"), &json!("fix"), &json!("echo"))
        );
        assert_eq!((&one["args"], &one["rule"]), (&pays("rent"), &json!("/tools/echo/hold_if/0")));
        assert_eq!(one["message"], "Payments are made by people.");
        let id = one["id"].as_str().unwrap();
        let (_, list, _) = house.run(&["approvals"]);
        assert!(list.contains(id) && list.contains("fix echo") && list.contains("pay rent"), "{list}");
        let (_, shown, _) = house.run(&["approvals", "show", id]);
        assert!(shown.contains("Payments are made by people. (/tools/echo/hold_if/0)"), "{shown}");
        let (code, said, err) = house.run(&["approvals", "approve", &id[..8], "--reason", "the rent is due"]);
        assert!(code == 0 && said.starts_with("approved: echo on fix by t"), "{said}{err}");
        // Nobody decides twice.
        let (code, _, err) = house.run(&["approvals", "deny", id]);
        assert!(code == 1 && err.contains("already"), "{code} {err}");
        id.to_owned()
    };
    let (answer, id) = tokio::join!(session.call(2, "echo", pays("rent")), person);
    assert_eq!(text(&answer), "pay rent");
    assert_eq!(reached(&house, &url).await, 2);

    // The same call is another one now.
    let (answer, other) = tokio::join!(session.call(3, "echo", pays("rent")), async {
        let other = one_that_waits(&house).await["id"].as_str().unwrap().to_owned();
        let (code, _, _) = house.run(&["approvals", "deny", &other, "--reason", "once is enough"]);
        assert_eq!(code, 0);
        other
    });
    assert_ne!(id, other);
    assert!(text(&answer).contains("refused this call: once is enough"), "{answer}");
    assert_eq!(reached(&house, &url).await, 2);
    let rows = |of: &[&str]| -> Vec<String> {
        let rows = house.rows(of);
        rows.iter().map(|row| row["message"].as_str().unwrap_or_default().to_owned()).collect()
    };
    assert_eq!(rows(&["--outcome", "held"]), ["Payments are made by people."; 2]);
    let of_people: Vec<String> = house
        .rows(&[])
        .iter()
        .filter(|row| row["kind"] == "approval")
        .map(|row| format!("{} {}", row["outcome"].as_str().unwrap(), row["message"].as_str().unwrap()))
        .collect();
    assert_eq!(of_people.len(), 2, "{of_people:?}");
    assert!(of_people[0].starts_with("allowed approved by ") && of_people[0].ends_with("): the rent is due"));
    assert!(of_people[1].starts_with("denied denied by ") && of_people[1].contains(&other));
    let passed = rows(&["--outcome", "allowed"]);
    assert!(
        passed.iter().any(|message| message.starts_with("approved by ") && message.contains(&id)),
        "{passed:?}"
    );

    // What was refused is charged nothing: of three, two are used.
    assert_eq!(text(&session.call(4, "echo", json!({ "message": "third" })).await), "third");
    let over = session.call(5, "echo", json!({ "message": "fourth" })).await;
    assert!(text(&over).contains("is used up"), "{over}");
}

#[tokio::test]
async fn an_answer_that_did_not_wait_tells_what_to_repeat() {
    let (house, _server, url) = house(POLICY, "300ms");
    let session = house.session("/mcp/fix").await;
    let id = id_of(&session.call(1, "echo", pays("rent")).await);
    // Whoever asks again meanwhile waits for the same decision, and is charged once.
    assert_eq!(id_of(&session.call(2, "echo", pays("rent")).await), id);
    assert_eq!(waiting(&house).len(), 1);
    assert_eq!(house.run(&["approvals", "approve", &id]).0, 0);
    // Other arguments are another call.
    assert_ne!(id_of(&session.call(3, "echo", pays("twice the rent")).await), id);
    assert_eq!(reached(&house, &url).await, 0);
    assert_eq!(text(&session.call(4, "echo", pays("rent")).await), "pay rent");
    assert_ne!(id_of(&session.call(5, "echo", pays("rent")).await), id);
    assert_eq!(reached(&house, &url).await, 1);
    // Three wait or were made, of three.
    let over = session.call(6, "echo", pays("more")).await;
    assert!(text(&over).contains("is used up"), "{over}");
    assert_eq!(over["result"]["_meta"]["portcullis/decision"]["outcome"], "denied");
}

#[tokio::test]
async fn another_policy_voids_what_waited_and_judges_the_call_anew() {
    let (house, _server, url) = house(POLICY, "45s");
    let session = house.session("/mcp/fix").await;
    let person = async {
        let first = one_that_waits(&house).await["id"].as_str().unwrap().to_owned();
        let stricter = POLICY.replace("default: deny", "default: deny\nhide: [add]");
        std::fs::write(house.folder.path().join("policy.yaml"), stricter).unwrap();
        assert_eq!(house.run(&["reload"]).0, 0);
        let (code, _, err) = house.run(&["approvals", "approve", &first]);
        assert!(code == 1 && err.contains("a policy that is another now"), "{code} {err}");
        // The call waits again, under the policy that is in force.
        let second = one_that_waits(&house).await["id"].as_str().unwrap().to_owned();
        assert_ne!(first, second);
        // An approval does not outlive the policy either.
        assert_eq!(house.run(&["approvals", "approve", &second]).0, 0);
    };
    let (answer, ()) = tokio::join!(session.call(1, "echo", pays("rent")), person);
    assert_eq!(text(&answer), "pay rent");
    assert_eq!(reached(&house, &url).await, 1);
}

#[tokio::test]
async fn an_approval_that_was_given_is_worth_nothing_under_another_policy() {
    let (house, _server, url) = house(POLICY, "200ms");
    let session = house.session("/mcp/fix").await;
    let id = id_of(&session.call(1, "echo", pays("rent")).await);
    assert_eq!(house.run(&["approvals", "approve", &id]).0, 0);
    std::fs::write(house.folder.path().join("policy.yaml"), format!("{POLICY}# another\n")).unwrap();
    assert_eq!(house.run(&["reload"]).0, 0);
    assert_ne!(id_of(&session.call(2, "echo", pays("rent")).await), id);
    assert_eq!(reached(&house, &url).await, 0);
}

#[tokio::test]
async fn only_whom_the_rule_names_decides_and_nobody_about_their_own() {
    let policy = POLICY.replace("on_hold:", "approvers: [role=finance]\n        on_hold:");
    let (house, _server, _) = house(&policy, "200ms");
    let grant = |name: &str, more: &[&str]| {
        let (code, out, err) =
            house.run(&[&["grant", "add", name, "--upstream", "fix=p", "--json"], more].concat());
        assert_eq!(code, 0, "{err}");
        let made: Value = serde_json::from_str(&out).unwrap();
        made["token"].as_str().unwrap().to_owned()
    };
    let finance = ["--approver", "--label", "role=finance"];
    let (own, other) = (grant("own", &finance), grant("other", &finance));
    let (unlabelled, no_approver) = (grant("plain", &["--approver"]), grant("worker", &finance[1..]));
    let session = house.session_of(&own, "/mcp/fix").await;
    let id = id_of(&session.call(1, "echo", pays("rent")).await);
    let decide = |token: &str| {
        let mut command = house.command(&["approvals", "approve", &id]);
        let output = command.env("PORTCULLIS_TOKEN", token).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    for (token, why) in [
        ("", "a grant with the label role=finance"),
        ("pcl_nobody", "is of no grant"),
        (&own, "a call of the grant own itself"),
        (&unlabelled, "has no label role=finance"),
        (&no_approver, "decides nothing"),
    ] {
        let (code, err) = decide(token);
        assert!(code == 4 && err.contains(why), "{code} {err}");
    }
    assert_eq!(decide(&other).0, 0);
    assert_eq!(text(&session.call(2, "echo", pays("rent")).await), "pay rent");
    let (_, out, _) = house.run(&["approvals", "show", &id, "--json"]);
    let done: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&done["state"], &done["decided_by"]), (&json!("used"), &json!("grant:other")));
}

#[tokio::test]
async fn what_nobody_decides_in_time_is_over_and_costs_nothing() {
    let policy = POLICY.replace("on_hold:", "timeout: 600ms\n        on_hold:").replace("max: 3", "max: 1");
    let (house, _server, url) = house(&policy, "100ms");
    let session = house.session("/mcp/fix").await;
    let id = id_of(&session.call(1, "echo", pays("rent")).await);
    let over = session.call(2, "echo", json!({ "message": "hello" })).await;
    assert!(text(&over).contains("is used up"), "{over}");
    while !waiting(&house).is_empty() {
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let (code, _, err) = house.run(&["approvals", "approve", &id]);
    assert!(code == 1 && err.contains("expired already"), "{err}");
    assert_eq!(text(&session.call(3, "echo", json!({ "message": "hello" })).await), "hello");
    assert_eq!(reached(&house, &url).await, 1);
    let expired = |row: &&Value| row["kind"] == "approval" && row["message"] == format!("expired ({id})");
    assert_eq!(house.rows(&[]).iter().filter(expired).count(), 1);
}

#[tokio::test]
async fn no_more_wait_than_a_person_can_read() {
    let policy = POLICY.replace("max: 3", "max: 100");
    let (house, _server, _) = house(&policy, "50ms");
    let session = house.session("/mcp/fix").await;
    for n in 0..20 {
        id_of(&session.call(n, "echo", pays(&n.to_string())).await);
    }
    let full = session.call(30, "echo", pays("one more")).await;
    assert!(text(&full).starts_with("[POLICY DENIED] Payments are made by people."), "{full}");
    assert!(text(&full).contains("more calls of the grant wait"), "{full}");
    // What is not held still passes.
    assert_eq!(text(&session.call(31, "echo", json!({ "message": "hello" })).await), "hello");
}

#[tokio::test]
async fn a_drop_ends_the_wait_and_what_was_approved_stays_held_back() {
    let (house, _server, url) = house(POLICY, "45s");
    let session = house.session("/mcp/fix").await;
    let (answer, id) = tokio::join!(session.call(1, "echo", pays("rent")), async {
        let id = one_that_waits(&house).await["id"].as_str().unwrap().to_owned();
        let (_, runs, _) = house.run(&["runs", "list", "--json"]);
        assert!(runs.lines().any(|run| run.contains("\"held\"")), "{runs}");
        let (code, said, _) = house.run(&["drop", "--reason", "a drill"]);
        assert!(code == 0 && said.contains("1 run: 1 stopped"), "{said}");
        id
    });
    assert!(answer["error"].is_object() || text(&answer).contains("a drill"), "{answer}");
    assert_eq!(house.run(&["approvals", "approve", &id]).0, 0);
    let denied = session.call(2, "echo", pays("rent")).await;
    assert_eq!(denied["result"]["_meta"]["portcullis/decision"]["rule"], "(dropped)", "{denied}");
    assert_eq!(reached(&house, &url).await, 0);
}

/// The page's ids and times are others than those of a run.
fn steady(text: &str) -> String {
    let id = regex::Regex::new("a_[a-z2-7]+").unwrap();
    let time = regex::Regex::new(r"\d{4}-\d\d-\d\dT[\d:.]+Z").unwrap();
    time.replace_all(&id.replace_all(text, "a_ID"), "TIME").trim().to_owned()
}

#[tokio::test]
async fn the_page_shows_what_comes() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/approvals.md");
    let page = std::fs::read_to_string(page).unwrap();
    let blocks = |language: &str| -> Vec<String> {
        let begins = format!("```{language}\n");
        page.split(&begins).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
    };
    let (house, _server, _) = house(&blocks("yaml policy")[0], "200ms");
    let session = house.session("/mcp/fix").await;
    let answer = session.call(1, "echo", pays("rent")).await;
    let id = id_of(&answer);
    let shown: Value = serde_json::from_str(&blocks("json")[0]).unwrap();
    assert_eq!(steady(&answer.to_string()), steady(&shown.to_string()));
    let (_, list, _) = house.run(&["approvals"]);
    let (_, said, _) = house.run(&["approvals", "approve", &id, "--reason", "the rent is due"]);
    let console = format!(
        "$ portcullis approvals\n{list}$ portcullis approvals approve {} --reason \"the rent is due\"\n{said}",
        &id[..9]
    );
    assert_eq!(steady(&console), steady(&blocks("console")[0]));
}
