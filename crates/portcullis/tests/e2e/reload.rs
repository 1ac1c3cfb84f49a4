//! What a reload takes, and what it leaves as it is.

use crate::house::{ALLOW_ALL, House, text};
use serde_json::json;

#[tokio::test]
async fn a_reload_keeps_what_the_command_line_said() {
    let (mut house, _server) = House::fixture(ALLOW_ALL, &[]);
    house.gate.as_mut().unwrap().terminate();
    house.up_with(&["up", "--listen", "127.0.0.2:0"]);
    let session = house.session("/mcp/fix").await;
    let (code, out, err) = house.run(&["reload"]);
    assert_eq!((code, out.as_str()), (0, "reloaded: 1 upstream, 1 policy\n"), "{err}");
    let answer = session.call(1, "echo", json!({"message": "still called by its address"})).await;
    assert_eq!(text(&answer), "still called by its address");
}

#[tokio::test]
async fn a_new_listen_address_is_announced_for_the_next_start() {
    let (house, _server) = House::fixture(ALLOW_ALL, &[]);
    house.configure("listen: 127.0.0.1:0", "listen: 127.0.0.3:0");
    let (code, out, err) = house.run(&["reload"]);
    assert!(code == 0 && out.contains("a new listen address is taken at the next start"), "{out}{err}");
}
