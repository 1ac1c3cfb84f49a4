//! What a person who decides sees, and what they do not.

use crate::approvals::{POLICY, approver, house, id_of, reached};
use crate::documents::of;
use crate::house::text;
use hyper::Method;
use serde_json::{Value, json};

fn policy() -> String {
    POLICY.replace("max: 3", "max: 100")
}

#[tokio::test]
async fn no_text_of_the_caller_hides_what_a_person_approves() {
    let (house, _server, _) = house(&policy(), "100ms");
    let session = house.session("/mcp/fix").await;
    let evil = "rm -rf /srv/x";
    for (number, arguments) in [
        json!({ "message": format!("pay # -----BEGIN PRIVATE KEY-----\n{evil}") }),
        json!({ "message": "pay", "env_token": { "then": evil } }),
        json!({ "message": "pay", "secret": evil }),
        json!({ "message": format!("pay ://x:;{evil}@") }),
        json!({ "message": format!("pay {evil}"), "pad": "x".repeat(17_000) }),
    ]
    .into_iter()
    .enumerate()
    {
        let id = id_of(&session.call(number as u64 * 2, "echo", arguments.clone()).await);
        let (_, shown, _) = house.run(&["approvals", "show", &id]);
        assert!(shown.contains(evil), "{shown}");
        assert_eq!(house.run(&["approvals", "approve", &id]).0, 0);
        assert!(text(&session.call(number as u64 * 2 + 1, "echo", arguments).await).starts_with("pay"));
    }
}

#[tokio::test]
async fn what_was_not_shown_is_approved_only_by_whoever_says_so() {
    let (mut house, _server, url) = house(&policy(), "100ms");
    let session = house.session("/mcp/fix").await;
    let secret = "ghp_abcdefghijklmnopqrstuvwxyz012345";
    let long: String = (0..9_000).map(|n| ["pay ", "the ", "rent "][n % 3]).collect();
    let with_secret = json!({ "message": "pay rent", "key": secret });
    let with_long = json!({ "message": "pay rent", "long": format!("{long}rm -rf /srv/x {long}") });
    let ids = [
        id_of(&session.call(1, "echo", with_secret.clone()).await),
        id_of(&session.call(2, "echo", with_long.clone()).await),
    ];
    let (_, shown, _) = house.run(&["approvals", "show", &ids[0]]);
    assert!(shown.contains("ghp_…2345 (36 characters covered)") && !shown.contains(secret), "{shown}");
    assert!(shown.contains("1 covered, because they look like secrets"), "{shown}");
    let (_, shown, _) = house.run(&["approvals", "show", &ids[1]]);
    assert!(shown.contains("characters not shown) …") && !shown.contains("rm -rf"), "{shown}");
    // What is covered is on the disk, and only the gate reads it there.
    drop(session);
    house.gate.take().unwrap().kill();
    for part in ["ledger.db", "ledger.db-wal"] {
        let bytes = std::fs::read(house.folder.path().join("data").join(part)).unwrap_or_default();
        assert!(!bytes.windows(secret.len()).any(|part| part == secret.as_bytes()), "{part}");
    }
    house.up();
    for (id, arguments, hidden) in [(&ids[0], with_secret, secret), (&ids[1], with_long, "rm -rf /srv/x")] {
        let (code, _, err) = house.run(&["approvals", "approve", id]);
        let page = &of("approvals.md", "console")[1];
        let said = page.lines().find(|line| line.starts_with("error: ")).unwrap();
        assert!(err.starts_with(said.trim_end_matches('…')), "the page says {said}: {err}");
        assert!(code == 1 && err.contains("1 part of the arguments is not shown"), "{err}");
        assert!(err.contains(&format!("approvals show {id} --reveal")) && err.contains("--unseen"), "{err}");
        let (code, shown, err) = house.run(&["approvals", "show", id, "--reveal"]);
        assert!(code == 0 && shown.contains(hidden), "{shown}{err}");
        assert_eq!(house.run(&["approvals", "approve", id]).0, 0);
        let session = house.session("/mcp/fix").await;
        assert_eq!(text(&session.call(1, "echo", arguments).await), "pay rent");
    }
    let session = house.session("/mcp/fix").await;
    let other = json!({ "message": "pay rent", "password": "hunter2" });
    let id = id_of(&session.call(1, "echo", other.clone()).await);
    assert_eq!(house.run(&["approvals", "approve", &id, "--unseen", "--reason", "urgent"]).0, 0);
    assert_eq!(text(&session.call(2, "echo", other).await), "pay rent");
    assert_eq!(reached(&house, &url).await, 3);
    let said: Vec<String> = house
        .rows(&[])
        .iter()
        .filter(|row| row["kind"] == "approval")
        .map(|row| row["message"].as_str().unwrap().to_owned())
        .collect();
    let count = |part: &str| said.iter().filter(|message| message.contains(part)).count();
    assert_eq!(
        (count("all of its arguments were shown to "), count("who did not see 1 part of it")),
        (2, 1),
        "{said:?}"
    );
    // It is over: nothing more of it is kept.
    let (code, _, err) = house.run(&["approvals", "show", &id, "--reveal"]);
    assert!(code == 1 && err.contains("is used already"), "{code} {err}");
}

