//! The principal of our credentials: `sts:GetCallerIdentity`, and for a session the ARN of its role.

use std::collections::BTreeMap;

use aws_sdk_iam::Client as IamClient;
use aws_sdk_sts::Client as StsClient;
use serde::Serialize;

use crate::{Error, ErrorKind, PrincipalKind, error::IDENTIFY, principal::CallerArn};

/// The principal that requests are signed as.
#[derive(Debug, Clone, Serialize)]
pub struct Identity {
    /// The ARN as STS tells it.
    pub arn: String,
    /// The account, twelve digits.
    pub account: String,
    /// The unique id, such as `AIDA…` or `AROA…:session`.
    pub user_id: String,
    /// What kind of principal it is.
    pub kind: PrincipalKind,
    /// The ARN that IAM simulates: a user's own, or for a session its role's, path included.
    ///
    /// `None` for root and federated users, whom IAM cannot simulate.
    pub policy_source_arn: Option<String>,
    /// Its tags, as policies see them in `aws:PrincipalTag/KEY`: a role's, and over them the session's. Those of a user
    /// are read with a decision, when a policy asks for one.
    pub tags: BTreeMap<String, String>,
}

impl Identity {
    /// The partition, such as `aws` or `aws-us-gov`.
    #[must_use]
    pub fn partition(&self) -> &str {
        self.arn.split(':').nth(1).unwrap_or("aws")
    }

    /// Who is asked for where nothing says who we are: S3 knows.
    pub(crate) fn unknown() -> Self {
        Self {
            arn: "unknown".to_owned(),
            account: String::new(),
            user_id: String::new(),
            kind: PrincipalKind::Unknown,
            policy_source_arn: None,
            tags: BTreeMap::new(),
        }
    }

    /// The name without its path.
    pub(crate) fn name(&self) -> &str {
        self.arn.rsplit('/').next().unwrap_or(&self.arn)
    }

    /// The ARN that policies see as `aws:PrincipalArn`: a session's role.
    pub(crate) fn principal_arn(&self) -> &str {
        self.policy_source_arn.as_deref().unwrap_or(&self.arn)
    }
}

/// A role as IAM knows it.
struct Role {
    arn: String,
    tags: BTreeMap<String, String>,
}

pub(crate) async fn identify(
    sts: &StsClient,
    iam: &IamClient,
    session_tags: &BTreeMap<String, String>,
) -> Result<Identity, Error> {
    let caller = sts
        .get_caller_identity()
        .send()
        .await
        .map_err(|error| Error::from_sdk(IDENTIFY, error))?;
    let arn = caller.arn.unwrap_or_default();
    let parsed = CallerArn::parse(&arn).ok_or_else(|| {
        Error::new(
            ErrorKind::UnsupportedPrincipal,
            format!("the principal `{arn}` is of no kind known here"),
        )
    })?;
    let (policy_source_arn, mut tags) = match parsed.kind {
        PrincipalKind::User => (Some(arn.clone()), BTreeMap::new()),
        PrincipalKind::AssumedRole | PrincipalKind::SsoRole => {
            let role = role(iam, &parsed).await?;
            (Some(role.arn), role.tags)
        }
        PrincipalKind::Root | PrincipalKind::FederatedUser | PrincipalKind::Unknown => {
            (None, BTreeMap::new())
        }
    };
    tags.extend(session_tags.clone());
    Ok(Identity {
        account: caller.account.unwrap_or_else(|| parsed.account.to_owned()),
        user_id: caller.user_id.unwrap_or_default(),
        kind: parsed.kind,
        policy_source_arn,
        tags,
        arn,
    })
}

/// The role's ARN with its path, which a session's ARN leaves out.
///
/// Where `iam:GetRole` is not allowed, a role without a path is assumed, except for Identity Center roles, whose path
/// `/aws-reserved/sso.amazonaws.com/` may have the region behind it: then only IAM knows.
async fn role(iam: &IamClient, caller: &CallerArn<'_>) -> Result<Role, Error> {
    match iam.get_role().role_name(caller.name).send().await {
        Ok(output) => {
            let role = output.role.ok_or_else(|| {
                Error::new(
                    ErrorKind::Unavailable,
                    "iam:GetRole answered without a role",
                )
            })?;
            let tags = role.tags.unwrap_or_default();
            Ok(Role {
                arn: role.arn,
                tags: tags.into_iter().map(|tag| (tag.key, tag.value)).collect(),
            })
        }
        Err(error) => {
            let error = Error::from_sdk("iam:GetRole", error);
            if !error.is_access_denied() {
                return Err(error);
            }
            if caller.kind == PrincipalKind::SsoRole {
                return Err(Error::new(
                    ErrorKind::UnsupportedPrincipal,
                    "the path of this Identity Center role cannot be found: allow iam:GetRole to it",
                ));
            }
            tracing::debug!("iam:GetRole is not allowed: assuming a role without a path");
            Ok(Role {
                arn: format!(
                    "arn:{}:iam::{}:role/{}",
                    caller.partition, caller.account, caller.name
                ),
                tags: BTreeMap::new(),
            })
        }
    }
}
