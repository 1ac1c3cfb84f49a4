//! What can be counted in a definition. The figures are those of the published specification of tool definition quality
//! (1.2): whoever computes them gets the same.

use super::cost::Required;
use data_encoding::HEXLOWER;
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

/// Characters of a hash that are kept.
const HASH: usize = 16;

/// What can be counted in a definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Facts {
    /// The first 16 digits of SHA-256 over the parts that a model reads, in canonical JSON (RFC 8785).
    pub input_hash: String,
    /// Length of that JSON in bytes.
    pub definition_bytes: usize,
    /// Arguments at the top.
    pub param_count: usize,
    /// Of them those that must be given, as the schema lists them.
    pub required_param_count: usize,
    /// Of them those that have a description.
    pub params_with_descriptions: usize,
    /// Of them those that have a list of values.
    pub params_with_enums: usize,
    /// Share of them that have a description, in percent, rounded, ties up; 100 where there is none at all.
    pub schema_description_coverage: usize,
    /// Whether one of them is an object.
    pub has_nested_objects: bool,
    /// Whether the form of the result is given.
    pub has_output_schema: bool,
    /// Whether there are annotations.
    pub has_annotations: bool,
    /// Their hints.
    pub annotation_values: Hints,
    /// Whether its title says more than its name.
    pub title_is_meaningful: bool,
    /// Members that a call has to have, at any depth.
    pub required_field_count: u64,
    /// Levels of objects of the least call.
    pub schema_depth: u64,
    /// Choices between forms in it.
    pub union_choice_count: u64,
    /// What it takes to write the least call: the required members, and two for each level below the first and each choice.
    pub invocation_cost: u64,
}

/// The hints of a definition; `None` where one is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Hints {
    /// `readOnlyHint`.
    pub read_only: Option<bool>,
    /// `destructiveHint`.
    pub destructive: Option<bool>,
    /// `idempotentHint`.
    pub idempotent: Option<bool>,
    /// `openWorldHint`.
    pub open_world: Option<bool>,
}

impl Facts {
    /// Of the JSON of a definition.
    #[must_use]
    pub fn of(definition: &Value) -> Self {
        let part = |name: &str| definition.get(name).unwrap_or(&Value::Null);
        let text = canonical(definition);
        let input = part("inputSchema");
        let parameters: Vec<&Map<String, Value>> = match input.get("properties").and_then(Value::as_object) {
            Some(all) => all.values().filter_map(Value::as_object).collect(),
            None => Vec::new(),
        };
        let param_count = input.get("properties").and_then(Value::as_object).map_or(0, Map::len);
        let count = |is: &dyn Fn(&Map<String, Value>) -> bool| parameters.iter().filter(|it| is(it)).count();
        let described =
            count(&|it| it.get("description").and_then(Value::as_str).is_some_and(|it| !it.is_empty()));
        let is_filled = |name: &str| part(name).as_object().is_some_and(|all| !all.is_empty());
        let hint = |name: &str| part("annotations").get(name).and_then(Value::as_bool);
        let required = Required::of(input);
        let (name, title) = (part("name").as_str().unwrap_or_default(), part("title").as_str());
        Self {
            input_hash: HEXLOWER.encode(&Sha256::digest(&text)).chars().take(HASH).collect(),
            definition_bytes: text.len(),
            param_count,
            required_param_count: input.get("required").and_then(Value::as_array).map_or(0, Vec::len),
            params_with_descriptions: described,
            params_with_enums: count(&|it| it.get("enum").is_some_and(Value::is_array)),
            schema_description_coverage: match param_count {
                0 => 100,
                all => (200 * described + all) / (2 * all),
            },
            has_nested_objects: count(&|it| it.get("type").and_then(Value::as_str) == Some("object")) > 0,
            has_output_schema: is_filled("outputSchema"),
            has_annotations: is_filled("annotations"),
            annotation_values: Hints {
                read_only: hint("readOnlyHint"),
                destructive: hint("destructiveHint"),
                idempotent: hint("idempotentHint"),
                open_world: hint("openWorldHint"),
            },
            title_is_meaningful: title.is_some_and(|title| {
                title != name && title.encode_utf16().count() > name.encode_utf16().count()
            }),
            required_field_count: required.fields,
            schema_depth: required.depth,
            union_choice_count: required.unions,
            invocation_cost: required.cost(),
        }
    }
}

/// The parts that a model reads, null where one is not there.
fn canonical(definition: &Value) -> Vec<u8> {
    let part = |name: &str| definition.get(name).unwrap_or(&Value::Null);
    let names = ["annotations", "description", "inputSchema", "name", "outputSchema", "title"];
    let parts: BTreeMap<&str, &Value> = names.into_iter().map(|name| (name, part(name))).collect();
    serde_json_canonicalizer::to_vec(&parts).unwrap_or_default()
}
