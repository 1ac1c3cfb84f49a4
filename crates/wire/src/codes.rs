//! Error codes: JSON-RPC 2.0, the ones that MCP 2026-07-28 allocates, and our own.

/// The text is not JSON.
pub const PARSE_ERROR: i32 = -32700;
/// JSON, but not one acceptable JSON-RPC message.
pub const INVALID_REQUEST: i32 = -32600;
/// The method is not offered.
pub const METHOD_NOT_FOUND: i32 = -32601;
/// The parameters are not acceptable, or the named tool, prompt or resource is unknown.
pub const INVALID_PARAMS: i32 = -32602;
/// Something failed on the way that the caller cannot mend.
pub const INTERNAL_ERROR: i32 = -32603;
/// A header does not match the body (MCP 2026-07-28).
pub const HEADER_MISMATCH: i32 = -32020;
/// The client lacks a capability that the request needs (MCP 2026-07-28).
pub const MISSING_CAPABILITY: i32 = -32021;
/// The protocol version is not offered (MCP 2026-07-28).
pub const UNSUPPORTED_VERSION: i32 = -32022;
/// The policy denies a request that is not a tool call.
pub const DENIED: i32 = -31403;
/// A person has to decide about the request first.
pub const HELD: i32 = -31404;
/// A limit is used up, or the grant has as many tasks as it may have.
pub const LIMITED: i32 = -31429;
/// The gate cannot record, so nothing passes.
pub const NOT_RECORDED: i32 = -31507;
/// The upstream cannot be reached or broke off.
pub const UPSTREAM_FAILED: i32 = -31502;
/// The call did not end within its time.
pub const TIMED_OUT: i32 = -31504;
/// Everything in the scope of the call is dropped.
pub const DROPPED: i32 = -31503;
/// The operator stopped the call.
pub const STOPPED: i32 = -31410;
