//! What all runs of a process may take together.

use std::path::PathBuf;

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::json_schema::Bytes;

/// Memory, spill space and threads of the engine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TransformSettings {
    /// Memory for sorting, grouping and joining over all runs, such as `256MiB`; what does not fit spills to disk.
    /// Buffers of readers come on top: about 20 MiB a run.
    #[schemars(with = "Bytes")]
    pub memory: ByteSize,
    /// Where to spill; the system's temporary directory when left out.
    pub spill_directory: Option<PathBuf>,
    /// Largest spill over all runs; beyond it a run fails.
    #[schemars(with = "Bytes")]
    pub max_spill: ByteSize,
    /// Partitions that one run is worked on in; the number of processors when left out.
    pub threads: Option<usize>,
    /// Rows of one batch: more is faster for large scans and takes more memory.
    pub batch_rows: usize,
}

impl Default for TransformSettings {
    fn default() -> Self {
        Self {
            memory: ByteSize::mib(256),
            spill_directory: None,
            max_spill: ByteSize::gib(10),
            threads: None,
            batch_rows: 8192,
        }
    }
}
