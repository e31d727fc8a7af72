//! The document made ready: principals by access key and by ARN, and the sessions of `AssumeRole`.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::arn::Arn;
use super::context::Context;
use super::document::{AccessKey, IamDocument, Identity};
use super::evaluate::{Evaluation, Outcome, evaluate};
use super::policy::Policy;
use crate::error::{Error, ErrorKind};
use crate::secrets::note_secret;

/// An identity of the document with its policies parsed.
#[derive(Debug)]
pub(crate) struct Entity {
    pub(crate) identity: Identity,
    pub(crate) id: String,
    pub(crate) policies: Vec<Policy>,
    pub(crate) boundary: Option<Vec<Policy>>,
    pub(crate) trust: Option<Policy>,
}

/// Who signed a request.
#[derive(Debug, Clone)]
pub(crate) struct Principal {
    pub(crate) entity: Arc<Entity>,
    /// The ARN that `GetCallerIdentity` tells.
    pub(crate) arn: String,
    pub(crate) account: String,
    pub(crate) user_id: String,
    /// The role, for a session of one.
    pub(crate) role: Option<String>,
    pub(crate) session: Option<Arc<Session>>,
}

/// A session that `AssumeRole` made.
pub(crate) struct Session {
    pub(crate) role_arn: String,
    pub(crate) name: String,
    pub(crate) key: AccessKey,
    pub(crate) token: String,
    pub(crate) expires: DateTime<Utc>,
    pub(crate) policy: Option<Policy>,
    pub(crate) tags: Vec<(String, String)>,
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Session")
            .field("role_arn", &self.role_arn)
            .field("name", &self.name)
            .field("token", &"******")
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct Parsed {
    document: IamDocument,
    by_key: HashMap<String, (AccessKey, Arc<Entity>)>,
    by_arn: HashMap<String, Arc<Entity>>,
    bucket_policies: HashMap<String, Policy>,
    organization: Vec<Policy>,
}

/// Everything the stand-ins know of identities; shared by all of them.
#[derive(Debug)]
pub(crate) struct Directory {
    parsed: RwLock<Arc<Parsed>>,
    sessions: Mutex<HashMap<String, Arc<Session>>>,
}

impl Directory {
    pub(crate) fn try_new(document: IamDocument) -> Result<Self, Error> {
        Ok(Self {
            parsed: RwLock::new(Arc::new(Parsed::try_new(document)?)),
            sessions: Mutex::default(),
        })
    }

    /// Puts another document in place; sessions go on under the new policies.
    pub(crate) fn replace(&self, document: IamDocument) -> Result<(), Error> {
        let parsed = Arc::new(Parsed::try_new(document)?);
        *self.parsed.write().unwrap_or_else(PoisonError::into_inner) = parsed;
        Ok(())
    }

