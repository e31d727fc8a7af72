//! The limits of one connection, from the settings of the server.

use std::{sync::Arc, time::Duration};

use flowlake_data_action::ServerSettings;

use super::{activity::Timeouts, open_files};
use crate::proxies::Proxies;

/// The limits that a connection starts with. A reload changes them for later connections only.
#[derive(Debug, Clone)]
pub(super) struct Limits {
    pub(super) timeouts: Timeouts,
    pub(super) max_header_bytes: usize,
    pub(super) proxies: Arc<Proxies>,
    /// A warning when `max_connections` connections need more open files than the system allows.
    pub(super) open_files_warning: Option<Arc<str>>,
}

impl Limits {
    pub(super) fn of(settings: &ServerSettings) -> Self {
        let warning = open_files::shortage(settings.max_connections);
        if let Some(warning) = &warning {
            tracing::warn!("{warning}");
        }
        Self {
            timeouts: Timeouts {
                header: settings.header_timeout,
                idle: settings.idle_timeout,
            },
            max_header_bytes: settings.max_header_bytes,
            proxies: Arc::new(Proxies::of(settings)),
            open_files_warning: warning.map(Arc::from),
        }
    }

    /// How often the timeouts are checked: a timeout is exceeded by at most a quarter of the shorter one.
    pub(super) fn check_interval(&self) -> Duration {
        self.timeouts.header.min(self.timeouts.idle) / 4
    }
}
