//! May it be read, by which statement, and what to do when not.

use std::fmt;

use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    Identity,
    request::{AccessRequest, Operation},
};

/// The answer to one [`crate::AccessRequest`].
#[derive(Debug, Clone, Serialize)]
pub struct Decision {
    /// Whether to go on. True in [`crate::AccessMode::Advise`] whatever the effect.
    pub allowed: bool,
    /// What the simulation or probe said.
    pub effect: Effect,
    /// Who said it.
    pub decided_by: DecidedBy,
    /// Whether `allowed` is only advice: the effect may be a denial.
    pub advisory: bool,
    /// Who was asked about.
    pub principal_arn: String,
    /// The IAM action, such as `s3:GetObject`.
    pub action: String,
    /// The ARN of the object, bucket or key.
    pub resource: String,
    /// The statements that decided.
    pub matched: Vec<MatchedStatement>,
    /// Context keys that policies ask about and the simulation was not given.
    pub missing_context_keys: Vec<String>,
    /// Whether the permissions boundary allows it; `None` when there is none.
    pub boundary: Option<bool>,
    /// Whether the organisation's policies allow it; `None` when the account is in none.
    pub organizations: Option<bool>,
    /// What each account's policies say by themselves, for a bucket of another account whose policy is known.
    pub sides: Option<Sides>,
    /// A sentence: who may or may not do what, and by which statement.
    pub reason: String,
    /// What to do about a denial.
    pub advice: Option<String>,
    /// A policy that would allow it, ready to paste, when an Allow is all that lacks.
    pub policy: Option<Value>,
    /// What the decision could not take into account.
    pub notes: Vec<String>,
}

/// Where a decision comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DecidedBy {
    /// IAM's simulation.
    #[default]
    Simulation,
    /// S3's answer to a request as small as it can be.
    S3,
    /// S3, when the object is read: it was not asked before.
    WhenRead,
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

/// The two sides of a request from one account to another: both must allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Sides {
    /// The principal's policies.
    pub identity: Effect,
    /// The bucket's policy.
    pub resource: Effect,
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
    /// Its `Sid`, when the policy's text is known here: that of a bucket.
    pub sid: Option<String>,
}

impl fmt::Display for MatchedStatement {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.sid, self.position) {
            (Some(sid), _) => write!(formatter, "statement `{sid}` of {}", self.policy),
            (None, Some((line, column))) => write!(
                formatter,
                "the statement at line {line}, column {column} of {}",
                self.policy
            ),
            (None, None) => write!(formatter, "a statement of {}", self.policy),
        }
    }
}

impl Decision {
    /// A decision without anything but its effect.
    pub(crate) fn new(identity: &Identity, request: &AccessRequest, effect: Effect) -> Self {
        Self {
            allowed: effect == Effect::Allowed,
            effect,
            decided_by: DecidedBy::default(),
            advisory: false,
            principal_arn: identity.principal_arn().to_owned(),
            action: request.action().to_owned(),
            resource: request.resource_in(identity.partition()),
            matched: Vec::new(),
            missing_context_keys: Vec::new(),
            boundary: None,
            organizations: None,
            sides: None,
            reason: String::new(),
            advice: None,
            policy: None,
            notes: Vec::new(),
        }
    }

    /// Fills reason, advice and policy from the facts.
    pub(crate) fn explained(mut self, request: &AccessRequest) -> Self {
        let (who, action, resource) = (&self.principal_arn, &self.action, &self.resource);
        let by = self.by();
        self.reason = match (self.effect, self.sides) {
            (Effect::Allowed, _) => format!("{who} may {action} on {resource}{by}"),
            (Effect::ExplicitDeny, _) => {
                format!("{who} is explicitly denied {action} on {resource}{by}")
            }
            (Effect::ImplicitDeny, Some(sides)) if sides.identity == Effect::Allowed => format!(
                "the policy of the bucket's account does not allow {who} to {action} on {resource}"
            ),
            (Effect::ImplicitDeny, _) => {
                format!("no policy allows {who} to {action} on {resource}")
            }
        };
        (self.advice, self.policy) = self.remedy(request, &self.resource);
        if !self.missing_context_keys.is_empty() {
            self.notes.push(format!(
                "policies ask for context keys that could not be given: {}",
                self.missing_context_keys.join(", ")
            ));
        }
        self
    }

    /// The same denial, with advice that allows `resource` in place of the one that was asked about.
    pub(crate) fn with_remedy_for(mut self, request: &AccessRequest, resource: &str) -> Self {
        (self.advice, self.policy) = self.remedy(request, resource);
        self
    }

