//! `[cluster]`: workers on other machines that take part in queries.

use std::{
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

use bytesize::ByteSize;
use schemars::JsonSchema;
use serde::Deserialize;

use super::SecretSource;

/// Where the workers are and how they are talked to. An action uses them with `engine = "cluster"` or `"auto"`.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClusterConfig {
    /// `host:port` of each worker. A name with several addresses is as many workers. A worker itself needs none.
    #[serde(default)]
    pub workers: Vec<String>,
    /// What all nodes of the cluster know: at least 16 characters.
    pub secret: SecretSource,
    /// The certificate authority of the workers' certificates, as PEM, relative to flowlake.toml. Left out: without TLS, which only
    /// workers on this machine may be.
    #[serde(default)]
    pub tls_ca: Option<PathBuf>,
    /// The name that the certificates of all workers are valid for. Left out: `flowlake-worker`.
    #[serde(default)]
    pub tls_name: Option<String>,
    /// Bytes of files that one worker reads of a table before another takes part.
    #[serde(default = "bytes_per_worker")]
    #[schemars(schema_with = "crate::json_schema::bytes")]
    pub bytes_per_worker: ByteSize,
    /// Queries that a worker takes part in at a time. It refuses further ones, and they are read by the other workers.
    #[serde(default = "max_queries")]
    pub max_queries: NonZeroUsize,
    /// Bytes of all files of a query from which on `engine = "auto"` asks workers.
    #[serde(default = "auto_from")]
    #[schemars(schema_with = "crate::json_schema::bytes")]
    pub auto_from: ByteSize,
}

/// Which machines answer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EngineChoice {
    /// This one.
    #[default]
    Local,
    /// The workers of `[cluster]` read, and this one gives the answer.
    Cluster,
    /// The workers where there are some and the files of the query have `auto_from` bytes or more; else this machine.
    Auto,
}

const fn bytes_per_worker() -> ByteSize {
    ByteSize::mib(64)
}

const fn max_queries() -> NonZeroUsize {
    NonZeroUsize::new(32).expect("it is not zero")
}

const fn auto_from() -> ByteSize {
    ByteSize::gib(1)
}

impl ClusterConfig {
    pub(super) fn resolve(&mut self, folder: &Path) {
        self.secret.resolve(folder);
        if let Some(path) = &mut self.tls_ca {
            *path = folder.join(&*path);
        }
    }
}
