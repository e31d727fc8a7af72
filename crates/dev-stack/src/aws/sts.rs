//! STS: who am I, and another role to be.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};

use super::call::Call;
use super::query::Parameters;
use super::refusal::Refusal;
use super::xml::Xml;
use crate::iam::{
    AccessKey, Arn, Context, Decision, Directory, Evaluation, Policy, Session, evaluate,
};

/// The namespace of STS answers.
pub(crate) const NAMESPACE: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// Answers `GetCallerIdentity`, which no policy can forbid.
pub(crate) fn get_caller_identity(call: &Call<'_>) -> Result<Xml, Refusal> {
    let mut xml = Xml::default();
    xml.text("Arn", &call.principal.arn)
        .text("UserId", &call.principal.user_id)
        .text("Account", &call.principal.account);
    Ok(xml)
}

/// Answers `AssumeRole`: the trust policy must allow it, and for callers of another account
/// their own policies too.
pub(crate) fn assume_role(call: &Call<'_>) -> Result<Xml, Refusal> {
    let parameters = call.parameters;
    let role_arn = parameters.required("RoleArn")?;
    let name = parameters.required("RoleSessionName")?;
    let seconds = parameters.integer("DurationSeconds")?.unwrap_or(3600);
    check_shape(role_arn, name, seconds)?;
    let policy = parameters
        .get("Policy")
        .map(|text| Policy::parse_text("SessionPolicy", "none", text))
        .transpose()
        .map_err(|message| Refusal::new(400, "MalformedPolicyDocument", message))?;
    let tags: Vec<(String, String)> = parameters
        .structures("Tags")
        .into_iter()
        .filter_map(|mut tag| Some((tag.remove("Key")?, tag.remove("Value")?)))
        .collect();
    trusted(call, role_arn, name, &tags)?;
    let session = new_session(
        call.directory,
        call.now,
        role_arn,
        name,
        seconds,
        policy,
        tags,
    );
    Ok(answer(call.directory, &session))
}

fn check_shape(role_arn: &str, name: &str, seconds: i64) -> Result<(), Refusal> {
    let invalid = |message: String| Refusal::new(400, "ValidationError", message);
    if Arn::parse(role_arn).is_none_or(|arn| arn.resource_type() != "role") {
        return Err(invalid(format!("{role_arn} is invalid")));
    }
    let well_named = (2..=64).contains(&name.len())
        && name
            .chars()
            .all(|char| char.is_ascii_alphanumeric() || "_+=,.@-".contains(char));
    if !well_named {
        return Err(invalid(format!(
            "1 validation error detected: Value '{name}' at 'roleSessionName' failed to satisfy \
             constraint: Member must satisfy regular expression pattern: [\\w+=,.@-]*"
        )));
    }
    if !(900..=43_200).contains(&seconds) {
        return Err(invalid(format!(
            "The requested DurationSeconds {seconds} exceeds what may be set for this role."
        )));
    }
    Ok(())
}

/// Asks the trust policy, as the resource policy that it is.
fn trusted(
    call: &Call<'_>,
    role_arn: &str,
    name: &str,
    tags: &[(String, String)],
) -> Result<(), Refusal> {
    let principal = call.principal;
    let denied = || {
        Refusal::new(
            403,
            "AccessDenied",
            format!(
                "User: {} is not authorized to perform: sts:AssumeRole on resource: {role_arn}",
                principal.arn
            ),
        )
    };
    // AWS does not tell a missing role from one that does not trust the caller.
    let role = call.directory.entity(role_arn).ok_or_else(denied)?;
    let trust = role.trust.as_ref().ok_or_else(denied)?;
    let mut context = Context::default().with("sts:RoleSessionName", [name]);
    if let Some(id) = call.parameters.get("ExternalId") {
        context.insert("sts:ExternalId", vec![id.to_owned()]);
    }
    for (key, value) in tags {
        context.insert(&format!("aws:RequestTag/{key}"), vec![value.clone()]);
    }
    if !tags.is_empty() {
        let keys = tags.iter().map(|(key, _)| key.clone()).collect();
        context.insert("aws:TagKeys", keys);
    }
    let role_account = Arn::parse(role_arn).map_or("", |arn| arn.account);
    let organization = call.directory.organization();
    let elsewhere = principal.account != role_account;
    let outcome = evaluate(&Evaluation {
        action: "sts:AssumeRole",
        resource: role_arn,
        context: &context,
        caller: Some(&principal.arn),
        role: principal.role.as_deref(),
        identity: &principal.entity.policies,
        boundary: principal.entity.boundary.as_deref(),
        session: principal
            .session
            .as_ref()
            .and_then(|session| session.policy.as_ref()),
        organization: &organization,
        resource_policy: Some(trust),
        resource_owner: elsewhere.then_some(role_account),
    });
    // However much the caller's own policies allow, the role must trust the caller.
    if outcome.decision == Decision::Allowed && outcome.allowed_by_resource {
        Ok(())
    } else {
        Err(denied())
    }
}

