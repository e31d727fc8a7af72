//! Audit logs that were shipped to S3, brought to a folder of this machine to be read.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
};

use flowlake_aws_access::{load_sdk_config, s3_client};
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, path::Path as ObjectPath};

use crate::{ActionError, Config, ErrorCode, config::s3_place, stores::S3};

/// Brings the segments and seals below `s3://bucket/prefix` to `folder`, each log into a folder of its own.
///
/// They are read with the credentials of `config`. Its policy is about data, and is not asked.
///
/// # Errors
/// [`ErrorCode::ConfigInvalid`] for another uri, codes of S3, and [`ErrorCode::OutputUnwritable`] where the folder cannot be written.
pub async fn bring_shipped(config: &Config, uri: &str, folder: &Path) -> Result<(), ActionError> {
    let (bucket, prefix) = s3_place("--directory", uri)?;
    let sdk = Box::pin(load_sdk_config(&config.aws)).await?;
    let client = s3_client(&sdk, &config.aws);
    let store = S3::new(client, config.s3.clone(), None).bucket(&bucket)?;
    // A prefix may be that of a single log.
    let own = prefix
        .parts()
        .next_back()
        .map(|part| part.as_ref().to_owned());
    let mut objects = store.list(Some(&prefix));
    while let Some(object) = objects.try_next().await.map_err(unread)? {
        let Some(parts) = object.location.prefix_match(&prefix) else {
            continue;
        };
        let parts: Vec<String> = parts.map(|part| part.as_ref().to_owned()).collect();
        let (log, name) = match (parts.as_slice(), &own) {
            ([log, name], _) | ([name], Some(log)) => (log, name),
            _ => continue,
        };
        if is_plain(log) && is_plain(name) && name.starts_with("audit-") {
            let log = folder.join(log);
            fs::create_dir_all(&log).map_err(unwritten)?;
            bring(&store, &object.location, &log.join(name)).await?;
        }
    }
    Ok(())
}

async fn bring(store: &dyn ObjectStore, key: &ObjectPath, to: &Path) -> Result<(), ActionError> {
    let mut pieces = store.get(key).await.map_err(unread)?.into_stream();
    let mut file = File::create_new(to).map_err(unwritten)?;
    while let Some(piece) = pieces.try_next().await.map_err(unread)? {
        file.write_all(&piece).map_err(unwritten)?;
    }
    Ok(())
}

/// Whether a part of a key may be the name of a file: a writer of the bucket chose it.
fn is_plain(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    !name.starts_with('.') && name.bytes().all(is_plain)
}

fn unread(error: object_store::Error) -> ActionError {
    ActionError::from_chain(&error).unwrap_or_else(|| {
        ActionError::new(
            ErrorCode::AuditUnreadable,
            "the shipped audit logs cannot be read",
            "Let this principal list and read the place they were shipped to.",
        )
        .with_source(error)
    })
}

fn unwritten(error: io::Error) -> ActionError {
    ActionError::new(
        ErrorCode::OutputUnwritable,
        "the shipped audit logs cannot be written to the folder for temporary files",
        "Free space there, or set TMPDIR to another folder.",
    )
    .with_source(error)
}
