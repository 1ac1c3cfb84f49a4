//! A gate with a fixture server behind it, in a folder of its own.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Method, Request};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take to come up on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// The token of the grant `t`.
pub const TOKEN: &str = "token-of-the-tests";

/// A process that ends with its owner.
pub struct Held {
    pub child: Child,
    lines: mpsc::Receiver<String>,
    said: RefCell<Vec<String>>,
}

#[expect(clippy::disallowed_methods, reason = "the tests start the program and its servers themselves")]
pub fn start(command: &mut Command) -> Held {
    let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let (tell, lines) = mpsc::channel();
    let stderr = child.stderr.take().unwrap();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            if tell.send(line).is_err() {
                return;
            }
        }
    });
    Held { child, lines, said: RefCell::default() }
}

impl Held {
    /// Waits for a line on stderr that begins so; gives the rest of it.
    pub fn line(&self, beginning: &str) -> String {
        let until = Instant::now() + PATIENCE;
        while let Ok(line) = self.lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            self.said.borrow_mut().push(line.clone());
            if let Some(rest) = line.strip_prefix(beginning) {
                return rest.to_owned();
            }
        }
        panic!("no line `{beginning}…`; it said:\n{}", self.said.borrow().join("\n"));
    }

    /// Asks it to end; gives all that it said on stderr.
    pub fn last_words(&mut self) -> String {
        self.terminate();
        self.said.borrow_mut().extend(self.lines.iter());
        self.said.borrow().join("\n")
    }

    /// Ends it without a chance to tidy up.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end and waits.
    pub fn terminate(&mut self) -> std::process::ExitStatus {
        let pid = rustix::process::Pid::from_raw(self.child.id().cast_signed()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The fixture server's program, built beside ours.
pub fn fixture() -> PathBuf {
    let path = Path::new(env!("CARGO_BIN_EXE_portcullis")).with_file_name("portcullis-fixture");
    assert!(path.is_file(), "{} is missing: `cargo build -p portcullis-fixture` makes it", path.display());
    path
}

/// Starts the fixture on HTTP; gives it and its address.
pub fn fixture_http(arguments: &[&str]) -> (Held, String) {
    let held = start(Command::new(fixture()).arg("http").args(arguments));
    let url = held.line("listening on ");
    (held, url)
}

/// A gate and its folder.
pub struct House {
    pub folder: TempDir,
    pub gate: Option<Held>,
    pub url: String,
    pub client: Client<HttpConnector, Full<Bytes>>,
    /// Variables for every command.
    pub env: Vec<(&'static str, String)>,
    /// What starts every command, where something has to.
    pub through: Vec<String>,
}

/// Whatever was tried, the record must hold nothing that cannot have happened.
impl Drop for House {
    fn drop(&mut self) {
        self.gate = None;
        if std::thread::panicking() || !self.folder.path().join("data/ledger.db").is_file() {
            return;
        }
        let (code, out, _) = self.run(&["ledger", "audit", "--data", "data", "--json"]);
        // A record that cannot be read was damaged by its test.
        assert_ne!(code, 1, "{out}");
    }
}

/// Upstream entries that tests use; `URL` stands for the fixture's address.
pub struct Plan<'a> {
    /// The block under `upstreams:`.
    pub upstreams: &'a str,
    /// The policy of the grant `t`.
    pub policy: &'a str,
    /// More top-level configuration.
    pub more: &'a str,
}

impl House {
    /// Writes the configuration and starts the gate.
    pub fn build(plan: &Plan<'_>) -> Self {
        let mut house = Self::plan(plan);
        house.up();
        house
    }

    /// Writes the configuration.
    pub fn plan(plan: &Plan<'_>) -> Self {
        let house = Self::empty();
        let folder = &house.folder;
        let config = format!(
            "listen: 127.0.0.1:0\ndata: data\nupstreams:\n{}\npolicies: {{ p: policy.yaml }}\n\
             grants:\n  t: {{ token: \"${{env:TEST_TOKEN}}\", upstreams: {{ \"*\": p }} }}\n{}\n",
            plan.upstreams, plan.more
        );
        std::fs::write(folder.path().join("portcullis.yaml"), config).unwrap();
        std::fs::write(folder.path().join("policy.yaml"), plan.policy).unwrap();
        house
    }

    /// Changes a text in the configuration.
    pub fn configure(&self, from: &str, to: &str) {
        let path = self.folder.path().join("portcullis.yaml");
        let before = std::fs::read_to_string(&path).unwrap();
        assert!(before.contains(from), "no `{from}` in\n{before}");
        std::fs::write(path, before.replace(from, to)).unwrap();
    }

    /// A folder without a configuration and without a gate.
    pub fn empty() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { folder, gate: None, url: String::new(), client, env: Vec::new(), through: Vec::new() }
    }

    /// A gate in front of the fixture with all its extra tools, under a policy.
    pub fn fixture(policy: &str, arguments: &[&str]) -> (Self, Held) {
        let (server, url) = fixture_http(&[&["--extra"], arguments].concat());
        let upstreams = format!("  fix: {{ url: \"{url}\" }}");
        let more = "ledger: { durability: process }";
        (Self::build(&Plan { upstreams: &upstreams, policy, more }), server)
    }

    /// Starts the gate.
    pub fn up(&mut self) {
        self.up_with(&["up"]);
    }

    /// Starts the gate by these arguments.
    pub fn up_with(&mut self, arguments: &[&str]) {
        self.up_by(&[], arguments);
    }

    /// Has another program start the gate, which takes its place.
    pub fn up_by(&mut self, by: &[&str], arguments: &[&str]) {
        let gate = start(&mut self.command_by(by, arguments));
        self.url = gate.line("ready ");
        self.gate = Some(gate);
    }

    /// A command of the program in this folder.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let through: Vec<&str> = self.through.iter().map(String::as_str).collect();
        self.command_by(&through, arguments)
    }

    /// The same, started by another program that takes it as its last arguments.
    pub fn command_by(&self, by: &[&str], arguments: &[&str]) -> Command {
        let words = [by, &[env!("CARGO_BIN_EXE_portcullis")], arguments].concat();
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .current_dir(self.folder.path())
            .env("TEST_TOKEN", TOKEN)
            .env("GITHUB_TOKEN", "not-a-real-token")
            .env("NO_COLOR", "1");
        command
            .env_remove("XDG_RUNTIME_DIR")
            .env_remove("XDG_STATE_HOME")
            .env("HOME", self.folder.path())
            .stdout(Stdio::piped());
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
    }

    /// What `status` says.
    pub fn status(&self) -> Value {
        let (code, out, err) = self.run(&["status", "--json"]);
        assert_eq!(code, 0, "{err}");
        serde_json::from_str(&out).unwrap()
    }

    /// The gate's process.
    pub fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_raw(self.gate.as_ref().unwrap().child.id().cast_signed()).unwrap()
    }

    /// Whether the gate says that it is ready, and why not.
    pub async fn ready(&self) -> Result<(), String> {
        let (status, _, body) = self.http(Method::GET, "/readyz", &[], "").await;
        if status == 200 { Ok(()) } else { Err(String::from_utf8_lossy(&body).into_owned()) }
    }

    /// Runs a command; gives its exit code, stdout and stderr.
    pub fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = self.command(arguments).stdin(Stdio::null()).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
    }

    /// The rows of the ledger that match.
    pub fn rows(&self, arguments: &[&str]) -> Vec<Value> {
        let (code, out, err) = self.run(&[&["ledger", "query", "--json"], arguments].concat());
        assert_eq!(code, 0, "{err}");
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Sends one HTTP request; gives status, headers and body.
    pub async fn http(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> (u16, hyper::HeaderMap, Bytes) {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.client.request(request.body(Full::new(body.into())).unwrap()).await.unwrap();
        let (head, body) = response.into_parts();
        (head.status.as_u16(), head.headers, body.collect().await.unwrap().to_bytes())
    }

    /// Opens a session of the old era.
    pub async fn session(&self, path: &str) -> Session<'_> {
        self.session_of(TOKEN, path).await
    }

    /// Opens a session of the old era with this token.
    pub async fn session_of(&self, token: &str, path: &str) -> Session<'_> {
        let (status, head, answer) = self.hello(token, path).await;
        assert_eq!(status, 200, "{answer:?}");
        let id =
            head.get("mcp-session-id").unwrap_or_else(|| panic!("{answer:?}")).to_str().unwrap().to_owned();
        Session { house: self, path: path.to_owned(), id, bearer: format!("Bearer {token}") }
    }

    /// Says hello in the old era.
    pub async fn hello(&self, token: &str, path: &str) -> (u16, hyper::HeaderMap, Bytes) {
        let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "tests", "version": "1" } });
        let body = json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params }).to_string();
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", &*bearer), ("content-type", "application/json"), ("accept", BOTH)];
        self.http(Method::POST, path, &headers, body).await
    }
}

