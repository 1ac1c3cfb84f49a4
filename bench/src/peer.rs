//! One keep-alive connection to an MCP endpoint, and the requests that the bench sends on it.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header, request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use memchr::memmem;
use tokio::net::TcpStream;

use crate::{
    error::{Error, Result},
    target::{Era, PROTOCOL_VERSION, SESSION_ID, Target},
    tools,
};

/// A session of the old era; nothing in the new era.
pub type SessionId = Option<HeaderValue>;

/// What every request of the new era carries.
const META: &str = r#""_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}"#;

/// One connection.
#[derive(Debug)]
pub struct Peer {
    target: Target,
    sender: SendRequest<Full<Bytes>>,
}

struct Answer {
    status: StatusCode,
    session: SessionId,
    body: Bytes,
}

impl Peer {
    /// Connects.
    ///
    /// # Errors
    /// When nothing listens there.
    pub async fn connect(target: &Target) -> Result<Self> {
        let doing = || format!("connecting to {}", target.authority());
        let stream = TcpStream::connect(target.address).await.map_err(Error::io(doing()))?;
        stream.set_nodelay(true).map_err(Error::io(doing()))?;
        let (sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(Error::http(doing()))?;
        // Its end is seen by the next request.
        tokio::spawn(connection);
        Ok(Self { target: target.clone(), sender })
    }

    /// Opens a session: `initialize` and `notifications/initialized`, or `server/discover`.
    ///
    /// # Errors
    /// When the connection breaks, or the server refuses.
    pub async fn open(&mut self) -> Result<SessionId> {
        if self.target.era == Era::New {
            let body =
                format!(r#"{{"jsonrpc":"2.0","id":0,"method":"server/discover","params":{{{META}}}}}"#);
            self.ask("server/discover", &None, body, b"supportedVersions").await?;
            return Ok(None);
        }
        let body = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}"#;
        let session = self.ask("initialize", &None, body.to_owned(), b"protocolVersion").await?.session;
        let body = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        self.ask("notifications/initialized", &session, body.to_owned(), b"").await?;
        Ok(session)
    }

    /// Asks for the tools.
    ///
    /// # Errors
    /// When the connection breaks, or the tool that the load generator calls is not listed.
    pub async fn list(&mut self, session: &SessionId) -> Result<()> {
        let meta = if self.target.era == Era::New { META } else { "" };
        let body = format!(r#"{{"jsonrpc":"2.0","id":0,"method":"tools/list","params":{{{meta}}}}}"#);
        self.ask("tools/list", session, body, b"\"echo\"").await?;
        Ok(())
    }

    /// Calls `echo` and checks that the answer carries the message.
    ///
    /// # Errors
    /// When the connection breaks, or the answer is a refusal or another message.
    pub async fn call(&mut self, session: &SessionId, id: u64, message: &str) -> Result<()> {
        let (meta, comma) = if self.target.era == Era::New { (META, ",") } else { ("", "") };
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{}","arguments":{{"message":"{message}"}}{comma}{meta}}}}}"#,
            tools::CALLED
        );
        self.ask("tools/call", session, body, message.as_bytes()).await?;
        Ok(())
    }

    /// Fetches a path.
    ///
    /// # Errors
    /// When the connection breaks.
    pub async fn get(&mut self, path: &str) -> Result<Bytes> {
        let request = Request::builder()
            .method(Method::GET)
            .uri(path)
            .header(header::HOST, self.target.authority())
            .body(Full::default())
            .map_err(|error| Error::answer(format!("GET {path}"), "a path", error.to_string()))?;
        Ok(self.send("GET", request).await?.body)
    }

    /// Posts a message and wants a success whose body contains `needle`.
    async fn ask(
        &mut self,
        method: &'static str,
        session: &SessionId,
        body: String,
        needle: &[u8],
    ) -> Result<Answer> {
        let request = self
            .head(method, session)
            .body(Full::from(body))
            .map_err(|error| Error::answer(method, "a well-formed request", error.to_string()))?;
        let answer = self.send(method, request).await?;
        if answer.status.is_success() && memmem::find(&answer.body, needle).is_some() {
            return Ok(answer);
        }
        let found = format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body));
        let expected = if method == "tools/call" { "the message that was sent" } else { "a success" };
        Err(Error::answer(format!("{method} at {}", self.target.url()), expected, found))
    }

    fn head(&self, method: &'static str, session: &SessionId) -> request::Builder {
        let mut head = Request::builder()
            .method(Method::POST)
            .uri(&self.target.path)
            .header(header::HOST, self.target.authority())
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::ACCEPT, "application/json, text/event-stream")
            .header(PROTOCOL_VERSION, self.target.era.version());
        if let Some(token) = &self.target.authorization {
            head = head.header(header::AUTHORIZATION, token);
        }
        if let Some(session) = session {
            head = head.header(SESSION_ID, session);
        }
        if self.target.era == Era::New {
            head = head.header("mcp-method", method);
            if method == "tools/call" {
                head = head.header("mcp-name", tools::CALLED);
            }
        }
        head
    }

    async fn send(&mut self, method: &'static str, request: Request<Full<Bytes>>) -> Result<Answer> {
        self.sender.ready().await.map_err(Error::http(method))?;
        let (head, body) = self.sender.send_request(request).await.map_err(Error::http(method))?.into_parts();
        let body = body.collect().await.map_err(Error::http(method))?.to_bytes();
        Ok(Answer { status: head.status, session: head.headers.get(SESSION_ID).cloned(), body })
    }
}
