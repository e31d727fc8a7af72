//! One ranged GET, pinned to a version, resumed where its body breaks off.

use std::{ops::Range, sync::Arc, time::Instant};

use aws_sdk_s3::{
    operation::{RequestId, get_object::GetObjectOutput},
    primitives::ByteStream,
};
use bytes::Bytes;
use futures::{FutureExt, Stream, stream};

use crate::{Error, ErrorKind, ObjectMetadata, S3Stream, key, meter::Operation};

/// The state of one range while it is read.
struct RangeRead {
    store: S3Stream,
    metadata: Arc<ObjectMetadata>,
    what: String,
    /// What is still to come.
    rest: Range<u64>,
    body: Option<ByteStream>,
    started: Instant,
    /// Tries since the last progress.
    attempt: u32,
}

impl S3Stream {
    /// The bytes of `range` of the pinned version, as they arrive.
    ///
    /// A body that ends early, breaks or stalls is asked for again from the next missing byte; each piece of progress
    /// renews the attempts.
    pub(crate) fn read_range(
        &self,
        metadata: Arc<ObjectMetadata>,
        range: Range<u64>,
    ) -> impl Stream<Item = Result<Bytes, Error>> + Send + use<> {
        let reading = RangeRead {
            what: key::display(self.bucket(), &metadata.location),
            started: self.clock().now(),
            store: self.clone(),
            metadata,
            rest: range,
            body: None,
            attempt: 1,
        };
        stream::try_unfold(reading, |mut reading| async move {
            Ok(reading.next().await?.map(|bytes| (bytes, reading)))
        })
    }
}

impl S3Stream {
    /// No bytes, once a GET has confirmed that the object is empty.
    ///
    /// No range of an empty object can be asked for, so no answer to a range would show that HEAD was wrong.
    pub(crate) async fn read_nothing(&self, metadata: Arc<ObjectMetadata>) -> Result<(), Error> {
        let what = key::display(self.bucket(), &metadata.location);
        let request = |client: aws_sdk_s3::Client| {
            client
                .get_object()
                .bucket(self.bucket())
                .key(metadata.location.as_ref())
                .set_if_match(metadata.etag.clone())
                .set_version_id(metadata.version_id.clone())
                .set_request_payer(self.request_payer())
                .send()
        };
        let result = match self.send(&what, Operation::Get, request).await {
            Ok(output) if output.content_length == Some(0) && output.e_tag == metadata.etag => {
                self.meter().answered(output.request_id(), None);
                return Ok(());
            }
            Ok(_) => Err(Error::new(
                ErrorKind::ObjectChanged,
                format!("{what}: it was empty and is no longer"),
            )),
            Err(error) => Err(changed_or(&what, error)),
        };
        if result
            .as_ref()
            .is_err_and(|error| error.kind() == ErrorKind::ObjectChanged)
        {
            self.forget(&metadata).await;
        }
        result
    }
}

impl RangeRead {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        while self.rest.start < self.rest.end {
            let error = match self.try_next().await {
                Ok(Some(bytes)) => {
                    self.attempt = 1;
                    return Ok(Some(bytes));
                }
                Ok(None) => Error::new(
                    ErrorKind::Corrupt,
                    format!(
                        "{}: the body ended {} bytes early",
                        self.what,
                        self.rest.end - self.rest.start
                    ),
                ),
                Err(error) => error,
            };
            self.body = None;
            if !error.is_retryable() {
                return Err(error);
            }
            self.attempt = self.store.next_attempt(error, self.attempt).await?;
        }
        Ok(None)
    }

    /// The next piece of the present body; `None` when the body has ended.
    async fn try_next(&mut self) -> Result<Option<Bytes>, Error> {
        let body = match &mut self.body {
            Some(body) => body,
            none => none.insert(
                open(
                    &self.store,
                    &self.metadata,
                    &self.what,
                    &self.rest,
                    self.started,
                )
                .await?,
            ),
        };
        let limit = self.store.settings().stall_timeout();
        let piece = tokio::time::timeout(limit, body.next())
            .await
            .map_err(|_elapsed| {
                Error::new(
                    ErrorKind::Stalled,
                    format!("{}: no byte within {} ms", self.what, limit.as_millis()),
                )
            })?;
        let Some(piece) = piece else { return Ok(None) };
        let bytes = piece.map_err(|error| {
            Error::new(
                ErrorKind::Unavailable,
                format!("{}: the body broke off", self.what),
            )
            .with_source(error)
        })?;
        self.store.meter().received(bytes.len() as u64);
        let wanted = self.rest.end - self.rest.start;
        if bytes.len() as u64 > wanted {
            return Err(Error::new(
                ErrorKind::Corrupt,
                format!("{}: S3 sent more bytes than were asked for", self.what),
            ));
        }
        self.rest.start += bytes.len() as u64;
        Ok(Some(bytes))
    }
}