#[tokio::test]
async fn a_grant_decides_only_where_a_rule_names_its_label_and_it_covers_the_server() {
    let (plain, _server, _) = house(&policy(), "100ms");
    let anna = approver(&plain);
    let id = id_of(&plain.session("/mcp/fix").await.call(1, "echo", json!({ "message": "pay rent" })).await);
    let decide = |house: &crate::house::House, id: &str, token: &str| {
        let output =
            house.command(&["approvals", "approve", id]).env("PORTCULLIS_TOKEN", token).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, err) = decide(&plain, &id, &anna);
    assert!(code == 4 && err.contains("is decided by the operator: its rule names no approvers"), "{err}");

    let named = policy().replace("on_hold:", "approvers: [role=finance]\n        on_hold:");
    let upstreams = format!("  other: {{ command: {}, args: [stdio] }}", crate::house::fixture().display());
    let (server, url) = crate::house::fixture_http(&["--extra"]);
    let upstreams = format!("{upstreams}\n  fix: {{ url: \"{url}\" }}");
    let more = "approvals: { wait: 100ms }";
    let plan = crate::house::Plan { upstreams: &upstreams, policy: &named, more };
    let house = crate::house::House::build(&plan);
    let add =
        ["grant", "add", "zoe", "--upstream", "other=p", "--approver", "--label", "role=finance", "--json"];
    let (_, out, _) = house.run(&add);
    let zoe = serde_json::from_str::<Value>(&out).unwrap()["token"].as_str().unwrap().to_owned();
    let id = id_of(&house.session("/mcp/fix").await.call(1, "echo", json!({ "message": "pay rent" })).await);
    let (code, err) = decide(&house, &id, &zoe);
    assert!(code == 4 && err.contains("the grant zoe does not cover the server fix"), "{err}");
    let bearer = format!("Bearer {zoe}");
    let path = format!("/api/v1/approvals/{id}/approve");
    let (status, _, _) = house.http(Method::POST, &path, &[("authorization", &bearer)], "").await;
    assert_eq!(status, 404);
    drop(server);
}

