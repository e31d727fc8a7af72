//! Tags that are read only when a policy asks for one: the object's, and those of the user who signs.

use std::collections::BTreeMap;

use crate::{AccessRequest, Decision, Error, Identity, PrincipalKind};

const OBJECT_TAGS: &str = "s3:existingobjecttag/";
const USER_TAGS: &str = "aws:principaltag/";

/// What was read, by key.
#[derive(Debug, Default)]
pub(crate) struct Tags {
    pub(crate) object: BTreeMap<String, String>,
    /// A user's; those of a role are known with its path.
    pub(crate) user: BTreeMap<String, String>,
}

impl Tags {
    pub(crate) fn is_empty(&self) -> bool {
        self.object.is_empty() && self.user.is_empty()
    }

    /// Whether a policy asks for tags that can be read.
    pub(crate) fn are_missing(
        identity: &Identity,
        request: &AccessRequest,
        decision: &Decision,
    ) -> bool {
        request.object().is_some() && is_missing(decision, OBJECT_TAGS)
            || identity.kind == PrincipalKind::User && is_missing(decision, USER_TAGS)
    }

    /// Reads the tags that `decision` says are missing, and tells which of them could not be read.
    pub(crate) async fn asked_for(
        s3: &aws_sdk_s3::Client,
        iam: &aws_sdk_iam::Client,
        identity: &Identity,
        request: &AccessRequest,
        decision: &Decision,
    ) -> (Self, Vec<String>) {
        let (mut tags, mut unread) = (Self::default(), Vec::new());
        if let Some(key) = request.object()
            && is_missing(decision, OBJECT_TAGS)
        {
            match object_tags(s3, &request.bucket, key).await {
                Ok(read) => tags.object = read,
                Err(error) => unread.push(not_read("object", &error)),
            }
        }
        if identity.kind == PrincipalKind::User && is_missing(decision, USER_TAGS) {
            match user_tags(iam, identity.name()).await {
                Ok(read) => tags.user = read,
                Err(error) => unread.push(not_read("user", &error)),
            }
        }
        (tags, unread)
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
