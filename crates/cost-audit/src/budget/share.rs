//! Several servers share the limits of one budget.
//!
//! Each server states on a board the most that it spends: what it has spent and set aside, or what it has claimed. It claims more by
//! stating it first and reading the others' statements then, and uses the claim only when all statements together fit the limit.
//! Of two servers that claim at the same time, at least one reads the other's claim. So however old the statements are that a server
//! has read, all of them together never set aside more than the limit. What this costs is that a server's unused claim is withheld
//! from the others until it gives it back.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use rust_decimal::Decimal;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::task::AbortHandle;
use uuid::Uuid;

use super::spend::{Claim, Sum};
use super::spent::Spent;
use super::statement::Statement;
use crate::error::{BoxError, Error, ErrorKind};

/// Statements that were read so lately are not read again to refuse a request, and an exchange that failed so lately is not tried
/// again by one.
const FRESH: Duration = Duration::from_secs(1);
/// The longest wait after a claim that another server's has met.
const LONGEST_BACKOFF_MS: u128 = 200;

/// `[budget.shared]`: several servers share the limits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SharedBudget {
    /// Where each server keeps a statement of what it spends: `s3://bucket/prefix`, the same for all. The principal needs
    /// `s3:ListBucket`, `s3:GetObject` and `s3:PutObject` there.
    pub uri: String,
    /// How often statements are exchanged when no request needs it, and unused claims are given back, such as `30s`.
    #[serde(with = "humantime_serde", default = "thirty_seconds")]
    #[schemars(with = "String")]
    pub every: Duration,
    /// How much of a limit a server claims beyond what it needs, in percent: more is fewer exchanges, and more that the others
    /// cannot use meanwhile.
    #[serde(default = "two_percent")]
    pub ahead_percent: u32,
}

const fn thirty_seconds() -> Duration {
    Duration::from_secs(30)
}

const fn two_percent() -> u32 {
    2
}

/// Where the servers that share a budget state what they spend.
///
/// A read must show every statement whose write had ended before the read began, as S3 does.
#[async_trait]
pub trait StatementBoard: Debug + Send + Sync {
    /// Writes the statement of a log in place of its earlier one.
    ///
    /// # Errors
    /// Whatever kept it from being written; also a statement there that this process did not write, unless it is of before its start.
    async fn publish(&self, log_id: &str, statement: Vec<u8>) -> Result<(), BoxError>;

    /// Every log's statement, with the log's id.
    ///
    /// # Errors
    /// Whatever kept one of them from being read.
    async fn read(&self) -> Result<Vec<(String, Vec<u8>)>, BoxError>;
}

/// How the exchange stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ShareStatus {
    /// Statements of other servers, as of the last exchange.
    pub others: u64,
    /// Since when no exchange has succeeded.
    pub failing_since: Option<DateTime<Utc>>,
    /// Why the last exchange failed; none when it did not.
    pub last_error: Option<String>,
}

/// A server's side of the exchange, until dropped.
#[derive(Debug)]
pub(super) struct Share {
    work: Arc<Work>,
    task: AbortHandle,
}

#[derive(Debug)]
struct Work {
    board: Arc<dyn StatementBoard>,
    /// The id of this server's log, and its name.
    own: (String, Option<String>),
    ahead_percent: Decimal,
    spent: Arc<Spent>,
    status: Mutex<ShareStatus>,
    /// When the last exchange failed, until one succeeds.
    failed: Mutex<Option<DateTime<Utc>>>,
    /// What was stated last, where that is known. Held while statements are exchanged.
    stated: tokio::sync::Mutex<Option<BTreeMap<Sum, Decimal>>>,
}

/// What came of an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExchangeOutcome {
    /// What the others have stated is known, and this server's own is what fits.
    Known,
    /// Another server claimed the same at the same time, and both gave it up.
    Conflict,
}

impl ExchangeOutcome {
    pub(super) const fn is_conflict(self) -> bool {
        matches!(self, Self::Conflict)
    }
}

