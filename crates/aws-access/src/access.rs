//! Decisions, cached: one question to AWS per principal and resource within a TTL, however many ask at once.

mod probe;
mod tags;

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use moka::future::Cache;
use tokio::sync::OnceCell;

use crate::{
    AccessMode, AccessRequest, AccessSettings, BucketSettings, CallerCheck, Clock, Decision,
    Effect, Error, ErrorKind, Identity, PrincipalKind, SystemClock,
    bucket_policy::{BucketPolicy, bucket_policy},
    caller_check::check_caller,
    context::Known,
    identity::identify,
    request::Operation,
    simulate::simulate,
};

pub(crate) use tags::Tags;

/// Answers who we are and what may be read. Cheap to clone; clones share the caches.
#[derive(Debug, Clone)]
pub struct Access {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    iam: aws_sdk_iam::Client,
    sts: aws_sdk_sts::Client,
    s3: aws_sdk_s3::Client,
    settings: AccessSettings,
    session_tags: BTreeMap<String, String>,
    clock: Arc<dyn Clock>,
    identity: OnceCell<Arc<Identity>>,
    // moka's own clock cannot be set, so the time of each entry is kept with it and judged here.
    decisions: Cache<AccessRequest, Entry>,
    policies: Cache<String, (Instant, BucketPolicy)>,
}

#[derive(Debug, Clone)]
struct Entry {
    at: Instant,
    /// Whether it holds for the next caller too: not when S3 could not be asked for the bucket policy.
    is_kept: bool,
    decision: Arc<Decision>,
}

/// Builds an [`Access`].
#[derive(Debug)]
pub struct AccessBuilder {
    iam: aws_sdk_iam::Client,
    sts: aws_sdk_sts::Client,
    s3: aws_sdk_s3::Client,
    settings: AccessSettings,
    session_tags: BTreeMap<String, String>,
    clock: Arc<dyn Clock>,
}

impl Access {
    /// Starts from clients that sign as the principal in question.
    #[must_use]
    pub fn builder(
        iam: aws_sdk_iam::Client,
        sts: aws_sdk_sts::Client,
        s3: aws_sdk_s3::Client,
    ) -> AccessBuilder {
        AccessBuilder {
            iam,
            sts,
            s3,
            settings: AccessSettings::default(),
            session_tags: BTreeMap::new(),
            clock: Arc::new(SystemClock),
        }
    }

    /// The principal that requests are signed as; asked once, since it does not change within a process.
    ///
    /// # Errors
    /// [`ErrorKind::Credentials`], [`ErrorKind::UnsupportedPrincipal`], [`ErrorKind::Throttled`], [`ErrorKind::Unavailable`];
    /// a failure is not kept.
    pub async fn identity(&self) -> Result<Arc<Identity>, Error> {
        let shared = &self.shared;
        shared
            .identity
            .get_or_try_init(|| async {
                Box::pin(identify(&shared.sts, &shared.iam, &shared.session_tags))
                    .await
                    .map(Arc::new)
            })
            .await
            .cloned()
    }

    /// What a decision means.
    #[must_use]
    pub fn mode(&self) -> AccessMode {
        self.shared.settings.mode
    }

    /// Asks STS anew who we are, and what time it is there.
    pub async fn check_caller(&self) -> CallerCheck {
        Box::pin(check_caller(&self.shared.sts)).await
    }

