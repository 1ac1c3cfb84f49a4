//! The approval page in Chromium.

use super::{part, program};
use crate::approvals::{POLICY, approver, house, id_of, reached, waiting};
use crate::house::{House, text};
use serde_json::{Value, json};
use std::process::Command;

/// What a person sees who opens the page of an approval, gives a token and does these steps.
async fn opens(house: &House, id: &str, token: &str, more: Value) -> Value {
    let mut told = json!({
        "playwright": part("browser/node_modules/playwright-core"),
        "chromium": part("browser/chromium"),
        "page": format!("{}/approvals/{id}", house.url),
        "token": token,
        "steps": [],
    });
    told.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/e2e/real/browser.mjs");
    let output = tokio::task::spawn_blocking(move || {
        Command::new(program("node")).args([script, &told.to_string()]).output().unwrap()
    });
    let output = output.await.unwrap();
    let (said, failed) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}{failed}"))
}

#[tokio::test]
async fn an_approver_decides_in_a_browser_and_a_foreign_page_does_not() {
    let policy = POLICY
        .replace("on_hold:", "approvers: [role=finance]\n        on_hold:")
        .replace("max: 3", "max: 100");
    let (house, _server, url) = house(&policy, "100ms");
    let token = approver(&house);
    let session = house.session("/mcp/fix").await;
    let hostile = "pay <b>rent</b></pre><script>alert(1)</script> \u{202e}gnp.exe\u{200b}";
    let arguments = json!({ "message": hostile, "lines": ["one", "two"] });
    let id = id_of(&session.call(1, "echo", arguments.clone()).await);
    // What it shows, in the dark too.
    let pictures = part("browser").join("../../check");
    std::fs::create_dir_all(&pictures).unwrap();
    for scheme in ["light", "dark"] {
        let picture = pictures.join(format!("approval-{scheme}.png"));
        let seen = opens(&house, &id, &token, json!({ "picture": picture, "scheme": scheme })).await;
        let page = seen["text"].as_str().unwrap();
        for part in [
            "echo on fix",
            "Payments are made by people.",
            "with tests/1",
            "in 9 min",
            "<script>alert(1)</script>",
            "[U+202E]gnp.exe[U+200B]",
            "\"lines\": [\n",
            "What the server says of the tool",
            "Approve, once",
        ] {
            assert!(page.contains(part), "no {part:?} in {page}");
        }
        assert_eq!((&seen["dialogs"], &seen["bold"], &seen["status"]), (&json!([]), &json!(0), &json!(200)));
        assert!(seen["until"].as_str().unwrap().ends_with('Z'), "{seen}");
    }
    // Another page of the browser decides nothing, even with the token.
    let foreign = format!("{}/healthz", house.url.replace("127.0.0.1", "localhost"));
    let seen = opens(&house, &id, &token, json!({ "foreign": foreign })).await;
    assert_eq!(seen["status"], 403, "{seen}");
    assert_eq!(waiting(&house).len(), 1);
    let steps =
        json!({ "steps": [{ "fill": ["#reason", "it is due"] }, { "click": "button[value=approve]" }] });
    let seen = opens(&house, &id, &token, steps).await;
    assert!(seen["text"].as_str().unwrap().contains("grant:anna") && seen["status"] == 200, "{seen}");
    assert_eq!(text(&session.call(2, "echo", arguments).await), hostile);
    assert_eq!(reached(&house, &url).await, 1);

    let id = id_of(&session.call(3, "echo", json!({ "message": "pay bribes" })).await);
    let steps = json!({ "steps": [{ "fill": ["#reason", "never"] }, { "click": "button[value=deny]" }] });
    let seen = opens(&house, &id, &token, steps).await;
    assert!(seen["text"].as_str().unwrap().contains("denied"), "{seen}");
    let refused = session.call(4, "echo", json!({ "message": "pay bribes" })).await;
    assert!(text(&refused).contains("grant:anna refused this call: never"), "{refused}");

    // What is covered is approved when it was shown, or when somebody says that they did not see it.
    for (step, how) in [
        (json!({ "click": "button[value=reveal]" }), "were shown to grant:anna"),
        (json!({ "check": "input[name=unseen]" }), "who did not see 1 part of it"),
    ] {
        let arguments = json!({ "message": "pay rent", "password": format!("hunter2-{}", how.len()) });
        let id = id_of(&session.call(5, "echo", arguments.clone()).await);
        let click = json!({ "click": "button[value=approve]" });
        let seen = opens(&house, &id, &token, json!({ "steps": [click] })).await;
        assert!(
            seen["status"] == 409 && seen["text"].as_str().unwrap().contains("1 part of the arguments"),
            "{seen}"
        );
        let seen = opens(&house, &id, &token, json!({ "steps": [step, click] })).await;
        assert!(seen["text"].as_str().unwrap().contains("grant:anna"), "{seen}");
        assert_eq!(text(&session.call(6, "echo", arguments).await), "pay rent");
        let rows = house.rows(&[]);
        let said = |row: &&Value| row["message"].as_str().is_some_and(|message| message.contains(how));
        assert_eq!(rows.iter().filter(said).filter(|row| row["kind"] == "approval").count(), 1, "{how}");
    }
}