    fn parsed(&self) -> Arc<Parsed> {
        Arc::clone(&self.parsed.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The secret of an access key.
    pub(crate) fn secret(&self, key_id: &str) -> Option<String> {
        if let Some(session) = self.session(key_id) {
            return Some(session.key.secret.clone());
        }
        self.parsed()
            .by_key
            .get(key_id)
            .map(|(key, _)| key.secret.clone())
    }

    /// Who signs with this access key.
    pub(crate) fn principal(&self, key_id: &str) -> Option<Principal> {
        let parsed = self.parsed();
        if let Some(session) = self.session(key_id) {
            let entity = Arc::clone(parsed.by_arn.get(&session.role_arn)?);
            let mut principal = principal_of(&entity, &session.name)?;
            principal.session = Some(session);
            return Some(principal);
        }
        let (_, entity) = parsed.by_key.get(key_id)?;
        principal_of(entity, "flowlake")
    }

    /// The session behind an access key, when it is one of `AssumeRole`'s.
    pub(crate) fn session(&self, key_id: &str) -> Option<Arc<Session>> {
        self.sessions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key_id)
            .cloned()
    }

    pub(crate) fn add_session(&self, session: Arc<Session>) {
        note_secret(&session.key.secret);
        note_secret(&session.token);
        self.sessions
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(session.key.id.clone(), session);
    }

    /// A user or role by its ARN.
    pub(crate) fn entity(&self, arn: &str) -> Option<Arc<Entity>> {
        self.parsed().by_arn.get(arn).cloned()
    }

    /// A `role` or `user` by account and name, whatever its path.
    pub(crate) fn named(&self, kind: &str, account: &str, name: &str) -> Option<Arc<Entity>> {
        self.parsed()
            .by_arn
            .iter()
            .find(|(arn, _)| {
                Arn::parse(arn).is_some_and(|arn| {
                    arn.resource_type() == kind && arn.account == account && arn.name() == name
                })
            })
            .map(|(_, entity)| Arc::clone(entity))
    }

    /// The access key of a principal named by ARN or by its bare name.
    pub(crate) fn key_of(&self, principal: &str) -> AccessKey {
        self.parsed()
            .document
            .identities
            .iter()
            .find(|identity| {
                identity.arn == principal
                    || Arn::parse(&identity.arn).is_some_and(|arn| arn.name() == principal)
            })
            .map_or_else(|| AccessKey::derived(principal), Identity::key)
    }

    /// A bucket's policy as the document has it.
    pub(crate) fn bucket_policy(&self, bucket: &str) -> Option<String> {
        let parsed = self.parsed();
        let policy = parsed.document.buckets.get(bucket)?.policy.as_ref()?;
        Some(policy.to_string())
    }

    /// The account that owns a bucket, when the document names one.
    pub(crate) fn bucket_owner(&self, bucket: &str) -> Option<String> {
        self.parsed().document.buckets.get(bucket)?.owner.clone()
    }

    /// A bucket's region, when the document names one.
    pub(crate) fn bucket_region(&self, bucket: &str) -> Option<String> {
        self.parsed().document.buckets.get(bucket)?.region.clone()
    }

    /// The organisation's policies.
    pub(crate) fn organization(&self) -> Vec<Policy> {
        self.parsed().organization.clone()
    }

    /// Decides a real request.
    pub(crate) fn decide(
        &self,
        principal: Option<&Principal>,
        action: &str,
        resource: &str,
        context: &Context,
    ) -> Outcome {
        let parsed = self.parsed();
        let bucket = resource
            .strip_prefix("arn:aws:s3:::")
            .map(|rest| rest.split_once('/').map_or(rest, |(bucket, _)| bucket));
        let owner = bucket
            .and_then(|bucket| parsed.document.buckets.get(bucket)?.owner.as_deref())
            .filter(|owner| principal.is_some_and(|principal| principal.account != *owner));
        let context = principal.map_or_else(
            || context.clone(),
            |principal| principal.context(context.clone()),
        );
        evaluate(&Evaluation {
            action,
            resource,
            context: &context,
            caller: principal.map(|principal| principal.arn.as_str()),
            role: principal.and_then(|principal| principal.role.as_deref()),
            identity: principal.map_or(&[], |principal| &principal.entity.policies),
            boundary: principal.and_then(|principal| principal.entity.boundary.as_deref()),
            session: principal.and_then(|principal| principal.session.as_ref()?.policy.as_ref()),
            organization: &parsed.organization,
            resource_policy: bucket.and_then(|bucket| parsed.bucket_policies.get(bucket)),
            resource_owner: owner,
        })
    }
}

impl Principal {
    /// The context keys that a caller brings by being who it is.
    fn context(&self, mut context: Context) -> Context {
        let arn = self.role.as_ref().unwrap_or(&self.arn);
        context.insert("aws:PrincipalArn", vec![arn.clone()]);
        context.insert("aws:PrincipalAccount", vec![self.account.clone()]);
        context.insert("aws:userid", vec![self.user_id.clone()]);
        let kind = match &self.role {
            Some(_) => "AssumedRole",
            None if self.arn.ends_with(":root") => "Account",
            None if self.arn.contains(":federated-user/") => "FederatedUser",
            None => "User",
        };
        context.insert("aws:PrincipalType", vec![kind.to_owned()]);
        if kind == "User"
            && let Some(arn) = Arn::parse(&self.arn)
        {
            context.insert("aws:username", vec![arn.name().to_owned()]);
        }
        let session_tags = self.session.iter().flat_map(|session| {
            session
                .tags
                .iter()
                .map(|(key, value)| (key.as_str(), value.as_str()))
        });
        let own_tags = self
            .entity
            .identity
            .tags
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()));
        for (key, value) in own_tags.chain(session_tags) {
            context.insert(&format!("aws:PrincipalTag/{key}"), vec![value.to_owned()]);
        }
        context
    }
}

