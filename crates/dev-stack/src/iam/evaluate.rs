//! The decision: explicit deny first, then organisation, boundary, session, identity and resource
//! policies, in the way AWS documents it for callers within and across accounts.

use std::collections::BTreeSet;

use super::arn::Arn;
use super::context::Context;
use super::pattern::Pattern;
use super::policy::{Clause, Effect, Policy, Principals, Span, Statement};

/// One question: may this caller do this to that?
#[derive(Debug)]
pub(crate) struct Evaluation<'a> {
    pub(crate) action: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) context: &'a Context,
    /// The caller's ARN as resource policies name it; nothing for an anonymous request.
    pub(crate) caller: Option<&'a str>,
    /// The role behind an assumed-role session.
    pub(crate) role: Option<&'a str>,
    pub(crate) identity: &'a [Policy],
    /// Nothing when no boundary is set.
    pub(crate) boundary: Option<&'a [Policy]>,
    pub(crate) session: Option<&'a Policy>,
    /// Every one must allow; none means that the account is in no organisation.
    pub(crate) organization: &'a [Policy],
    pub(crate) resource_policy: Option<&'a Policy>,
    /// The account that owns the resource, when it is not the caller's.
    pub(crate) resource_owner: Option<&'a str>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    Allowed,
    ExplicitDeny,
    ImplicitDeny,
}

impl Decision {
    /// The word of the service model.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Allowed => "allowed",
            Self::ExplicitDeny => "explicitDeny",
            Self::ImplicitDeny => "implicitDeny",
        }
    }
}

/// A statement that decided.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Matched {
    pub(crate) policy_id: String,
    pub(crate) source_type: &'static str,
    pub(crate) sid: Option<String>,
    /// Its place in the policy, from 0.
    pub(crate) index: usize,
    pub(crate) span: Span,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) decision: Decision,
    pub(crate) matched: Vec<Matched>,
    pub(crate) missing: BTreeSet<String>,
    pub(crate) allowed_by_boundary: Option<bool>,
    pub(crate) allowed_by_organization: Option<bool>,
    /// What the identity side and the resource side say by themselves, across accounts only.
    pub(crate) sides: Option<(Decision, Decision)>,
    /// Whether the resource policy by itself allows, however it names the caller.
    pub(crate) allowed_by_resource: bool,
}

/// What one group of policies says.
#[derive(Debug, Default)]
struct Verdict {
    allows: Vec<Matched>,
    denies: Vec<Matched>,
    /// The closest way in which an allowing resource policy named the caller.
    named: Option<Named>,
}

/// How a resource policy's principal reaches the caller, from loose to exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Named {
    /// By its account: the account's own policies decide further.
    Account,
    /// By the role behind the session.
    Role,
    /// As everyone.
    Anyone,
    /// By the very ARN.
    Exactly,
}

impl Verdict {
    fn allowed(&self) -> bool {
        !self.allows.is_empty()
    }

    fn decision(&self) -> Decision {
        if !self.denies.is_empty() {
            Decision::ExplicitDeny
        } else if self.allowed() {
            Decision::Allowed
        } else {
            Decision::ImplicitDeny
        }
    }
}

/// Decides.
pub(crate) fn evaluate(question: &Evaluation<'_>) -> Outcome {
    let mut missing = BTreeSet::new();
    let mut ask = |policies: &[Policy]| verdict(question, policies, &mut missing);
    let identity = ask(question.identity);
    let boundary = question.boundary.map(&mut ask);
    let session = question
        .session
        .map(|policy| ask(std::slice::from_ref(policy)));
    let organization: Vec<Verdict> = question
        .organization
        .iter()
        .map(|policy| ask(std::slice::from_ref(policy)))
        .collect();
    let resource = question
        .resource_policy
        .map_or_else(Verdict::default, |policy| ask(std::slice::from_ref(policy)));

    let allowed_by_boundary = boundary
        .as_ref()
        .map(|verdict| verdict.decision() == Decision::Allowed);
    let allowed_by_organization = (!organization.is_empty()).then(|| {
        organization
            .iter()
            .all(|verdict| verdict.decision() == Decision::Allowed)
    });
    let sides = question
        .resource_owner
        .map(|_| (identity.decision(), resource.decision()));
    let allowed_by_resource = resource.allowed();
    let denies: Vec<Matched> = [&identity, &resource]
        .into_iter()
        .chain(boundary.as_ref())
        .chain(session.as_ref())
        .chain(&organization)
        .flat_map(|verdict| verdict.denies.iter().cloned())
        .collect();
    let (decision, matched) = if !denies.is_empty() {
        (Decision::ExplicitDeny, denies)
    } else if granted(
        question,
        &identity,
        &resource,
        allowed_by_boundary.unwrap_or(true),
        session.as_ref().is_none_or(Verdict::allowed),
        allowed_by_organization.unwrap_or(true),
    ) {
        let allows = identity.allows.into_iter().chain(resource.allows);
        (Decision::Allowed, allows.collect())
    } else {
        (Decision::ImplicitDeny, Vec::new())
    };
    Outcome {
        decision,
        matched,
        missing,
        allowed_by_boundary,
        allowed_by_organization,
        sides,
        allowed_by_resource,
    }
}

