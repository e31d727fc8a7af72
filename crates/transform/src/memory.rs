//! The memory pool of all runs.
//!
//! `DataFusion` 55.2 answers a nested-loop join that finds no memory by running its left side again and spilling that.
//! The second run panics when that side is repartitioned, and left, semi and anti joins over several partitions then give
//! wrong rows (apache/datafusion issues 24661, 24676 and pull request 24675). The fallback begins only at
//! `ResourcesExhausted`, so the memory that such a join is refused is refused here by another name: the query ends with the
//! limit's own error. To be taken out with a `DataFusion` that has pull request 24677.

use std::{error::Error, fmt};

use datafusion::{
    common::{DataFusionError, Result},
    execution::memory_pool::{
        FairSpillPool, MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation,
    },
};

/// How a nested-loop join names the memory of its left side.
const NESTED_LOOP_JOIN: &str = "NestedLoopJoinLoad";

/// A [`FairSpillPool`] under which no nested-loop join starts over.
#[derive(Debug)]
pub(crate) struct RunPool(FairSpillPool);

/// A nested-loop join needs more memory than there is.
#[derive(Debug)]
pub(crate) struct JoinMemoryExhausted;

impl RunPool {
    pub(crate) fn new(bytes: usize) -> Self {
        Self(FairSpillPool::new(bytes))
    }
}

impl MemoryPool for RunPool {
    fn name(&self) -> &'static str {
        "flowlake"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.0.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.0.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.0.grow(reservation, additional);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.0.shrink(reservation, shrink);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        self.0
            .try_grow(reservation, additional)
            .map_err(|error| match error.find_root() {
                DataFusionError::ResourcesExhausted(_)
                    if reservation.consumer().name().starts_with(NESTED_LOOP_JOIN) =>
                {
                    DataFusionError::External(Box::new(JoinMemoryExhausted))
                }
                _ => error,
            })
    }

    fn reserved(&self) -> usize {
        self.0.reserved()
    }

    fn memory_limit(&self) -> MemoryLimit {
        self.0.memory_limit()
    }
}

impl fmt::Display for RunPool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Display for JoinMemoryExhausted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a join without an equality needs more memory than is configured")
    }
}

impl Error for JoinMemoryExhausted {}
