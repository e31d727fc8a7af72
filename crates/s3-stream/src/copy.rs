//! Copying on S3's side: at once, or in parts where S3 wants parts.

use std::ops::Range;

use aws_sdk_s3::{
    Client,
    types::{CompletedMultipartUpload, CompletedPart},
};
use object_store::{Attribute, PutMode, PutOptions, PutPayload, Result, path::Path};

use crate::{Error, ErrorKind, ObjectMetadata, S3Stream, key, meter::Operation};

/// Most bytes that one copy request takes: 5 GB (Amazon S3 User Guide, "Copying, moving, and renaming objects").
const LARGEST_COPY_BYTES: u64 = 5_000_000_000;
/// Bytes of one part of a copy in parts. An upload has 10,000 parts at most, so this does for objects of 10 TB.
const COPY_PART_BYTES: u64 = 1 << 30;

impl S3Stream {
    /// Copies over whatever `to` is.
    pub(crate) async fn copy_over(&self, from: &Path, to: &Path) -> Result<()> {
        let source = self
            .fresh_metadata(from, None)
            .await
            .map_err(|error| error.into_object_store(from.as_ref()))?;
        let result = if source.size > LARGEST_COPY_BYTES {
            Box::pin(self.copy_in_parts(&source, to, None)).await
        } else {
            self.copy_at_once(&source, to).await
        };
        self.invalidate(to).await;
        result.map_err(|error| error.into_object_store(from.as_ref()))
    }

    /// Copies unless `to` exists, which S3 judges when the copy is completed: a copy at once knows no such condition.
    pub(crate) async fn copy_new(&self, from: &Path, to: &Path) -> Result<()> {
        let source = self
            .fresh_metadata(from, None)
            .await
            .map_err(|error| error.into_object_store(from.as_ref()))?;
        if source.size == 0 {
            // Nothing cannot be copied in parts.
            let options = PutOptions {
                mode: PutMode::Create,
                attributes: source.attributes.as_ref().clone(),
                ..PutOptions::default()
            };
            self.put_object(to, PutPayload::default(), options).await?;
            return Ok(());
        }
        let result = Box::pin(self.copy_in_parts(&source, to, Some("*"))).await;
        self.invalidate(to).await;
        result.map_err(|error| {
            if error.kind() == ErrorKind::Precondition {
                return object_store::Error::AlreadyExists {
                    path: to.to_string(),
                    source: Box::new(error),
                };
            }
            error.into_object_store(from.as_ref())
        })
    }

    async fn copy_at_once(&self, source: &ObjectMetadata, to: &Path) -> Result<(), Error> {
        let request = |client: Client| {
            client
                .copy_object()
                .bucket(self.bucket())
                .key(to.as_ref())
                .copy_source(key::copy_source(self.bucket(), &source.location))
                .set_copy_source_if_match(source.etag.clone())
                .set_request_payer(self.request_payer())
                .send()
        };
        let what = key::display(self.bucket(), &source.location);
        self.send(&what, Operation::Put, request).await.map(drop)
    }

    async fn copy_in_parts(
        &self,
        source: &ObjectMetadata,
        to: &Path,
        if_none_match: Option<&str>,
    ) -> Result<(), Error> {
        // As with a copy at once, the class is not taken along.
        let mut attributes = source.attributes.as_ref().clone();
        attributes.remove(&Attribute::StorageClass);
        let upload_id = self.create_upload(to, &attributes, None).await?;
        let copied = self.copy_parts(source, to, &upload_id, if_none_match).await;
        if copied.is_err() {
            // S3 keeps, and charges for, the parts of an upload that is not ended.
            if let Err(error) = self.abort_upload(to, &upload_id).await {
                tracing::warn!(%error, "the parts of a failed copy could not be removed");
            }
        }
        copied
    }

    async fn copy_parts(
        &self,
        source: &ObjectMetadata,
        to: &Path,
        upload_id: &str,
        if_none_match: Option<&str>,
    ) -> Result<(), Error> {
        let what = key::display(self.bucket(), to);
        let mut parts = Vec::new();
        for (number, range) in (1..).zip(ranges(source.size)) {
            let request = |client: Client| {
                client
                    .upload_part_copy()
                    .bucket(self.bucket())
                    .key(to.as_ref())
                    .upload_id(upload_id)
                    .part_number(number)
                    .copy_source(key::copy_source(self.bucket(), &source.location))
                    .copy_source_range(format!("bytes={}-{}", range.start, range.end - 1))
                    .set_copy_source_if_match(source.etag.clone())
                    .set_request_payer(self.request_payer())
                    .send()
            };
            let copied = self.send(&what, Operation::Put, request).await?;
            let result = copied.copy_part_result;
            let part = CompletedPart::builder().part_number(number);
            let part = match result {
                Some(result) => part
                    .set_e_tag(result.e_tag)
                    .set_checksum_crc32(result.checksum_crc32)
                    .set_checksum_crc64_nvme(result.checksum_crc64_nvme),
                None => part,
            };
            parts.push(part.build());
        }
        let upload = CompletedMultipartUpload::builder()
            .set_parts(Some(parts))
            .build();
        let request = |client: Client| {
            client
                .complete_multipart_upload()
                .bucket(self.bucket())
                .key(to.as_ref())
                .upload_id(upload_id)
                .multipart_upload(upload.clone())
                .set_if_none_match(if_none_match.map(str::to_owned))
                .set_request_payer(self.request_payer())
                .send()
        };
        self.send(&what, Operation::Put, request).await.map(drop)
    }
}

/// An object's bytes, cut into parts of a copy.
fn ranges(size: u64) -> impl Iterator<Item = Range<u64>> {
    (0..size.div_ceil(COPY_PART_BYTES)).map(move |part| {
        let start = part * COPY_PART_BYTES;
        start..(start + COPY_PART_BYTES).min(size)
    })
}

#[cfg(test)]
mod tests {
    use super::{COPY_PART_BYTES, ranges};

    #[test]
    fn parts_cover_the_object_once() {
        let size = 5 * COPY_PART_BYTES + 7;
        let all: Vec<_> = ranges(size).collect();
        assert_eq!(all.len(), 6);
        assert_eq!((all[0].start, all[5].end), (0, size));
        assert!(all.windows(2).all(|pair| pair[0].end == pair[1].start));
        assert_eq!(ranges(0).count(), 0);
    }
}
