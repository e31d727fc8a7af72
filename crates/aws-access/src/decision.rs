//! May it be read, by which statement, and what to do when not.

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

use crate::request::AccessRequest;

/// The answer to one [`crate::AccessRequest`].
#[derive(Debug, Clone, Serialize)]
pub struct Decision {
    /// Whether to go on. True in [`crate::AccessMode::Advise`] whatever the effect.
    pub allowed: bool,
    /// What the simulation or probe said.
    pub effect: Effect,
    /// Whether `allowed` is only advice: the effect may be a denial.
    pub advisory: bool,
    /// Who was asked about.
    pub principal_arn: String,
    /// The IAM action, such as `s3:GetObject`.
    pub action: String,
    /// The ARN of the object or bucket.
    pub resource: String,
    /// The statements that decided.
    pub matched: Vec<MatchedStatement>,
    /// Context keys that policies ask about and the simulation was not given.
    pub missing_context_keys: Vec<String>,
    /// Whether the permissions boundary allows it; `None` when there is none.
    pub boundary: Option<bool>,
    /// Whether the organisation's policies allow it; `None` when the account is in none.
    pub organizations: Option<bool>,
    /// A sentence: who may or may not do what, and by which statement.
    pub reason: String,
    /// What to do about a denial.
    pub advice: Option<String>,
    /// A policy that would allow it, ready to paste, when an Allow is all that lacks.
    pub policy: Option<Value>,
    /// What the decision could not take into account.
    pub notes: Vec<String>,
}

/// The three outcomes of IAM's evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Effect {
    /// A statement allows it and none denies it.
    Allowed,
    /// A statement denies it.
    ExplicitDeny,
    /// No statement allows it.
    ImplicitDeny,
}

/// A statement that took part in the decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MatchedStatement {
    /// The policy's id as IAM names it, such as `user_ana_read-exports`.
    pub policy: String,
    /// What kind of policy it is, such as `IAM Policy`.
    pub policy_type: String,
    /// Where in the policy's text the statement begins: line and column, as IAM counts them.
    pub position: Option<(i32, i32)>,
}

impl Decision {
    /// Fills reason, advice and policy from the facts.
    pub(crate) fn explained(mut self, request: &AccessRequest) -> Self {
        let (who, action, resource) = (&self.principal_arn, &self.action, &self.resource);
        let by = if self.matched.is_empty() {
            String::new()
        } else {
            format!(
                " by {}",
                self.matched
                    .iter()
                    .map(|statement| statement.policy.as_str())
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        };
        self.reason = match self.effect {
            Effect::Allowed => format!("{who} may {action} on {resource}{by}"),
            Effect::ExplicitDeny => {
                format!("{who} is explicitly denied {action} on {resource}{by}")
            }
            Effect::ImplicitDeny => format!("no policy allows {who} to {action} on {resource}"),
        };
        (self.advice, self.policy) = match self.effect {
            Effect::Allowed => (None, None),
            _ if self.organizations == Some(false) => (Some("A service control policy of the organisation does not allow it: ask the organisation's administrators.".to_owned()), None),
            _ if self.boundary == Some(false) => (Some(format!("The permissions boundary does not allow it: add {action} on {resource} to the boundary.")), None),
            Effect::ExplicitDeny => (Some(format!("Remove or narrow the Deny{by}; no Allow can outweigh it.")), None),
            Effect::ImplicitDeny => {
                let policy = policy_for(request);
                (Some(format!("Attach this policy to {who}: {policy}.")), Some(policy))
            }
        };
        if !self.missing_context_keys.is_empty() {
            self.notes.push(format!(
                "policies ask for context keys that could not be given: {}",
                self.missing_context_keys.join(", ")
            ));
        }
        self
    }
}

/// The smallest policy that allows the request.
fn policy_for(request: &AccessRequest) -> Value {
    json!({ "Version": "2012-10-17", "Statement": [{ "Effect": "Allow", "Action": request.action(), "Resource": request.resource() }] })
}

impl fmt::Display for Effect {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Allowed => "allowed",
            Self::ExplicitDeny => "explicit-deny",
            Self::ImplicitDeny => "implicit-deny",
        })
    }
}
