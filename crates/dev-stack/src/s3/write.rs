//! Writes: `s3s-fs` does them, under our conditions and with our `ETag`.

use s3s::dto::{
    CompleteMultipartUploadInput, CompleteMultipartUploadOutput, CopyObjectInput, CopyObjectOutput,
    CopySource, DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput,
    ETag, ETagCondition, PutObjectInput, PutObjectOutput, Timestamp,
};
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};

use super::conditions::{self, Conditions};
use super::store::Store;
use super::{file, sidecar};

impl Store {
    pub(super) async fn put(
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

    pub(super) async fn copy(
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

    pub(super) async fn complete(
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

    pub(super) async fn delete(
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

    pub(super) async fn delete_many(
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
