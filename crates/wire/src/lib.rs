//! What goes over the line: JSON-RPC envelopes on borrowed bytes, both protocol eras, SSE and line framing.
