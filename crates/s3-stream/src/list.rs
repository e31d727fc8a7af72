//! Listing, page by page.

use aws_sdk_s3::{Client, operation::RequestId, operation::list_objects_v2::ListObjectsV2Output};
use futures::{Stream, StreamExt, TryStreamExt, stream, stream::BoxStream};
use object_store::{ListResult, ObjectMeta, Result, path::Path};

use crate::{Error, ListedObject, S3Stream, key, meter::Operation};

/// Where a listing stands.
enum ListState {
    First,
    After(String),
    End,
}

impl S3Stream {
    /// Every object whose key begins with `prefix`, which S3 is sent as it is. Pages are asked for as the stream is read.
    #[must_use]
    pub fn list_objects(&self, prefix: &str) -> BoxStream<'static, Result<ListedObject, Error>> {
        let prefix = (!prefix.is_empty()).then(|| prefix.to_owned());
        self.pages(prefix, None).boxed()
    }

    /// One level of keys and folders that begin with `prefix`, sorted; a folder ends in `/`. Sends one request, so there are at most
    /// 1,000 of them.
    ///
    /// # Errors
    /// Of the listing.
    pub async fn list_begun(&self, prefix: &str) -> Result<Vec<String>, Error> {
        let prefix = (!prefix.is_empty()).then(|| prefix.to_owned());
        let page = self.list_page(prefix, None, Some("/"), None).await?;
        let folders = page.common_prefixes.unwrap_or_default().into_iter();
        let objects = page.contents.unwrap_or_default().into_iter();
        let mut begun: Vec<String> = folders
            .filter_map(|folder| folder.prefix)
            .chain(objects.filter_map(|object| object.key))
            .collect();
        begun.sort_unstable();
        Ok(begun)
    }

    pub(crate) fn list_from(
        &self,
        prefix: Option<&Path>,
        offset: Option<&Path>,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        let prefix = key::prefix(prefix);
        let what = self.what(prefix.as_deref());
        let offset = offset.cloned();
        // A listing of a directory bucket is in no order, and begins nowhere else (S3 API Reference, "ListObjectsV2").
        let by_s3 = self.settings().list_start_after && !self.bucket().ends_with("--x-s3");
        let start_after = offset.clone().filter(|_| by_s3).map(String::from);
        self.pages(prefix, start_after)
            .map_err(move |error| error.into_object_store(&what))
            .try_filter_map(|object| std::future::ready(Ok(object.into_object_meta())))
            .try_filter(move |object| {
                let after = offset
                    .as_ref()
                    .is_none_or(|offset| object.location > *offset);
                std::future::ready(after)
            })
            .boxed()
    }

    fn pages(
        &self,
        prefix: Option<String>,
        start_after: Option<String>,
    ) -> impl Stream<Item = Result<ListedObject, Error>> + Send + use<> {
        let pages = stream::try_unfold((self.clone(), ListState::First), move |(store, page)| {
            let (prefix, start_after) = (prefix.clone(), start_after.clone());
            async move {
                let token = match page {
                    ListState::First => None,
                    ListState::After(token) => Some(token),
                    ListState::End => return Ok(None),
                };
                let output = store.list_page(prefix, start_after, None, token).await?;
                let next = output
                    .next_continuation_token
                    .clone()
                    .map_or(ListState::End, ListState::After);
                let objects = output.contents.unwrap_or_default();
                Ok::<_, Error>(Some((objects, (store, next))))
            }
        });
        pages
            .map_ok(|objects| {
                stream::iter(objects.into_iter().filter_map(ListedObject::of).map(Ok))
            })
            .try_flatten()
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
                .await
                .map_err(|error| error.into_object_store(&self.what(prefix.as_deref())))?;
            for common in output.common_prefixes.unwrap_or_default() {
                result
                    .common_prefixes
                    .push(Path::parse(common.prefix.unwrap_or_default())?);
            }
            let objects = output.contents.unwrap_or_default().into_iter();
            let objects = objects
                .filter_map(ListedObject::of)
                .filter_map(ListedObject::into_object_meta);
            result.objects.extend(objects);
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
    ) -> Result<ListObjectsV2Output, Error> {
        let what = self.what(prefix.as_deref());
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
        let page = self.send(&what, Operation::List, request).await?;
        self.meter().answered(page.request_id(), None);
        Ok(page)
    }

    /// What a listing is called in errors.
    fn what(&self, prefix: Option<&str>) -> String {
        format!("s3://{}/{}", self.bucket(), prefix.unwrap_or_default())
    }
}
