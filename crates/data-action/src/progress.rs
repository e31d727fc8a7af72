//! The progress of a running attempt, for a terminal.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flowlake_transform::RunProbe;

use crate::stores::RequestStores;

/// Watches one attempt; see [`ActionRequest::progress`](crate::ActionRequest::progress).
#[derive(Debug, Default)]
pub struct Progress(Mutex<Watched>);

#[derive(Debug, Default)]
struct Watched {
    stores: Option<Arc<RequestStores>>,
    planned: Option<Planned>,
    scan: Option<RunProbe>,
}

/// What an attempt is going to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planned {
    /// The files.
    pub files: u64,
    /// Their size. A query may need less of them.
    pub bytes: u64,
}

/// How far an attempt has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ProgressSnapshot {
    /// What is going to be read; none before the files are found.
    pub planned: Option<Planned>,
    /// Bytes that were read, as the files are stored.
    pub bytes: u64,
    /// Rows that the files gave to the query.
    pub rows: u64,
    /// Requests that were sent to S3.
    pub requests: u64,
}

impl Progress {
    /// How far the attempt has come.
    #[must_use]
    pub fn snapshot(&self) -> ProgressSnapshot {
        let watched = self.watched();
        let usage = watched.stores.iter().flat_map(|stores| stores.usage());
        let (mut received, mut requests) = (0, 0);
        for (_, meter) in usage {
            received += meter.bytes_received;
            requests += meter.get_requests + meter.head_requests + meter.list_requests;
        }
        let scan = watched.scan.as_ref();
        ProgressSnapshot {
            planned: watched.planned,
            // Tables of memory are loaded by runs of their own.
            bytes: scan.map_or(received, RunProbe::bytes_scanned),
            rows: scan.map_or(0, RunProbe::rows_scanned),
            requests,
        }
    }

    /// Begins with the stores of one try.
    pub(crate) fn reads_from(&self, stores: &Arc<RequestStores>) {
        *self.watched() = Watched {
            stores: Some(Arc::clone(stores)),
            ..Watched::default()
        };
    }

    pub(crate) fn planned(&self, planned: Planned) {
        self.watched().planned = Some(planned);
    }

    pub(crate) fn scans(&self, scan: RunProbe) {
        self.watched().scan = Some(scan);
    }

    fn watched(&self) -> MutexGuard<'_, Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
