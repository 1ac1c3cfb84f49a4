//! CEL.

use std::collections::HashMap;

use ::cel::{Context, Program, Value, to_value};

use crate::engine::{Decision, Engine};
use crate::error::Error;
use crate::policies::Regex;

const NAME: &str = "cel";

/// An expression for each tool, compiled before, looked up by the tool's name.
pub struct Cel {
    programs: HashMap<String, Program>,
    /// Holds the functions; each call gets a scope in it.
    functions: Context<'static, 'static>,
    regex: Regex,
}

impl Cel {
    /// Compiles the expressions.
    ///
    /// # Errors
    /// Where one has a mistake.
    pub fn compile(rules: &[(String, String)], regex: Regex) -> Result<Self, Error> {
        Ok(Self { programs: compile(rules)?, functions: Context::default(), regex })
    }

    fn context(&self, arguments: &str) -> Result<Context<'_, 'static>, Error> {
        let arguments: serde_json::Value =
            serde_json::from_str(arguments).map_err(Error::refused(NAME, "arguments"))?;
        let arguments = to_value(arguments).map_err(Error::refused(NAME, "arguments"))?;
        let mut context = self.functions.new_inner_scope();
        context.add_variable_from_value("args", arguments);
        Ok(context)
    }

    fn decide(&self, tool: &str, context: &Context<'_, '_>) -> bool {
        let program = self.programs.get(tool);
        program.is_some_and(|program| matches!(program.execute(context), Ok(Value::Bool(true))))
    }
}

impl Engine for Cel {
    fn name(&self) -> &'static str {
        match self.regex {
            Regex::Prefix => "cel",
            Regex::Matches => "cel, regular expression",
        }
    }

    fn allows(&self, tool: &str, arguments: &str) -> bool {
        self.context(arguments).is_ok_and(|context| self.decide(tool, &context))
    }

    fn prepared<'e>(&'e self, tool: &'e str, arguments: &str) -> Result<Option<Decision<'e>>, Error> {
        let context = self.context(arguments)?;
        Ok(Some(Box::new(move || self.decide(tool, &context))))
    }
}

/// Compiles an expression for each tool.
///
/// # Errors
/// Where one has a mistake.
pub fn compile(rules: &[(String, String)]) -> Result<HashMap<String, Program>, Error> {
    let program = |(tool, expression): &(String, String)| {
        let program = Program::compile(expression).map_err(Error::refused(NAME, "an expression"))?;
        Ok((tool.clone(), program))
    };
    rules.iter().map(program).collect()
}
