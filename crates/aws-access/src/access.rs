//! Decisions, cached: one question to AWS per principal and resource within a TTL, however many ask at once.

mod probe;

use std::{sync::Arc, time::Instant};

use moka::future::Cache;
use tokio::sync::OnceCell;

use crate::{
    AccessMode, AccessRequest, AccessSettings, Clock, Decision, Error, ErrorKind, Identity,
    SystemClock,
    bucket_policy::{BucketPolicy, bucket_policy},
    identity::identify,
    simulate::simulate,
};

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
    clock: Arc<dyn Clock>,
    identity: OnceCell<Arc<Identity>>,
    // moka's own clock cannot be set, so the time of each entry is kept with it and judged here.
    decisions: Cache<AccessRequest, (Instant, Arc<Decision>)>,
    policies: Cache<String, (Instant, BucketPolicy)>,
}

/// Builds an [`Access`].
#[derive(Debug)]
pub struct AccessBuilder {
    iam: aws_sdk_iam::Client,
    sts: aws_sdk_sts::Client,
    s3: aws_sdk_s3::Client,
    settings: AccessSettings,
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
                Box::pin(identify(&shared.sts, &shared.iam))
                    .await
                    .map(Arc::new)
            })
            .await
            .cloned()
    }

    /// Whether the read may be made, from the cache or by asking.
    ///
    /// # Errors
    /// Those of [`Self::identity`], and in [`AccessMode::Enforce`] [`ErrorKind::SimulationDenied`].
    pub async fn check(&self, request: &AccessRequest) -> Result<Arc<Decision>, Error> {
        let shared = &self.shared;
        if let Some((at, _)) = shared.decisions.get(request).await
            && !shared.is_fresh(at)
        {
            shared.decisions.invalidate(request).await;
        }
        let decide = async {
            Ok::<_, Error>((
                shared.clock.now(),
                Arc::new(Box::pin(self.decide(request)).await?),
            ))
        };
        let entry = shared.decisions.try_get_with_by_ref(request, decide).await;
        entry
            .map(|(_, decision)| decision)
            .map_err(|error| Error::shared(&error))
    }

    async fn decide(&self, request: &AccessRequest) -> Result<Decision, Error> {
        let identity = self.identity().await?;
        let shared = &self.shared;
        match shared.settings.mode {
            AccessMode::Probe => probe::probe(&shared.s3, &identity, request).await,
            AccessMode::Enforce => self.simulate(&identity, request).await,
            AccessMode::Advise => match self.simulate(&identity, request).await {
                Ok(decision) => Ok(advisory(decision)),
                // What cannot be simulated is no reason to stop in this mode: S3 decides.
                Err(error)
                    if matches!(
                        error.kind(),
                        ErrorKind::SimulationDenied | ErrorKind::UnsupportedPrincipal
                    ) =>
                {
                    tracing::warn!(%error, "the read cannot be simulated: S3 decides");
                    Ok(advisory(probe::undecided(&identity, request, &error)))
                }
                Err(error) => Err(error),
            },
        }
    }

    async fn simulate(
        &self,
        identity: &Identity,
        request: &AccessRequest,
    ) -> Result<Decision, Error> {
        let shared = &self.shared;
        let bucket = &request.bucket;
        let policy = match shared
            .policies
            .get(bucket)
            .await
            .filter(|(at, _)| shared.is_fresh(*at))
        {
            Some((_, policy)) => policy,
            None => {
                let policy = bucket_policy(&shared.s3, bucket).await?;
                if !matches!(policy, BucketPolicy::Unreachable) {
                    let entry = (shared.clock.now(), policy.clone());
                    shared.policies.insert(bucket.clone(), entry).await;
                }
                policy
            }
        };
        simulate(&shared.iam, identity, request, &policy).await
    }
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
        let max = self.settings.max_entries;
        Ok(Access {
            shared: Arc::new(Shared {
                iam: self.iam,
                sts: self.sts,
                s3: self.s3,
                settings: self.settings,
                clock: self.clock,
                identity: OnceCell::new(),
                decisions: Cache::new(max),
                policies: Cache::new(max),
            }),
        })
    }
}
