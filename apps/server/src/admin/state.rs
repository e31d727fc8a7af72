//! What the handlers of the operators' address see.

use std::sync::Arc;

use flowlake_data_action::ServerSettings;
use serde::Serialize;
use tokio::sync::Mutex;

use crate::live::Live;

/// What every handler sees; cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct AdminState {
    pub(super) live: Arc<Live>,
    /// The last verification of the audit log; locked while one runs.
    pub(super) verified: Arc<Mutex<Option<Verified>>>,
    /// The platform's limit on concurrent data actions.
    pub(super) concurrent_executions: u32,
}

/// What a verification of the audit log has found.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Verified {
    pub(super) at_unix_ms: u64,
    pub(super) intact: bool,
    pub(super) records: u64,
    /// Where the chain breaks, when it does.
    pub(super) problem: Option<String>,
}

impl AdminState {
    pub(super) fn new(live: &Arc<Live>, settings: &ServerSettings) -> Self {
        Self {
            live: Arc::clone(live),
            verified: Arc::default(),
            concurrent_executions: settings.genesys_concurrent_executions,
        }
    }
}