    /// Whether this decision takes precedence over another about the same read: a denial before an advised one, and that before a
    /// permission.
    #[must_use]
    pub fn is_worse_than(&self, other: &Self) -> bool {
        let weight = |decision: &Self| {
            let effect = match decision.effect {
                Effect::ExplicitDeny => 2,
                Effect::ImplicitDeny => 1,
                Effect::Allowed => 0,
            };
            let decided_by = match decision.decided_by {
                DecidedBy::WhenRead => 2,
                DecidedBy::S3 => 1,
                DecidedBy::Simulation => 0,
            };
            (!decision.allowed, effect, decision.advisory, decided_by)
        };
        weight(self) > weight(other)
    }

    /// S3 refused what the simulation could not decide for want of the bucket policy: either side may allow it.
    pub(crate) fn refused_by_s3(mut self, request: &AccessRequest) -> Self {
        self.decided_by = DecidedBy::S3;
        let (who, action, resource) = (&self.principal_arn, &self.action, &self.resource);
        self.reason = format!(
            "neither a policy of {who} nor the bucket policy of {} allows {action} on {resource}: S3 itself refused it",
            request.bucket
        );
        (self.advice, self.policy) = self.remedy(request, &self.resource);
        self
    }

    /// S3 allowed what the simulation could not decide for want of the bucket policy.
    pub(crate) fn allowed_by_s3(mut self, simulated: Self) -> Self {
        self.reason = format!(
            "{} may {} on {}: S3 itself allowed it, since the bucket policy was not simulated",
            self.principal_arn, self.action, self.resource
        );
        self.boundary = simulated.boundary;
        self.organizations = simulated.organizations;
        self.notes.extend(simulated.notes);
        self
    }

    /// Nothing was decided: S3 does when the object is read.
    pub(crate) fn left_to_s3(mut self, why: &str) -> Self {
        self.allowed = true;
        self.effect = Effect::Allowed;
        self.decided_by = DecidedBy::WhenRead;
        self.reason = format!(
            "S3 decides whether {} may {} on {} when it is read: {why}",
            self.principal_arn, self.action, self.resource
        );
        (self.advice, self.policy) = (None, None);
        self
    }

    /// ` by ` and the statements that decided.
    fn by(&self) -> String {
        if self.matched.is_empty() {
            return String::new();
        }
        let statements: Vec<_> = self.matched.iter().map(ToString::to_string).collect();
        format!(" by {}", statements.join(", "))
    }

    /// What to do about a denial, and the policy to paste when one would help.
    fn remedy(&self, request: &AccessRequest, resource: &str) -> (Option<String>, Option<Value>) {
        let (who, action, by) = (&self.principal_arn, &self.action, self.by());
        let attach = |to: &str, policy: Value| {
            (
                Some(format!("Attach this policy to {to}: {policy}.")),
                Some(policy),
            )
        };
        match self.effect {
            Effect::Allowed => (None, None),
            Effect::ImplicitDeny if self.decided_by == DecidedBy::S3 => {
                let own = statement(request, resource);
                let advice = format!(
                    "Attach this policy to {who}: {own}, or add this statement to the bucket policy of {}: {}.",
                    request.bucket,
                    bucket_statement(request, who, resource)["Statement"][0]
                );
                (Some(advice), Some(own))
            }
            _ if self.organizations == Some(false) => (
                Some(format!(
                    "A service control policy of the organisation does not allow {action}: ask the organisation's administrators."
                )),
                None,
            ),
            Effect::ExplicitDeny => (
                Some(format!(
                    "Remove or narrow the Deny{by}; no Allow can outweigh it."
                )),
                None,
            ),
            _ if self.boundary == Some(false) => (
                Some(format!(
                    "The permissions boundary of {who} does not allow it: add {action} on {resource} to the boundary."
                )),
                None,
            ),
            Effect::ImplicitDeny => match self.sides {
                Some(sides) if sides.identity == Effect::Allowed => {
                    attach("the bucket", bucket_statement(request, who, resource))
                }
                _ => attach(who, statement(request, resource)),
            },
        }
    }
}

/// The smallest policy that allows the request.
fn statement(request: &AccessRequest, resource: &str) -> Value {
    let mut statement =
        json!({ "Effect": "Allow", "Action": request.action(), "Resource": resource });
    if let Operation::List { prefix } = &request.operation
        && !prefix.is_empty()
    {
        statement["Condition"] = json!({ "StringLike": { "s3:prefix": format!("{prefix}*") } });
    }
    json!({ "Version": "2012-10-17", "Statement": [statement] })
}

/// The same for the bucket's policy, which names the principal.
fn bucket_statement(request: &AccessRequest, who: &str, resource: &str) -> Value {
    let mut policy = statement(request, resource);
    policy["Statement"][0]["Principal"] = json!({ "AWS": who });
    policy
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