/// Whether something allows, no one having denied.
fn granted(
    question: &Evaluation<'_>,
    identity: &Verdict,
    resource: &Verdict,
    boundary: bool,
    session: bool,
    organization: bool,
) -> bool {
    let Some(caller) = question.caller else {
        return resource.named == Some(Named::Anyone);
    };
    if !organization {
        return false;
    }
    let is_root = Arn::parse(caller).is_some_and(|arn| arn.resource == "root");
    let by_identity = is_root || (identity.allowed() && boundary && session);
    if question.resource_owner.is_some() {
        return by_identity && resource.allowed();
    }
    let by_resource = match resource.named {
        // The very user or session: neither boundary nor session policy stands in the way.
        Some(Named::Exactly) => true,
        Some(Named::Anyone) if question.role.is_none() => true,
        Some(Named::Anyone | Named::Role) => boundary && session,
        Some(Named::Account) | None => false,
    };
    by_identity || by_resource
}

fn verdict(
    question: &Evaluation<'_>,
    policies: &[Policy],
    missing: &mut BTreeSet<String>,
) -> Verdict {
    let mut verdict = Verdict::default();
    for policy in policies {
        for (index, statement) in policy.statements.iter().enumerate() {
            let Some(named) = applies(question, policy, statement, missing) else {
                continue;
            };
            let matched = Matched {
                policy_id: policy.id.clone(),
                source_type: policy.source_type,
                sid: statement.sid.clone(),
                index,
                span: statement.span,
            };
            if statement.effect == Effect::Deny {
                verdict.denies.push(matched);
            } else {
                verdict.allows.push(matched);
                verdict.named = verdict.named.max(Some(named));
            }
        }
    }
    verdict
}

/// Whether the statement speaks of this request, and how it names the caller.
fn applies(
    question: &Evaluation<'_>,
    policy: &Policy,
    statement: &Statement,
    missing: &mut BTreeSet<String>,
) -> Option<Named> {
    let named = match &statement.principals {
        None => Named::Anyone,
        Some(Principals::Any(list)) => named_by(list, question)?,
        Some(Principals::Except(list)) if named_by(list, question).is_none() => Named::Anyone,
        Some(Principals::Except(_)) => return None,
    };
    let mut speaks_of = |clause: &Clause, matches: &dyn Fn(&Pattern) -> bool| {
        let mut any = |list: &[String]| {
            list.iter().any(|text| {
                let pattern = if policy.has_variables {
                    Pattern::expand(text, question.context)
                } else {
                    Ok(Pattern::new(text))
                };
                match pattern {
                    Ok(pattern) => matches(&pattern),
                    Err(key) => {
                        missing.insert(key);
                        false
                    }
                }
            })
        };
        match clause {
            Clause::Any(list) => any(list),
            Clause::Except(list) => !any(list),
        }
    };
    let action = speaks_of(&statement.actions, &|pattern| {
        pattern.matches_ignoring_case(question.action)
    });
    let resource = action
        && statement.resources.as_ref().is_none_or(|resources| {
            speaks_of(resources, &|pattern| pattern.matches(question.resource))
        });
    // Every condition is looked at, so that every missing key is reported.
    let met = resource
        && statement
            .conditions
            .iter()
            .filter(|condition| !condition.holds(question.context, policy.has_variables, missing))
            .count()
            == 0;
    met.then_some(named)
}

fn named_by(list: &[String], question: &Evaluation<'_>) -> Option<Named> {
    list.iter()
        .filter_map(|principal| {
            if principal == "*" {
                return Some(Named::Anyone);
            }
            let caller = question.caller?;
            if principal == caller {
                return Some(Named::Exactly);
            }
            if question.role == Some(principal) {
                return Some(Named::Role);
            }
            let account = Arn::parse(caller)?.account;
            let is_account = principal == account
                || Arn::parse(principal)
                    .is_some_and(|arn| arn.resource == "root" && arn.account == account);
            is_account.then_some(Named::Account)
        })
        .max()
}

#[cfg(test)]
mod tests;