#[tokio::test]
async fn wrong_tokens_on_the_page_are_slowed_down_and_keep_nobody_out() {
    let policy = policy().replace("on_hold:", "approvers: [role=finance]\n        on_hold:");
    let (house, _server, _) = house(&policy, "100ms");
    let anna = approver(&house);
    let id = id_of(&house.session("/mcp/fix").await.call(1, "echo", json!({ "message": "pay rent" })).await);
    let page = format!("/approvals/{id}");
    let form = ("content-type", "application/x-www-form-urlencoded");
    let right = format!("token={anna}&do=show");
    let (status, headers, _) = house.http(Method::POST, &page, &[form], right.clone()).await;
    assert_eq!(status, 200);
    let cookie = headers["set-cookie"].to_str().unwrap();
    assert!(cookie.contains("HttpOnly; SameSite=Strict"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    let mut statuses = Vec::new();
    for guess in 0..12 {
        let wrong = format!("token=pcl_guess{guess}&do=show");
        let (status, headers, body) = house.http(Method::POST, &page, &[form], wrong).await;
        if status == 429 {
            let said = String::from_utf8(body.to_vec()).unwrap();
            assert!(headers.contains_key("retry-after") && said.contains("Too many wrong tokens"), "{said}");
        }
        statuses.push(status);
    }
    assert_eq!(statuses, [[403; 10].as_slice(), &[429; 2]].concat());
    // No guess is looked at, be it right; who was here before is not kept out.
    assert_eq!(house.http(Method::POST, &page, &[form], right.clone()).await.0, 429);
    assert_eq!(house.http(Method::POST, &page, &[form, ("cookie", cookie)], right.clone()).await.0, 200);
    let forged = cookie.replace('.', ".00");
    assert_eq!(house.http(Method::POST, &page, &[form, ("cookie", &forged)], right).await.0, 429);
    // What browsers say of pages of others.
    let foreign = [form, ("cookie", cookie), ("sec-fetch-site", "same-site")];
    assert_eq!(house.http(Method::POST, &page, &foreign, format!("token={anna}&do=approve")).await.0, 403);
    let null = [form, ("cookie", cookie), ("origin", "null")];
    assert_eq!(house.http(Method::POST, &page, &null, format!("token={anna}&do=approve")).await.0, 403);
    let (_, headers, _) = house.http(Method::GET, &page, &[], "").await;
    assert_eq!(headers["referrer-policy"], "same-origin");
}

#[tokio::test]
async fn the_list_says_what_it_leaves_out_and_an_approval_shows_the_whole_call() {
    let (house, _server, _) = house(&policy(), "100ms");
    let session = house.session("/mcp/fix").await;
    let note = "pay the usual monthly rent for the flat in the old town, and then 900 more to mallory";
    let id = id_of(&session.call(1, "echo", json!({ "message": note })).await);
    let (_, list, _) = house.run(&["approvals"]);
    assert!(list.contains("{\"message\":\"pay the usual") && list.contains(" more characters)  "), "{list}");
    assert!(!list.contains("mallory"), "{list}");
    let (code, said, _) = house.run(&["approvals", "approve", &id]);
    let (call, answer) = said.split_once("approved: ").unwrap();
    assert!(code == 0 && answer.starts_with("echo on fix by t"), "{said}");
    for part in ["tool        fix echo", "grant       t", "client      ", note] {
        assert!(call.contains(part), "{part}: {said}");
    }
    // What is covered is named before it is refused.
    let other = json!({ "message": "pay rent", "key": "ghp_abcdefghijklmnopqrstuvwxyz012345" });
    let id = id_of(&session.call(2, "echo", other).await);
    let (code, said, _) = house.run(&["approvals", "approve", &id]);
    assert!(code == 1 && said.contains("1 covered, because they look like secrets"), "{said}");
}

#[tokio::test]
async fn with_a_token_only_what_it_may_decide_is_seen() {
    let named = policy().replace("on_hold:", "approvers: [role=finance]\n        on_hold:");
    let (house, _server, _) = house(&named, "100ms");
    let anna = approver(&house);
    let id = id_of(&house.session("/mcp/fix").await.call(1, "echo", json!({ "message": "pay rent" })).await);
    let own = id_of(
        &house.session_of(&anna, "/mcp/fix").await.call(1, "echo", json!({ "message": "pay anna" })).await,
    );
    let with = |words: &[&str], token: &str| {
        let words = [&["approvals"], words].concat();
        let output = house.command(&words).env("PORTCULLIS_TOKEN", token).output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code().unwrap(), text(&output.stdout) + &text(&output.stderr))
    };
    for list in [&[][..], &["--json"], &["list", "--all"]] {
        let (code, said) = with(list, &anna);
        assert!(code == 0 && said.contains(&id) && !said.contains(&own), "{said}");
        let (code, said) = with(list, crate::house::TOKEN);
        assert!(code == 0 && !said.contains(&id) && !said.contains("pay"), "{said}");
        let (code, said) = with(list, "pcl_nobody");
        assert!(code == 4 && said.contains("is of no grant"), "{said}");
        // The operator sees all, also what others decide.
        let (code, said) = with(list, "");
        assert!(code == 0 && said.contains(&id) && said.contains(&own), "{said}");
    }
    assert!(with(&[], crate::house::TOKEN).1.contains("that the grant of PORTCULLIS_TOKEN may decide"));
    for words in [["show", &own].as_slice(), &["show", &own, "--reveal"]] {
        let (code, said) = with(words, &anna);
        assert!(code == 2 && said.contains("nothing is named") && !said.contains("pay"), "{said}");
    }
    assert_eq!(with(&["show", &id], &anna).0, 0);
}
