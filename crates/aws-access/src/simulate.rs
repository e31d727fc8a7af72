//! `iam:SimulatePrincipalPolicy`: the principal's own policies, the bucket policy as resource policy, nothing added.

use aws_sdk_iam::{
    Client,
    types::{EvaluationResult, PolicyEvaluationDecisionType, Statement},
};

use crate::{
    AccessRequest, Decision, Effect, Error, ErrorKind, Identity, MatchedStatement, PrincipalKind,
    Sides,
    bucket_policy::{BucketPolicy, deny_statements, statement_at},
    context::{self, Known},
    request::Operation,
};

/// Simulates `request` for `identity`.
pub(crate) async fn simulate(
    iam: &Client,
    identity: &Identity,
    request: &AccessRequest,
    policy: &BucketPolicy,
    known: Known<'_>,
) -> Result<Decision, Error> {
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
    let mut call = iam
        .simulate_principal_policy()
        .policy_source_arn(source)
        .action_names(request.action())
        .resource_arns(request.resource_in(partition))
        .set_context_entries(Some(context::entries(identity, request, known)));
    let is_kms = matches!(request.operation, Operation::Decrypt { .. });
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
    let [result] = results.as_slice() else {
        return Err(Error::new(
            ErrorKind::Unavailable,
            format!(
                "iam:SimulatePrincipalPolicy gave {} results for one action",
                results.len()
            ),
        ));
    };
    let mut decision = decision(identity, request, result, bucket_text);
    decision.notes = if is_kms {
        vec!["the key's own policy takes no part in a simulation".to_owned()]
    } else {
        notes(identity, policy, known.owner)
    };
    Ok(decision.explained(request))
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

fn decision(
    identity: &Identity,
    request: &AccessRequest,
    result: &EvaluationResult,
    bucket_policy: Option<&str>,
) -> Decision {
    let details = result.eval_decision_details();
    // The keys are IAM's own, from the API reference of EvaluationResult.
    let side = |name: &str| details.and_then(|details| details.get(name)).map(effect);
    let sides = side("IAM Policy").zip(side("Resource Policy"));
    Decision {
        matched: result
            .matched_statements()
            .iter()
            .map(|statement| matched(statement, bucket_policy))
            .collect(),
        missing_context_keys: result.missing_context_values().to_vec(),
        boundary: result
            .permissions_boundary_decision_detail()
            .map(|detail| detail.allowed_by_permissions_boundary),
        organizations: result
            .organizations_decision_detail()
            .map(|detail| detail.allowed_by_organizations),
        sides: sides.map(|(identity, resource)| Sides { identity, resource }),
        ..Decision::new(identity, request, effect(&result.eval_decision))
    }
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