    /// Whether the read may be made, from the cache or by asking.
    ///
    /// # Errors
    /// Those of [`Self::identity`], and in [`AccessMode::Enforce`] [`ErrorKind::SimulationDenied`].
    pub async fn check(&self, request: &AccessRequest) -> Result<Arc<Decision>, Error> {
        let shared = &self.shared;
        if let Some(entry) = shared.decisions.get(request).await {
            if entry.is_kept && shared.is_fresh(entry.at) {
                return Ok(entry.decision);
            }
            if !shared.is_fresh(entry.at) {
                shared.decisions.invalidate(request).await;
            }
        }
        let decide = async {
            let (decision, is_kept) = Box::pin(self.decide(request)).await?;
            Ok::<_, Error>(Entry {
                at: shared.clock.now(),
                is_kept,
                decision: Arc::new(decision),
            })
        };
        // Boxed, since what is decided already is the usual case and should not carry the rest with it.
        let entry = Box::pin(shared.decisions.try_get_with_by_ref(request, decide)).await;
        let entry = entry.map_err(|error| Error::shared(&error))?;
        if !entry.is_kept {
            shared.decisions.invalidate(request).await;
        }
        Ok(entry.decision)
    }

    /// The decision, and whether it may be kept.
    async fn decide(&self, request: &AccessRequest) -> Result<(Decision, bool), Error> {
        let identity = self.identity().await?;
        let shared = &self.shared;
        match shared.settings.mode {
            AccessMode::Probe => Ok((probe::probe(&shared.s3, &identity, request).await?, true)),
            AccessMode::Enforce => self.simulate(&identity, request).await,
            AccessMode::Advise => match self.simulate(&identity, request).await {
                Ok((decision, is_kept)) => Ok((advisory(decision), is_kept)),
                // What cannot be simulated is no reason to stop in this mode: S3 decides.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::SimulationDenied | ErrorKind::UnsupportedPrincipal
                    ) =>
                {
                    tracing::warn!(%error, "the read cannot be simulated: S3 decides");
                    let decision = probe::undecided(&identity, request, &error);
                    Ok((advisory(decision), true))
                }
                Err(error) => Err(error),
            },
        }
    }

    async fn simulate(
        &self,
        identity: &Identity,
        request: &AccessRequest,
    ) -> Result<(Decision, bool), Error> {
        let shared = &self.shared;
        let settings = shared.settings.buckets.get(&request.bucket);
        let policy = self.bucket_policy(&request.bucket, settings).await?;
        let is_kept = !matches!(policy, BucketPolicy::Unreachable);
        let ask = async |tags: &Tags| {
            let known = Known {
                region: shared.s3.config().region().map(AsRef::as_ref),
                owner: settings.and_then(|settings| settings.owner.as_deref()),
                tags,
            };
            simulate(&shared.iam, identity, request, &policy, known).await
        };
        let mut decision = ask(&Tags::default()).await?;
        // A policy asks for tags: they are read, and the question asked again with them.
        let (tags, unread) = Tags::asked_for(shared, identity, request, &decision).await;
        if !tags.is_empty() {
            decision = ask(&tags).await?;
        }
        decision.notes.extend(unread);
        // The policy of a KMS key may allow by itself what no policy of the principal allows, and IAM does not simulate it.
        if decision.effect == Effect::ImplicitDeny
            && matches!(request.operation, Operation::Decrypt { .. })
        {
            let simulated = decision;
            decision = probe::probe(&shared.s3, identity, request).await?;
            decision.boundary = simulated.boundary;
            decision.organizations = simulated.organizations;
            decision.notes.extend(simulated.notes);
        } else if decision.effect == Effect::ImplicitDeny
            && is_left_to_s3(identity, request, &policy, settings, &decision)
        {
            let answer = probe::probe(&shared.s3, identity, request).await?;
            decision = match answer.effect {
                Effect::Allowed => answer.allowed_by_s3(request, decision),
                _ => decision.refused_by_s3(request),
            };
        }
        Ok((decision, is_kept))
    }

    /// The bucket's policy: from the settings, from the cache, or from S3.
    async fn bucket_policy(
        &self,
        bucket: &str,
        settings: Option<&BucketSettings>,
    ) -> Result<BucketPolicy, Error> {
        if bucket.is_empty() {
            return Ok(BucketPolicy::None);
        }
        if let Some(text) = settings.and_then(|settings| settings.policy.as_ref()) {
            return Ok(BucketPolicy::Text(text.clone()));
        }
        let shared = &self.shared;
        let cached = shared.policies.get(bucket).await;
        if let Some((_, policy)) = cached.filter(|(at, _)| shared.is_fresh(*at)) {
            return Ok(policy);
        }
        let policy = bucket_policy(&shared.s3, bucket).await?;
        if !matches!(policy, BucketPolicy::Unreachable) {
            let entry = (shared.clock.now(), policy.clone());
            shared.policies.insert(bucket.to_owned(), entry).await;
        }
        Ok(policy)
    }
}