/// The principal that an entity's key acts as.
fn principal_of(entity: &Arc<Entity>, session_name: &str) -> Option<Principal> {
    let arn = Arn::parse(&entity.identity.arn)?;
    let is_role = arn.resource_type() == "role";
    let account = arn.account.to_owned();
    let (text, user_id) = if is_role {
        (
            format!(
                "arn:aws:sts::{account}:assumed-role/{}/{session_name}",
                arn.name()
            ),
            format!("{}:{session_name}", entity.id),
        )
    } else {
        (entity.identity.arn.clone(), entity.id.clone())
    };
    Some(Principal {
        entity: Arc::clone(entity),
        arn: text,
        account,
        user_id,
        role: is_role.then(|| entity.identity.arn.clone()),
        session: None,
    })
}

impl Parsed {
    fn try_new(document: IamDocument) -> Result<Self, Error> {
        let mut by_key = HashMap::new();
        let mut by_arn = HashMap::new();
        for identity in &document.identities {
            let entity = Arc::new(entity(identity, &document)?);
            let key = identity.key();
            note_secret(&key.secret);
            by_key.insert(key.id.clone(), (key, Arc::clone(&entity)));
            by_arn.insert(identity.arn.clone(), entity);
        }
        let mut bucket_policies = HashMap::new();
        for (bucket, settings) in &document.buckets {
            if let Some(policy) = &settings.policy {
                let policy = parse("ResourcePolicy", "resource", policy, bucket)?;
                bucket_policies.insert(bucket.clone(), policy);
            }
        }
        let organization = document
            .service_control_policies
            .iter()
            .map(|(name, policy)| parse(name, "none", policy, "the organisation"))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            document,
            by_key,
            by_arn,
            bucket_policies,
            organization,
        })
    }
}

fn entity(identity: &Identity, document: &IamDocument) -> Result<Entity, Error> {
    let invalid = |message: String| Error::new(ErrorKind::InvalidSetting, message);
    let arn = Arn::parse(&identity.arn)
        .filter(|arn| matches!(arn.service, "iam" | "sts"))
        .ok_or_else(|| invalid(format!("{:?} is not the ARN of a principal", identity.arn)))?;
    let source_type = match arn.resource_type() {
        "role" => "role",
        _ => "user",
    };
    let mut policies = Vec::new();
    for (name, policy) in &identity.policies {
        policies.push(parse(name, source_type, policy, &identity.arn)?);
    }
    for name in &identity.groups {
        let group = document
            .groups
            .get(name)
            .ok_or_else(|| invalid(format!("{} is in the unknown group {name:?}", identity.arn)))?;
        for (name, policy) in &group.policies {
            policies.push(parse(name, "group", policy, &identity.arn)?);
        }
    }
    let boundary = identity
        .boundary
        .as_ref()
        .map(|policy| parse("PermissionsBoundary", "none", policy, &identity.arn))
        .transpose()?
        .map(|policy| vec![policy]);
    let trust = identity
        .trust
        .as_ref()
        .map(|policy| parse("Trust", "none", policy, &identity.arn))
        .transpose()?;
    let prefix = if source_type == "role" {
        "AROA"
    } else {
        "AIDA"
    };
    let id = if arn.resource == "root" {
        arn.account.to_owned()
    } else {
        let digest = hex::encode_upper(Sha256::digest(identity.arn.as_bytes()));
        format!("{prefix}{}", &digest[..17])
    };
    Ok(Entity {
        identity: identity.clone(),
        id,
        policies,
        boundary,
        trust,
    })
}

fn parse(
    name: &str,
    source_type: &'static str,
    policy: &serde_json::Value,
    holder: &str,
) -> Result<Policy, Error> {
    Policy::parse(name, source_type, policy).map_err(|message| {
        Error::new(
            ErrorKind::InvalidSetting,
            format!("policy {name:?} of {holder} is wrong: {message}"),
        )
    })
}
