//! The operations. Reads and listings are ours; writes go to `s3s-fs` and get our `ETag`.

use std::fs::File;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::*;
use s3s::{S3, S3Error, S3Request, S3Response, S3Result, s3_error};
use s3s_fs::FileSystem;

use super::conditions::{self, Conditions};
use super::content_type;
use super::file::{self, Version};
use super::object_state::{ObjectState, ObjectStates};
use super::sidecar::{self, Attributes};
use crate::iam::{Context, Decision, Directory};

/// The store behind the S3 stand-in.
#[derive(Debug)]
pub(crate) struct Store {
    inner: FileSystem,
    root: PathBuf,
    directory: Arc<Directory>,
    states: ObjectStates,
    /// Held while a conditional write looks and writes, so that only one of two can win.
    conditional_writes: tokio::sync::Mutex<()>,
}

/// An object found, open, at one version.
struct Found {
    file: File,
    version: Version,
    attributes: Attributes,
    state: ObjectState,
}

impl Store {
    pub(crate) fn new(
        inner: FileSystem,
        root: PathBuf,
        directory: Arc<Directory>,
        states: ObjectStates,
    ) -> Self {
        Self {
            inner,
            root,
            directory,
            states,
            conditional_writes: tokio::sync::Mutex::default(),
        }
    }

    /// The path of a key, or nothing when a folder cannot hold a key of that shape.
    fn path(&self, bucket: &str, key: &str) -> Option<PathBuf> {
        let plain = Path::new(key)
            .components()
            .all(|component| matches!(component, Component::Normal(_)));
        (plain && !key.contains("//") && !key.contains('\0'))
            .then(|| self.root.join(bucket).join(key))
    }

    async fn open(&self, bucket: &str, key: &str) -> Option<(File, Version)> {
        let path = self.path(bucket, key)?;
        tokio::task::spawn_blocking(move || {
            let file = File::open(path).ok()?;
            let metadata = file.metadata().ok()?;
            metadata.is_file().then(|| (file, Version::of(&metadata)))
        })
        .await
        .ok()?
    }

    /// Opens an object or says why not, as S3 does: without the right to list, what is missing
    /// is forbidden.
    async fn find<T>(
        &self,
        request: &S3Request<T>,
        bucket: &str,
        key: &str,
        version_id: Option<&str>,
    ) -> S3Result<Found> {
        if !self.root.join(bucket).is_dir() {
            return Err(s3_error!(
                NoSuchBucket,
                "The specified bucket does not exist"
            ));
        }
        let Some((file, version)) = self.open(bucket, key).await else {
            return Err(self.missing(request, bucket));
        };
        if version_id.is_some_and(|id| id != "null") {
            return Err(s3_error!(
                NoSuchVersion,
                "The specified version does not exist"
            ));
        }
        let attributes = sidecar::read(&self.root, bucket, key).await;
        Ok(Found {
            file,
            version,
            attributes,
            state: self.states.get(bucket, key),
        })
    }

    fn may<T>(&self, request: &S3Request<T>, action: &str, resource: &str) -> bool {
        let principal = request
            .credentials
            .as_ref()
            .and_then(|credentials| self.directory.principal(&credentials.access_key));
        let outcome =
            self.directory
                .decide(principal.as_ref(), action, resource, &Context::default());
        outcome.decision == Decision::Allowed
    }

    /// Refuses to read what is archived, or encrypted with a key that the caller may not use.
    fn check_readable<T>(&self, request: &S3Request<T>, state: &ObjectState) -> S3Result<()> {
        if state.is_archived() {
            return Err(s3_error!(
                InvalidObjectState,
                "The operation is not valid for the object's storage class"
            ));
        }
        match &state.kms_key_arn {
            Some(key) if !self.may(request, "kms:Decrypt", key) => Err(s3_error!(
                AccessDenied,
                "The caller is not authorized to perform: kms:Decrypt on resource: {key}"
            )),
            _ => Ok(()),
        }
    }

    fn missing<T>(&self, request: &S3Request<T>, bucket: &str) -> S3Error {
        if self.may(request, "s3:ListBucket", &format!("arn:aws:s3:::{bucket}")) {
            s3_error!(NoSuchKey, "The specified key does not exist.")
        } else {
            s3_error!(AccessDenied, "Access Denied")
        }
    }

