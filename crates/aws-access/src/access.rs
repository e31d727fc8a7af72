//! A cache of decisions: AWS is asked once per principal and resource within a TTL, also when many callers ask at once.

mod objects;
mod probe;

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use moka::future::Cache;
use tokio::sync::{Mutex, OnceCell};

use crate::{
    AccessMode, AccessRequest, AccessSettings, BucketSettings, CallerCheck, Clock, Decision,
    Effect, Error, ErrorKind, Identity, PrincipalKind, SystemClock,
    bucket_policy::{BucketPolicy, bucket_policy},
    caller_check::check_caller,
    context::Known,
    identity::identify,
    request::Operation,
    simulate::simulate,
    tags::Tags,
};

pub use objects::ObjectsRequest;

/// Identifies the principal and decides what it may read. Cheap to clone; clones share the caches.
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
    /// Held while IAM is asked about the objects of one listing.
    turns: Cache<String, Arc<Mutex<()>>>,
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
                let identifying = identify(&shared.sts, &shared.iam, &shared.session_tags);
                match Box::pin(identifying).await {
                    // S3 alone decides, and need not come with an STS.
                    Err(error)
                        if shared.settings.mode == AccessMode::Probe
                            && matches!(
                                error.kind(),
                                ErrorKind::NotAws | ErrorKind::UnsupportedPrincipal
                            ) =>
                    {
                        tracing::warn!(%error, "it is not known who we are: S3 decides");
                        Ok(Arc::new(Identity::unknown()))
                    }
                    identity => identity.map(Arc::new),
                }
            })
            .await
            .cloned()
    }

    /// What a decision means.
    #[must_use]
    pub fn mode(&self) -> AccessMode {
        self.shared.settings.mode
    }

    /// Asks STS again who we are, and what time it is there.
    pub async fn check_caller(&self) -> CallerCheck {
        Box::pin(check_caller(&self.shared.sts)).await
    }

    /// Whether the read may be made, from the cache or by asking.
    ///
    /// # Errors
    /// Those of [`Self::identity`], and in [`AccessMode::Enforce`] [`ErrorKind::SimulationDenied`].
    pub async fn check(&self, request: &AccessRequest) -> Result<Arc<Decision>, Error> {
        let shared = &self.shared;
        if let Some(decision) = self.known(request).await {
            return Ok(decision);
        }
        let decide = async {
            let requests = std::slice::from_ref(request);
            let mut allowance = Allowance::default();
            let (mut decisions, is_kept) = Box::pin(self.decide(requests, &mut allowance)).await?;
            Ok::<_, Error>(Entry {
                at: shared.clock.now(),
                is_kept,
                decision: Arc::new(decisions.remove(0)),
            })
        };
        // Boxed: the usual case is a cached decision, whose future should not hold the rest.
        let entry = Box::pin(shared.decisions.try_get_with_by_ref(request, decide)).await;
        let entry = entry.map_err(|error| Error::shared(&error))?;
        if !entry.is_kept {
            shared.decisions.invalidate(request).await;
        }
        Ok(entry.decision)
    }

    /// A decision that was kept and is fresh.
    async fn known(&self, request: &AccessRequest) -> Option<Arc<Decision>> {
        let shared = &self.shared;
        let entry = shared.decisions.get(request).await?;
        if !shared.is_fresh(entry.at) {
            shared.decisions.invalidate(request).await;
            return None;
        }
        entry.is_kept.then_some(entry.decision)
    }

    /// The decisions on requests of one action in one bucket, and whether they may be kept.
    async fn decide(
        &self,
        requests: &[AccessRequest],
        allowance: &mut Allowance,
    ) -> Result<(Vec<Decision>, bool), Error> {
        let identity = self.identity().await?;
        let shared = &self.shared;
        match shared.settings.mode {
            AccessMode::Probe => {
                let mut decisions = Vec::with_capacity(requests.len());
                for request in requests {
                    decisions.push(probe::probe(&shared.s3, &identity, request).await?);
                }
                Ok((decisions, true))
            }
            AccessMode::Enforce => self.simulate(&identity, requests, allowance).await,
            AccessMode::Advise => match self.simulate(&identity, requests, allowance).await {
                Ok((decisions, is_kept)) => {
                    Ok((decisions.into_iter().map(advisory).collect(), is_kept))
                }
                // What cannot be simulated is no reason to stop in this mode: S3 decides.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::SimulationDenied | ErrorKind::UnsupportedPrincipal
                    ) =>
                {
                    tracing::warn!(%error, "the read cannot be simulated: S3 decides");
                    let undecided = |request| probe::undecided(&identity, request, &error);
                    let decisions = requests.iter().map(undecided).map(advisory);
                    Ok((decisions.collect(), true))
                }
                Err(error) => Err(error),
            },
        }
    }

    async fn simulate(
        &self,
        identity: &Identity,
        requests: &[AccessRequest],
        allowance: &mut Allowance,
    ) -> Result<(Vec<Decision>, bool), Error> {
        let shared = &self.shared;
        let bucket = requests.first().map_or("", |first| &first.bucket);
        let settings = shared.settings.buckets.get(bucket);
        let policy = self.bucket_policy(bucket, settings).await?;
        let is_kept = !matches!(policy, BucketPolicy::Unreachable);
        let ask = async |requests: &[AccessRequest], tags: &Tags| {
            let known = Known {
                region: shared.s3.config().region().map(AsRef::as_ref),
                owner: settings.and_then(|settings| settings.owner.as_deref()),
                tags,
            };
            simulate(&shared.iam, identity, requests, &policy, known).await
        };
        // Tags are read only when a policy asks for them, and the question is asked again with them.
        let mut tags = Tags::default();
        let mut decisions = ask(requests, &tags).await?;
        if Tags::lack_the_users(identity, &decisions) {
            match Tags::of_user(&shared.iam, identity).await {
                Ok(read) if read.user.is_empty() => {}
                Ok(read) => {
                    tags = read;
                    decisions = ask(requests, &tags).await?;
                }
                Err(unread) => decisions
                    .iter_mut()
                    .for_each(|decision| decision.notes.push(unread.clone())),
            }
        }
        for (request, decision) in requests.iter().zip(&mut decisions) {
            if Tags::lack_the_objects(request, decision) {
                if !allowance.take_tags() {
                    *decision = decision
                        .clone()
                        .left_to_s3("a policy asks for its tags, and tags are read of few objects");
                    continue;
                }
                match tags.with_object(&shared.s3, request).await {
                    Ok(tags) if tags.object.is_empty() => {}
                    Ok(tags) => {
                        let again = ask(std::slice::from_ref(request), &tags).await?;
                        again
                            .into_iter()
                            .for_each(|with_tags| *decision = with_tags);
                    }
                    Err(unread) => decision.notes.push(unread),
                }
            }
            if decision.effect == Effect::ImplicitDeny {
                let simulated = decision.clone();
                *decision = self
                    .what_s3_says(identity, request, &policy, simulated, allowance)
                    .await?;
            }
        }
        Ok((decisions, is_kept))
    }

    /// What S3 says to a request that no policy of the principal allows, where a policy that IAM did not simulate may allow it.
    async fn what_s3_says(
        &self,
        identity: &Identity,
        request: &AccessRequest,
        policy: &BucketPolicy,
        simulated: Decision,
        allowance: &mut Allowance,
    ) -> Result<Decision, Error> {
        let s3 = &self.shared.s3;
        // The policy of a KMS key, which IAM does not simulate.
        if matches!(request.operation, Operation::Decrypt { .. }) {
            let mut decision = probe::probe(s3, identity, request).await?;
            decision.boundary = simulated.boundary;
            decision.organizations = simulated.organizations;
            decision.notes.extend(simulated.notes);
            return Ok(decision);
        }
        let settings = self.shared.settings.buckets.get(&request.bucket);
        if !is_left_to_s3(identity, request, policy, settings, &simulated) {
            return Ok(simulated);
        }
        if !allowance.take_probe() {
            let why =
                "the bucket policy was not simulated, and S3 allowed another object of the listing";
            return Ok(simulated.left_to_s3(why));
        }
        let answer = probe::probe(s3, identity, request).await?;
        Ok(match answer.effect {
            Effect::Allowed => answer.allowed_by_s3(simulated),
            _ => simulated.refused_by_s3(request),
        })
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
            Operation::Read { .. } | Operation::ReadListed { .. } | Operation::List { .. }
        )
}

/// What may still be asked of S3 for the objects of one listing.
#[derive(Debug)]
struct Allowance {
    tags: usize,
    probes: usize,
}

impl Default for Allowance {
    fn default() -> Self {
        Self {
            tags: 20,
            probes: 1,
        }
    }
}

impl Allowance {
    fn take_tags(&mut self) -> bool {
        take(&mut self.tags)
    }

    fn take_probe(&mut self) -> bool {
        take(&mut self.probes)
    }
}

fn take(left: &mut usize) -> bool {
    let is_left = *left > 0;
    *left = left.saturating_sub(1);
    is_left
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
                turns: Cache::new(max),
            }),
        })
    }
}
