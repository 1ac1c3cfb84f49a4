//! The grant `me`, for a gate that has none.

use crate::control;
use crate::failure::Failure;
use crate::running::Running;
use serde_json::{Value, json};
use std::sync::Arc;

/// Its name.
pub(super) const ME: &str = "me";

/// Makes it for all upstreams where there is no grant at all, or where the configuration is `fresh`. Gives its token.
pub(super) async fn mint_where_none(running: &Arc<Running>, fresh: bool) -> Result<Option<String>, Failure> {
    let grants = running.gate.grants();
    if !grants.all().is_empty() && (!fresh || grants.by_name(ME).is_some()) {
        return Ok(None);
    }
    let rules = running.gate.admit().rules();
    let policy = rules
        .policies
        .keys()
        .find(|name| *name == "careful")
        .or_else(|| rules.policies.keys().find(|name| *name != "everyone"))
        .cloned()
        .ok_or_else(|| Failure::usage("the configuration has no policy"))?;
    // As `grant add` makes it, so that there is one way.
    let granted = control::add_grant(running, &json!({ "name": ME, "upstreams": { "*": policy } })).await?;
    Ok(granted.get("token").and_then(Value::as_str).map(str::to_owned))
}
