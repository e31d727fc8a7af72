//! Room for requests: look-ups in memory, computations over tables in memory, and reads of S3 apart, so that none takes another's; a
//! short queue for the latter two, fair among clients; and a refusal at once of what could not be answered in its time.

mod queue;

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use flowlake_data_action::{Action, ActionError, Clock, ErrorCode, Gauge, ServerSettings};
use futures::FutureExt;
use serde::Serialize;

use self::queue::{Slot, Slots};
use crate::gauge::number;

/// The part of a new duration in a mean: an eighth.
const MEAN_SHIFT: u32 = 3;

/// The room of a server.
#[derive(Debug)]
pub(crate) struct Load {
    clock: Arc<dyn Clock>,
    lookups: Arc<Lane>,
    aggregates: Arc<Lane>,
    reads: Arc<Lane>,
    actions: HashMap<String, ActionLoad>,
}

/// Room for one kind of requests.
#[derive(Debug)]
struct Lane {
    slots: Arc<Slots>,
    mean: Mean,
    refused_full: AtomicU64,
    refused_late: AtomicU64,
}

/// What runs and waits.
#[derive(Debug, Serialize)]
pub(crate) struct LoadState {
    lookups: LaneState,
    aggregates: LaneState,
    reads: LaneState,
}

#[derive(Debug, Serialize)]
struct LaneState {
    running: usize,
    room: usize,
    queued: usize,
    refused: u64,
}

/// The time limit and the mean duration of an action.
#[derive(Debug)]
struct ActionLoad {
    timeout: Duration,
    mean: Mean,
}

/// A mean duration in microseconds in which the latest count most.
#[derive(Debug, Default)]
struct Mean(AtomicU64);

/// Whose request asks for room.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RoomRequest<'a> {
    pub(crate) client: &'a str,
    /// Its share of the queue, compared with those of others.
    pub(crate) weight: u32,
}

/// Room that a request has taken, until it is dropped.
#[derive(Debug)]
pub(crate) struct Room<'a> {
    load: &'a Load,
    lane: &'a Lane,
    action: Option<&'a ActionLoad>,
    began: Instant,
    /// How long it waited for it.
    pub(crate) waited: Duration,
    _slot: Slot,
}

impl Load {
    pub(crate) fn new<'a>(
        settings: &ServerSettings,
        actions: impl Iterator<Item = &'a Action>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            clock,
            // A look-up that has to wait is too late: its queue is its room.
            lookups: Arc::new(Lane::new(settings.max_concurrent_lookups, 0)),
            aggregates: Arc::new(Lane::new(
                settings.max_concurrent_aggregates,
                settings.max_queued_requests,
            )),
            reads: Arc::new(Lane::new(
                settings.max_concurrent_requests,
                settings.max_queued_requests,
            )),
            actions: actions.map(action_load).collect(),
        }
    }

    /// The same room for other actions. What runs and waits there counts in both, until [`Self::resize`] with either's settings.
    pub(crate) fn for_actions<'a>(&self, actions: impl Iterator<Item = &'a Action>) -> Self {
        Self {
            clock: Arc::clone(&self.clock),
            lookups: Arc::clone(&self.lookups),
            aggregates: Arc::clone(&self.aggregates),
            reads: Arc::clone(&self.reads),
            actions: actions.map(action_load).collect(),
        }
    }

    /// Makes the room as large as the settings say; what runs goes on.
    pub(crate) fn resize(&self, settings: &ServerSettings) {
        let lookups = &self.lookups.slots;
        lookups.resize(settings.max_concurrent_lookups, 0);
        let aggregates = &self.aggregates.slots;
        aggregates.resize(
            settings.max_concurrent_aggregates,
            settings.max_queued_requests,
        );
        let reads = &self.reads.slots;
        reads.resize(
            settings.max_concurrent_requests,
            settings.max_queued_requests,
        );
    }

    /// Takes room for a request, or waits for it as long as the action's time allows.
    ///
    /// # Errors
    /// [`ErrorCode::Overloaded`] with the time after which there may be room.
    pub(crate) async fn take(
        &self,
        request: RoomRequest<'_>,
        action: Option<&Action>,
    ) -> Result<Room<'_>, ActionError> {
        let lane = match action {
            // What no action answers reads nothing.
            None => &self.lookups,
            Some(action) if action.is_look_up() => &self.lookups,
            Some(action) if action.definition().hot => &self.aggregates,
            Some(_) => &self.reads,
        };
        let action = action.and_then(|action| self.actions.get(action.name()));
        let arrived = self.clock.instant();
        let slot = match lane.slots.try_take() {
            Some(slot) => slot,
            None => lane.wait(request, action).await?,
        };
        let began = self.clock.instant();
        Ok(Room {
            load: self,
            lane,
            action,
            began,
            waited: began.saturating_duration_since(arrived),
            _slot: slot,
        })
    }

    /// What operators see of it.
    pub(crate) fn state(&self) -> LoadState {
        LoadState {
            lookups: self.lookups.state(),
            aggregates: self.aggregates.state(),
            reads: self.reads.state(),
        }
    }

    /// What monitoring reads.
    pub(crate) fn gauges(&self) -> [Gauge; 3] {
        let lanes = [
            ("lookups", &self.lookups),
            ("aggregates", &self.aggregates),
            ("reads", &self.reads),
        ];
        let of_lanes = |figure: fn(&Lane) -> usize| {
            let values = lanes.map(|(name, lane)| {
                let labels = vec![("lane", name.to_owned())];
                (labels, number(figure(lane) as u64))
            });
            values.to_vec()
        };
        let refused = lanes.iter().flat_map(|(name, lane)| {
            [("full", &lane.refused_full), ("late", &lane.refused_late)].map(|(reason, count)| {
                let labels = vec![("lane", (*name).to_owned()), ("reason", reason.to_owned())];
                (labels, number(count.load(Relaxed)))
            })
        });
        [
            Gauge {
                name: "flowlake_requests_running",
                help: "Requests that run: look-ups in memory, computations over tables in memory, and reads of S3.",
                values: of_lanes(|lane| lane.slots.running()),
            },
            Gauge {
                name: "flowlake_requests_queued",
                help: "Requests that wait for room.",
                values: of_lanes(|lane| lane.slots.waiting()),
            },
            Gauge {
                name: "flowlake_requests_refused",
                help: "Requests that were refused since the start: because too many waited, or because they would have been too late.",
                values: refused.collect(),
            },
        ]
    }
}

