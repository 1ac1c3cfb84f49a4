//! Where the load generator calls, and in which era it speaks.

use std::{net::SocketAddr, str::FromStr};

use http::{HeaderValue, Uri};

/// The header that carries the session of the old era.
pub const SESSION_ID: &str = "mcp-session-id";
/// The header that carries the protocol version in both eras.
pub const PROTOCOL_VERSION: &str = "mcp-protocol-version";

/// The two eras of MCP over Streamable HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Era {
    /// 2025-11-25: `initialize` and sessions.
    Old,
    /// 2026-07-28: no sessions, `_meta` and routing headers on every request.
    New,
}

impl Era {
    /// The protocol version spoken.
    pub const fn version(self) -> &'static str {
        match self {
            Self::Old => "2025-11-25",
            Self::New => "2026-07-28",
        }
    }
}

/// An MCP endpoint on this machine.
#[derive(Clone, Debug)]
pub struct Target {
    /// Its address; only the loopback is accepted when parsing.
    pub address: SocketAddr,
    /// Its path, such as `/mcp`.
    pub path: String,
    /// The whole `Authorization` header, where one is needed.
    pub authorization: Option<HeaderValue>,
    /// The era to speak with it.
    pub era: Era,
    authority: String,
}

impl Target {
    /// An endpoint that needs no token.
    pub fn new(address: SocketAddr, path: &str, era: Era) -> Self {
        Self { address, path: path.to_owned(), authorization: None, era, authority: address.to_string() }
    }

    /// The same endpoint, with a bearer token (which has to be visible ASCII; others are left out).
    #[must_use]
    pub fn with_token(mut self, token: &str) -> Self {
        self.authorization = HeaderValue::from_str(&format!("Bearer {token}")).ok();
        self
    }

    /// `host:port`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// `http://host:port/path`.
    pub fn url(&self) -> String {
        format!("http://{}{}", self.authority, self.path)
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let expected = || format!("expected http://127.0.0.1:PORT/PATH, found {text:?}");
        let uri: Uri = text.parse().map_err(|_| expected())?;
        let address: SocketAddr =
            uri.authority().and_then(|authority| authority.as_str().parse().ok()).ok_or_else(expected)?;
        if uri.scheme_str() != Some("http") || !address.ip().is_loopback() {
            return Err(expected());
        }
        Ok(Self::new(address, uri.path(), Era::Old))
    }
}
