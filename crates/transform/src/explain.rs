//! What a query would do, in plain language, without running it: which files it would read and how much of them, which
//! conditions leave rows out while they are read, which steps follow, and what they keep in memory.

pub(crate) mod scans;
pub(crate) mod steps;

use datafusion::physical_plan::ExecutionPlan;
use serde::Serialize;

#[cfg(feature = "cluster")]
pub(crate) use self::scans::files_of;
pub use self::{
    scans::ScanExplanation,
    steps::{Step, StepRun},
};
use self::{scans::Scans, steps::steps};
use crate::{Error, Run, TableInfo, Transform, engine::Planned, schema::type_name};

/// What a reader holds of each thread's file, as [`crate::TransformSettings::memory`] says: buffers and one batch.
const READER_BYTES: u64 = 20 << 20;

/// What a query would do. It names tables, files and columns, and no value of a parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// What the tables' files are.
    pub tables: Vec<TableInfo>,
    /// What would be read, one for each place of the SQL that names a table.
    pub scans: Vec<ScanExplanation>,
    /// What would be done, the answer first and what it is made of below.
    pub steps: Vec<Step>,
    /// Names and types of the answer's columns.
    pub columns: Vec<(String, String)>,
    /// Upper bound of the bytes that steps would keep in memory, as far as it is known; more than the pool has is spilled or refused.
    /// Beside it stands what readers hold, which the pool does not count.
    pub estimated_memory_bytes: u64,
    /// What readers hold.
    pub reader_memory_bytes: u64,
    /// The memory pool that all runs share.
    pub pool_bytes: u64,
}

/// A part of a query that workers do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StageExplanation {
    /// Its number: a stage takes rows of those with smaller ones.
    pub number: usize,
    /// Parts of it that run side by side, each on one worker.
    pub tasks: usize,
    /// Files and parts of files that each task reads.
    pub files: Vec<usize>,
}

impl Explanation {
    /// Bytes that would be read at most.
    #[must_use]
    pub fn bytes_to_read(&self) -> u64 {
        self.scans.iter().map(|scan| scan.bytes_to_read).sum()
    }
}

impl Explanation {
    /// Requests that the read takes; none where a format is read from its start to its end, whose size says it.
    #[must_use]
    pub fn requests_to_read(&self) -> Option<u64> {
        self.scans.iter().map(|scan| scan.requests_to_read).sum()
    }
}

impl Transform {
    /// What [`Self::run`] would do. Reads what it reads before the first row: heads and footers of files.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub async fn explain(&self, run: &Run<'_>) -> Result<Explanation, Error> {
        let Planned {
            tables,
            asked,
            physical,
        } = self.planned(run).await?;
        let scans = Scans::new(&tables, run, &asked.logical)
            .all(physical.as_ref())
            .await?;
        let steps = steps(physical.as_ref(), &scans);
        let schema = physical.schema();
        let columns = schema
            .fields()
            .iter()
            .map(|field| (field.name().clone(), type_name(field.data_type())));
        let parallel: usize = scans.iter().map(|scan| scan.threads).sum();
        Ok(Explanation {
            estimated_memory_bytes: steps.iter().filter_map(|step| step.keeps_bytes).sum(),
            reader_memory_bytes: READER_BYTES * parallel as u64,
            pool_bytes: self.pool_bytes(),
            columns: columns.collect(),
            tables,
            scans,
            steps,
        })
    }
}

/// Leaves of a plan in the order in which its steps name them.
fn leaves<'plan>(plan: &'plan dyn ExecutionPlan, all: &mut Vec<&'plan dyn ExecutionPlan>) {
    if plan.children().is_empty() {
        all.push(plan);
    }
    for child in plan.children() {
        leaves(child.as_ref(), all);
    }
}
