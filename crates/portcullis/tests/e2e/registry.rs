//! The servers behind a gate, for clients that read a registry.

use crate::house::{ALLOW_ALL, House, TOKEN};
use bytes::Bytes;
use hyper::Method;
use serde_json::Value;

async fn get(house: &House, path: &str, token: &str) -> (u16, Value) {
    let bearer = format!("Bearer {token}");
    let (status, _, body) = house.http(Method::GET, path, &[("authorization", &bearer)], Bytes::new()).await;
    (status, serde_json::from_slice(&body).unwrap_or_default())
}

#[tokio::test]
async fn servers_are_listed_for_whoever_may_reach_them_and_are_reached_by_what_is_listed() {
    let (mut house, _server) = House::fixture(ALLOW_ALL, &[]);
    house.session("/mcp/fix").await.ask(1, "tools/list", serde_json::json!({})).await;
    let (status, page) = get(&house, "/v0.1/servers", TOKEN).await;
    assert_eq!((status, &page["metadata"]["count"]), (200, &1.into()), "{page}");
    let server = &page["servers"][0]["server"];
    assert_eq!(server["name"], "local.portcullis/fix");
    assert_eq!(server["version"], "0.1.0");
    assert_eq!(server["remotes"][0]["url"], format!("{}/mcp/fix", house.url));
    assert!(server["description"].as_str().unwrap().contains("the gravest of risk Critical"), "{server}");
    for version in ["latest", "0.1.0"] {
        let path = format!("/v0.1/servers/local.portcullis%2Ffix/versions/{version}");
        let (status, one) = get(&house, &path, TOKEN).await;
        assert_eq!((status, &one), (200, &page["servers"][0]), "{version}");
    }
    let (_, versions) = get(&house, "/v0.1/servers/local.portcullis%2Ffix/versions", TOKEN).await;
    assert_eq!(versions["servers"], page["servers"]);
    for path in [
        "/v0.1/servers/fix/versions/latest",
        "/v0.1/servers/local.portcullis%2Ffix/versions/9",
        "/v0.1/servers/x",
    ] {
        assert_eq!(get(&house, path, TOKEN).await.0, 404, "{path}");
    }
    assert_eq!(get(&house, "/v0.1/servers?search=FIX&limit=1", TOKEN).await.1["servers"], page["servers"]);
    assert_eq!(get(&house, "/v0.1/servers?cursor=fix", TOKEN).await.1["metadata"]["count"], 0);

    // Nobody else sees anything of it.
    assert_eq!(get(&house, "/v0.1/servers", "pc_unknown").await.0, 401);
    house.configure("upstreams:\n", "upstreams:\n  nothing: { url: \"http://127.0.0.1:9/mcp\" }\n");
    assert_eq!(house.run(&["reload"]).0, 0);
    let (code, added, err) = house.run(&["grant", "add", "other", "--upstream", "nothing=p", "--json"]);
    assert_eq!(code, 0, "{err}");
    let other: Value = serde_json::from_str(&added).unwrap();
    let token = other["token"].as_str().unwrap();
    let (_, seen) = get(&house, "/v0.1/servers", token).await;
    assert_eq!(
        (seen["servers"].as_array().unwrap().len(), &seen["servers"][0]["server"]["title"]),
        (1, &"nothing".into()),
        "{seen}"
    );
    assert_eq!(get(&house, "/v0.1/servers/local.portcullis%2Ffix/versions/latest", token).await.0, 404);

    // The page is one that is read here too.
    std::fs::write(house.folder.path().join("page.json"), page.to_string()).unwrap();
    house.env.push(("TOKEN", TOKEN.to_owned()));
    let (code, out, err) = house.run(&["scan", "--config", "page.json"]);
    assert!(code == 0 && out.starts_with("fix (file): portcullis-fixture 0.1.0"), "{out}{err}");
}