/// A claim that fits, by what was read before it was stated.
#[derive(Debug)]
struct FittingClaim {
    claim: Claim,
    usd: Decimal,
}

impl Share {
    pub(super) fn start(
        settings: &SharedBudget,
        board: Arc<dyn StatementBoard>,
        own: (String, Option<String>),
        spent: &Arc<Spent>,
    ) -> Arc<Self> {
        let work = Arc::new(Work {
            board,
            own,
            ahead_percent: settings.ahead_percent.into(),
            spent: Arc::clone(spent),
            status: Mutex::default(),
            failed: Mutex::default(),
            stated: tokio::sync::Mutex::default(),
        });
        let task = tokio::spawn(Arc::clone(&work).run(settings.every)).abort_handle();
        Arc::new(Self { work, task })
    }

    /// Whether the others' statements were read just now.
    pub(super) fn is_fresh(&self) -> bool {
        self.work.is_fresh()
    }

    /// Reads what the others have stated, and makes this server's what it claims, as far as that fits.
    ///
    /// In a task of its own: a request that is given up leaves no exchange half done.
    pub(super) async fn exchange(&self, claims: Vec<Claim>) -> Result<ExchangeOutcome, Error> {
        let work = Arc::clone(&self.work);
        let exchange = tokio::spawn(async move { work.exchange(&claims).await });
        exchange
            .await
            .map_err(BoxError::from)
            .flatten()
            .map_err(|error| {
                Error::new(
                    ErrorKind::Unshared,
                    "what other servers have spent of the budget cannot be determined",
                )
                .with_source(error)
            })
    }

    pub(super) fn status(&self) -> ShareStatus {
        lock(&self.work.status).clone()
    }

