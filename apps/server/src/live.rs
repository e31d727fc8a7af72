//! The state that requests begin with, and its replacement by a reload.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError, RwLock,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use axum::Router;
use flowlake_data_action::Gauge;
use serde::Serialize;

use crate::{
    gauge::{number, single},
    routes::router,
    state::AppState,
};

/// The warning of a server without actions: it answers every request with 404.
pub(crate) const NO_ACTIONS: &str =
    "no action can be run: write actions/NAME.toml beside flowlake.toml";

/// The present state. A request keeps the one that it began with.
#[derive(Debug)]
pub(crate) struct Live {
    current: RwLock<Current>,
    reloads: AtomicU64,
    failed_reloads: AtomicU64,
    notes: Mutex<ReloadNotes>,
}

#[derive(Debug)]
struct Current {
    state: Arc<AppState>,
    router: Router,
}

/// What is known of the configuration in effect.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct ReloadNotes {
    /// When it was loaded.
    pub(crate) loaded_at_unix_ms: u64,
    /// Keys that have another value in the files, which takes effect at the next start only.
    pub(crate) pending_restart: Vec<String>,
    /// Why the last reload failed; nothing when it did not.
    pub(crate) last_failure: Option<String>,
}

impl Live {
    pub(crate) fn new(state: AppState) -> Self {
        let state = Arc::new(state);
        let notes = ReloadNotes {
            loaded_at_unix_ms: state.pipeline.now_unix_ms(),
            ..ReloadNotes::default()
        };
        Self {
            current: RwLock::new(Current {
                router: router(Arc::clone(&state)),
                state,
            }),
            reloads: AtomicU64::new(0),
            failed_reloads: AtomicU64::new(0),
            notes: Mutex::new(notes),
        }
    }

    /// The state that a request begins with now.
    pub(crate) fn state(&self) -> Arc<AppState> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&current.state)
    }

    /// The router over that state.
    pub(crate) fn router(&self) -> Router {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.router.clone()
    }

    /// Requests that come from now on begin with this state.
    pub(crate) fn replace(&self, state: AppState, pending_restart: Vec<String>) {
        let now = state.pipeline.now_unix_ms();
        let state = Arc::new(state);
        let new = Current {
            router: router(Arc::clone(&state)),
            state,
        };
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *current, new);
        drop(current);
        // Dropped outside the lock: it may be the last that holds a large state.
        drop(old);
        self.reloads.fetch_add(1, Relaxed);
        *self.lock_notes() = ReloadNotes {
            loaded_at_unix_ms: now,
            pending_restart,
            last_failure: None,
        };
    }

    /// Notes that a reload failed: the state stays.
    pub(crate) fn note_failure(&self, why: String) {
        self.failed_reloads.fetch_add(1, Relaxed);
        self.lock_notes().last_failure = Some(why);
    }

    pub(crate) fn notes(&self) -> ReloadNotes {
        self.lock_notes().clone()
    }

    /// Reloads that succeeded and that failed since the start.
    pub(crate) fn reloads(&self) -> [(&'static str, u64); 2] {
        [
            ("ok", self.reloads.load(Relaxed)),
            ("failed", self.failed_reloads.load(Relaxed)),
        ]
    }

    /// What operators should look at while requests are answered.
    pub(crate) fn warnings(&self) -> Vec<String> {
        let notes = self.notes();
        let state = self.state();
        let mut warnings = state.pipeline.warnings();
        warnings.extend(state.connections.warnings());
        warnings.extend(state.callers.warnings());
        if state.pipeline.actions().next().is_none() {
            warnings.push(NO_ACTIONS.to_owned());
        }
        let broken = state.pipeline.broken_actions();
        warnings.extend(
            broken.map(|(name, error)| format!("the action `{name}` cannot be run: {error}")),
        );
        if let Some(why) = notes.last_failure {
            warnings.push(format!(
                "the configuration cannot be taken, and the one of before stays: {why}"
            ));
        }
        if !notes.pending_restart.is_empty() {
            let keys = notes.pending_restart.join(", ");
            warnings.push(format!("these keys take effect at the next start: {keys}"));
        }
        warnings
    }

    /// What monitoring reads.
    pub(crate) fn gauges(&self) -> Vec<Gauge> {
        let notes = self.notes();
        let reloads = self
            .reloads()
            .map(|(result, count)| (vec![("result", result.to_owned())], number(count)));
        let mut gauges = self.state().gauges();
        gauges.extend([
            Gauge {
                name: "flowlake_config_reloads",
                help: "Reloads of the configuration since the start.",
                values: reloads.into(),
            },
            single(
                "flowlake_config_failed",
                "Whether the last reload failed, so that an older configuration is in effect than the files have.",
                number(notes.last_failure.is_some().into()),
            ),
            single(
                "flowlake_config_loaded_seconds",
                "When the configuration in effect was loaded, in seconds since 1970.",
                number(notes.loaded_at_unix_ms / 1000),
            ),
            single(
                "flowlake_config_pending_restart",
                "Keys of the configuration whose new values take effect at the next start only.",
                number(notes.pending_restart.len() as u64),
            ),
        ]);
        gauges
    }

    fn lock_notes(&self) -> MutexGuard<'_, ReloadNotes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
