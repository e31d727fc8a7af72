//! The workers of `[cluster]`, and which queries they take part in.

use std::error::Error as _;

use flowlake_transform::{ErrorKind, Run, StageExplanation, Transform};

use crate::{Action, ActionError, ClusterConfig, EngineChoice, Environment, ErrorCode};

#[cfg(feature = "cluster")]
type Cluster = flowlake_transform::cluster::Cluster;
/// A program without workers has none of these.
#[cfg(not(feature = "cluster"))]
type Cluster = std::convert::Infallible;

/// See the module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Workers(Option<Configured>);

#[derive(Debug, Clone)]
struct Configured {
    cluster: Cluster,
    auto_from: u64,
}

impl Workers {
    /// Reads the secret and the certificate; nobody is asked yet.
    pub(crate) fn new(
        config: Option<&ClusterConfig>,
        environment: &dyn Environment,
    ) -> Result<Self, ActionError> {
        let Some(config) = config.filter(|config| !config.workers.is_empty()) else {
            return Ok(Self::default());
        };
        Ok(Self(Some(Configured {
            cluster: cluster(config, environment)?,
            auto_from: config.auto_from.as_u64(),
        })))
    }

    /// The engine that an action is read with, whose files have `bytes` together; none for that of this machine alone.
    pub(crate) fn engine(
        &self,
        engine: &Transform,
        action: &Action,
        bytes: u64,
    ) -> Result<Option<Transform>, ActionError> {
        let chosen = match (action.definition.engine, &self.0) {
            (EngineChoice::Local, _) | (EngineChoice::Auto, None) => None,
            (EngineChoice::Cluster, None) => {
                return Err(ActionError::new(
                    ErrorCode::ConfigInvalid,
                    format!(
                        "action `{}` has `engine = \"cluster\"`, and there are no workers",
                        action.name()
                    ),
                    "Name them under [cluster] in flowlake.toml, or leave `engine` out.",
                ));
            }
            (EngineChoice::Auto, Some(workers)) if bytes < workers.auto_from => None,
            (_, Some(workers)) => Some(on(engine, &workers.cluster)),
        };
        Ok(chosen)
    }
}

/// How workers would divide a query; nothing where this machine does all.
#[cfg(feature = "cluster")]
pub(crate) async fn stages(
    engine: Option<&Transform>,
    run: &Run<'_>,
) -> Result<Vec<StageExplanation>, ActionError> {
    match engine {
        Some(engine) => Ok(engine.stages(run).await?),
        None => Ok(Vec::new()),
    }
}

#[cfg(not(feature = "cluster"))]
#[expect(clippy::unused_async, reason = "with workers, they are asked first")]
pub(crate) async fn stages(
    _engine: Option<&Transform>,
    _run: &Run<'_>,
) -> Result<Vec<StageExplanation>, ActionError> {
    Ok(Vec::new())
}

/// Whether an answer failed since workers read parts of files. With whole files there is one, or what is wrong with them.
pub(crate) fn has_divided_files(error: &ActionError) -> bool {
    let source = error.source();
    let source = source.and_then(|source| source.downcast_ref::<flowlake_transform::Error>());
    source.is_some_and(|error| error.kind() == ErrorKind::FilesDivided)
}

#[cfg(feature = "cluster")]
pub(crate) fn with_whole_files(engine: &Transform) -> Transform {
    engine.with_whole_files()
}

#[cfg(not(feature = "cluster"))]
pub(crate) fn with_whole_files(engine: &Transform) -> Transform {
    engine.clone()
}

#[cfg(feature = "cluster")]
fn on(engine: &Transform, cluster: &Cluster) -> Transform {
    engine.on_cluster(cluster)
}

#[cfg(not(feature = "cluster"))]
fn on(_engine: &Transform, cluster: &Cluster) -> Transform {
    match *cluster {}
}

#[cfg(feature = "cluster")]
fn cluster(config: &ClusterConfig, environment: &dyn Environment) -> Result<Cluster, ActionError> {
    use flowlake_transform::cluster::ClusterSettings;

    Ok(Cluster::try_new(ClusterSettings {
        workers: config.workers.clone(),
        secret: crate::worker::secret(config, environment)?,
        tls: crate::worker::tls(config)?,
        bytes_per_task: config.bytes_per_worker.as_u64(),
    })?)
}

#[cfg(not(feature = "cluster"))]
fn cluster(
    _config: &ClusterConfig,
    _environment: &dyn Environment,
) -> Result<Cluster, ActionError> {
    Err(ActionError::new(
        ErrorCode::ConfigInvalid,
        "[cluster] has workers, and this program was built without them",
        "Build it with the feature `cluster`, as docs/cluster.md says, or leave [cluster] out.",
    ))
}
