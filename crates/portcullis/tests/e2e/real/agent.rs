//! A real agent: the Gemini CLI lists and calls tools through the gate. Its model alone is not real: a server on
//! loopback that asks for one tool call after the other.

use super::{npm_house, part, program};
use crate::house::TOKEN;
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;

/// A model that wants these calls, in this order, and is then done.
struct Model {
    wants: Vec<(&'static str, Value)>,
    /// What it was asked.
    asked: Mutex<Vec<Value>>,
}

impl Model {
    /// Listens on loopback; gives the address.
    async fn listen(self: Arc<Self>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let model = self.clone();
                let service = service_fn(move |request| model.clone().answer(request));
                let http = hyper::server::conn::http1::Builder::new();
                tokio::spawn(http.serve_connection(TokioIo::new(stream), service));
            }
        });
        address
    }

    async fn answer(
        self: Arc<Self>,
        request: Request<Incoming>,
    ) -> Result<Response<Full<Bytes>>, Infallible> {
        let streams = request.uri().path().ends_with(":streamGenerateContent");
        let asked: Value =
            serde_json::from_slice(&request.into_body().collect().await.unwrap().to_bytes()).unwrap();
        let next = match self.wants.get(results(&asked).len()) {
            Some((name, args)) => json!({"functionCall": {"name": name, "args": args}}),
            None => json!({"text": "That is all."}),
        };
        self.asked.lock().unwrap().push(asked);
        let answer = json!({
            "candidates": [{"content": {"role": "model", "parts": [next]}, "finishReason": "STOP", "index": 0}],
            "usageMetadata": {"promptTokenCount": 1, "candidatesTokenCount": 1, "totalTokenCount": 2},
        });
        let (kind, body) = match streams {
            true => ("text/event-stream", format!("data: {answer}\r\n\r\n")),
            false => ("application/json", answer.to_string()),
        };
        Ok(Response::builder().header("content-type", kind).body(Full::from(body)).unwrap())
    }
}

/// What the tools answered so far, as the model is told.
fn results(asked: &Value) -> Vec<String> {
    let contents = asked["contents"].as_array().into_iter().flatten();
    let parts = contents.flat_map(|content| content["parts"].as_array().into_iter().flatten());
    parts.filter_map(|part| part.get("functionResponse")).map(|it| it["response"].to_string()).collect()
}

/// The tools of MCP servers that the model is offered.
fn offered(asked: &Value) -> Vec<String> {
    let tools = asked["tools"].as_array().into_iter().flatten();
    let tools = tools.flat_map(|tool| tool["functionDeclarations"].as_array().into_iter().flatten());
    let names = tools.map(|tool| tool["name"].as_str().unwrap().to_owned());
    let mut names: Vec<_> = names.filter(|name| name.starts_with("mcp_")).collect();
    names.sort();
    names
}

const POLICY: &str = r#"{"version":"1","default":"deny","tools":{"read_text_file":{},"echo":{"deny_if":[
    {"conditions":[{"path":"args.message","op":"eq","value":"bad"}],"on_deny":"Not that word."}]}}}"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gemini_cli_lists_and_calls_through_http_and_through_stdio() {
    let house = npm_house(POLICY);
    let file = house.folder.path().join("work/hello.txt");
    let read = json!({"path": file});
    let model = Arc::new(Model {
        wants: vec![
            ("mcp_gate_everything__echo", json!({"message": "over HTTP"})),
            ("mcp_gate_files__read_text_file", read.clone()),
            ("mcp_gate_everything__echo", json!({"message": "bad"})),
            ("mcp_pipe_everything__echo", json!({"message": "over stdio"})),
            ("mcp_pipe_files__read_text_file", read),
            ("mcp_pipe_everything__echo", json!({"message": "bad"})),
        ],
        asked: Mutex::default(),
    });
    let address = model.clone().listen().await;
    let home = house.folder.path().join("home");
    std::fs::create_dir_all(home.join(".gemini")).unwrap();
    std::fs::create_dir_all(home.join("project")).unwrap();
    let config = house.folder.path().join("portcullis.yaml");
    let settings = json!({
        "mcpServers": {
            "gate": {
                "httpUrl": format!("{}/mcp", house.url),
                "headers": {"Authorization": format!("Bearer {TOKEN}")},
                "trust": true,
            },
            "pipe": {
                "command": env!("CARGO_BIN_EXE_portcullis"),
                "args": ["stdio", "--grant", "t", "--config", config],
                "trust": true,
            },
        },
        "security": {"auth": {"selectedType": "gemini-api-key"}, "folderTrust": {"enabled": false}},
        // Nothing leaves the machine.
        "telemetry": {"enabled": false},
        "privacy": {"usageStatisticsEnabled": false},
        "general": {"disableAutoUpdate": true, "enableAutoUpdate": false, "enableAutoUpdateNotification": false},
    });
    std::fs::write(home.join(".gemini/settings.json"), settings.to_string()).unwrap();
    let mut command = tokio::process::Command::new(part("npm/node_modules/.bin/node"));
    command
        .arg(program("gemini"))
        .args(["--model", "gemini-2.5-flash", "--yolo", "--prompt", "use the tools"])
        .current_dir(home.join("project"))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", &home)
        .env("GEMINI_API_KEY", "none")
        .env("GOOGLE_GEMINI_BASE_URL", &address)
        .env("NO_COLOR", "1")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output =
        tokio::time::timeout(std::time::Duration::from_secs(120), command.output()).await.unwrap().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && out.contains("That is all."), "{out}{err}");

    let asked = model.asked.lock().unwrap();
    let last = asked.last().unwrap();
    let listed = [
        "mcp_gate_everything__echo",
        "mcp_gate_files__read_text_file",
        "mcp_pipe_everything__echo",
        "mcp_pipe_files__read_text_file",
    ];
    assert_eq!(offered(last), listed, "{err}");
    let results = results(last);
    let told = ["Echo: over HTTP", "read through the gate", "[POLICY DENIED] Not that word."];
    let told = told.into_iter().chain([
        "Echo: over stdio",
        "read through the gate",
        "[POLICY DENIED] Not that word.",
    ]);
    assert_eq!(results.len(), 6, "{results:#?}");
    for (result, told) in results.iter().zip(told) {
        assert!(result.contains(told), "no `{told}` in {result}");
    }
    let rows = house.rows(&[]);
    let decisions: Vec<_> = rows.iter().filter(|row| row["kind"] == "decision").collect();
    let outcomes: Vec<_> = decisions.iter().map(|row| row["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["allowed", "allowed", "denied", "allowed", "allowed", "denied"]);
    assert!(
        decisions.iter().all(|row| row["client"].as_str().unwrap().starts_with("gemini-cli")),
        "{decisions:#?}"
    );
}
