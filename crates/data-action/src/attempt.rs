//! What is known of an attempt so far, kept where a timeout, a cancellation or a panic cannot take it away.

mod hang_up;

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use flowlake_aws_access::Decision;
use flowlake_cost_audit::{AuditRecord, Reservation};
use flowlake_profiler::Phase;
use flowlake_s3_stream::ObjectMetadata;
use flowlake_transform::Location;
use uuid::{Builder, Uuid};

pub(crate) use self::hang_up::CancelOnDrop;
use crate::{
    ActionError, ActionRequest, AttemptObserver, Caller, Clock, PhaseTiming,
    access::Decisions,
    personal::masked,
    stores::{RequestStores, S3},
};

/// The caller in the records of attempts that nobody waits for: no key has this name.
const RELOADER: &str = "(hot tables)";

const RELOADED: &str = "a new version of the objects was read in the background";

/// One attempt, from the request's arrival to its record.
#[derive(Debug)]
pub(crate) struct Attempt {
    clock: Arc<dyn Clock>,
    /// When the attempt began, for durations.
    started: Instant,
    /// When the attempt began, by the calendar.
    pub(crate) started_at: DateTime<Utc>,
    /// Receives the outcome.
    pub(crate) observer: Option<Arc<dyn AttemptObserver>>,
    /// Whether it is the reload of a hot table, which no request waits for.
    pub(crate) is_background: bool,
    draft: Mutex<Draft>,
}

/// The part that grows.
#[derive(Debug, Default)]
pub(crate) struct Draft {
    /// The audit record, complete but for its outcome.
    pub(crate) record: AuditRecord,
    /// When each phase began and how long it took.
    pub(crate) phases: Vec<PhaseTiming>,
    /// The decisions of IAM.
    pub(crate) decisions: Decisions,
    /// What was to be read, known before anything is asked of AWS.
    pub(crate) wanted: Vec<Location>,
    /// What is set aside of the budgets, by each try.
    pub(crate) reservations: Vec<Reservation>,
    /// What the reader of the answer and of the record should know.
    warnings: Vec<String>,
    /// Objects at its locations that are no files of its tables.
    pub(crate) files_left_out: u64,
    /// The stores of every try, whose meters say what moved: the second is there when an object changed under the first.
    pub(crate) stores: Vec<Arc<RequestStores>>,
    /// Whether the caller has the answer already.
    pub(crate) not_modified: bool,
    /// Object versions that were answered from memory, with their buckets.
    pub(crate) hot: Vec<(String, Arc<ObjectMetadata>)>,
}

impl Draft {
    /// Adds a warning; a second try of the attempt finds the same again.
    pub(crate) fn warn(&mut self, warning: String) {
        if !self.warnings.contains(&warning) {
            self.warnings.push(warning);
        }
    }

    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// Notes a phase when it ends, however it ends.
#[derive(Debug)]
struct PhaseGuard<'attempt> {
    attempt: &'attempt Attempt,
    phase: Phase,
    start: Instant,
}

impl Drop for PhaseGuard<'_> {
    fn drop(&mut self) {
        let attempt = self.attempt;
        let now = attempt.clock.instant();
        let timing = PhaseTiming {
            phase: self.phase,
            started_after: self.start.saturating_duration_since(attempt.started),
            duration: now.saturating_duration_since(self.start),
        };
        attempt.draft().phases.push(timing);
    }
}

impl Attempt {
    pub(crate) fn new(clock: &Arc<dyn Clock>, request: &ActionRequest, action: String) -> Self {
        // The attempt begins with the request's arrival, of which the caller of the pipeline knows.
        let now = clock.instant();
        let known_in = request.authenticated_in;
        let before = known_in + request.queued_for;
        let started = now.checked_sub(before).unwrap_or(now);
        let started_at = clock.now() - before;
        let authenticated = (!known_in.is_zero()).then_some(PhaseTiming {
            phase: Phase::Auth,
            started_after: Duration::ZERO,
            duration: known_in,
        });
        let observer = request.observer.as_ref();
        let own_trace = || observer.and_then(|observer| observer.trace_id());
        let record = AuditRecord {
            id: new_id(started_at).to_string(),
            time: started_at,
            action,
            sql: request
                .question
                .as_ref()
                .map(|asked| asked.prepared.outline()),
            caller: request.caller.name.clone(),
            organization: recorded(&request.caller.organization),
            conversation_id: recorded(&request.caller.conversation_id),
            correlation_id: recorded(&request.caller.correlation_id),
            trace_id: request.caller.trace_id.clone().or_else(own_trace),
            user: recorded(&request.caller.user),
            ..AuditRecord::default()
        };
        Self {
            clock: Arc::clone(clock),
            started,
            started_at,
            observer: request.observer.clone(),
            is_background: false,
            draft: Mutex::new(Draft {
                record,
                phases: authenticated.into_iter().collect(),
                ..Draft::default()
            }),
        }
    }