    /// Holds the lock for a conditional write and checks its condition against what is there.
    async fn admit_write(
        &self,
        bucket: &str,
        key: &str,
        if_match: Option<ETagCondition>,
        if_none_match: Option<ETagCondition>,
    ) -> S3Result<Option<tokio::sync::MutexGuard<'_, ()>>> {
        if if_match.is_none() && if_none_match.is_none() {
            return Ok(None);
        }
        let guard = self.conditional_writes.lock().await;
        let present = self.open(bucket, key).await;
        match (if_match, if_none_match, present) {
            (Some(_), _, None) => Err(s3_error!(NoSuchKey, "The specified key does not exist.")),
            (Some(condition), _, Some((_, version)))
                if !conditions::names(&condition, &version.etag()) =>
            {
                Err(conditions::failed())
            }
            (_, Some(_), Some(_)) => Err(conditions::failed()),
            _ => Ok(Some(guard)),
        }
    }

    /// Our `ETag` of what was just written.
    async fn stamped(&self, bucket: &str, key: &str) -> Option<(ETag, Timestamp)> {
        let path = self.path(bucket, key)?;
        let version = tokio::task::spawn_blocking(move || file::stamp(&path))
            .await
            .ok()?
            .ok()?;
        Some((version.etag(), version.last_modified()))
    }

    /// Removes folders that a deletion left empty: to S3 they never were.
    async fn prune(&self, bucket: &str, key: &str) {
        let Some(path) = self.path(bucket, key) else {
            return;
        };
        let bucket = self.root.join(bucket);
        for folder in path.ancestors().skip(1) {
            if folder == bucket || tokio::fs::remove_dir(folder).await.is_err() {
                break;
            }
        }
    }

    async fn forget(&self, bucket: &str, key: &str) {
        sidecar::remove(&self.root, bucket, key).await;
        self.prune(bucket, key).await;
    }
}

