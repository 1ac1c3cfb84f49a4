//! What is different between two definitions, member by member.

use serde::Serialize;
use serde_json::{Map, Value};

/// Differences that are told at most.
pub const MOST_DIFFERENCES: usize = 200;

/// One difference.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// Where: `inputSchema.properties.path.default`.
    #[serde(rename = "where")]
    pub place: String,
    /// What stood there. Absent where nothing did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What stands there. Absent where nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<Value>,
    /// Whether it is a hint that promises less harm than before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub weakens: bool,
}

/// What is different, in the order of the members' names. Of more than 200 differences the first.
#[must_use]
pub fn differences(before: &Value, after: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare(Some(before), Some(after), &mut String::new(), &mut found);
    for difference in &mut found {
        difference.weakens = weakens(difference, before, after);
    }
    found
}

fn compare(before: Option<&Value>, after: Option<&Value>, place: &mut String, found: &mut Vec<Difference>) {
    if before == after || found.len() >= MOST_DIFFERENCES {
        return;
    }
    let mut step = |step: &str, before: Option<&Value>, after: Option<&Value>| {
        let length = place.len();
        if !place.is_empty() && !step.starts_with('[') {
            place.push('.');
        }
        place.push_str(step);
        compare(before, after, place, found);
        place.truncate(length);
    };
    match (before, after) {
        (Some(Value::Object(one)), Some(Value::Object(two))) => {
            for name in names(one, two) {
                step(name, one.get(name), two.get(name));
            }
        }
        (Some(Value::Array(one)), Some(Value::Array(two))) => {
            for at in 0..one.len().max(two.len()) {
                step(&format!("[{at}]"), one.get(at), two.get(at));
            }
        }
        _ => found.push(Difference {
            place: place.clone(),
            before: before.cloned(),
            after: after.cloned(),
            weakens: false,
        }),
    }
}

fn names<'a>(
    one: &'a Map<String, Value>,
    two: &'a Map<String, Value>,
) -> std::collections::BTreeSet<&'a str> {
    one.keys().chain(two.keys()).map(String::as_str).collect()
}

/// Whether a hint says now that less can go wrong. What is not said counts as the protocol has it.
fn weakens(difference: &Difference, before: &Value, after: &Value) -> bool {
    let hint = |definition: &Value, name: &str, usual: bool| {
        definition.pointer(&format!("/annotations/{name}")).and_then(Value::as_bool).unwrap_or(usual)
    };
    let turned = |name: &str, usual: bool, harmless: bool| {
        hint(before, name, usual) != harmless && hint(after, name, usual) == harmless
    };
    let all =
        [("readOnlyHint", false, true), ("destructiveHint", true, false), ("openWorldHint", true, false)];
    all.into_iter().any(|(name, usual, harmless)| {
        let here = difference.place == "annotations" || difference.place == format!("annotations.{name}");
        here && turned(name, usual, harmless)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_difference_is_told_with_its_place() {
        let before = json!({ "name": "t", "description": "Reads.", "annotations": { "readOnlyHint": false },
            "inputSchema": { "properties": { "a": { "default": 1, "enum": ["x", "y"] } } } });
        let after = json!({ "name": "t", "description": "Reads all.", "annotations": { "readOnlyHint": true },
            "inputSchema": { "properties": { "a": { "default": 2, "enum": ["x"] }, "b": {} } } });
        let found = differences(&before, &after);
        let places: Vec<&str> = found.iter().map(|it| it.place.as_str()).collect();
        let expected = [
            "annotations.readOnlyHint",
            "description",
            "inputSchema.properties.a.default",
            "inputSchema.properties.a.enum[1]",
            "inputSchema.properties.b",
        ];
        assert_eq!(places, expected);
        assert!(found[0].weakens && !found[1].weakens);
        assert_eq!((found[3].before.as_ref(), found[3].after.as_ref()), (Some(&json!("y")), None));
        assert!(differences(&before, &before).is_empty());
    }

    #[test]
    fn a_hint_that_is_not_given_counts_as_the_protocol_has_it() {
        let hinted = |hints: Value| json!({ "annotations": hints });
        let weakens =
            |before, after| differences(&hinted(before), &hinted(after)).iter().any(|it| it.weakens);
        assert!(weakens(json!({}), json!({ "destructiveHint": false })));
        assert!(weakens(Value::Null, json!({ "readOnlyHint": true })));
        assert!(!weakens(json!({ "destructiveHint": false }), json!({})));
        assert!(!weakens(json!({}), json!({ "idempotentHint": true })));
    }
}
