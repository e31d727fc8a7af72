//! The profiler itself: one lock around fixed memory.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::exposition::{self, Format, Gauge};
use crate::latency::{micros, millis};
use crate::sample::Sample;
use crate::series::Series;
use crate::snapshot::{Entry, Snapshot};
use crate::state::State;

/// Limits of what is kept. They bound the memory, whatever the load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProfilerSettings {
    /// How many of the latest requests are kept.
    pub recent_entries: usize,
    /// How many actions are counted by name; further ones count as `other`. An action takes up to 0.8 MB.
    pub max_actions: usize,
    /// When the process started, in milliseconds since 1970; 0 takes the time of the first sample.
    pub started_at_unix_ms: u64,
}

impl Default for ProfilerSettings {
    fn default() -> Self {
        Self {
            recent_entries: 100,
            max_actions: 100,
            started_at_unix_ms: 0,
        }
    }
}

/// Counts requests and times them.
#[derive(Debug)]
pub struct Profiler {
    settings: ProfilerSettings,
    state: Mutex<State>,
}

impl Profiler {
    /// An empty profiler.
    #[must_use]
    pub fn new(settings: ProfilerSettings) -> Self {
        let state = State {
            started_unix_ms: settings.started_at_unix_ms,
            all: Series::new(),
            actions: BTreeMap::new(),
            recent: VecDeque::with_capacity(settings.recent_entries),
        };
        Self {
            settings,
            state: Mutex::new(state),
        }
    }

    /// Counts one request.
    pub fn record(&self, sample: &Sample) {
        let mut state = self.lock();
        if state.started_unix_ms == 0 {
            let duration_ms = micros(sample.duration) / 1000;
            state.started_unix_ms = sample.at_unix_ms.saturating_sub(duration_ms);
        }
        state.all.record(sample);
        let max_actions = self.settings.max_actions;
        state.series(&sample.action, max_actions).record(sample);
        if self.settings.recent_entries > 0 {
            // The oldest gives its memory to the newest.
            let mut newest = if state.recent.len() == self.settings.recent_entries {
                state.recent.pop_front().unwrap_or_default()
            } else {
                Sample::default()
            };
            newest.clone_from(sample);
            state.recent.push_back(newest);
        }
    }

    /// Everything known, with windows that end at `now_unix_ms`.
    #[must_use]
    pub fn snapshot(&self, now_unix_ms: u64) -> Snapshot {
        let state = self.lock();
        let started = state.started_unix_ms;
        let windows = state.all.counters.windows(now_unix_ms, started);
        let since_start = &windows.since_start;
        Snapshot {
            total_requests: since_start.requests,
            avg_duration_ms: since_start.duration.mean_ms,
            total_bytes: since_start.bytes,
            error_rate: since_start.error_rate,
            recent_entries: state.recent.iter().map(entry).collect(),
            started_at_unix_ms: started,
            phases: state.all.phases(),
            errors: state.all.errors(),
            actions: state
                .actions
                .iter()
                .map(|(name, series)| (name.clone(), series.stats(now_unix_ms, started)))
                .collect(),
            windows,
        }
    }

    /// The counts in Prometheus' text format 0.0.4 (`text/plain; version=0.0.4`).
    #[must_use]
    pub fn prometheus(&self) -> String {
        self.prometheus_with(&[])
    }

    /// [`Profiler::prometheus`], with figures of others after our own.
    #[must_use]
    pub fn prometheus_with(&self, gauges: &[Gauge]) -> String {
        exposition::write(&self.lock(), Format::Prometheus, gauges)
    }

    /// The counts in OpenMetrics 1.0, with trace ids as exemplars (`application/openmetrics-text; version=1.0.0; charset=utf-8`).
    #[must_use]
    pub fn openmetrics(&self) -> String {
        self.openmetrics_with(&[])
    }

    /// [`Profiler::openmetrics`], with figures of others after our own.
    #[must_use]
    pub fn openmetrics_with(&self, gauges: &[Gauge]) -> String {
        exposition::write(&self.lock(), Format::OpenMetrics, gauges)
    }

    /// A panic while counting leaves at worst one request half counted: go on.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn entry(sample: &Sample) -> Entry {
    Entry {
        at_unix_ms: sample.at_unix_ms,
        action: sample.action.clone(),
        code: sample.code.clone(),
        duration_ms: millis(micros(sample.duration)),
        phases_ms: sample
            .phases
            .iter()
            .map(|(phase, duration)| (phase.name().to_owned(), millis(micros(*duration))))
            .collect(),
        bytes: sample.bytes,
        rows: sample.rows,
        cache_hit: sample.cache_hit,
        trace_id: sample.trace_id.clone(),
    }
}
