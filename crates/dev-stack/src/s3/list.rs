//! Listings, with the `ETag` and storage class that `s3s-fs` leaves out.

use std::time::SystemTime;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use s3s::dto::{
    ETag, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output, Object,
};
use s3s::{S3, S3Request, S3Response, S3Result};

use super::file::Version;
use super::store::Store;

impl Store {
    pub(super) async fn list_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        let mut request = request;
        // S3 gives no more than this at once, whatever is asked.
        request.input.max_keys = Some(request.input.max_keys.unwrap_or(1000).min(1000));
        let bucket = request.input.bucket.clone();
        let encoded = request.input.encoding_type.is_some();
        let is_whole = request.input.continuation_token.is_none()
            && request.input.start_after.is_none()
            && request.input.delimiter.is_none();
        let prefix = request.input.prefix.clone().unwrap_or_default();
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
        if is_whole && response.output.is_truncated != Some(true) {
            self.add_listed(&bucket, &prefix, &mut response.output);
        }
        if encoded {
            encode_keys(&mut response.output);
        }
        Ok(response)
    }

    /// Adds the keys that no folder holds, where the listing is one page.
    fn add_listed(&self, bucket: &str, prefix: &str, output: &mut ListObjectsV2Output) {
        let listed = self.states.listed(bucket, prefix);
        if listed.is_empty() {
            return;
        }
        let contents = output.contents.get_or_insert_default();
        contents.extend(listed.into_iter().map(|(key, size)| Object {
            key: Some(key),
            size: i64::try_from(size).ok(),
            e_tag: Some(ETag::Strong(format!("{size:x}"))),
            last_modified: Some(SystemTime::UNIX_EPOCH.into()),
            storage_class: Some("STANDARD".to_owned().into()),
            ..Object::default()
        }));
        contents.sort_by(|a, b| a.key.cmp(&b.key));
        output.key_count = i32::try_from(contents.len()).ok();
    }

    pub(super) async fn list_v1(
        &self,
        request: S3Request<ListObjectsInput>,
    ) -> S3Result<S3Response<ListObjectsOutput>> {
        let marker = request.input.marker.clone();
        let mut request = request.map_input(ListObjectsV2Input::from);
        request.input.start_after.clone_from(&marker);
        let response = self.list_v2(request).await?;
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
