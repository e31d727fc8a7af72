//! What every request handler sees.

use std::sync::{Arc, atomic::AtomicBool};

use flowlake_data_action::Pipeline;
use tokio::sync::Semaphore;

use crate::{Keys, Telemetry};

/// Cheap to clone; clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct AppState {
    pub(crate) pipeline: Pipeline,
    pub(crate) keys: Arc<Keys>,
    pub(crate) slots: Arc<Semaphore>,
    pub(crate) stopping: Arc<AtomicBool>,
    pub(crate) telemetry: Telemetry,
}