impl Lane {
    fn new(size: usize, most_queued: usize) -> Self {
        Self {
            slots: Slots::new(size, most_queued),
            mean: Mean::default(),
            refused_full: AtomicU64::new(0),
            refused_late: AtomicU64::new(0),
        }
    }

    fn state(&self) -> LaneState {
        LaneState {
            running: self.slots.running(),
            room: self.slots.size(),
            queued: self.slots.waiting(),
            refused: self.refused_full.load(Relaxed) + self.refused_late.load(Relaxed),
        }
    }

    async fn wait(
        &self,
        request: RoomRequest<'_>,
        action: Option<&ActionLoad>,
    ) -> Result<Slot, ActionError> {
        let mut place = self.slots.queue(request.client, request.weight);
        let wait = self.expected_wait(place.ahead);
        let full = || {
            self.refused_full.fetch_add(1, Relaxed);
            overloaded("as many requests run and wait as may", wait)
        };
        match (&mut place).now_or_never() {
            Some(Some(slot)) => return Ok(slot),
            Some(None) => return Err(full()),
            None => {}
        }
        let late = || {
            self.refused_late.fetch_add(1, Relaxed);
            overloaded(
                "the answer would come later than the action's time limit",
                wait,
            )
        };
        let (timeout, own) = action.map_or((Duration::MAX, Duration::ZERO), |action| {
            (action.timeout, action.mean.get())
        });
        // It has to wait and then to run, in one time.
        let patience = timeout.saturating_sub(own);
        if wait > patience {
            return Err(late());
        }
        match tokio::time::timeout(patience, place).await {
            Ok(Some(slot)) => Ok(slot),
            Ok(None) => Err(full()),
            Err(_elapsed) => Err(late()),
        }
    }

    /// Expected wait of a request that has `ahead` others before it in the queue.
    fn expected_wait(&self, ahead: usize) -> Duration {
        let before = u32::try_from(ahead + 1).unwrap_or(u32::MAX);
        let size = u32::try_from(self.slots.size()).unwrap_or(u32::MAX).max(1);
        self.mean.get().saturating_mul(before) / size
    }
}

impl Mean {
    fn get(&self) -> Duration {
        Duration::from_micros(self.0.load(Relaxed))
    }

    fn add(&self, duration: Duration) {
        let new = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let add = |mean: u64| {
            let is_first = mean == 0;
            Some(if is_first {
                new
            } else {
                mean - (mean >> MEAN_SHIFT) + (new >> MEAN_SHIFT)
            })
        };
        // Always `Some`: it cannot fail.
        let _ = self.0.fetch_update(Relaxed, Relaxed, add);
    }
}

impl Room<'_> {
    /// Notes that the request was answered, and how long that took.
    pub(crate) fn answered(&self) {
        let now = self.load.clock.instant();
        let duration = now.saturating_duration_since(self.began);
        self.lane.mean.add(duration);
        if let Some(action) = self.action {
            action.mean.add(duration);
        }
    }
}

fn action_load(action: &Action) -> (String, ActionLoad) {
    let definition = action.definition();
    let action_load = ActionLoad {
        timeout: definition.limits.timeout,
        mean: Mean::default(),
    };
    (definition.name.clone(), action_load)
}

/// A refusal because there is no room; at once, so that the caller can do something else in its time.
pub(crate) fn overloaded(what: &str, wait: Duration) -> ActionError {
    let wait = wait.max(Duration::from_secs(1));
    ActionError::new(
        ErrorCode::Overloaded,
        what,
        "Try again after the time of Retry-After; raise `max_concurrent_requests` in [server], or add a server, if this lasts.",
    )
    .with_retry_after(Some(wait))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{Lane, Mean};

    #[test]
    fn the_latest_durations_count_most() {
        let mean = Mean::default();
        mean.add(Duration::from_millis(80));
        assert_eq!(mean.get(), Duration::from_millis(80));
        for _ in 0..50 {
            mean.add(Duration::from_millis(8));
        }
        assert!(mean.get() < Duration::from_millis(9), "{:?}", mean.get());
    }

    #[test]
    fn a_wait_is_expected_by_what_runs_and_waits() {
        let lane = Lane::new(2, 10);
        assert_eq!(lane.expected_wait(5), Duration::ZERO);
        lane.mean.add(Duration::from_secs(1));
        assert_eq!(lane.expected_wait(0), Duration::from_millis(500));
        assert_eq!(lane.expected_wait(3), Duration::from_secs(2));
    }
}
