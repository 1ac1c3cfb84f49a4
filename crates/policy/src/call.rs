//! What is judged.

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
}

/// A tool, by what rules choose it by. What is not known is empty, and no rule that asks for it is for the tool.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Target<'a> {
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
