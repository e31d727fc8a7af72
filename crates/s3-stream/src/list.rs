//! Listing, page by page.

use aws_sdk_s3::{
    Client, operation::RequestId, operation::list_objects_v2::ListObjectsV2Output, types::Object,
};
use futures::{StreamExt, TryStreamExt, stream, stream::BoxStream};
use object_store::{ListResult, ObjectMeta, Result, path::Path};

use crate::{S3Stream, key, metadata::timestamp, meter::Operation};

/// Where a listing stands.
enum Page {
    First,
    After(String),
    End,
}

impl S3Stream {
    pub(crate) fn list_from(
        &self,
        prefix: Option<&Path>,
        offset: Option<&Path>,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let store = self.clone();
        let prefix = key::prefix(prefix);
        let offset = offset.cloned();
        // A listing of a directory bucket is in no order, and begins nowhere else (S3 API Reference, "ListObjectsV2").
        let by_s3 = self.settings().list_start_after && !self.bucket().ends_with("--x-s3");
        let start_after = offset.clone().filter(|_| by_s3).map(String::from);
        let pages = stream::try_unfold((store, Page::First), move |(store, page)| {
            let (prefix, offset) = (prefix.clone(), start_after.clone());
            async move {
                let token = match page {
                    Page::First => None,
                    Page::After(token) => Some(token),
                    Page::End => return Ok(None),
                };
                let output = store.list_page(prefix, offset, None, token).await?;
                let next = output
                    .next_continuation_token
                    .clone()
                    .map_or(Page::End, Page::After);
                Ok::<_, object_store::Error>(Some((
                    objects(output.contents.unwrap_or_default()),
                    (store, next),
                )))
            }
        });
        pages
            .map_ok(|objects| stream::iter(objects.into_iter().map(Ok)))
            .try_flatten()
            .try_filter(move |object| {
                let after = offset
                    .as_ref()
                    .is_none_or(|offset| object.location > *offset);
                std::future::ready(after)
            })
            .boxed()
    }

    pub(crate) async fn list_level(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let prefix = key::prefix(prefix);
        let mut result = ListResult {
            common_prefixes: Vec::new(),
            objects: Vec::new(),
        };
        let mut token = None;
        loop {
            let output = self
                .list_page(prefix.clone(), None, Some("/"), token)
                .await?;
            for common in output.common_prefixes.unwrap_or_default() {
                result
                    .common_prefixes
                    .push(Path::parse(common.prefix.unwrap_or_default())?);
            }
            result
                .objects
                .extend(objects(output.contents.unwrap_or_default()));
            match output.next_continuation_token {
                Some(next) => token = Some(next),
                None => return Ok(result),
            }
        }
    }

    async fn list_page(
        &self,
        prefix: Option<String>,
        offset: Option<String>,
        delimiter: Option<&str>,
        token: Option<String>,
    ) -> Result<ListObjectsV2Output> {
        let what = format!(
            "s3://{}/{}",
            self.bucket(),
            prefix.as_deref().unwrap_or_default()
        );
        let request = |client: Client| {
            client
                .list_objects_v2()
                .bucket(self.bucket())
                .set_prefix(prefix.clone())
                .set_delimiter(delimiter.map(str::to_owned))
                .set_start_after(offset.clone())
                .set_continuation_token(token.clone())
                .set_request_payer(self.request_payer())
                .send()
        };
        let page = self
            .send(&what, Operation::List, request)
            .await
            .map_err(|error| error.into_object_store(&what))?;
        self.meter().answered(page.request_id(), None);
        Ok(page)
    }
}

/// Objects as `object_store` has them. Keys that no [`Path`] can name, such as folder markers that end in a slash, are left out.
fn objects(contents: Vec<Object>) -> Vec<ObjectMeta> {
    contents
        .into_iter()
        .filter_map(|object| {
            let key = object.key?;
            let location = Path::parse(&key).ok().filter(|path| path.as_ref() == key)?;
            Some(ObjectMeta {
                location,
                last_modified: object
                    .last_modified
                    .as_ref()
                    .map(timestamp)
                    .unwrap_or_default(),
                size: object
                    .size
                    .and_then(|size| u64::try_from(size).ok())
                    .unwrap_or_default(),
                e_tag: object.e_tag,
                version: None,
            })
        })
        .collect()
}
