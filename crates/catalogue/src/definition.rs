//! A tool's definition, taken apart.

use serde_json::Value;

/// What a server says of one of its tools.
#[derive(Debug, Clone, PartialEq)]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// Its title for people, also where it stands among the annotations.
    pub title: Option<String>,
    /// That of the definition itself.
    pub own_title: Option<String>,
    /// What it says that it does. Empty where it says nothing.
    pub description: String,
    /// Schema of its arguments; null where there is none.
    pub input: Value,
    /// Schema of its result; null where there is none.
    pub output: Value,
    /// Its hints; null where there are none.
    pub annotations: Value,
}

impl Definition {
    /// Takes the JSON of a definition apart. `None` where it has no name.
    #[must_use]
    pub fn read(raw: &str) -> Option<Self> {
        Self::of(serde_json::from_str(raw).ok()?)
    }

    /// As [`Self::read`], of what was parsed before.
    #[must_use]
    pub fn of(definition: Value) -> Option<Self> {
        let Value::Object(mut members) = definition else { return None };
        let mut take = |name: &str| members.remove(name).unwrap_or_default();
        let Value::String(name) = take("name") else { return None };
        let (title, description) = (text(take("title")), text(take("description")).unwrap_or_default());
        let (input, output, annotations) = (take("inputSchema"), take("outputSchema"), take("annotations"));
        let own_title = title.clone();
        let title = title.or_else(|| text(annotations.get("title")?.clone()));
        Some(Self { name, title, own_title, description, input, output, annotations })
    }

    /// A hint of its annotations, where it is given.
    #[must_use]
    pub fn hint(&self, name: &str) -> Option<bool> {
        self.annotations.get(name)?.as_bool()
    }

    /// Its arguments, each with its schema.
    pub fn parameters(&self) -> impl Iterator<Item = (&str, &Value)> {
        let properties = self.input.get("properties").and_then(Value::as_object);
        properties.into_iter().flatten().map(|(name, schema)| (name.as_str(), schema))
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}
