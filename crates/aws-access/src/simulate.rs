//! `iam:SimulatePrincipalPolicy`: the principal's own policies, the bucket policy as resource policy, nothing added.

use aws_sdk_iam::{
    Client,
    types::{EvaluationResult, PolicyEvaluationDecisionType, ResourceSpecificResult, Statement},
};

use crate::{
    AccessRequest, Decision, Effect, Error, ErrorKind, Identity, MatchedStatement, PrincipalKind,
    Sides,
    bucket_policy::{BucketPolicy, deny_statements, statement_at},
    context::{self, Known},
    request::Operation,
};

/// Simulates requests of one action in one context for `identity`, in one question; a decision for each, in their order.
pub(crate) async fn simulate(
    iam: &Client,
    identity: &Identity,
    requests: &[AccessRequest],
    policy: &BucketPolicy,
    known: Known<'_>,
) -> Result<Vec<Decision>, Error> {
    let Some(first) = requests.first() else {
        return Ok(Vec::new());
    };
    let source = identity.policy_source_arn.as_ref().ok_or_else(|| {
        Error::new(
            ErrorKind::UnsupportedPrincipal,
            format!(
                "IAM cannot simulate the policies of {}, which is neither user nor role",
                identity.arn
            ),
        )
    })?;
    let partition = identity.partition();
    let resources: Vec<_> = requests
        .iter()
        .map(|request| request.resource_in(partition))
        .collect();
    let mut call = iam
        .simulate_principal_policy()
        .policy_source_arn(source)
        .action_names(first.action())
        .set_resource_arns(Some(resources.clone()))
        .set_context_entries(Some(context::entries(identity, first, known)));
    let is_kms = matches!(first.operation, Operation::Decrypt { .. });
    let mut bucket_text = None;
    // `CallerArn` takes users only: IAM does not simulate resource policies for roles (API reference of
    // SimulatePrincipalPolicy). For a role the bucket policy is left to S3 itself, and the decision says so.
    if let BucketPolicy::Text(text) = policy
        && identity.kind == PrincipalKind::User
        && !is_kms
    {
        bucket_text = Some(text.as_str());
        call = call.resource_policy(text).caller_arn(source);
        if let Some(owner) = known.owner.filter(|owner| *owner != identity.account) {
            call = call.resource_owner(format!("arn:{partition}:iam::{owner}:root"));
        }
    }
    let mut pages = call.into_paginator().send();
    let mut results = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| Error::from_sdk("iam:SimulatePrincipalPolicy", error))?;
        results.extend(page.evaluation_results.unwrap_or_default());
    }
    let answered = requests.iter().zip(&resources).map(|(request, resource)| {
        let answer = Answer::about(&results, resource, requests.len()).ok_or_else(|| {
            let message = format!("iam:SimulatePrincipalPolicy gave no decision for {resource}");
            Error::new(ErrorKind::Unavailable, message)
        })?;
        let mut decision = answer.decision(identity, request, bucket_text);
        decision.notes = if is_kms {
            vec!["the key's own policy takes no part in a simulation".to_owned()]
        } else {
            notes(identity, policy, known.owner)
        };
        Ok(decision.explained(request))
    });
    answered.collect()
}

/// What IAM said of one resource.
///
/// The result of an action is that of all its resources together, and has each of them in `ResourceSpecificResults`. Before
/// 2026 there was a result for each resource (API reference of `EvaluationResult`), and stand-ins still answer so.
struct Answer<'a> {
    action: &'a EvaluationResult,
    resource: Option<&'a ResourceSpecificResult>,
    /// Whether the action's result is about this resource alone.
    is_only: bool,
}

impl<'a> Answer<'a> {
    fn about(results: &'a [EvaluationResult], resource: &str, asked: usize) -> Option<Self> {
        let specific = results.iter().find_map(|action| {
            let mut specific = action.resource_specific_results().iter();
            let found = specific.find(|found| found.eval_resource_name() == resource)?;
            Some((action, Some(found)))
        });
        let (action, specific) = specific.or_else(|| {
            let named = |action: &&EvaluationResult| action.eval_resource_name() == Some(resource);
            match results {
                [only] if asked == 1 => Some((only, None)),
                _ => results.iter().find(named).map(|found| (found, None)),
            }
        })?;
        Some(Self {
            action,
            resource: specific,
            is_only: asked == 1 || specific.is_none(),
        })
    }

    fn effect(&self) -> Effect {
        let decision = self.resource.map_or(&self.action.eval_decision, |found| {
            &found.eval_resource_decision
        });
        effect(decision)
    }