    /// An attempt to read a new version of a hot action's tables.
    pub(crate) fn background(clock: &Arc<dyn Clock>, action: &str) -> Self {
        let request = ActionRequest {
            action: action.to_owned(),
            caller: Caller {
                name: RELOADER.to_owned(),
                ..Caller::default()
            },
            ..ActionRequest::default()
        };
        let attempt = Self {
            is_background: true,
            ..Self::new(clock, &request, request.action.clone())
        };
        attempt.draft().record.message = Some(RELOADED.to_owned());
        attempt
    }

    /// The draft; a panic while it was held does not make it unusable, since every change to it is one assignment.
    pub(crate) fn draft(&self) -> MutexGuard<'_, Draft> {
        self.draft.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Time since the attempt began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.clock.instant().saturating_duration_since(self.started)
    }

    /// Stores for one try to read, whose meters count for this attempt.
    pub(crate) fn open_stores(&self, s3: &Arc<S3>) -> Arc<RequestStores> {
        let stores = Arc::new(RequestStores::new(Arc::clone(s3)));
        self.draft().stores.push(Arc::clone(&stores));
        stores
    }

    /// An error that begins with the key of a file of this machine, with its path in place of that.
    pub(crate) fn name_files(&self, error: ActionError) -> ActionError {
        let draft = self.draft();
        let files = draft.stores.iter().flat_map(|stores| stores.local.pinned());
        let mut keys = files.map(|file| file.location.to_string());
        match keys.any(|key| error.message().starts_with(&key)) {
            true => {
                let message = format!("/{}", error.message());
                error.with_message(message)
            }
            false => error,
        }
    }

    /// Returns a function that adds a decision of IAM to the record.
    pub(crate) fn note(&self) -> impl FnMut(Arc<Decision>) {
        move |decision| self.draft().decisions.note(decision)
    }

    /// Runs one phase and notes how long it took, also when it fails, or is ended by a timeout or a cancellation.
    pub(crate) async fn phase<T>(&self, phase: Phase, work: impl Future<Output = T>) -> T {
        let _guard = PhaseGuard {
            attempt: self,
            phase,
            start: self.clock.instant(),
        };
        work.await
    }
}

/// What a caller sends of its own, as a record may have it.
fn recorded(sent: &Option<String>) -> Option<String> {
    sent.as_deref().map(|sent| masked(sent).into_owned())
}

/// A UUID of version 7 (RFC 9562), so that ids sort by the time of their attempts. `Uuid::now_v7` asks the kernel for each one's random
/// bits: a hundredth of a hot look-up.
fn new_id(started_at: DateTime<Utc>) -> Uuid {
    let millis = u64::try_from(started_at.timestamp_millis()).unwrap_or_default();
    Builder::from_unix_timestamp_millis(millis, &rand::random()).into_uuid()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_of_version_7_all_different_and_sort_by_time() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let ids = [1_800_000_000, 1_800_000_000, 1_800_000_001].map(|time| new_id(at(time)));
        assert!(ids.iter().all(|id| id.get_version_num() == 7));
        assert_ne!(ids[0], ids[1]);
        assert!(ids[..2].iter().all(|earlier| *earlier < ids[2]));
        let (seconds, _) = ids[2].get_timestamp().unwrap().to_unix();
        assert_eq!(seconds, 1_800_000_001);
        // Before 1970, a clock that is wrong gives ids all the same.
        assert_eq!(new_id(at(-1)).get_version_num(), 7);
    }
}