/// Answers `AssumeRoleWithWebIdentity`, which is not signed: the token says who asks.
///
/// A token of the stand-in is `SUBJECT@dev-stack`; the trust policy names the provider
/// `arn:aws:iam::ACCOUNT:oidc-provider/dev-stack` and may look at `dev-stack:sub`.
pub(crate) fn assume_role_with_web_identity(
    directory: &Directory,
    parameters: &Parameters,
    now: DateTime<Utc>,
) -> Result<Xml, Refusal> {
    let role_arn = parameters.required("RoleArn")?;
    let name = parameters.required("RoleSessionName")?;
    let token = parameters.required("WebIdentityToken")?;
    let seconds = parameters.integer("DurationSeconds")?.unwrap_or(3600);
    check_shape(role_arn, name, seconds)?;
    let subject = token
        .strip_suffix("@dev-stack")
        .ok_or_else(|| Refusal::new(400, "InvalidIdentityToken", "the token is not one of ours"))?;
    let denied = || {
        let message = "Not authorized to perform sts:AssumeRoleWithWebIdentity";
        Refusal::new(403, "AccessDenied", message)
    };
    let account = Arn::parse(role_arn).map_or("", |arn| arn.account);
    let provider = format!("arn:aws:iam::{account}:oidc-provider/dev-stack");
    let role = directory.entity(role_arn).ok_or_else(denied)?;
    let trust = role.trust.as_ref().ok_or_else(denied)?;
    let outcome = evaluate(&Evaluation {
        action: "sts:AssumeRoleWithWebIdentity",
        resource: role_arn,
        context: &Context::default().with("dev-stack:sub", [subject]),
        caller: Some(&provider),
        role: None,
        identity: &[],
        boundary: None,
        session: None,
        organization: &directory.organization(),
        resource_policy: Some(trust),
        resource_owner: None,
    });
    if outcome.decision != Decision::Allowed {
        return Err(denied());
    }
    let session = new_session(directory, now, role_arn, name, seconds, None, Vec::new());
    Ok(answer(directory, &session))
}

fn new_session(
    directory: &Directory,
    now: DateTime<Utc>,
    role_arn: &str,
    name: &str,
    seconds: i64,
    policy: Option<Policy>,
    tags: Vec<(String, String)>,
) -> Arc<Session> {
    let seed = hex::encode(Sha256::digest(uuid::Uuid::new_v4().as_bytes()));
    let session = Arc::new(Session {
        role_arn: role_arn.to_owned(),
        name: name.to_owned(),
        key: AccessKey {
            id: format!("ASIA{}", seed[..16].to_uppercase()),
            secret: seed[16..56].to_owned(),
        },
        token: format!("FwoGZXIvYXdzE{seed}"),
        expires: now + TimeDelta::seconds(seconds),
        policy,
        tags,
    });
    directory.add_session(Arc::clone(&session));
    session
}

fn answer(directory: &Directory, session: &Session) -> Xml {
    let principal = directory.principal(&session.key.id);
    let mut xml = Xml::default();
    xml.node("Credentials", |xml| {
        xml.text("AccessKeyId", &session.key.id)
            .text("SecretAccessKey", &session.key.secret)
            .text("SessionToken", &session.token)
            .text(
                "Expiration",
                &session.expires.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
            );
    });
    if let Some(principal) = principal {
        xml.node("AssumedRoleUser", |xml| {
            xml.text("AssumedRoleId", &principal.user_id)
                .text("Arn", &principal.arn);
        });
    }
    xml.text("PackedPolicySize", "1");
    xml
}
