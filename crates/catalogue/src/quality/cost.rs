//! How much an agent has to write for the least call that a schema allows.
//!
//! The rules are those of the published specification of tool definition quality (1.2), so that everybody counts the same.

use serde_json::{Map, Value};

/// Levels of objects after which is not counted on.
const DEEPEST: u64 = 10;
/// Schemas that are looked at in one definition. References can make a short text as long as one likes.
const MOST: usize = 100_000;
/// References within references that are followed.
const FOLLOWED: usize = 100;

/// What has to be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Required {
    /// Members that are required, at any depth.
    pub(super) fields: u64,
    /// Levels of objects.
    pub(super) depth: u64,
    /// Choices between forms, less one for each place where there are any.
    pub(super) unions: u64,
}

impl Required {
    /// Of a tool's arguments.
    pub(super) fn of(input: &Value) -> Self {
        let Some(root) = input.as_object().filter(|schema| has_properties(schema)) else {
            return Self::default();
        };
        Look { root, path: Vec::new(), left: MOST }.at(input, 0)
    }

    /// One number for all three, to compare tools of one server by.
    pub(super) const fn cost(self) -> u64 {
        self.fields + 2 * self.depth.saturating_sub(1) + 2 * self.unions
    }
}

struct Look<'a> {
    root: &'a Map<String, Value>,
    /// The references that are followed at the moment.
    path: Vec<&'a str>,
    left: usize,
}

impl<'a> Look<'a> {
    /// A schema that stands under so many levels of objects.
    fn at(&mut self, schema: &'a Value, above: u64) -> Required {
        let mut found = Required { depth: above, ..Required::default() };
        let Some(schema) = schema.as_object().filter(|_| self.left > 0) else { return found };
        self.left -= 1;
        let Some(reference) = schema.get("$ref").and_then(Value::as_str) else {
            self.inside(schema, above, &mut found);
            return found;
        };
        // One that leads back to itself is as deep as one likes.
        let is_new = self.path.len() < FOLLOWED && !self.path.contains(&reference);
        if let Some(meant) = self.meant(reference).filter(|_| is_new) {
            self.path.push(reference);
            self.inside(meant, above, &mut found);
            self.path.pop();
        }
        found
    }

    fn inside(&mut self, schema: &'a Map<String, Value>, above: u64, found: &mut Required) {
        if has_properties(schema) && above < DEEPEST {
            found.depth = found.depth.max(above + 1);
            let required = schema.get("required").and_then(Value::as_array).into_iter().flatten();
            for name in required.filter_map(Value::as_str) {
                found.fields += 1;
                if let Some(property) = schema.get("properties").and_then(|all| all.get(name)) {
                    self.add(property, above + 1, found);
                }
            }
        }
        if let Some(items) = schema.get("items") {
            self.add(items, above, found);
        }
        for part in list(schema, "allOf") {
            self.add(part, above, found);
        }
        // What must not be there need not be written.
        if let Some(not) = schema.get("not") {
            found.depth = found.depth.max(self.at(not, above).depth);
        }
        for choice in ["oneOf", "anyOf"] {
            // To leave a value out is no choice of its own.
            let forms: Vec<Required> =
                list(schema, choice).filter(|form| !is_null(form)).map(|form| self.at(form, above)).collect();
            // Of several that are as wide as each other the first, which `max_by_key` would not give.
            let widest = forms.iter().rev().max_by_key(|form| form.fields);
            found.fields += widest.map_or(0, |form| form.fields);
            found.unions += widest.map_or(0, |form| form.unions);
            found.depth = forms.iter().map(|form| form.depth).fold(found.depth, u64::max);
            found.unions += forms.len().saturating_sub(1) as u64;
        }
    }

    fn add(&mut self, schema: &'a Value, above: u64, found: &mut Required) {
        let more = self.at(schema, above);
        found.fields += more.fields;
        found.unions += more.unions;
        found.depth = found.depth.max(more.depth);
    }

    /// What a reference means: only those to a definition of the same schema are followed.
    fn meant(&self, reference: &str) -> Option<&'a Map<String, Value>> {
        let (place, name) = reference.strip_prefix("#/")?.split_once('/')?;
        if !matches!(place, "$defs" | "definitions") || name.is_empty() || name.contains('/') {
            return None;
        }
        let name = percent_encoding::percent_decode_str(name).decode_utf8_lossy();
        self.root.get(place)?.get(&*name)?.as_object()
    }
}

fn list<'a>(schema: &'a Map<String, Value>, name: &str) -> impl Iterator<Item = &'a Value> {
    schema.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn has_properties(schema: &Map<String, Value>) -> bool {
    schema.get("properties").and_then(Value::as_object).is_some_and(|all| !all.is_empty())
}

fn is_null(schema: &Value) -> bool {
    match schema.get("type") {
        Some(Value::String(kind)) => kind == "null",
        Some(Value::Array(kinds)) => matches!(kinds.as_slice(), [Value::String(kind)] if kind == "null"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn of(schema: &Value) -> (u64, u64, u64, u64) {
        let found = Required::of(schema);
        (found.fields, found.depth, found.unions, found.cost())
    }

    #[test]
    fn what_is_required_is_counted_at_any_depth_and_what_is_not_is_left_out() {
        assert_eq!(of(&Value::Null), (0, 0, 0, 0));
        assert_eq!(of(&json!({ "properties": {}, "required": ["a"] })), (0, 0, 0, 0));
        let inner = json!({ "properties": { "x": {}, "y": {} }, "required": ["x", "z"] });
        assert_eq!(of(&json!({ "properties": { "a": inner }, "required": ["a"] })), (3, 2, 0, 5));
        assert_eq!(of(&json!({ "properties": { "a": inner } })), (0, 1, 0, 0));
        assert_eq!(
            of(&json!({ "properties": { "a": { "items": inner } }, "required": ["a"] })),
            (3, 2, 0, 5)
        );
    }

    #[test]
    fn of_several_forms_the_widest_counts_and_null_is_none() {
        let one = json!({ "properties": { "x": {} }, "required": ["x"] });
        let choose =
            |forms: Value| of(&json!({ "properties": { "a": { "anyOf": forms } }, "required": ["a"] }));
        assert_eq!(choose(json!([one, { "type": "null" }])), (2, 2, 0, 4));
        assert_eq!(choose(json!([one, { "type": "string" }, { "type": "integer" }])), (2, 2, 2, 8));
        let not = json!({ "properties": { "a": {} }, "required": ["a"], "not": one });
        assert_eq!(of(&not), (1, 1, 0, 1));
    }

    #[test]
    fn references_are_followed_once_and_hostile_ones_end() {
        let schema = json!({ "$defs": { "a b": { "properties": { "x": { "$ref": "#/$defs/a%20b" } }, "required": ["x"] } },
            "properties": { "a": { "$ref": "#/$defs/a%20b" } }, "required": ["a"] });
        assert_eq!(of(&schema), (2, 2, 0, 4));
        let twice = |to: usize| json!({ "allOf": [{ "$ref": format!("#/$defs/{to}") }, { "$ref": format!("#/$defs/{to}") }] });
        let all: Map<String, Value> = (0..60).map(|number| (number.to_string(), twice(number + 1))).collect();
        let hostile =
            json!({ "$defs": all, "properties": { "a": { "$ref": "#/$defs/0" } }, "required": ["a"] });
        assert_eq!(of(&hostile).0, 1);
    }
}
