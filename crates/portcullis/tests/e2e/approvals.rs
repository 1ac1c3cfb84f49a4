//! Calls that a policy leaves to a person.

use crate::house::{Held, House, Plan, TOKEN, fixture_http, seen, text};
use crate::stream::{Stream, modern, open_session, post_modern};
use crate::tasks::ask_new;
use hyper::Method;
use serde_json::{Value, json};
use std::path::Path;
use std::time::Duration;

pub const POLICY: &str = "version: \"2\"
default: deny
tools:
  echo:
    hold_if:
      - conditions: [{ path: args.message, op: starts_with, value: pay }]
        on_hold: Payments are made by people.
    limits: [{ counter: echoes, window: day, max: 3, scope: grant }]
";

/// A gate whose held calls are answered after that time, and the fixture's address.
pub fn house(policy: &str, wait: &str) -> (House, Held, String) {
    let (server, url) = fixture_http(&["--extra"]);
    let upstreams = format!("  fix: {{ url: \"{url}\" }}");
    let more = format!("ledger: {{ durability: process }}\napprovals: {{ wait: {wait}, timeout: 10m }}");
    (House::build(&Plan { upstreams: &upstreams, policy, more: &more }), server, url)
}

pub fn waiting(house: &House) -> Vec<Value> {
    let (code, out, err) = house.run(&["approvals", "--json"]);
    assert_eq!(code, 0, "{err}");
    let all = out.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|one| one["state"] == "waiting").collect()
}