    /// Gives back every claim that is not spent.
    pub(super) async fn close(&self) {
        self.task.abort();
        self.work.give_back(true).await;
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Work {
    async fn run(self: Arc<Self>, every: Duration) {
        loop {
            self.give_back(false).await;
            tokio::time::sleep(every).await;
        }
    }

    /// Exchanges statements without a claim: what was not used lately, or nothing of what is not spent, is claimed any longer.
    async fn give_back(&self, all: bool) {
        let mut stated = self.stated.lock().await;
        self.spent.release(all);
        let exchanged = async {
            self.publish(&mut stated, &[]).await?;
            self.read_others().await
        };
        let exchanged = exchanged.await;
        self.note(exchanged.as_ref().err());
    }

    async fn exchange(&self, claims: &[Claim]) -> Result<ExchangeOutcome, BoxError> {
        let mut stated = self.stated.lock().await;
        // Another request has waited for the same.
        if self.is_granted(claims) || (self.is_fresh() && self.fitting(claims).is_none()) {
            return Ok(ExchangeOutcome::Known);
        }
        let failed = *lock(&self.failed);
        if failed.is_some_and(|failed| self.is_now(failed)) {
            return Err("the last exchange has failed just now".into());
        }
        let claimed = self.claim(&mut stated, claims).await;
        self.note(claimed.as_ref().err());
        claimed
    }

    fn is_fresh(&self) -> bool {
        let read = self.spent.lock().others_read;
        read.is_some_and(|read| self.is_now(read))
    }

    /// Whether a moment is just over.
    fn is_now(&self, moment: DateTime<Utc>) -> bool {
        let age = (self.spent.clock.now() - moment).abs();
        age.to_std().unwrap_or_default() < FRESH
    }

    fn is_granted(&self, claims: &[Claim]) -> bool {
        let state = self.spent.lock();
        let mut claims = claims.iter();
        claims.all(|claim| {
            let need = claim.need(&state);
            need <= state.granted(&claim.sum) && need + state.others(&claim.sum) <= claim.limit
        })
    }

    async fn claim(
        &self,
        stated: &mut Option<BTreeMap<Sum, Decimal>>,
        claims: &[Claim],
    ) -> Result<ExchangeOutcome, BoxError> {
        self.read_others().await?;
        let Some(asked) = self.fitting(claims) else {
            return Ok(ExchangeOutcome::Known);
        };
        self.publish(stated, &asked).await?;
        self.read_others().await?;
        if self.take(asked) {
            return Ok(ExchangeOutcome::Known);
        }
        self.publish(stated, &[]).await?;
        // Whose claim goes on is left to chance.
        let wait = Uuid::new_v4().as_u128() % LONGEST_BACKOFF_MS;
        tokio::time::sleep(Duration::from_millis(wait.try_into()?)).await;
        Ok(ExchangeOutcome::Conflict)
    }

    /// The claims with what is asked beyond them; none when one of them does not fit its limit.
    fn fitting(&self, claims: &[Claim]) -> Option<Vec<FittingClaim>> {
        let servers = Decimal::from(lock(&self.status).others + 1);
        let state = self.spent.lock();
        let asked = claims.iter().map(|claim| {
            let need = claim.need(&state);
            let left = claim.limit - state.others(&claim.sum) - need;
            // Enough for every request that waits.
            let waiting = state.waiting(&claim.sum) - claim.estimate;
            let ahead = waiting.max(claim.limit * self.ahead_percent / Decimal::ONE_HUNDRED);
            // What is nearly spent is left to all.
            let ahead = ahead.min(left / servers).trunc_with_scale(12);
            (!left.is_sign_negative()).then(|| FittingClaim {
                usd: need + ahead,
                claim: claim.clone(),
            })
        });
        asked.collect()
    }

    /// Makes the claims this server's own, where they fit beside what the others have stated since; whether all do.
    fn take(&self, asked: Vec<FittingClaim>) -> bool {
        let mut state = self.spent.lock();
        let mut all = true;
        for FittingClaim { claim, usd } in asked {
            let room = claim.limit - state.others(&claim.sum);
            if claim.need(&state) <= room {
                state.grant(claim.sum, usd.min(room));
            } else {
                all = false;
            }
        }
        all
    }

    /// Writes this server's statement, unless it says what the last one did.
    async fn publish(
        &self,
        stated: &mut Option<BTreeMap<Sum, Decimal>>,
        asked: &[FittingClaim],
    ) -> Result<(), BoxError> {
        let mut sums = self.spent.stated();
        for FittingClaim { claim, usd } in asked {
            let sum = sums.entry(claim.sum.clone()).or_default();
            *sum = (*sum).max(*usd);
        }
        if stated.as_ref() == Some(&sums) {
            return Ok(());
        }
        let statement = Statement::new(&self.own, self.spent.clock.now(), &sums).to_json()?;
        // Unknown, if this fails.
        *stated = None;
        self.board.publish(&self.own.0, statement).await?;
        *stated = Some(sums);
        Ok(())
    }

    async fn read_others(&self) -> Result<(), BoxError> {
        let mut others = BTreeMap::<Sum, Decimal>::new();
        let mut count = 0;
        for (log_id, statement) in self.board.read().await? {
            if log_id == self.own.0 {
                continue;
            }
            let statement = Statement::parse(&statement)
                .map_err(|error| format!("the statement of the log {log_id}: {error}"))?;
            if statement.log_id != log_id {
                return Err(format!("the statement of the log {log_id} is another's").into());
            }
            for (sum, usd) in statement.sums() {
                *others.entry(sum).or_default() += usd;
            }
            count += 1;
        }
        let now = self.spent.clock.now();
        self.spent.lock().set_others(others, now);
        lock(&self.status).others = count;
        Ok(())
    }

    fn note(&self, error: Option<&BoxError>) {
        *lock(&self.failed) = error.map(|_| self.spent.clock.now());
        let mut status = lock(&self.status);
        let Some(error) = error else {
            if status.failing_since.take().is_some() {
                tracing::info!("what servers spend of the budget is exchanged again");
            }
            status.last_error = None;
            return;
        };
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            message = format!("{message}: {cause}");
            source = cause.source();
        }
        if status.failing_since.is_none() {
            status.failing_since = Some(self.spent.clock.now());
            tracing::warn!(
                error = message,
                "what servers spend of the budget cannot be exchanged"
            );
        }
        status.last_error = Some(message);
    }
}

fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}