/// Whether a bucket policy that the simulation has not seen may allow what no policy of the principal's allows. IAM simulates
/// bucket policies for users only, and within an account either side is enough.
fn is_left_to_s3(
    identity: &Identity,
    request: &AccessRequest,
    policy: &BucketPolicy,
    settings: Option<&BucketSettings>,
    decision: &Decision,
) -> bool {
    let owner = settings.and_then(|settings| settings.owner.as_deref());
    let is_ours = owner.is_none_or(|owner| owner == identity.account);
    let is_unseen = match policy {
        BucketPolicy::Text(_) => identity.kind != PrincipalKind::User,
        BucketPolicy::Unreadable | BucketPolicy::Unreachable => true,
        BucketPolicy::None | BucketPolicy::OtherAccount => false,
    };
    is_ours
        && is_unseen
        && decision.boundary != Some(false)
        && decision.organizations != Some(false)
        && matches!(
            request.operation,
            Operation::Read { .. } | Operation::List { .. }
        )
}

fn advisory(mut decision: Decision) -> Decision {
    if !decision.allowed {
        tracing::warn!(
            reason = decision.reason,
            "IAM would deny the read; the mode is `advise`, so S3 decides"
        );
    }
    decision.allowed = true;
    decision.advisory = true;
    decision
}

impl Shared {
    fn is_fresh(&self, at: Instant) -> bool {
        self.clock.now().saturating_duration_since(at) < self.settings.ttl
    }
}

impl AccessBuilder {
    /// Mode, TTL and size of the cache.
    #[must_use]
    pub fn with_settings(mut self, settings: AccessSettings) -> Self {
        self.settings = settings;
        self
    }

    /// The session tags of the role that was assumed, which policies see as the principal's.
    #[must_use]
    pub fn with_session_tags(mut self, tags: BTreeMap<String, String>) -> Self {
        self.session_tags = tags;
        self
    }

    /// Judges freshness by `clock`.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSetting`] for a cache of no entries.
    pub fn build(self) -> Result<Access, Error> {
        if self.settings.max_entries == 0 {
            return Err(Error::new(
                ErrorKind::InvalidSetting,
                "max_entries in [access] must be at least 1; a ttl of \"0s\" switches the cache off",
            ));
        }
        for (bucket, settings) in &self.settings.buckets {
            let owner = settings.owner.as_deref();
            if owner.is_some_and(|owner| {
                owner.len() != 12 || !owner.bytes().all(|byte| byte.is_ascii_digit())
            }) {
                return Err(Error::new(
                    ErrorKind::InvalidSetting,
                    format!(
                        "owner in [access.buckets.{bucket}] must be an account of twelve digits"
                    ),
                ));
            }
            let policy = settings.policy.as_deref();
            if policy
                .is_some_and(|policy| serde_json::from_str::<serde_json::Value>(policy).is_err())
            {
                return Err(Error::new(
                    ErrorKind::InvalidSetting,
                    format!("policy in [access.buckets.{bucket}] is not JSON"),
                ));
            }
        }
        let max = self.settings.max_entries;
        Ok(Access {
            shared: Arc::new(Shared {
                iam: self.iam,
                sts: self.sts,
                s3: self.s3,
                settings: self.settings,
                session_tags: self.session_tags,
                clock: self.clock,
                identity: OnceCell::new(),
                decisions: Cache::new(max),
                policies: Cache::new(max),
            }),
        })
    }
}
