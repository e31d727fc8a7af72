//! The operations of S3, each handed to where it is done: `read`, `list`, `write`, or `s3s-fs`.

use std::fs::File;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};
use s3s_fs::FileSystem;

use super::file::Version;
use super::object_state::ObjectStates;
use crate::iam::{Context, Decision, Directory};

/// The store behind the S3 stand-in.
#[derive(Debug)]
pub(crate) struct Store {
    pub(super) inner: FileSystem,
    pub(super) root: PathBuf,
    directory: Arc<Directory>,
    pub(super) states: ObjectStates,
    /// Held while a conditional write looks and writes, so that only one of two can win.
    pub(super) conditional_writes: tokio::sync::Mutex<()>,
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
    pub(super) fn path(&self, bucket: &str, key: &str) -> Option<PathBuf> {
        let plain = Path::new(key)
            .components()
            .all(|component| matches!(component, Component::Normal(_)));
        (plain && !key.contains("//") && !key.contains('\0'))
            .then(|| self.root.join(bucket).join(key))
    }

    pub(super) async fn open(&self, bucket: &str, key: &str) -> Option<(File, Version)> {
        let path = self.path(bucket, key)?;
        tokio::task::spawn_blocking(move || {
            let file = File::open(path).ok()?;
            let metadata = file.metadata().ok()?;
            metadata.is_file().then(|| (file, Version::of(&metadata)))
        })
        .await
        .ok()?
    }

    /// Whether the caller's policies allow this too.
    pub(super) fn may<T>(&self, request: &S3Request<T>, action: &str, resource: &str) -> bool {
        let principal = request
            .credentials
            .as_ref()
            .and_then(|credentials| self.directory.principal(&credentials.access_key));
        let outcome =
            self.directory
                .decide(principal.as_ref(), action, resource, &Context::default());
        outcome.decision == Decision::Allowed
    }
}

#[async_trait::async_trait]
impl S3 for Store {
    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        self.head(request).await
    }

    async fn get_object(
        &self,
        request: S3Request<GetObjectInput>,
    ) -> S3Result<S3Response<GetObjectOutput>> {
        self.get(request).await
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        self.list_v2(request).await
    }

    async fn list_objects(
        &self,
        request: S3Request<ListObjectsInput>,
    ) -> S3Result<S3Response<ListObjectsOutput>> {
        self.list_v1(request).await
    }

    async fn put_object(
        &self,
        request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        self.put(request).await
    }

    async fn copy_object(
        &self,
        request: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        self.copy(request).await
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        self.complete(request).await
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.delete(request).await
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        self.delete_many(request).await
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

    async fn get_object_tagging(
        &self,
        request: S3Request<GetObjectTaggingInput>,
    ) -> S3Result<S3Response<GetObjectTaggingOutput>> {
        let input = &request.input;
        if self.open(&input.bucket, &input.key).await.is_none() {
            return Err(s3_error!(NoSuchKey, "The specified key does not exist."));
        }
        let tags = self.states.get(&input.bucket, &input.key).tags;
        let tag_set = tags.into_iter().map(|(key, value)| Tag {
            key: Some(key),
            value: Some(value),
        });
        Ok(S3Response::new(GetObjectTaggingOutput {
            tag_set: tag_set.collect(),
            ..Default::default()
        }))
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
