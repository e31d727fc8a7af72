//! Requests without valid credentials: counted, slowed, logged and audited, by the network that they come from.
//!
//! A request with valid credentials is never slowed, whatever else comes from its network: callers behind one gateway, and all
//! Genesys Cloud organisations of a region, share their addresses. The first failure of a network is recorded at once, those that
//! follow once a minute as a number: nobody can fill the audit log with wrong keys.

use std::{
    collections::HashMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use chrono::{DateTime, Utc};
use flowlake_data_action::{ActionError, ErrorCode, Gauge, Pipeline, UnauthorizedRequests};
use tokio::time::sleep;
use tokio_util::task::TaskTracker;

use crate::{gauge::number, network::Network};

/// How often what came since the last record is recorded; a network without failures for so long is forgotten.
const RECORD_EVERY: Duration = Duration::from_secs(60);

/// Networks that have a count of their own. All others share one.
const MOST_NETWORKS: usize = 1024;

/// The wait of the first wrong credentials; each that follows waits twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// The longest wait.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Requests of one network that may wait at a time; more are refused at once.
const MOST_WAITING: u32 = 16;

/// Requests that may wait at a time, of all networks.
const MOST_WAITING_IN_ALL: u32 = 128;

/// What is known of failures.
#[derive(Clone)]
pub(crate) struct Failures {
    shared: Arc<Shared>,
}

struct Shared {
    pipeline: Pipeline,
    records: TaskTracker,
    known: Mutex<FailureTable>,
    without_credentials: AtomicU64,
    with_wrong_credentials: AtomicU64,
    not_waited: AtomicU64,
}

#[derive(Default)]
struct FailureTable {
    networks: HashMap<Option<Network>, Failed>,
    waiting: u32,
}

/// The failures of one network.
struct Failed {
    count: u64,
    recorded: u64,
    /// The first that is not recorded.
    since: DateTime<Utc>,
    waiting: u32,
}

/// What a request failed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It carries no credentials.
    None,
    /// Nobody here has its credentials.
    Wrong,
    /// The credentials cannot be verified now.
    Undecided,
}

/// A request that waits for its refusal.
struct DelayedRefusal<'a> {
    failures: &'a Failures,
    network: Option<Network>,
}

impl Failures {
    pub(crate) fn new(pipeline: Pipeline) -> Self {
        Self {
            shared: Arc::new(Shared {
                pipeline,
                records: TaskTracker::new(),
                known: Mutex::default(),
                without_credentials: AtomicU64::new(0),
                with_wrong_credentials: AtomicU64::new(0),
                not_waited: AtomicU64::new(0),
            }),
        }
    }

    /// Counts a failure, and waits as long as its refusal has to.
    ///
    /// # Errors
    /// [`ErrorCode::RateLimited`] when too many wait already.
    pub(crate) async fn note(&self, network: Network, reason: Reason) -> Result<(), ActionError> {
        let shared = &self.shared;
        match reason {
            Reason::Undecided => return Ok(()),
            Reason::None => &shared.without_credentials,
            Reason::Wrong => &shared.with_wrong_credentials,
        }
        .fetch_add(1, Relaxed);
        let (network, count) = self.count(network);
        if count == 1 {
            tracing::warn!(network = %name(network), "a request without valid credentials");
            let failures = self.clone();
            shared
                .records
                .spawn(async move { failures.record(network).await });
        }
        if reason == Reason::None {
            return Ok(());
        }
        let Some(_waiting) = self.wait(network) else {
            shared.not_waited.fetch_add(1, Relaxed);
            return Err(too_many());
        };
        let doubled = 1_u32 << (count - 1).min(10);
        sleep(FIRST_WAIT.saturating_mul(doubled).min(LONGEST_WAIT)).await;
        Ok(())
    }

    /// Records now and then what came in the meantime, until it is dropped.
    pub(crate) async fn keep_recording(&self) {
        loop {
            sleep(RECORD_EVERY).await;
            self.record_all().await;
        }
    }

