//! What is judged.

use crate::Facts;

/// A call to be judged.
#[derive(Debug, Clone, Copy)]
pub struct Call<'a, P = &'static str> {
    /// The tool that is called.
    pub tool: Target<'a>,
    /// The arguments as JSON text, an object. `{}` where a call has none.
    pub arguments: &'a str,
    /// The names of the properties in the tool's input schema; an argument that differs from one of them only by case or
    /// Unicode form cannot be judged. Empty where no schema is known.
    pub properties: &'a [P],
    /// What surrounds it.
    pub facts: Facts<'a>,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A tool, by its name. Its arguments are those of the call.
    #[default]
    Tool,
    /// A resource, by its URI. Its arguments are the parameters of the request.
    Resource,
    /// A prompt, by its name. Its arguments are those of the prompt.
    Prompt,
    /// A method that is about neither, by its name. Its arguments are the parameters of the request.
    Method,
    /// What a server asks of its client: `sampling`, `elicitation`, `roots`. Its arguments are the parameters of the request.
    ServerRequest,
}

impl Kind {
    /// What a request of a client is about, by its method and what it names, which may be nothing.
    pub fn of_request(method: &str, name: &str) -> Self {
        match method {
            "tools/call" => Self::Tool,
            "prompts/get" => Self::Prompt,
            "resources/read" | "resources/subscribe" | "resources/unsubscribe" => Self::Resource,
            // It watches one resource.
            "subscriptions/listen" if !name.is_empty() => Self::Resource,
            _ => Self::Method,
        }
    }

    /// In words.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Tool => "tool",
            Self::Resource => "resource",
            Self::Prompt => "prompt",
            Self::Method => "method",
            Self::ServerRequest => "request of a server",
        }
    }
}

/// A tool, or something else that is asked for, by what rules choose it by. What is not known is empty, and no rule that asks for it
/// is for the tool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Target<'a> {
    /// What it is.
    pub kind: Kind,
    /// The server that has it, by its name in the configuration.
    pub upstream: &'a str,
    /// Its name at that server.
    pub name: &'a str,
    /// What it does: `read`, `write`, `execute`, `destructive` or `financial`, in any case.
    pub category: &'a str,
}

impl<'a> Target<'a> {
    /// A tool of which the name alone is known.
    pub fn named(name: &'a str) -> Self {
        Self { name, ..Self::default() }
    }
}
