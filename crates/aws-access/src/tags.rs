//! Tags that are read only when a policy asks for one: the object's, and those of the user who signs.

use std::collections::BTreeMap;

use crate::{AccessRequest, Decision, Error, Identity, PrincipalKind};

/// What was read, by key.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tags {
    pub(crate) object: BTreeMap<String, String>,
    /// A user's; those of a role are known with its path.
    pub(crate) user: BTreeMap<String, String>,
}

impl Tags {
    /// Whether a policy asks for tags of the user.
    pub(crate) fn lack_the_users(identity: &Identity, decisions: &[Decision]) -> bool {
        let mut decisions = decisions.iter();
        identity.kind == PrincipalKind::User
            && decisions.any(|decision| is_missing(decision, "aws:principaltag/"))
    }

    /// Whether a policy asks for tags of the object.
    pub(crate) fn lack_the_objects(request: &AccessRequest, decision: &Decision) -> bool {
        request.object().is_some() && is_missing(decision, "s3:existingobjecttag/")
    }

    /// Reads the tags of the user; why they could not be read is a note.
    pub(crate) async fn of_user(
        iam: &aws_sdk_iam::Client,
        identity: &Identity,
    ) -> Result<Self, String> {
        let user = user_tags(iam, identity.name()).await;
        Ok(Self {
            object: BTreeMap::new(),
            user: user.map_err(|error| not_read("user", &error))?,
        })
    }

    /// Reads the tags of an object besides; why they could not be read is a note.
    pub(crate) async fn with_object(
        &self,
        s3: &aws_sdk_s3::Client,
        request: &AccessRequest,
    ) -> Result<Self, String> {
        let key = request.object().unwrap_or_default();
        let object = object_tags(s3, &request.bucket, key).await;
        Ok(Self {
            object: object.map_err(|error| not_read("object", &error))?,
            user: self.user.clone(),
        })
    }
}

fn is_missing(decision: &Decision, prefix: &str) -> bool {
    let mut missing = decision.missing_context_keys.iter();
    missing.any(|key| key.to_ascii_lowercase().starts_with(prefix))
}

fn not_read(whose: &str, error: &Error) -> String {
    format!("the {whose}'s tags, for which a policy asks, could not be read: {error}")
}

async fn object_tags(
    s3: &aws_sdk_s3::Client,
    bucket: &str,
    key: &str,
) -> Result<BTreeMap<String, String>, Error> {
    let call = s3.get_object_tagging();
    let tagging = call
        .bucket(bucket)
        .key(key)
        .send()
        .await
        .map_err(|error| Error::from_sdk("s3:GetObjectTagging", error))?;
    let tags = tagging.tag_set.into_iter();
    Ok(tags.map(|tag| (tag.key, tag.value)).collect())
}

async fn user_tags(
    iam: &aws_sdk_iam::Client,
    name: &str,
) -> Result<BTreeMap<String, String>, Error> {
    let call = iam.list_user_tags().user_name(name);
    let mut pages = call.into_paginator().items().send();
    let mut tags = BTreeMap::new();
    while let Some(tag) = pages.next().await {
        let tag = tag.map_err(|error| Error::from_sdk("iam:ListUserTags", error))?;
        tags.insert(tag.key, tag.value);
    }
    Ok(tags)
}
