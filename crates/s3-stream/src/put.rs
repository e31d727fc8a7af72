//! Writing and deleting: complete, so that results can be written back. Reading is what this crate makes fast.

use aws_sdk_s3::{Client, primitives::ByteStream, types::StorageClass};
use bytes::Bytes;
use object_store::{
    Attribute, Attributes, PutMode, PutOptions, PutPayload, PutResult, Result, path::Path,
};

use crate::{ErrorKind, S3Stream, key, meter::Operation};

impl S3Stream {
    pub(crate) async fn put_object(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let what = key::display(self.bucket(), location);
        let (if_match, if_none_match) = match &options.mode {
            PutMode::Overwrite => (None, None),
            PutMode::Create => (None, Some("*".to_owned())),
            PutMode::Update(version) => (version.e_tag.clone(), None),
        };
        let bytes = Bytes::from(payload);
        let headers = Headers::new(&options.attributes);
        let request = |client: Client| {
            client
                .put_object()
                .bucket(self.bucket())
                .key(location.as_ref())
                .set_if_match(if_match.clone())
                .set_if_none_match(if_none_match.clone())
                .set_content_type(headers.get(&Attribute::ContentType))
                .set_content_encoding(headers.get(&Attribute::ContentEncoding))
                .set_content_language(headers.get(&Attribute::ContentLanguage))
                .set_content_disposition(headers.get(&Attribute::ContentDisposition))
                .set_cache_control(headers.get(&Attribute::CacheControl))
                .set_storage_class(headers.storage_class())
                .set_metadata(headers.metadata())
                .set_tagging(
                    Some(options.tags.encoded().to_owned()).filter(|tags| !tags.is_empty()),
                )
                .set_request_payer(self.request_payer())
                .body(ByteStream::from(bytes.clone()))
                .send()
        };
        let result = self.send(&what, Operation::Put, request).await;
        self.invalidate(location).await;
        match result {
            Ok(output) => Ok(PutResult {
                e_tag: output.e_tag,
                version: output.version_id,
            }),
            Err(error)
                if error.kind() == ErrorKind::Precondition && options.mode == PutMode::Create =>
            {
                Err(object_store::Error::AlreadyExists {
                    path: location.to_string(),
                    source: Box::new(error),
                })
            }
            // What was to be updated is gone.
            Err(error)
                if error.kind() == ErrorKind::NoSuchKey
                    && matches!(options.mode, PutMode::Update(_)) =>
            {
                Err(object_store::Error::Precondition {
                    path: location.to_string(),
                    source: Box::new(error),
                })
            }
            Err(error) => Err(error.into_object_store(location.as_ref())),
        }
    }

    pub(crate) async fn delete_object(&self, location: &Path) -> Result<()> {
        let what = key::display(self.bucket(), location);
        let request = |client: Client| {
            client
                .delete_object()
                .bucket(self.bucket())
                .key(location.as_ref())
                .set_request_payer(self.request_payer())
                .send()
        };
        let result = self.send(&what, Operation::Delete, request).await;
        self.invalidate(location).await;
        match result {
            Ok(_) => Ok(()),
            // What is gone already is deleted: S3 itself answers so, stand-ins do not.
            Err(error) if error.kind() == ErrorKind::NoSuchKey => Ok(()),
            Err(error) => Err(error.into_object_store(location.as_ref())),
        }
    }
}

/// Attributes as the headers of a PUT.
pub(crate) struct Headers<'attributes>(&'attributes Attributes);

impl<'attributes> Headers<'attributes> {
    pub(crate) const fn new(attributes: &'attributes Attributes) -> Self {
        Self(attributes)
    }

    pub(crate) fn get(&self, name: &Attribute) -> Option<String> {
        self.0.get(name).map(|value| value.to_string())
    }

    pub(crate) fn storage_class(&self) -> Option<StorageClass> {
        let class = self.get(&Attribute::StorageClass)?;
        Some(class.as_str().into())
    }

    pub(crate) fn metadata(&self) -> Option<std::collections::HashMap<String, String>> {
        let pairs: std::collections::HashMap<_, _> = self
            .0
            .iter()
            .filter_map(|(name, value)| match name {
                Attribute::Metadata(name) => Some((name.to_string(), value.to_string())),
                _ => None,
            })
            .collect();
        (!pairs.is_empty()).then_some(pairs)
    }
}