/// The one that waits, as soon as it does.
pub async fn one_that_waits(house: &House) -> Value {
    for _ in 0..200 {
        if let Some(one) = waiting(house).pop() {
            return one;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("nothing waits");
}

pub fn pays(what: &str) -> Value {
    json!({ "message": format!("pay {what}") })
}

/// What was asked of a held call's answer: its approval.
pub fn id_of(answer: &Value) -> String {
    let decision = &answer["result"]["_meta"]["portcullis/decision"];
    assert_eq!(decision["outcome"], "held", "{answer}");
    let id = decision["approval"].as_str().unwrap().to_owned();
    assert!(text(answer).starts_with("[APPROVAL NEEDED] ") && text(answer).contains(&id), "{answer}");
    assert_eq!(answer["result"]["isError"], true);
    id
}

pub async fn reached(house: &House, url: &str) -> usize {
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
        assert!(
            code == 0
                && said.contains("\"message\": \"pay rent\"")
                && said.contains("\napproved: echo on fix by t"),
            "{said}{err}"
        );
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
async fn whoever_wants_progress_hears_for_what_a_call_waits() {
    let (house, _server, _) = house(POLICY, "45s");
    let session = open_session(&house, "/mcp/fix", "2025-11-25", json!({})).await;
    let mut params =
        json!({ "name": "echo", "arguments": pays("rent"), "_meta": { "progressToken": "mine" } });
    let old = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
    for era in ["old", "new"] {
        let mut answer = match era {
            "old" => Stream::post(&house, "/mcp/fix", &session, &old).await,
            _ => post_modern(&house, "/mcp/fix", modern(2, "tools/call", params.take(), json!({}))).await,
        };
        let notice = answer.message().await.unwrap();
        let id = one_that_waits(&house).await["id"].as_str().unwrap().to_owned();
        assert_eq!(notice["method"], "notifications/progress", "{era}: {notice}");
        assert_eq!(notice["params"]["progressToken"], "mine", "{era}: {notice}");
        assert_eq!(
            notice["params"]["message"],
            format!("Payments are made by people. It waits for a person as {id}.")
        );
        assert_eq!(house.run(&["approvals", "approve", &id]).0, 0);
        assert_eq!(text(answer.rest().await.last().unwrap()), "pay rent", "{era}");
    }
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
    let id = regex::Regex::new("([at])_[a-z2-7]+").unwrap();
    let time = regex::Regex::new(r"\d{4}-\d\d-\d\dT[\d:.]+Z").unwrap();
    time.replace_all(&id.replace_all(text, "${1}_ID"), "TIME").trim().to_owned()
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
    let mut task =
        ask_new(&house, "/mcp/fix", "tools/call", json!({ "name": "echo", "arguments": pays("rent") })).await;
    let mut shown: Value = serde_json::from_str(&blocks("json")[1]).unwrap();
    // The number of the row, and what is left of the time that the first call has used.
    for one in [&mut task, &mut shown] {
        assert!(
            one["result"]["ttlMs"].take().as_u64().is_some_and(|ms| (1_480_000..=1_500_000).contains(&ms))
        );
        assert!(one["result"]["_meta"]["portcullis/decision"]["ledger"].take().is_u64());
    }
    assert_eq!(steady(&task.to_string()), steady(&shown.to_string()));
    let (_, list, _) = house.run(&["approvals"]);
    let (_, said, _) = house.run(&["approvals", "approve", &id, "--reason", "the rent is due"]);
    let console = format!(
        "$ portcullis approvals\n{list}$ portcullis approvals approve {} --reason \"the rent is due\"\n{said}",
        &id[..9]
    );
    assert_eq!(steady(&console), steady(&blocks("console")[0]));
}

#[tokio::test]
async fn what_waits_was_approved_or_refused_outlives_the_gate() {
    let (mut house, _server, url) = house(POLICY, "100ms");
    let session = house.session("/mcp/fix").await;
    let ids = {
        let mut ids = Vec::new();
        for (id, what) in [(1, "rent"), (2, "wages"), (3, "bribes")] {
            ids.push(id_of(&session.call(id, "echo", pays(what)).await));
        }
        ids
    };
    assert_eq!(house.run(&["approvals", "approve", &ids[1]]).0, 0);
    assert_eq!(house.run(&["approvals", "deny", &ids[2], "--reason", "never"]).0, 0);
    drop(session);
    house.gate.take().unwrap().kill();
    house.up();
    let still = waiting(&house);
    assert_eq!(still.iter().map(|one| one["id"].as_str().unwrap()).collect::<Vec<_>>(), [&ids[0]]);
    let session = house.session("/mcp/fix").await;
    // Said before the gate was killed: yes to this one, once, and no to that.
    assert_eq!(text(&session.call(1, "echo", pays("wages")).await), "pay wages");
    assert!(text(&session.call(2, "echo", pays("bribes")).await).contains("refused this call: never"));
    // Charged: what was made, and what waits; a third fits and a fourth does not. What was refused was given back.
    id_of(&session.call(3, "echo", pays("wages")).await);
    let over = session.call(4, "echo", json!({ "message": "hello" })).await;
    assert!(text(&over).contains("is used up"), "{over}");
    assert_eq!(house.run(&["approvals", "approve", &ids[0]]).0, 0);
    drop(session);
    house.gate.take().unwrap().kill();
    house.up();
    let session = house.session("/mcp/fix").await;
    assert_eq!(text(&session.call(1, "echo", pays("rent")).await), "pay rent");
    house.gate.take().unwrap().kill();
    house.up();
    let session = house.session("/mcp/fix").await;
    // Used is used.
    assert!(!text(&session.call(1, "echo", pays("rent")).await).starts_with("pay"));
    assert_eq!(reached(&house, &url).await, 2);
}

/// Whoever waits for a yes uses it up in the moment in which it is given: what is kept must say that it was used, not that it was given.
#[tokio::test]
async fn what_was_approved_and_used_is_used_after_a_restart_too() {
    let policy = POLICY.replace("max: 3", "max: 1000");
    let (mut house, _server, url) = house(&policy, "45s");
    let calls: Vec<Value> = (0..20).map(|place| pays(&place.to_string())).collect();
    let session = house.session("/mcp/fix").await;
    for (id, call) in (1..).zip(&calls) {
        let person = async {
            let one = one_that_waits(&house).await["id"].as_str().unwrap().to_owned();
            assert_eq!(house.run(&["approvals", "approve", &one]).0, 0);
        };
        let (answer, ()) = tokio::join!(session.call(id, "echo", call.clone()), person);
        assert_eq!(json!(text(&answer)), call["message"]);
    }
    drop(session);
    house.gate.take().unwrap().terminate();
    house.configure("wait: 45s", "wait: 50ms");
    house.up();
    let session = house.session("/mcp/fix").await;
    for (id, call) in (1..).zip(&calls) {
        id_of(&session.call(id, "echo", call.clone()).await);
    }
    assert_eq!(reached(&house, &url).await, calls.len());
}

#[tokio::test]
async fn the_user_of_the_client_decides_where_the_rule_says_so_and_only_then() {
    let policy = POLICY.replace("on_hold:", "approvers: [client]\n        on_hold:");
    let (house, _server, url) = house(&policy, "20s");
    // The old era: the question comes on the call's own stream.
    let can = json!({ "elicitation": {} });
    let session = open_session(&house, "/mcp/fix", "2025-11-25", can.clone()).await;
    let call = |id: u64, what: &str| json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": "echo", "arguments": pays(what) } });
    for (id, what, reply, expected) in [
        (
            1,
            "rent",
            json!({ "action": "accept", "content": { "approve": true, "reason": "due" } }),
            "pay rent",
        ),
        (2, "bribes", json!({ "action": "accept", "content": { "approve": false } }), "[POLICY DENIED]"),
        (3, "tips", json!({ "action": "decline" }), "[POLICY DENIED]"),
    ] {
        let mut answer = Stream::post(&house, "/mcp/fix", &session, &call(id, what)).await;
        let question = answer.message().await.unwrap();
        assert_eq!(question["method"], "elicitation/create", "{question}");
        let message = question["params"]["message"].as_str().unwrap();
        assert!(message.contains("Payments are made by people.") && message.contains(what), "{message}");
        let reply = json!({ "jsonrpc": "2.0", "id": question["id"], "result": reply });
        assert_eq!(Stream::post(&house, "/mcp/fix", &session, &reply).await.status, 202);
        let answer = answer.rest().await;
        assert!(text(&answer[0]).starts_with(expected), "{answer:?}");
    }
    // The new era: the call ends with the question, and is made again with the answer.
    let params = json!({ "name": "echo", "arguments": pays("wages") });
    let asks = post_modern(&house, "/mcp/fix", modern(4, "tools/call", params.clone(), can.clone()))
        .await
        .whole()
        .await;
    assert_eq!(asks["result"]["resultType"], "input_required", "{asks}");
    let key = asks["result"]["inputRequests"].as_object().unwrap().keys().next().unwrap().clone();
    let mut retry = params;
    retry["requestState"] = asks["result"]["requestState"].clone();
    retry["inputResponses"] = json!({ key: { "action": "accept", "content": { "approve": true } } });
    let answer = post_modern(&house, "/mcp/fix", modern(5, "tools/call", retry, can)).await.whole().await;
    assert_eq!(text(&answer), "pay wages");
    assert_eq!(reached(&house, &url).await, 2);
    let (_, out, _) = house.run(&["approvals", "list", "--all", "--json"]);
    let decided: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&decided[0]["decided_by"], &decided[0]["reason"]), (&json!("client:tests/1"), &json!("due")));
    // The operator is not asked, and a client that cannot ask its user does not decide.
    let mute = house.session("/mcp/fix").await;
    let (held, id) = tokio::join!(mute.call(1, "echo", pays("fees")), async {
        let id = one_that_waits(&house).await["id"].as_str().unwrap().to_owned();
        let (code, _, err) = house.run(&["approvals", "approve", &id]);
        assert!(code == 4 && err.contains("decided by the user of the client"), "{err}");
        assert_eq!(house.run(&["drop"]).0, 0);
        id
    });
    assert!(held["error"].is_object() || !text(&held).starts_with("pay"), "{held} {id}");
}

/// One grant that decides, under the label that POLICY's rule is given here.
pub fn approver(house: &House) -> String {
    let more = ["--upstream", "fix=p", "--approver", "--label", "role=finance", "--json"];
    let (code, out, err) = house.run(&[&["grant", "add", "anna"], &more[..]].concat());
    assert_eq!(code, 0, "{err}");
    serde_json::from_str::<Value>(&out).unwrap()["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn approvers_decide_over_http_and_on_a_page_and_nobody_else_sees_what_waits() {
    let policy = POLICY.replace("on_hold:", "approvers: [role=finance]\n        on_hold:");
    let (house, _server, _) = house(&policy, "100ms");
    let token = approver(&house);
    let session = house.session("/mcp/fix").await;
    let (rent, wages) = (
        id_of(&session.call(1, "echo", pays("rent")).await),
        id_of(&session.call(2, "echo", pays("<b>wages</b>")).await),
    );
    let api = |method: Method, path: String, token: String, body: &'static str| {
        let house = &house;
        async move {
            let bearer = format!("Bearer {token}");
            let headers = [("authorization", &*bearer), ("content-type", "application/json")];
            let (status, _, body) = house.http(method, &path, &headers, body).await;
            (status, serde_json::from_slice::<Value>(&body).unwrap_or(Value::Null))
        }
    };
    let list = "/api/v1/approvals".to_owned();
    let (status, all) = api(Method::GET, list.clone(), token.clone(), "").await;
    assert_eq!((status, all.as_array().unwrap().len()), (200, 2), "{all}");
    assert_eq!(all[0]["args"], pays("rent"));
    // Who asks for the calls does not see them here, nor does nobody.
    let (status, own) = api(Method::GET, list.clone(), TOKEN.to_owned(), "").await;
    assert_eq!((status, own), (200, json!([])));
    assert_eq!(api(Method::GET, list, "pcl_nobody".to_owned(), "").await.0, 401);
    let approve = format!("/api/v1/approvals/{rent}/approve");
    assert_eq!(api(Method::POST, approve.clone(), TOKEN.to_owned(), "").await.0, 404);
    assert_eq!(api(Method::POST, approve.clone(), token.clone(), "{\"why\":1}").await.0, 400);
    let (status, decided) = api(Method::POST, approve.clone(), token.clone(), "{\"reason\":\"due\"}").await;
    assert_eq!(
        (status, &decided["state"], &decided["decided_by"]),
        (200, &json!("approved"), &json!("grant:anna"))
    );
    assert_eq!(api(Method::POST, approve, token.clone(), "").await.0, 409);

    // The page: a link tells nothing, a form shows and decides; a page of another origin is refused.
    let page = format!("/approvals/{wages}");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let (status, headers, body) = house.http(Method::GET, &page, &[], "").await;
    let text_of = |body: &[u8]| String::from_utf8(body.to_vec()).unwrap();
    assert!(status == 200 && !text_of(&body).contains("wages</b>") && !text_of(&body).contains("echo"));
    assert!(headers["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
    let (status, _, body) = house.http(Method::POST, &page, &form, format!("token={TOKEN}&do=show")).await;
    assert!(status == 404 && !text_of(&body).contains("echo"), "{}", text_of(&body));
    let (status, _, body) = house.http(Method::POST, &page, &form, format!("token={token}&do=show")).await;
    assert!(status == 200 && text_of(&body).contains("&lt;b&gt;wages&lt;/b&gt;"), "{}", text_of(&body));
    let foreign = [form[0], ("origin", "https://evil.example")];
    let denies = format!("token={token}&reason=too+much%21&do=deny");
    assert_eq!(house.http(Method::POST, &page, &foreign, denies.clone()).await.0, 403);
    let (status, _, body) = house.http(Method::POST, &page, &form, denies).await;
    assert!(status == 200 && text_of(&body).contains("too much!"), "{}", text_of(&body));
    assert!(
        text(&session.call(3, "echo", pays("<b>wages</b>")).await)
            .contains("grant:anna refused this call: too much!")
    );
    assert_eq!(text(&session.call(4, "echo", pays("rent")).await), "pay rent");
}

#[tokio::test]
async fn a_webhook_is_told_of_what_waits_and_of_what_became_of_it() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        for n in 0.. {
            let Ok((mut stream, _)) = listener.accept().await else { return };
            let (mut text, mut part) = (Vec::new(), [0; 4096]);
            let whole = |text: &[u8]| -> Option<(String, String)> {
                let text = String::from_utf8_lossy(text).into_owned();
                let (head, body) = text.split_once("\r\n\r\n")?;
                let length = head
                    .lines()
                    .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
                (body.len() == length.unwrap_or(0)).then(|| (head.to_owned(), body.to_owned()))
            };
            let request = loop {
                let read = tokio::io::AsyncReadExt::read(&mut stream, &mut part).await.unwrap();
                text.extend_from_slice(&part[..read]);
                if let Some(request) = whole(&text) {
                    break request;
                }
            };
            // The first try fails.
            let status = if n == 0 { "503 Later" } else { "204 Fine" };
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            tokio::io::AsyncWriteExt::write_all(&mut stream, answer.as_bytes()).await.unwrap();
            let _ = tell.send(request);
        }
    });
    let (server, url) = fixture_http(&["--extra"]);
    let upstreams = format!("  fix: {{ url: \"{url}\" }}");
    let more = format!(
        "ledger: {{ durability: process }}\napprovals: {{ wait: 100ms, webhook: {{ url: \"http://{address}/hook\", secret: \"${{env:HOOK_SECRET}}\" }} }}"
    );
    let mut house = House::plan(&Plan { upstreams: &upstreams, policy: POLICY, more: &more });
    house.env.push(("HOOK_SECRET", "a secret of the hook".to_owned()));
    house.up();
    let session = house.session("/mcp/fix").await;
    let id = id_of(&session.call(1, "echo", pays("rent")).await);
    let mut next =
        async || tokio::time::timeout(Duration::from_secs(20), told.recv()).await.unwrap().unwrap();
    let (first, again) = (next().await, next().await);
    assert_eq!(first.1, again.1, "the second try says the same");
    let (head, body) = again;
    let said: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&said["type"], &said["approval"]["id"]), (&json!("approval.waiting"), &json!(id)));
    assert_eq!(said["approval"]["args"], pays("rent"));
    assert!(said["link"].as_str().unwrap().ends_with(&format!("/approvals/{id}")), "{said}");
    let header = |name: &str| {
        head.lines()
            .find_map(|line| line.to_lowercase().strip_prefix(&format!("{name}: ")).map(str::to_owned))
            .unwrap()
    };
    let mut mac =
        <hmac::Hmac<sha2::Sha256> as hmac::KeyInit>::new_from_slice(b"a secret of the hook").unwrap();
    hmac::Mac::update(&mut mac, format!("{}.{body}", header("x-portcullis-timestamp")).as_bytes());
    let expected: String =
        hmac::Mac::finalize(mac).into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(header("x-portcullis-signature"), format!("sha256={expected}"));
    assert_eq!(house.run(&["approvals", "deny", &id, "--reason", "no"]).0, 0);
    let settled: Value = serde_json::from_str(&next().await.1).unwrap();
    assert_eq!(
        (&settled["type"], &settled["approval"]["state"]),
        (&json!("approval.settled"), &json!("denied"))
    );
    // Approved and used are two things that happen.
    let id = id_of(&session.call(2, "echo", pays("wages")).await);
    next().await;
    assert_eq!(house.run(&["approvals", "approve", &id]).0, 0);
    assert_eq!(text(&session.call(3, "echo", pays("wages")).await), "pay wages");
    let mut types: Vec<String> = Vec::new();
    while types.last().is_none_or(|last| last != "approval.used used") {
        let said: Value = serde_json::from_str(&next().await.1).unwrap();
        let word = |value: &Value| value.as_str().unwrap().to_owned();
        types.push(format!("{} {}", word(&said["type"]), word(&said["approval"]["state"])));
    }
    // Of what happens at once only the last is told.
    assert!(types.len() == 1 || types[0] == "approval.settled approved", "{types:?}");
    drop(server);
}
