//! `iam:SimulatePrincipalPolicy`: the principal's own policies, the bucket policy as resource policy, nothing added.

use aws_sdk_iam::{
    Client,
    types::{ContextEntry, ContextKeyTypeEnum, EvaluationResult, PolicyEvaluationDecisionType},
};

use crate::{
    AccessRequest, Decision, Effect, Error, ErrorKind, Identity, MatchedStatement, PrincipalKind,
    bucket_policy::BucketPolicy, request::Operation,
};

/// Simulates `request` for `identity`.
pub(crate) async fn simulate(
    iam: &Client,
    identity: &Identity,
    request: &AccessRequest,
    policy: &BucketPolicy,
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
    let partition = identity.arn.split(':').nth(1).unwrap_or("aws");
    let mut call = iam
        .simulate_principal_policy()
        .policy_source_arn(source)
        .action_names(request.action())
        .resource_arns(request.resource_in(partition))
        .context_entries(context(
            "aws:SecureTransport",
            ContextKeyTypeEnum::Boolean,
            "true",
        ));
    if let Operation::List(prefix) = &request.operation {
        call = call.context_entries(context("s3:prefix", ContextKeyTypeEnum::String, prefix));
    }
    let mut notes = Vec::new();
    match policy {
        // `CallerArn` takes users only: IAM does not simulate resource policies for roles (API reference of
        // SimulatePrincipalPolicy). For a role the bucket policy is left to S3 itself, and the decision says so.
        BucketPolicy::Text(text) if identity.kind == PrincipalKind::User => {
            call = call.resource_policy(text).caller_arn(source);
        }
        BucketPolicy::Text(_) => notes.push("IAM does not simulate bucket policies for roles: the bucket's policy was not taken into account".to_owned()),
        BucketPolicy::Unreadable => notes.push("the bucket policy may not be read (s3:GetBucketPolicy): it was not taken into account".to_owned()),
        BucketPolicy::Unreachable => notes.push("S3 did not answer when asked for the bucket policy: it was not taken into account".to_owned()),
        BucketPolicy::None => {}
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
    Ok(decision(identity, request, partition, result, notes))
}

fn decision(
    identity: &Identity,
    request: &AccessRequest,
    partition: &str,
    result: &EvaluationResult,
    notes: Vec<String>,
) -> Decision {
    let effect = match result.eval_decision {
        PolicyEvaluationDecisionType::Allowed => Effect::Allowed,
        PolicyEvaluationDecisionType::ExplicitDeny => Effect::ExplicitDeny,
        _ => Effect::ImplicitDeny,
    };
    let matched = result
        .matched_statements()
        .iter()
        .map(|statement| MatchedStatement {
            policy: statement
                .source_policy_id()
                .unwrap_or("an unnamed policy")
                .to_owned(),
            policy_type: statement
                .source_policy_type()
                .map(|kind| kind.as_str().to_owned())
                .unwrap_or_default(),
            position: statement
                .start_position()
                .map(|position| (position.line, position.column)),
        })
        .collect();
    Decision {
        allowed: effect == Effect::Allowed,
        effect,
        advisory: false,
        principal_arn: identity
            .policy_source_arn
            .clone()
            .unwrap_or_else(|| identity.arn.clone()),
        action: request.action().to_owned(),
        resource: request.resource_in(partition),
        matched,
        missing_context_keys: result.missing_context_values().to_vec(),
        boundary: result
            .permissions_boundary_decision_detail()
            .map(|detail| detail.allowed_by_permissions_boundary),
        organizations: result
            .organizations_decision_detail()
            .map(|detail| detail.allowed_by_organizations),
        reason: String::new(),
        advice: None,
        policy: None,
        notes,
    }
    .explained(request)
}

fn context(key: &str, kind: ContextKeyTypeEnum, value: &str) -> ContextEntry {
    ContextEntry::builder()
        .context_key_name(key)
        .context_key_type(kind)
        .context_key_values(value)
        .build()
}
