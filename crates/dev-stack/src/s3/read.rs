//! HEAD and GET: conditions, ranges, and bytes from one version of the file.

use std::fs::File;

use s3s::dto::{
    GetObjectInput, GetObjectOutput, HeadObjectInput, HeadObjectOutput, ServerSideEncryption,
    StorageClass, StreamingBlob,
};
use s3s::{S3Error, S3Request, S3Response, S3Result, s3_error};

use super::conditions::Conditions;
use super::content_type;
use super::file::{self, Version};
use super::object_state::ObjectState;
use super::sidecar::{self, Attributes};
use super::store::Store;

/// An object found, open, at one version.
struct Found {
    file: File,
    version: Version,
    attributes: Attributes,
    state: ObjectState,
}

impl Store {
    pub(super) async fn head(
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

    pub(super) async fn get(
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
}
