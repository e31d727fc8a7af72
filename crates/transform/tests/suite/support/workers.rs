//! Workers in this process, reached over loopback as if they were elsewhere.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use flowlake_transform::{
    BoxError, Transform,
    cluster::{
        Cluster, ClusterSecret, ClusterSettings, ClusterWorker, OpenStore, StoreUsage, WorkerStores,
    },
};
use object_store::{ObjectMeta, ObjectStore};
use tokio::{net::TcpListener, task::AbortHandle};

/// Workers over one store. Dropping them breaks all of their connections off.
pub(crate) struct Workers {
    pub(crate) cluster: Cluster,
    pub(crate) engine: Transform,
    pub(crate) addresses: Vec<SocketAddr>,
    serving: Vec<AbortHandle>,
    opened: Arc<AtomicU64>,
}

struct Stores {
    store: Arc<dyn ObjectStore>,
    opened: Arc<AtomicU64>,
}

impl WorkerStores for Stores {
    fn open(&self, _bucket: &str, files: &[ObjectMeta]) -> Result<OpenStore, BoxError> {
        assert!(files.iter().all(|file| file.e_tag.is_some()));
        self.opened.fetch_add(files.len() as u64, Relaxed);
        let requests = files.len() as u64;
        Ok(OpenStore {
            store: Arc::clone(&self.store),
            usage: Arc::new(move || StoreUsage {
                get_requests: requests,
                ..StoreUsage::default()
            }),
        })
    }
}

pub(crate) fn secret() -> ClusterSecret {
    ClusterSecret::try_new("not-known-elsewhere").unwrap()
}

pub(crate) fn settings(workers: &[SocketAddr]) -> ClusterSettings {
    ClusterSettings {
        workers: workers.iter().map(ToString::to_string).collect(),
        secret: secret(),
        tls: None,
        bytes_per_task: 1,
    }
}

impl Workers {
    pub(crate) async fn start(count: usize, store: &Arc<dyn ObjectStore>) -> Self {
        let engine = Transform::builder().build().unwrap();
        Self::start_with(count, store, engine, 32).await
    }

    /// Workers of one engine, each of which takes part in at most `max_queries` queries.
    pub(crate) async fn start_with(
        count: usize,
        store: &Arc<dyn ObjectStore>,
        engine: Transform,
        max_queries: usize,
    ) -> Self {
        let opened = Arc::default();
        let (mut addresses, mut serving) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            addresses.push(listener.local_addr().unwrap());
            let worker = ClusterWorker {
                transform: engine.clone(),
                stores: Arc::new(Stores {
                    store: Arc::clone(store),
                    opened: Arc::clone(&opened),
                }),
                secret: secret(),
                tls: None,
                max_queries,
            };
            let task = tokio::spawn(worker.serve(listener, std::future::pending()));
            serving.push(task.abort_handle());
        }
        Self {
            cluster: Cluster::try_new(settings(&addresses)).unwrap(),
            engine,
            addresses,
            serving,
            opened,
        }
    }

    /// Files that workers were asked to read so far.
    pub(crate) fn files_opened(&self) -> u64 {
        self.opened.load(Relaxed)
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for worker in &self.serving {
            worker.abort();
        }
    }
}