    /// Records what is not recorded yet.
    pub(crate) async fn record_all(&self) {
        self.shared.records.close();
        self.shared.records.wait().await;
        self.shared.records.reopen();
        let networks: Vec<_> = {
            let mut known = self.lock();
            known
                .networks
                .retain(|_, failed| failed.count > failed.recorded || failed.waiting > 0);
            known.networks.keys().copied().collect()
        };
        for network in networks {
            self.record(network).await;
        }
    }

    /// Records the failures of a network that are not recorded yet.
    async fn record(&self, network: Option<Network>) {
        let (requests, count) = {
            let known = self.lock();
            let Some(failed) = known.networks.get(&network) else {
                return;
            };
            let requests = UnauthorizedRequests {
                address: name(network),
                count: failed.count - failed.recorded,
                since: failed.since,
            };
            (requests, failed.count)
        };
        if requests.count == 0 {
            return;
        }
        if requests.count > 1 {
            tracing::warn!(network = requests.address, count = requests.count, since = %requests.since, "requests without valid credentials");
        }
        match self.shared.pipeline.record_unauthorized(&requests).await {
            // What came while it was written is for the next record.
            Ok(()) => {
                if let Some(failed) = self.lock().networks.get_mut(&network) {
                    failed.recorded = count;
                }
            }
            Err(error) => {
                tracing::error!(code = error.code().as_str(), %error, "requests without valid credentials cannot be recorded");
            }
        }
    }

    /// Counts one for its network, and says which failure it is of that network since it was last forgotten.
    fn count(&self, network: Network) -> (Option<Network>, u64) {
        let now = self.shared.pipeline.clock().now();
        let mut known = self.lock();
        let mut network = Some(network);
        if known.networks.len() >= MOST_NETWORKS && !known.networks.contains_key(&network) {
            network = None;
        }
        let failed = known.networks.entry(network).or_insert(Failed {
            count: 0,
            recorded: 0,
            since: now,
            waiting: 0,
        });
        if failed.count == failed.recorded {
            failed.since = now;
        }
        failed.count += 1;
        (network, failed.count)
    }

    /// Room to wait.
    fn wait(&self, network: Option<Network>) -> Option<DelayedRefusal<'_>> {
        let mut known = self.lock();
        if known.waiting >= MOST_WAITING_IN_ALL {
            return None;
        }
        let failed = known.networks.get_mut(&network)?;
        if failed.waiting >= MOST_WAITING {
            return None;
        }
        failed.waiting += 1;
        known.waiting += 1;
        Some(DelayedRefusal {
            failures: self,
            network,
        })
    }

    /// What monitoring reads.
    pub(crate) fn gauges(&self) -> [Gauge; 1] {
        let shared = &self.shared;
        let values = [
            ("none", &shared.without_credentials),
            ("wrong", &shared.with_wrong_credentials),
            ("too_many", &shared.not_waited),
        ]
        .map(|(credentials, count)| {
            let labels = vec![("credentials", credentials.to_owned())];
            (labels, number(count.load(Relaxed)))
        });
        [Gauge {
            name: "flowlake_unauthorized_requests",
            help: "Requests without credentials and with wrong ones since the start; of these, those refused at once because too many waited.",
            values: values.into(),
        }]
    }

    fn lock(&self) -> MutexGuard<'_, FailureTable> {
        self.shared
            .known
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for DelayedRefusal<'_> {
    fn drop(&mut self) {
        let mut known = self.failures.lock();
        known.waiting -= 1;
        if let Some(failed) = known.networks.get_mut(&self.network) {
            failed.waiting -= 1;
        }
    }
}

fn name(network: Option<Network>) -> String {
    network.map_or_else(|| "(others)".to_owned(), |network| network.to_string())
}

fn too_many() -> ActionError {
    ActionError::new(
        ErrorCode::RateLimited,
        "too many requests with wrong credentials come from this address",
        "Correct the credentials; try again when the others have been answered.",
    )
    .with_retry_after(Some(LONGEST_WAIT))
}

impl fmt::Debug for Failures {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Failures").finish_non_exhaustive()
    }
}
