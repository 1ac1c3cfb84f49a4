//! Cedar.

use std::collections::HashMap;
use std::str::FromStr;

use cedar_policy::{
    Authorizer, Context, Decision as Answer, Entities, EntityId, EntityTypeName, EntityUid, PolicySet,
    Request,
};

use crate::engine::{Decision, Engine};
use crate::error::Error;

const NAME: &str = "cedar";

/// A set of Cedar's policies.
pub struct Cedar {
    policies: Policies,
    authorizer: Authorizer,
    entities: Entities,
    agent: EntityUid,
    call: EntityUid,
    tool: EntityTypeName,
}

enum Policies {
    /// All, as an author leaves it to Cedar.
    All(Box<PolicySet>),
    /// Those of each tool, which the host looks up.
    OfTool(HashMap<String, PolicySet>),
}

impl Cedar {
    /// Asks all policies about every call.
    ///
    /// # Errors
    /// Where one has a mistake.
    pub fn all(rules: &[(String, String)]) -> Result<Self, Error> {
        let text: String = rules.iter().map(|(_, policy)| policy.as_str()).collect();
        Self::with(Policies::All(Box::new(read(&text)?)))
    }

    /// Asks the policy of the tool alone.
    ///
    /// # Errors
    /// Where one has a mistake.
    pub fn sliced(rules: &[(String, String)]) -> Result<Self, Error> {
        let of_tool = rules.iter().map(|(tool, policy)| Ok((tool.clone(), read(policy)?)));
        Self::with(Policies::OfTool(of_tool.collect::<Result<_, Error>>()?))
    }

    fn with(policies: Policies) -> Result<Self, Error> {
        let named = Error::refused(NAME, "an entity");
        Ok(Self {
            policies,
            authorizer: Authorizer::new(),
            entities: Entities::empty(),
            agent: EntityUid::from_str(r#"Agent::"agent""#).map_err(&named)?,
            call: EntityUid::from_str(r#"Action::"call""#).map_err(&named)?,
            tool: EntityTypeName::from_str("Tool").map_err(&named)?,
        })
    }

    fn request(&self, tool: &str, arguments: &str) -> Result<Request, Error> {
        let context = Context::from_json_str(arguments, None).map_err(Error::refused(NAME, "a context"))?;
        let tool = EntityUid::from_type_name_and_id(self.tool.clone(), EntityId::new(tool));
        Request::new(self.agent.clone(), self.call.clone(), tool, context, None)
            .map_err(Error::refused(NAME, "a request"))
    }

    fn decide(&self, tool: &str, request: &Request) -> bool {
        let policies = match &self.policies {
            Policies::All(all) => Some(&**all),
            Policies::OfTool(of_tool) => of_tool.get(tool),
        };
        policies.is_some_and(|policies| {
            self.authorizer.is_authorized(request, policies, &self.entities).decision() == Answer::Allow
        })
    }
}

impl Engine for Cedar {
    fn name(&self) -> &'static str {
        match self.policies {
            Policies::All(_) => "cedar, all policies",
            Policies::OfTool(_) => "cedar, the tool's policy",
        }
    }

    fn allows(&self, tool: &str, arguments: &str) -> bool {
        self.request(tool, arguments).is_ok_and(|request| self.decide(tool, &request))
    }

    fn prepared<'e>(&'e self, tool: &'e str, arguments: &str) -> Result<Option<Decision<'e>>, Error> {
        let request = self.request(tool, arguments)?;
        Ok(Some(Box::new(move || self.decide(tool, &request))))
    }
}

/// Reads policies in Cedar's own notation.
///
/// # Errors
/// Where one has a mistake.
pub fn read(text: &str) -> Result<PolicySet, Error> {
    PolicySet::from_str(text).map_err(Error::refused(NAME, "policies"))
}

/// Reads policies in Cedar's JSON.
///
/// # Errors
/// Where one has a mistake.
pub fn read_json(text: &str) -> Result<PolicySet, Error> {
    PolicySet::from_json_str(text).map_err(Error::refused(NAME, "policies"))
}

/// Policies as Cedar's JSON.
///
/// # Errors
/// Where one has a mistake.
pub fn as_json(text: &str) -> Result<String, Error> {
    let json = read(text)?.to_json().map_err(Error::refused(NAME, "policies that JSON can hold"))?;
    Ok(json.to_string())
}
