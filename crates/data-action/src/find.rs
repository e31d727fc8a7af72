//! Which objects lie at a location.

use std::{
    fmt::{self, Display},
    sync::Arc,
};

use flowlake_s3_stream::{ListedObject, ObjectMetadata, S3Stream};
use flowlake_transform::{FileCollector, Location, Prepared, TableFiles, TableLocation};
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use object_store::path::Path;
use serde::Serialize;

use crate::{
    ActionError, ErrorCode, ReadPolicy, local::LocalFiles, stores::RequestStores,
    versions::Versions,
};

/// Keys of one page of `ListObjectsV2`.
const KEYS_PER_LIST: u64 = 1000;

/// What finding asks of a bucket.
pub(crate) trait Bucket: Sync {
    /// The metadata of one object.
    fn head(
        &self,
        path: &Path,
    ) -> impl Future<Output = Result<Arc<ObjectMetadata>, ActionError>> + Send;

    /// Every object whose key begins with the location's prefix, as they come.
    fn list(&self, location: &Location) -> BoxStream<'static, Result<ListedObject, ActionError>>;

    /// Reads of the object are of the listed version, or fail.
    fn expect(&self, path: &Path, listed: &ListedObject);
}

impl Bucket for S3Stream {
    async fn head(&self, path: &Path) -> Result<Arc<ObjectMetadata>, ActionError> {
        Ok(self.metadata(path).await?)
    }

    fn list(&self, location: &Location) -> BoxStream<'static, Result<ListedObject, ActionError>> {
        let prefix = location.list_prefix().unwrap_or_default();
        self.list_objects(prefix).map_err(ActionError::from).boxed()
    }

    fn expect(&self, path: &Path, listed: &ListedObject) {
        Self::expect(self, path, listed);
    }
}

impl Bucket for LocalFiles {
    async fn head(&self, path: &Path) -> Result<Arc<ObjectMetadata>, ActionError> {
        Ok(self.metadata(path).await?)
    }

    fn list(&self, location: &Location) -> BoxStream<'static, Result<ListedObject, ActionError>> {
        let files = Self::list_files(location);
        files.map_err(ActionError::from).boxed()
    }

    fn expect(&self, path: &Path, listed: &ListedObject) {
        Self::expect(self, path, listed);
    }
}

/// How many objects at a location are left out of its table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct LeftOut {
    /// Their names begin with `_` or `.`, such as `_SUCCESS`.
    pub hidden: u64,
    /// They have no byte.
    pub empty: u64,
    /// No path can hold their keys.
    pub unnamed: u64,
}

impl LeftOut {
    /// All of them.
    #[must_use]
    pub const fn count(&self) -> u64 {
        self.hidden + self.empty + self.unnamed
    }

    /// Whether none is.
    #[must_use]
    pub const fn is_nothing(&self) -> bool {
        self.count() == 0
    }
}

impl Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [
            (self.hidden, "by a name that begins with `_` or `.`"),
            (self.empty, "without a byte"),
            (self.unnamed, "whose keys cannot be read"),
        ];
        let parts: Vec<_> = all
            .iter()
            .filter(|(count, _)| *count > 0)
            .map(|(count, why)| format!("{count} {why}"))
            .collect();
        f.write_str(&parts.join(", "))
    }
}

/// What was found at one location.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) files: TableFiles,
    /// What a HEAD said of the object, where the location names one.
    pub(crate) named: Option<Arc<ObjectMetadata>>,
    pub(crate) objects: Vec<FoundObject>,
    pub(crate) versions: Versions,
    pub(crate) list_requests: u64,
}

/// One object that is going to be read.
#[derive(Debug)]
pub(crate) struct FoundObject {
    pub(crate) size: u64,
    /// Whether a HEAD asks for its metadata: a listing tells as much of most objects as a read has to know.
    pub(crate) is_headed: bool,
    pub(crate) storage_class: Option<String>,
}

/// Finds the objects of one location in the store that has them.
pub(crate) async fn find_in(
    stores: &RequestStores,
    policy: &ReadPolicy,
    prepared: &Prepared,
    table: &TableLocation,
) -> Result<Found, ActionError> {
    if table.location.is_local() {
        let found = find(policy, prepared, table, &stores.local).await?;
        return match LocalFiles::meant(&found.files).await {
            Some(path) => Err(no_pattern(&path)),
            None => Ok(found),
        };
    }
    let bucket = stores.view(table.location.bucket())?;
    find(policy, prepared, table, &bucket).await
}