#[async_trait::async_trait]
impl S3 for Store {
    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let input = &request.input;
        let found = self
            .find(
                &request,
                &input.bucket,
                &input.key,
                input.version_id.as_deref(),
            )
            .await?;
        Conditions {
            if_match: input.if_match.clone(),
            if_none_match: input.if_none_match.clone(),
            if_modified_since: input.if_modified_since.clone(),
            if_unmodified_since: input.if_unmodified_since.clone(),
        }
        .check(&found.version)?;
        let content_type = found
            .attributes
            .content_type
            .unwrap_or_else(|| content_type::of(&input.key).to_owned());
        Ok(S3Response::new(HeadObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: i64::try_from(found.version.size).ok(),
            content_type: Some(content_type),
            content_encoding: found.attributes.content_encoding,
            content_disposition: found.attributes.content_disposition,
            content_language: found.attributes.content_language,
            cache_control: found.attributes.cache_control,
            metadata: found.attributes.user_metadata,
            last_modified: Some(found.version.last_modified()),
            e_tag: Some(found.version.etag()),
            server_side_encryption: found
                .state
                .kms_key_arn
                .is_some()
                .then(|| ServerSideEncryption::from_static(ServerSideEncryption::AWS_KMS)),
            ssekms_key_id: found.state.kms_key_arn,
            restore: found.state.restore,
            storage_class: found
                .state
                .storage_class
                .filter(|class| class != "STANDARD")
                .map(StorageClass::from),
            ..Default::default()
        }))
    }

    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        let input = &request.input;
        let found = self
            .find(
                &request,
                &input.bucket,
                &input.key,
                input.version_id.as_deref(),
            )
            .await?;
        Conditions {
            if_match: input.if_match.clone(),
            if_none_match: input.if_none_match.clone(),
            if_modified_since: input.if_modified_since.clone(),
            if_unmodified_since: input.if_unmodified_since.clone(),
        }
        .check(&found.version)?;
        self.check_readable(&request, &found.state)?;
        let size = found.version.size;
        let range = match &input.range {
            Some(range) => range.check(size)?,
            None => 0..size,
        };
        let content_range = input.range.map(|_| {
            format!(
                "bytes {}-{}/{size}",
                range.start,
                range.end.saturating_sub(1)
            )
        });
        let content_type = found
            .attributes
            .content_type
            .unwrap_or_else(|| content_type::of(&input.key).to_owned());
        Ok(S3Response::new(GetObjectOutput {
            accept_ranges: Some("bytes".to_owned()),
            content_length: i64::try_from(range.end - range.start).ok(),
            content_range,
            content_type: Some(content_type),
            content_encoding: found.attributes.content_encoding,
            content_disposition: found.attributes.content_disposition,
            content_language: found.attributes.content_language,
            cache_control: found.attributes.cache_control,
            metadata: found.attributes.user_metadata,
            last_modified: Some(found.version.last_modified()),
            e_tag: Some(found.version.etag()),
            server_side_encryption: found
                .state
                .kms_key_arn
                .is_some()
                .then(|| ServerSideEncryption::from_static(ServerSideEncryption::AWS_KMS)),
            ssekms_key_id: found.state.kms_key_arn,
            restore: found.state.restore,
            storage_class: found
                .state
                .storage_class
                .filter(|class| class != "STANDARD")
                .map(StorageClass::from),
            body: Some(StreamingBlob::wrap(file::stream(
                found.file,
                found.version,
                range,
            ))),
            ..Default::default()
        }))
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let mut request = request;
        // S3 gives no more than this at once, whatever is asked.
        request.input.max_keys = Some(request.input.max_keys.unwrap_or(1000).min(1000));
        let bucket = request.input.bucket.clone();
        let encoded = request.input.encoding_type.is_some();
        let mut response = self.inner.list_objects_v2(request).await?;
        for object in response.output.contents.iter_mut().flatten() {
            let path = object.key.as_ref().and_then(|key| self.path(&bucket, key));
            let Some(path) = path else { continue };
            if let Ok(metadata) = tokio::fs::metadata(path).await {
                let version = Version::of(&metadata);
                object.e_tag = Some(version.etag());
                object.last_modified = Some(version.last_modified());
                let state = object.key.as_ref().map(|key| self.states.get(&bucket, key));
                let class = state.and_then(|state| state.storage_class);
                let class = class.unwrap_or_else(|| "STANDARD".to_owned());
                object.storage_class = Some(class.into());
            }
        }
        if encoded {
            encode_keys(&mut response.output);
        }
        Ok(response)
    }

    async fn list_objects(
        &self,
        request: S3Request<ListObjectsInput>,
    ) -> S3Result<S3Response<ListObjectsOutput>> {
        let marker = request.input.marker.clone();
        let mut request = request.map_input(ListObjectsV2Input::from);
        request.input.start_after.clone_from(&marker);
        let response = self.list_objects_v2(request).await?;
        Ok(response.map_output(|v2| ListObjectsOutput {
            contents: v2.contents,
            common_prefixes: v2.common_prefixes,
            delimiter: v2.delimiter,
            encoding_type: v2.encoding_type,
            name: v2.name,
            prefix: v2.prefix,
            max_keys: v2.max_keys,
            is_truncated: v2.is_truncated,
            marker,
            next_marker: v2.next_continuation_token,
            ..Default::default()
        }))
    }

    async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let mut request = request;
        let (bucket, key) = (request.input.bucket.clone(), request.input.key.clone());
        if !self.root.join(&bucket).is_dir() {
            return Err(s3_error!(
                NoSuchBucket,
                "The specified bucket does not exist"
            ));
        }
        let _guard = self
            .admit_write(
                &bucket,
                &key,
                request.input.if_match.take(),
                request.input.if_none_match.take(),
            )
            .await?;
        let mut response = self.inner.put_object(request).await?;
        if let Some((etag, _)) = self.stamped(&bucket, &key).await {
            response.output.e_tag = Some(etag);
        }
        Ok(response)
    }

    async fn copy_object(
        &self,
        request: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        let mut request = request;
        let input = &mut request.input;
        let (bucket, key) = (input.bucket.clone(), input.key.clone());
        if let CopySource::Bucket {
            bucket: source,
            key: source_key,
            ..
        } = &input.copy_source
        {
            let conditions = Conditions {
                if_match: input.copy_source_if_match.take(),
                if_none_match: input.copy_source_if_none_match.take(),
                if_modified_since: input.copy_source_if_modified_since.take(),
                if_unmodified_since: input.copy_source_if_unmodified_since.take(),
            };
            let Some((_, version)) = self.open(source, source_key).await else {
                return Err(s3_error!(NoSuchKey, "The specified key does not exist."));
            };
            // A copy answers 412 where a read would answer 304.
            conditions
                .check(&version)
                .map_err(|_| conditions::failed())?;
        }
        // Conditions on the target are newer than the model of `s3s`.
        let condition = |name: &str| {
            let value = request.headers.get(name)?;
            ETagCondition::parse_http_header(value.as_bytes()).ok()
        };
        let (if_match, if_none_match) = (condition("if-match"), condition("if-none-match"));
        let guard = self
            .admit_write(&bucket, &key, if_match, if_none_match)
            .await?;
        let mut response = self.inner.copy_object(request).await?;
        let stamped = self.stamped(&bucket, &key).await;
        drop(guard);
        if let (Some(result), Some((etag, modified))) =
            (&mut response.output.copy_object_result, stamped)
        {
            result.e_tag = Some(etag);
            result.last_modified = Some(modified);
        }
        Ok(response)
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let mut request = request;
        let (bucket, key) = (request.input.bucket.clone(), request.input.key.clone());
        let _guard = self
            .admit_write(
                &bucket,
                &key,
                request.input.if_match.take(),
                request.input.if_none_match.take(),
            )
            .await?;
        let mut response = self.inner.complete_multipart_upload(request).await?;
        let stamped = self.stamped(&bucket, &key).await;
        // `s3s-fs` has finished the work by now; its future only carries the answer.
        response.output = match response.output.future.take() {
            Some(future) => future.await?,
            None => response.output,
        };
        if let Some((etag, _)) = stamped {
            response.output.e_tag = Some(etag);
        }
        Ok(response)
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let (bucket, key) = (request.input.bucket.clone(), request.input.key.clone());
        if self.path(&bucket, &key).is_none() {
            return Ok(S3Response::new(DeleteObjectOutput::default()));
        }
        let response = self.inner.delete_object(request).await?;
        self.forget(&bucket, &key).await;
        Ok(response)
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let bucket = request.input.bucket.clone();
        let quiet = request.input.delete.quiet == Some(true);
        let mut response = self.inner.delete_objects(request).await?;
        for object in response.output.deleted.iter().flatten() {
            if let Some(key) = &object.key {
                self.forget(&bucket, key).await;
            }
        }
        if quiet {
            response.output.deleted = None;
        }
        Ok(response)
    }

    async fn get_bucket_policy(
        &self,
        request: S3Request<GetBucketPolicyInput>,
    ) -> S3Result<S3Response<GetBucketPolicyOutput>> {
        let bucket = &request.input.bucket;
        if !self.root.join(bucket).is_dir() {
            return Err(s3_error!(
                NoSuchBucket,
                "The specified bucket does not exist"
            ));
        }
        match self.directory.bucket_policy(bucket) {
            Some(policy) => Ok(S3Response::new(GetBucketPolicyOutput {
                policy: Some(policy),
            })),
            None => Err(s3_error!(
                NoSuchBucketPolicy,
                "The bucket policy does not exist"
            )),
        }
    }

    async fn get_bucket_location(
        &self,
        request: S3Request<GetBucketLocationInput>,
    ) -> S3Result<S3Response<GetBucketLocationOutput>> {
        let region = self.directory.bucket_region(&request.input.bucket);
        let mut response = self.inner.get_bucket_location(request).await?;
        response.output.location_constraint = region
            .filter(|region| region != "us-east-1")
            .map(BucketLocationConstraint::from);
        Ok(response)
    }

    async fn head_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        let region = self.directory.bucket_region(&request.input.bucket);
        let mut response = self.inner.head_bucket(request).await?;
        response.output.bucket_region = region;
        Ok(response)
    }

    async fn create_bucket(
        &self,
        request: S3Request<CreateBucketInput>,
    ) -> S3Result<S3Response<CreateBucketOutput>> {
        self.inner.create_bucket(request).await
    }

    async fn delete_bucket(
        &self,
        request: S3Request<DeleteBucketInput>,
    ) -> S3Result<S3Response<DeleteBucketOutput>> {
        let path = self.root.join(&request.input.bucket);
        if std::fs::read_dir(path).is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(s3_error!(
                BucketNotEmpty,
                "The bucket you tried to delete is not empty"
            ));
        }
        self.inner.delete_bucket(request).await
    }

    async fn list_buckets(
        &self,
        request: S3Request<ListBucketsInput>,
    ) -> S3Result<S3Response<ListBucketsOutput>> {
        self.inner.list_buckets(request).await
    }

    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        self.inner.create_multipart_upload(request).await
    }

    async fn upload_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        self.inner.upload_part(request).await
    }

    async fn upload_part_copy(
        &self,
        request: S3Request<UploadPartCopyInput>,
    ) -> S3Result<S3Response<UploadPartCopyOutput>> {
        self.inner.upload_part_copy(request).await
    }

    async fn list_parts(
        &self,
        request: S3Request<ListPartsInput>,
    ) -> S3Result<S3Response<ListPartsOutput>> {
        self.inner.list_parts(request).await
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        self.inner.abort_multipart_upload(request).await
    }
}

/// Everything but what never needs it in a URL; `/` stays, as S3 leaves it.
const IN_LISTINGS: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'/')
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'*');

/// Encodes what `encoding-type=url` asks to be encoded; boto3 always asks.
fn encode_keys(output: &mut ListObjectsV2Output) {
    let encode = |text: &mut Option<String>| {
        if let Some(text) = text {
            *text = utf8_percent_encode(text, IN_LISTINGS).to_string();
        }
    };
    for object in output.contents.iter_mut().flatten() {
        encode(&mut object.key);
    }
    for common in output.common_prefixes.iter_mut().flatten() {
        encode(&mut common.prefix);
    }
    encode(&mut output.prefix);
    encode(&mut output.delimiter);
    encode(&mut output.start_after);
}
