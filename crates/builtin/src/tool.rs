//! How a tool is described.

use serde_json::{Map, Value, json};

/// What a call does to the world, for the four hints of the specification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// It looks and changes nothing.
    Reads,
    /// It brings something about; doing it twice is as doing it once.
    Brings,
    /// It adds something each time.
    Adds,
    /// It ends or takes away something; doing it twice is as doing it once.
    Ends,
    /// It runs what the caller says.
    Runs,
}

/// A tool of a built-in server.
#[derive(Debug, Clone)]
pub struct Tool {
    name: &'static str,
    description: &'static str,
    effect: Effect,
    properties: Value,
    required: Vec<&'static str>,
    output: Option<Value>,
}

impl Tool {
    /// A tool with the properties of its arguments, each with a type and a description.
    #[must_use]
    pub fn new(name: &'static str, description: &'static str, effect: Effect, properties: Value) -> Self {
        Self { name, description, effect, properties, required: Vec::new(), output: None }
    }

    /// These arguments must be there.
    #[must_use]
    pub fn needs(mut self, required: &[&'static str]) -> Self {
        self.required = required.to_vec();
        self
    }

    /// The properties of its structured content.
    #[must_use]
    pub fn gives(mut self, properties: Value) -> Self {
        self.output = Some(properties);
        self
    }

    /// Its entry in the list of tools.
    #[must_use]
    pub fn shown(&self) -> Value {
        let mut title = self.name.replace('_', " ");
        if let Some(first) = title.get_mut(..1) {
            first.make_ascii_uppercase();
        }
        let (reads, ends, again) = match self.effect {
            Effect::Reads => (true, false, true),
            Effect::Brings => (false, false, true),
            Effect::Adds => (false, false, false),
            Effect::Ends => (false, true, true),
            Effect::Runs => (false, true, false),
        };
        let mut tool = Map::new();
        tool.insert("name".into(), self.name.into());
        tool.insert("title".into(), title.into());
        tool.insert("description".into(), self.description.into());
        tool.insert(
            "inputSchema".into(),
            json!({
                "type": "object", "properties": self.properties, "required": self.required,
                "additionalProperties": false,
            }),
        );
        if let Some(output) = &self.output {
            tool.insert("outputSchema".into(), json!({ "type": "object", "properties": output }));
        }
        tool.insert(
            "annotations".into(),
            json!({
                "readOnlyHint": reads, "destructiveHint": ends, "idempotentHint": again,
                "openWorldHint": self.effect == Effect::Runs,
            }),
        );
        Value::Object(tool)
    }
}
