//! Multipart uploads.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use aws_sdk_s3::{
    Client,
    primitives::ByteStream,
    types::{CompletedMultipartUpload, CompletedPart},
};
use bytes::Bytes;
use futures::FutureExt;
use object_store::{
    Attribute, Attributes, MultipartUpload, PutMultipartOptions, PutPayload, PutResult, Result,
    UploadPart, path::Path,
};

use crate::{Error, S3Stream, key, meter::Operation, put::Headers};

/// An upload under way. S3 keeps its parts, and charges for them, until it is completed or aborted.
#[derive(Debug)]
struct Upload {
    store: S3Stream,
    location: Path,
    upload_id: String,
    next_part: i32,
    done: Arc<Mutex<Vec<CompletedPart>>>,
}

impl S3Stream {
    pub(crate) async fn start_multipart(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let tags = Some(options.tags.encoded().to_owned()).filter(|tags| !tags.is_empty());
        let upload_id = self
            .create_upload(location, &options.attributes, tags)
            .await
            .map_err(|error| error.into_object_store(location.as_ref()))?;
        Ok(Box::new(Upload {
            store: self.clone(),
            location: location.clone(),
            upload_id,
            next_part: 1,
            done: Arc::default(),
        }))
    }

    /// Begins an upload and tells its id.
    pub(crate) async fn create_upload(
        &self,
        location: &Path,
        attributes: &Attributes,
        tags: Option<String>,
    ) -> Result<String, Error> {
        let what = key::display(self.bucket(), location);
        let headers = Headers::new(attributes);
        let request = |client: Client| {
            client
                .create_multipart_upload()
                .bucket(self.bucket())
                .key(location.as_ref())
                .set_content_type(headers.get(&Attribute::ContentType))
                .set_content_encoding(headers.get(&Attribute::ContentEncoding))
                .set_content_language(headers.get(&Attribute::ContentLanguage))
                .set_content_disposition(headers.get(&Attribute::ContentDisposition))
                .set_cache_control(headers.get(&Attribute::CacheControl))
                .set_storage_class(headers.storage_class())
                .set_metadata(headers.metadata())
                .set_tagging(tags.clone())
                .set_request_payer(self.request_payer())
                .send()
        };
        let created = self.send(&what, Operation::Put, request).await?;
        Ok(created.upload_id.unwrap_or_default())
    }

    /// Ends an upload and lets its parts go.
    pub(crate) async fn abort_upload(&self, location: &Path, upload_id: &str) -> Result<(), Error> {
        let what = key::display(self.bucket(), location);
        let request = |client: Client| {
            client
                .abort_multipart_upload()
                .bucket(self.bucket())
                .key(location.as_ref())
                .upload_id(upload_id)
                .set_request_payer(self.request_payer())
                .send()
        };
        self.send(&what, Operation::Delete, request).await.map(drop)
    }
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let number = self.next_part;
        self.next_part += 1;
        let (store, location, upload_id, done) = (
            self.store.clone(),
            self.location.clone(),
            self.upload_id.clone(),
            Arc::clone(&self.done),
        );
        async move {
            let what = key::display(store.bucket(), &location);
            let bytes = Bytes::from(data);
            let request = |client: Client| {
                client
                    .upload_part()
                    .bucket(store.bucket())
                    .key(location.as_ref())
                    .set_request_payer(store.request_payer())
                    .upload_id(&upload_id)
                    .part_number(number)
                    .body(ByteStream::from(bytes.clone()))
                    .send()
            };
            let part = store
                .send(&what, Operation::Put, request)
                .await
                .map_err(|error| error.into_object_store(location.as_ref()))?;
            let completed = CompletedPart::builder()
                .part_number(number)
                .set_e_tag(part.e_tag)
                .set_checksum_crc32(part.checksum_crc32)
                .set_checksum_crc64_nvme(part.checksum_crc64_nvme)
                .build();
            done.lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(completed);
            Ok(())
        }
        .boxed()
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let mut parts = self
            .done
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if parts.is_empty() {
            // S3 wants at least one part: an empty object is an empty part.
            self.put_part(PutPayload::default()).await?;
            parts.clone_from(&self.done.lock().unwrap_or_else(PoisonError::into_inner));
        }
        parts.sort_by_key(CompletedPart::part_number);
        let (store, location) = (&self.store, &self.location);
        let what = key::display(store.bucket(), location);
        let upload = CompletedMultipartUpload::builder()
            .set_parts(Some(parts))
            .build();
        let request = |client: Client| {
            client
                .complete_multipart_upload()
                .bucket(store.bucket())
                .key(location.as_ref())
                .upload_id(&self.upload_id)
                .multipart_upload(upload.clone())
                .set_request_payer(store.request_payer())
                .send()
        };
        let result = store.send(&what, Operation::Put, request).await;
        store.invalidate(location).await;
        let output = result.map_err(|error| error.into_object_store(location.as_ref()))?;
        Ok(PutResult {
            e_tag: output.e_tag,
            version: output.version_id,
        })
    }

    async fn abort(&mut self) -> Result<()> {
        let (store, location) = (&self.store, &self.location);
        store
            .abort_upload(location, &self.upload_id)
            .await
            .map_err(|error| error.into_object_store(location.as_ref()))
    }
}
