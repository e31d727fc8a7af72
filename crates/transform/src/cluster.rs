//! The same SQL on several machines: workers read the files and do what can be done beside that; the coordinator, the process
//! that was asked, plans and gives the answer.
//!
//! The engine over several machines is `datafusion-distributed`. What is ours is here: how a scan travels (`codec`,
//! `wire`), how its files are divided (`split`), what a worker runs it with (`worker`, `worker_scan`), how its errors
//! (`carried`) and figures (`report`) come back, which runs there are (`watched_run` at the coordinator, `worker_runs` at a worker,
//! `run_messages` between them), who may talk to whom (`channel`, `secret`), and that what arrives is what was sent (`sealed`).

mod carried;
mod channel;
mod codec;
mod coordinator;
mod report;
mod run_messages;
mod sealed;
mod secret;
mod split;
mod stages;
mod watched_run;
mod wire;
mod worker;
mod worker_runs;
mod worker_scan;

pub(crate) use self::split::at_least_two;
pub(crate) use self::{
    carried::arrived,
    coordinator::{Settled, divides, settling},
};
pub use self::{
    channel::{ClusterSettings, ClusterTls},
    coordinator::Cluster,
    report::StoreUsage,
    secret::ClusterSecret,
    watched_run::MovedByWorkers,
    worker::{ClusterWorker, OpenStore, WorkerStores, WorkerTls},
};

/// Which build this is. Plans travel only between programs of one build.
pub const BUILD: &str = env!("FLOWLAKE_PLANS");
