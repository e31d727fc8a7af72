//! What a coordinator and a worker tell each other about a run, beside its plan and its rows: that it begins, what was read so
//! far, and that it has ended.
//!
//! These are small requests of JSON over the connections that plans and rows take, with the same secret and the same codes.

use std::{collections::BTreeMap, future::poll_fn, pin::Pin};

use http::HeaderName;
use http_body::Body as _;
use serde::{Deserialize, Serialize};
use tonic::{Status, body::Body};

use super::report::{Report, StoreUsage};

/// The service of these requests, and its only path.
pub(super) const SERVICE: &str = "flowlake.Run";
pub(super) const PATH: &str = "/flowlake.Run/tell";
/// The header with the build of the coordinator, which is compared before anything is decoded.
pub(super) const BUILD_HEADER: HeaderName = HeaderName::from_static("x-flowlake-build");
/// The header of the parts of a plan with the name of their run.
pub(super) const RUN_HEADER: HeaderName = HeaderName::from_static("x-flowlake-run");
/// Bytes of one of these messages, at most.
const LARGEST: usize = 16 << 20;

/// What a coordinator asks.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Ask {
    /// To take part in a run, whose plan follows.
    Begin {
        run: String,
        time_left_ms: u64,
        /// Bytes that one scan may read. The coordinator looks at the sum of all scans.
        max_scan_bytes: Option<u64>,
    },
    /// What was read so far.
    Progress { run: String },
    /// To stop what is still being read, and to forget the run.
    End { run: String },
}

/// What a worker answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) enum Tell {
    /// It takes part. The name is of this process: several addresses may lead to it.
    Begun {
        worker: String,
    },
    Progress(Progress),
    Ended(Vec<Report>),
    Refused(Refusal),
}

/// Why a worker does not take part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Refusal {
    /// It is of this build.
    Build(String),
    /// It takes part in as many queries as it may.
    Busy(usize),
    /// It has not begun the run, or has forgotten it.
    UnknownRun,
}

/// What one worker has read for a run so far.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Progress {
    /// Bytes that scans have taken.
    pub(super) bytes_scanned: u64,
    /// What stores have moved, by bucket.
    pub(super) moved: BTreeMap<String, StoreUsage>,
}

impl Progress {
    pub(super) fn add(&mut self, bucket: &str, bytes_scanned: u64, usage: &StoreUsage) {
        self.bytes_scanned += bytes_scanned;
        self.moved.entry(bucket.to_owned()).or_default().add(usage);
    }

    /// What reports say together.
    pub(super) fn of(reports: &[Report]) -> Self {
        let mut all = Self::default();
        for report in reports {
            all.add(&report.bucket, report.bytes_scanned, &report.usage);
        }
        all
    }
}

/// All bytes of a message.
pub(super) async fn read_body(mut body: Body) -> Result<Vec<u8>, Status> {
    let mut bytes = Vec::new();
    while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
        let Ok(data) = frame?.into_data() else {
            continue;
        };
        if bytes.len() + data.len() > LARGEST {
            return Err(Status::out_of_range("a message is too large"));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}