const BOTH: &str = "application/json, text/event-stream";

/// A session of the old era.
pub struct Session<'h> {
    house: &'h House,
    pub path: String,
    pub id: String,
    bearer: String,
}

impl Session<'_> {
    /// Posts a raw body in this session.
    pub async fn post(&self, body: impl Into<Bytes>) -> (u16, Bytes) {
        let headers = [
            ("authorization", &*self.bearer),
            ("content-type", "application/json"),
            ("accept", BOTH),
            ("mcp-session-id", &*self.id),
        ];
        let (status, _, body) = self.house.http(Method::POST, &self.path, &headers, body).await;
        (status, body)
    }

    /// Asks and gives the response and everything that came before it.
    pub async fn ask(&self, id: u64, method: &str, params: Value) -> (Value, Vec<Value>) {
        let body = json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string();
        let (_, answer) = self.post(body).await;
        let mut messages = messages(&answer);
        let last = messages.pop().unwrap_or_else(|| panic!("{method}: no answer"));
        (last, messages)
    }

    /// Calls a tool.
    pub async fn call(&self, id: u64, tool: &str, arguments: Value) -> Value {
        self.ask(id, "tools/call", json!({ "name": tool, "arguments": arguments })).await.0
    }
}

/// The messages of an answer: one JSON text, or the events of a stream.
pub fn messages(body: &[u8]) -> Vec<Value> {
    if let Ok(value) = serde_json::from_slice(body) {
        return vec![value];
    }
    let mut decoder = portcullis_wire::EventDecoder::new(1 << 24);
    decoder.push(body);
    std::iter::from_fn(|| decoder.next_event().unwrap())
        .filter(|event| !event.data.is_empty())
        .map(|event| serde_json::from_slice(&event.data).unwrap())
        .collect()
}

/// The text of a tool's result.
pub fn text(answer: &Value) -> &str {
    answer
        .pointer("/result/content/0/text")
        .and_then(Value::as_str)
        .unwrap_or_else(|| panic!("no text in {answer}"))
}

/// What the fixture has seen.
pub async fn seen(house: &House, fixture: &str) -> Value {
    let uri = fixture.replace("/mcp", "/seen").parse().unwrap();
    let response = house.client.get(uri).await.unwrap();
    serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

/// Names of what a list answers.
pub fn names(answer: &Value, member: &str) -> Vec<String> {
    let items = answer.pointer(&format!("/result/{member}")).and_then(Value::as_array);
    let items = items.unwrap_or_else(|| panic!("no {member} in {answer}"));
    items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

pub const ALLOW_ALL: &str = "version: \"1\"\ndefault: allow\n";