/// Sends the GET for `range`, and checks that the answer is that range of the pinned version.
async fn open(
    store: &S3Stream,
    metadata: &ObjectMetadata,
    what: &str,
    range: &Range<u64>,
    started: Instant,
) -> Result<ByteStream, Error> {
    let is_whole = *range == (0..metadata.size);
    let header = format!("bytes={}-{}", range.start, range.end - 1);
    let request = |client: aws_sdk_s3::Client| {
        let get = client
            .get_object()
            .bucket(store.bucket())
            .key(metadata.location.as_ref())
            .set_if_match(metadata.etag.clone())
            .set_version_id(metadata.version_id.clone())
            .set_request_payer(store.request_payer());
        if !is_whole {
            return get.range(&header).send().left_future();
        }
        // S3 names the checksum of the whole object only where no range is asked for. Were it asked for in the SDK's own way,
        // the SDK would verify it too.
        get.customize()
            .mutate_request(|request| {
                let headers = request.headers_mut();
                headers.insert("x-amz-checksum-mode", "ENABLED");
            })
            .send()
            .right_future()
    };
    let output = match store.send_once(what, Operation::Get, request).await {
        Ok(output) => output,
        Err(error) => {
            let error = changed_or(what, error);
            if error.kind() == ErrorKind::ObjectChanged {
                store.forget(metadata).await;
            }
            return Err(error);
        }
    };
    store.meter().answered(
        output.request_id(),
        Some(store.clock().now().saturating_duration_since(started)),
    );
    let answered = verify_head(what, metadata, range, &header, &output);
    if answered.is_ok() {
        store.learn(metadata, &output);
    }
    if answered
        .as_ref()
        .is_err_and(|error| error.kind() == ErrorKind::ObjectChanged)
    {
        store.forget(metadata).await;
    }
    answered.map(|()| output.body)
}

/// Whether the head of an answer announces what was asked for.
fn verify_head(
    what: &str,
    metadata: &ObjectMetadata,
    range: &Range<u64>,
    asked: &str,
    output: &GetObjectOutput,
) -> Result<(), Error> {
    let changed = |why: String| {
        Err(Error::new(
            ErrorKind::ObjectChanged,
            format!("{what}: {why}"),
        ))
    };
    if metadata.etag.is_some() && output.e_tag != metadata.etag {
        return changed("the answer has another ETag than was asked for".to_owned());
    }
    let length = output
        .content_length
        .and_then(|length| u64::try_from(length).ok());
    let told = match output.content_range() {
        Some(text) => parse_content_range(text),
        // All of it.
        None if *range == (0..metadata.size) => {
            length.map(|length| (0, length.saturating_sub(1), length))
        }
        None => None,
    };
    let Some((first, last, size)) = told else {
        return Err(Error::new(
            ErrorKind::Corrupt,
            format!("{what}: {asked} was asked for, and the answer does not say what it is"),
        ));
    };
    if size != metadata.size {
        return changed(format!("it had {} bytes and has {size}", metadata.size));
    }
    let expected = range.end - range.start;
    if (first, last) != (range.start, range.end - 1)
        || length.is_some_and(|length| length != expected)
    {
        return Err(Error::new(
            ErrorKind::Corrupt,
            format!(
                "{what}: {asked} was asked for, and bytes {first}-{last} came, {length:?} of them"
            ),
        ));
    }
    Ok(())
}

/// A pin that does not hold means that the object changed, whichever way S3 says so.
fn changed_or(what: &str, error: Error) -> Error {
    match error.kind() {
        ErrorKind::Precondition | ErrorKind::InvalidRange | ErrorKind::NoSuchKey => Error::new(
            ErrorKind::ObjectChanged,
            format!("{what}: the object changed while it was read"),
        )
        .with_source(error),
        _ => error,
    }
}

/// First byte, last byte and size of `bytes 0-99/1234` (RFC 9110, section 14.4).
fn parse_content_range(text: &str) -> Option<(u64, u64, u64)> {
    let (range, size) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    Some((first.parse().ok()?, last.parse().ok()?, size.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::parse_content_range;

    #[test]
    fn content_ranges_are_read() {
        assert_eq!(parse_content_range("bytes 0-99/1234"), Some((0, 99, 1234)));
        for text in ["", "bytes */1234", "bytes 0-99/*", "0-99/1234", "bytes 0/1"] {
            assert_eq!(parse_content_range(text), None, "{text}");
        }
    }
}
