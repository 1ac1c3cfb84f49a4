//! What a tool answers.

use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// The answer to a call: a short text, and the same as data.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    text: String,
    content: Option<Value>,
    is_error: bool,
}

impl Answer {
    /// What was asked for: a text for a model, and the data that the tool's output schema describes.
    #[must_use]
    pub fn of(text: impl Into<String>, content: Value) -> Self {
        Self { text: text.into(), content: Some(content), is_error: false }
    }

    /// What was asked for did not come true, and why.
    #[must_use]
    pub fn failed(text: impl Into<String>) -> Self {
        Self { text: text.into(), content: None, is_error: true }
    }

    /// What was asked for did not come true; the data says how far it came.
    #[must_use]
    pub fn failed_with(text: impl Into<String>, content: Value) -> Self {
        Self { content: Some(content), ..Self::failed(text) }
    }

    /// Whether it says that something failed.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.is_error
    }

    pub(crate) fn result(self) -> Value {
        let mut result =
            json!({ "content": [{ "type": "text", "text": self.text }], "isError": self.is_error });
        if let (Some(content), Some(members)) = (self.content, result.as_object_mut()) {
            members.insert("structuredContent".into(), content);
        }
        result
    }
}

/// Arguments that a tool cannot be called with: where, what was expected, what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong(pub String);

impl From<Wrong> for Answer {
    fn from(wrong: Wrong) -> Self {
        Self::failed(format!("The arguments are wrong: {}.", wrong.0))
    }
}

/// Reads the arguments of a call.
///
/// # Errors
/// Where they do not fit, with the path of the member that does not.
pub fn arguments<T: DeserializeOwned>(arguments: Value) -> Result<T, Wrong> {
    serde_path_to_error::deserialize(arguments).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner().to_string();
        Wrong(if path == "." { inner } else { format!("{path}: {inner}") })
    })
}