/// Finds the objects of one location: by a HEAD where it names one, by a listing with the location's own prefix where it
/// names more. What was listed is read in that version or not at all.
///
/// Each object must be allowed by itself too, though its location was: the two answers come from different code.
pub(crate) async fn find(
    policy: &ReadPolicy,
    prepared: &Prepared,
    table: &TableLocation,
    lake: &impl Bucket,
) -> Result<Found, ActionError> {
    let location = &table.location;
    let bucket = location.bucket();
    let mut files = FileCollector::new(prepared, table.clone());
    if let Some(path) = location.path() {
        check_key(policy, location, path.as_ref())?;
        let object = lake.head(path).await;
        let object = object.map_err(|error| hinted(error, location))?;
        files.take(object.to_object_meta());
        let planned = FoundObject {
            size: object.size,
            is_headed: true,
            storage_class: object.storage_class.clone(),
        };
        let mut versions = Versions::default();
        versions.add_object(bucket, &object);
        return Ok(Found {
            files: files.finish(),
            versions,
            named: Some(object),
            objects: vec![planned],
            list_requests: 0,
        });
    }
    let (mut objects, mut versions) = (Vec::new(), Versions::default());
    let mut listing = lake.list(location);
    let mut listed: u64 = 0;
    while let Some(object) = listing.try_next().await? {
        listed += 1;
        let is_file = files.offer(&object.key, object.size, |path| {
            lake.expect(&path, &object);
            object.to_object_meta(path)
        })?;
        if is_file {
            check_key(policy, location, &object.key)?;
            versions.add(bucket, &object.key, object.etag.as_deref(), None);
            objects.push(FoundObject {
                size: object.size,
                is_headed: !object.is_read_at_once(),
                // What no class is named for is of this one.
                storage_class: object.storage_class.filter(|class| class != "STANDARD"),
            });
        }
    }
    Ok(Found {
        files: files.finish(),
        named: None,
        objects,
        versions,
        list_requests: listed.div_ceil(KEYS_PER_LIST).max(1),
    })
}

/// The policy has nothing to say of files of this machine, see [`ReadPolicy::check`].
fn check_key(policy: &ReadPolicy, location: &Location, key: &str) -> Result<(), ActionError> {
    if location.is_local() {
        return Ok(());
    }
    policy.check_key(location.bucket(), key)
}

/// No file matches a pattern, and one is called as the pattern is written.
fn no_pattern(path: &std::path::Path) -> ActionError {
    let path = path.display().to_string();
    let escaped: String = path
        .chars()
        .map(|c| match c {
            '[' | '*' | '?' => format!("[{c}]"),
            c => c.to_string(),
        })
        .collect();
    ActionError::new(
        ErrorCode::DataNoFiles,
        format!("no file matches the pattern {path}, and a file has this very name"),
        format!("`[`, `*` and `?` are patterns: write '{escaped}' for the file."),
    )
}

/// Where there is no such object, what may be wrong with its name.
fn hinted(error: ActionError, location: &Location) -> ActionError {
    let is_missing = matches!(
        error.code(),
        ErrorCode::S3NoSuchKey | ErrorCode::FileNotFound
    );
    match location.hint().filter(|_| is_missing) {
        Some(hint) => {
            let advice = format!("{} Or {hint}", error.advice());
            error.with_advice(&advice)
        }
        None => error,
    }
}

impl Found {
    pub(crate) fn left_out(&self) -> LeftOut {
        LeftOut {
            hidden: self.files.hidden,
            empty: self.files.empty,
            unnamed: self.files.unnamed,
        }
    }

    /// What the reader of an answer should know: objects that are left out although their names do not say so.
    pub(crate) fn warning(&self) -> Option<String> {
        let unnamed = self.files.unnamed;
        let location = &self.files.table.location;
        (unnamed > 0).then(|| match location.is_local() {
            true => format!(
                "{unnamed} files at {location} are left out: their names are no UTF-8, or have control characters"
            ),
            false => format!(
                "{unnamed} objects at {location} are left out: their keys have empty, `.` or `..` segments, a final `/` or control characters"
            ),
        })
    }
}
