//! A worker of a cluster: reads S3 with its own credentials, within its own policy.

use std::{fs, path::Path, sync::Arc};

use flowlake_aws_access::{load_sdk_config, s3_client};
use flowlake_s3_stream::{ListedObject, S3Stream};
use flowlake_transform::{
    BoxError, Transform,
    cluster::{
        ClusterSecret, ClusterTls, ClusterWorker, OpenStore, StoreUsage, WorkerStores, WorkerTls,
    },
};
use object_store::ObjectMeta;

use crate::{
    ActionError, ClusterConfig, Config, Environment, ErrorCode, ObjectCacheSettings, ReadPolicy,
    stores::S3,
};

/// The certificate of a worker and its key, as files of PEM.
#[derive(Debug, Clone, Copy)]
pub struct WorkerIdentity<'a> {
    /// The certificate, and those between it and the authority.
    pub certificate: &'a Path,
    /// The key.
    pub key: &'a Path,
}

/// Makes a worker of a configuration, of which it takes `[cluster]`, `[aws]`, `[s3]`, `[object_cache]`, `[transform]` and `[policy]`.
///
/// # Errors
/// [`ErrorCode::ConfigInvalid`], and the codes of AWS where its credentials cannot be loaded.
pub async fn worker(
    config: &Config,
    identity: Option<WorkerIdentity<'_>>,
    environment: &dyn Environment,
) -> Result<ClusterWorker, ActionError> {
    let cluster = config.cluster.as_ref().ok_or_else(|| {
        ActionError::new(
            ErrorCode::ConfigInvalid,
            "flowlake.toml has no [cluster]",
            "Write at least its `secret`, the same as at the coordinator.",
        )
    })?;
    let tls = match (tls(cluster)?, identity) {
        (Some(workers), Some(identity)) => Some(WorkerTls {
            certificate: read(identity.certificate)?,
            key: read(identity.key)?,
            workers,
        }),
        (None, None) => None,
        _ => {
            return Err(ActionError::new(
                ErrorCode::ConfigInvalid,
                "a worker with TLS has `tls_ca` in [cluster], and a certificate and key of its own",
                "Give all of them, or none for workers that only this machine reaches.",
            ));
        }
    };
    let secret = secret(cluster, environment)?;
    let disk = config.object_cache.as_ref();
    let disk = disk.map(ObjectCacheSettings::open).transpose()?;
    let sdk = Box::pin(load_sdk_config(&config.aws)).await?;
    let client = s3_client(&sdk, &config.aws);
    let transform = Transform::builder();
    Ok(ClusterWorker {
        transform: transform.with_settings(config.transform.clone()).build()?,
        stores: Arc::new(Stores {
            s3: S3::new(client, config.s3.clone(), disk),
            policy: ReadPolicy::try_new(&config.policy)?,
        }),
        secret,
        tls,
        max_queries: cluster.max_queries.get(),
    })
}

pub(crate) fn secret(
    cluster: &ClusterConfig,
    environment: &dyn Environment,
) -> Result<ClusterSecret, ActionError> {
    let secret = cluster.secret.read(environment)?;
    Ok(ClusterSecret::try_new(secret.expose())?)
}

pub(crate) fn tls(cluster: &ClusterConfig) -> Result<Option<ClusterTls>, ActionError> {
    let ca = cluster.tls_ca.as_deref().map(read).transpose()?;
    Ok(ca.map(|ca| ClusterTls {
        ca,
        name: cluster.tls_name.clone(),
    }))
}

fn read(path: &Path) -> Result<Vec<u8>, ActionError> {
    fs::read(path).map_err(|error| {
        ActionError::new(
            ErrorCode::ConfigInvalid,
            format!("{} cannot be read: {}", path.display(), error.kind()),
            "Correct the path, and see that this process may read it.",
        )
        .with_source(error)
    })
}

struct Stores {
    s3: S3,
    policy: ReadPolicy,
}

impl WorkerStores for Stores {
    fn open(&self, bucket: &str, files: &[ObjectMeta]) -> Result<OpenStore, BoxError> {
        let view = self.s3.bucket(bucket)?.request();
        for file in files {
            self.policy.check_key(bucket, file.location.as_ref())?;
            view.expect(&file.location, &version(file));
        }
        let own = view.clone();
        Ok(OpenStore {
            store: Arc::new(view),
            usage: Arc::new(move || usage(&own)),
        })
    }
}

/// The version that the coordinator found. It has asked for what an archived object needs before it is read.
fn version(file: &ObjectMeta) -> ListedObject {
    ListedObject {
        key: file.location.to_string(),
        size: file.size,
        etag: file.e_tag.clone(),
        last_modified: file.last_modified,
        storage_class: None,
    }
}

fn usage(view: &S3Stream) -> StoreUsage {
    let meter = view.meter().snapshot();
    StoreUsage {
        get_requests: meter.get_requests,
        head_requests: meter.head_requests,
        bytes_received: meter.bytes_received,
        retries: meter.retries,
        throttles: meter.throttles,
        bytes_from_disk: meter.bytes_from_disk,
    }
}
