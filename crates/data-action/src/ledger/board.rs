//! S3 as the place where servers state what they spend of a shared budget: one object for each log, `PREFIX/LOG-ID.json`.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use aws_sdk_s3::{
    Client,
    error::{DisplayErrorContext, ProvideErrorMetadata, SdkError},
    primitives::ByteStream,
};
use flowlake_cost_audit::StatementBoard;
use object_store::path::Path;

use crate::BoxError;

const SUFFIX: &str = ".json";
/// Tries of one read whose connection breaks.
const MOST_TRIES: u32 = 4;

/// A bucket and a prefix in it. Statements are read past all caches.
#[derive(Debug)]
pub(crate) struct S3Board {
    client: Client,
    bucket: String,
    /// Where the keys begin: empty, or with a `/` at its end.
    folder: String,
    own: tokio::sync::Mutex<OwnStatement>,
    /// What was read last, by log.
    seen: Mutex<BTreeMap<String, StatementVersion>>,
}

/// A version of a statement.
#[derive(Debug, Clone)]
struct StatementVersion {
    etag: Option<String>,
    statement: Vec<u8>,
}

/// This server's statement.
#[derive(Debug, Default)]
struct OwnStatement {
    /// What lies there, as far as this process has written or found it.
    stated: Option<StatementVersion>,
    /// What may lie there all the same: a write that was not answered.
    unsure: Option<Vec<u8>>,
}

impl S3Board {
    pub(crate) fn new(client: Client, (bucket, prefix): (String, Path)) -> Self {
        let folder = match prefix.as_ref() {
            "" => String::new(),
            prefix => format!("{prefix}/"),
        };
        Self {
            client,
            bucket,
            folder,
            own: tokio::sync::Mutex::default(),
            seen: Mutex::default(),
        }
    }

    fn key(&self, log_id: &str) -> String {
        format!("{}{log_id}{SUFFIX}", self.folder)
    }

    async fn get(&self, log_id: &str) -> Result<Option<StatementVersion>, BoxError> {
        let mut tries = 1;
        loop {
            let get = self.client.get_object().bucket(&self.bucket);
            let found = match get.key(self.key(log_id)).send().await {
                Ok(found) => found,
                Err(error) if error.code() == Some("NoSuchKey") => return Ok(None),
                Err(error) => return Err(said(&error).into()),
            };
            let etag = found.e_tag;
            // The SDK tries a request again, and no body that ends early.
            match found.body.collect().await {
                Ok(body) => {
                    let statement = body.to_vec();
                    return Ok(Some(StatementVersion { etag, statement }));
                }
                Err(_) if tries < MOST_TRIES => tries += 1,
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Puts a statement in place of this one, or where there is none; nothing when another lies there meanwhile.
    async fn put(
        &self,
        log_id: &str,
        statement: &[u8],
        earlier: Option<&StatementVersion>,
    ) -> Result<Option<StatementVersion>, BoxError> {
        let put = self.client.put_object().bucket(&self.bucket);
        let put = put.key(self.key(log_id)).content_type("application/json");
        let put = match earlier {
            Some(earlier) => put.set_if_match(earlier.etag.clone()),
            None => put.if_none_match("*"),
        };
        let body = ByteStream::from(statement.to_vec());
        match put.body(body).send().await {
            Ok(written) => Ok(Some(StatementVersion {
                etag: written.e_tag,
                statement: statement.to_vec(),
            })),
            Err(error) if is_contradicted(&error) => Ok(None),
            Err(error) => Err(said(&error).into()),
        }
    }

    fn seen(&self) -> MutexGuard<'_, BTreeMap<String, StatementVersion>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl StatementBoard for S3Board {
    /// Each is written only over the one before it: a write that was given up and arrives late changes nothing, and two servers
    /// with one log are detected.
    async fn publish(&self, log_id: &str, statement: Vec<u8>) -> Result<(), BoxError> {
        let mut own = self.own.lock().await;
        if own.stated.is_none() {
            // That of the process before.
            own.stated = self.get(log_id).await?;
        }
        let unsure = own.unsure.replace(statement.clone());
        let mut written = self.put(log_id, &statement, own.stated.as_ref()).await?;
        if written.is_none() {
            let found = self.get(log_id).await?;
            let is = |text: &[u8]| found.as_ref().is_some_and(|found| found.statement == text);
            if is(&statement) {
                // Its answer was lost, and it was put once more.
                written = found;
            } else if unsure.as_deref().is_some_and(is) {
                written = self.put(log_id, &statement, found.as_ref()).await?;
            }
        }
        let Some(written) = written else {
            own.unsure = None;
            return Err("another server states what the same audit log spends: give each a log of its own, not a copy".into());
        };
        *own = OwnStatement {
            stated: Some(written),
            unsure: None,
        };
        Ok(())
    }

    async fn read(&self) -> Result<Vec<(String, Vec<u8>)>, BoxError> {
        let list = self.client.list_objects_v2().bucket(&self.bucket);
        let mut pages = list.prefix(&self.folder).into_paginator().send();
        let mut found = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| said(&error))?;
            for object in page.contents.into_iter().flatten() {
                let key = object.key.unwrap_or_default();
                let name = key.strip_prefix(&self.folder);
                let log_id = name.and_then(|name| name.strip_suffix(SUFFIX));
                if let Some(log_id) = log_id.filter(|log_id| !log_id.contains('/')) {
                    found.push((log_id.to_owned(), object.e_tag));
                }
            }
        }
        let mut seen = BTreeMap::new();
        for (log_id, etag) in found {
            let known = self.seen().get(&log_id).cloned();
            let known = known.filter(|known| etag.is_some() && known.etag == etag);
            let stated = match known {
                Some(known) => Some(known),
                None => self.get(&log_id).await?,
            };
            // One that was deleted meanwhile states nothing.
            seen.extend(stated.map(|stated| (log_id, stated)));
        }
        let statements = seen.iter();
        let statements =
            statements.map(|(log_id, stated)| (log_id.clone(), stated.statement.clone()));
        let statements = statements.collect();
        *self.seen() = seen;
        Ok(statements)
    }
}

/// Whether a condition of a write did not hold: what lies there is another than was thought, or is being written.
fn is_contradicted<E: ProvideErrorMetadata>(error: &SdkError<E>) -> bool {
    let codes = [
        "PreconditionFailed",
        "ConditionalRequestConflict",
        "NoSuchKey",
    ];
    error.code().is_some_and(|code| codes.contains(&code))
}

/// What S3 said, or why it said nothing.
fn said<E: ProvideErrorMetadata + std::error::Error + 'static>(error: &SdkError<E>) -> String {
    match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        _ => DisplayErrorContext(error).to_string(),
    }
}
