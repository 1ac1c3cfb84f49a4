//! What a client shows that has no token: the SDK that most clients are built on looks for OAuth then.

use super::part;
use crate::house::{ALLOW_ALL, House};
use std::process::Command;

/// A client that would sign its user in by OAuth, as agents on the desk do.
const CLIENT: &str = r#"
import { Client } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";
const authProvider = {
  redirectUrl: "http://127.0.0.1:9/callback",
  clientMetadata: { client_name: "c", redirect_uris: ["http://127.0.0.1:9/callback"] },
  clientInformation() { return undefined; },
  saveClientInformation() {}, tokens() { return undefined; }, saveTokens() {},
  redirectToAuthorization() {}, saveCodeVerifier() {}, codeVerifier() { return ""; },
};
const transport = new StreamableHTTPClientTransport(new URL(process.argv[1]), { authProvider });
try { await new Client({ name: "c", version: "1" }).connect(transport); console.log("connected"); }
catch (error) { console.log(String(error)); }
process.exit(0);
"#;

#[test]
fn a_client_without_a_token_shows_that_it_needs_one_and_where_to_get_it() {
    let (house, _server) = House::fixture(ALLOW_ALL, &[]);
    let output = Command::new("node")
        .args(["--input-type=module", "--eval", CLIENT, &format!("{}/mcp", house.url)])
        .current_dir(part("npm"))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    for words in ["Authorization: Bearer", "portcullis grant add"] {
        assert!(said.contains(words), "{said}{}", String::from_utf8_lossy(&output.stderr));
    }
}