    fn matched_statements(&self) -> &'a [Statement] {
        self.resource.map_or_else(
            || self.action.matched_statements(),
            ResourceSpecificResult::matched_statements,
        )
    }

    fn missing_context_keys(&self) -> Vec<String> {
        let specific = self
            .resource
            .map_or(&[][..], ResourceSpecificResult::missing_context_values);
        let mut keys = specific.to_vec();
        let of_action = self.action.missing_context_values().iter();
        for key in of_action.filter(|_| self.is_only) {
            if !keys.contains(key) {
                keys.push(key.clone());
            }
        }
        keys
    }

    fn side(&self, name: &str) -> Option<Effect> {
        let specific = self
            .resource
            .and_then(|found| found.eval_decision_details());
        let of_action = self.action.eval_decision_details().filter(|_| self.is_only);
        let details = [specific, of_action].into_iter().flatten();
        details
            .filter_map(|details| details.get(name))
            .map(effect)
            .next()
    }

    fn allowed_by_boundary(&self) -> Option<bool> {
        let specific = self
            .resource
            .and_then(|found| found.permissions_boundary_decision_detail());
        let of_action = self.action.permissions_boundary_decision_detail();
        let detail = specific.or(of_action.filter(|_| self.is_only));
        detail.map(|detail| detail.allowed_by_permissions_boundary)
    }

    fn decision(
        &self,
        identity: &Identity,
        request: &AccessRequest,
        bucket_policy: Option<&str>,
    ) -> Decision {
        // The keys are IAM's own, from the API reference of EvaluationResult.
        let sides = self.side("IAM Policy").zip(self.side("Resource Policy"));
        let statements = self.matched_statements().iter();
        Decision {
            matched: statements
                .map(|statement| matched(statement, bucket_policy))
                .collect(),
            missing_context_keys: self.missing_context_keys(),
            boundary: self.allowed_by_boundary(),
            organizations: self
                .action
                .organizations_decision_detail()
                .map(|detail| detail.allowed_by_organizations),
            sides: sides.map(|(identity, resource)| Sides { identity, resource }),
            ..Decision::new(identity, request, self.effect())
        }
    }
}

/// What the simulation could not see of the bucket's side.
fn notes(identity: &Identity, policy: &BucketPolicy, owner: Option<&str>) -> Vec<String> {
    let mut notes = Vec::new();
    match policy {
        BucketPolicy::Text(text) if identity.kind != PrincipalKind::User => {
            notes.push("IAM does not simulate bucket policies for roles: the bucket's policy was not taken into account, and S3 decides by it".to_owned());
            let denies = deny_statements(text);
            if !denies.is_empty() {
                notes.push(format!(
                    "the bucket policy denies by {}: check that none of them is meant for this role",
                    denies.join(", ")
                ));
            }
        }
        BucketPolicy::Text(_) | BucketPolicy::None => {}
        BucketPolicy::Unreadable => notes.push(
            "the bucket policy may not be read (s3:GetBucketPolicy): it was not taken into account"
                .to_owned(),
        ),
        BucketPolicy::OtherAccount => {}
        BucketPolicy::Unreachable => notes.push(
            "S3 did not answer when asked for the bucket policy: it was not taken into account"
                .to_owned(),
        ),
    }
    let elsewhere = owner.is_some_and(|owner| owner != identity.account)
        || matches!(policy, BucketPolicy::OtherAccount);
    let was_simulated =
        matches!(policy, BucketPolicy::Text(_)) && identity.kind == PrincipalKind::User;
    if elsewhere && was_simulated {
        notes.push("the bucket belongs to another account: both accounts must allow the read; that account's service control policies and access points are not known here".to_owned());
    } else if elsewhere {
        notes.push("the bucket belongs to another account: both accounts must allow the read, and only this side was simulated; S3 decides on the other".to_owned());
    }
    notes
}

fn effect(decision: &PolicyEvaluationDecisionType) -> Effect {
    match decision {
        PolicyEvaluationDecisionType::Allowed => Effect::Allowed,
        PolicyEvaluationDecisionType::ExplicitDeny => Effect::ExplicitDeny,
        _ => Effect::ImplicitDeny,
    }
}

fn matched(statement: &Statement, bucket_policy: Option<&str>) -> MatchedStatement {
    let kind = statement.source_policy_type().map(|kind| kind.as_str());
    let position = statement
        .start_position()
        .map(|position| (position.line, position.column));
    let is_of_bucket = kind.is_some_and(|kind| kind.to_ascii_lowercase().starts_with("resource"));
    let sid = bucket_policy
        .filter(|_| is_of_bucket)
        .zip(position)
        .and_then(|(text, (line, column))| statement_at(text, line, column));
    MatchedStatement {
        policy: if is_of_bucket {
            "the bucket policy".to_owned()
        } else {
            statement
                .source_policy_id()
                .unwrap_or("an unnamed policy")
                .to_owned()
        },
        policy_type: kind.unwrap_or_default().to_owned(),
        position,
        sid,
    }
}
