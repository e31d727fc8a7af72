//! One ranged GET, pinned to a version, resumed where its body breaks off.

use std::{ops::Range, sync::Arc, time::Instant};

use aws_sdk_s3::{operation::RequestId, primitives::ByteStream};
use bytes::Bytes;
use futures::{Stream, TryStreamExt, stream};

use crate::{Error, ErrorKind, ObjectMetadata, S3Stream, key, meter::Operation};

/// The state of one range while it is read.
struct Reading {
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
        let reading = Reading {
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

    /// All pieces of `range`, uncopied.
    pub(crate) async fn fetch_range(
        &self,
        metadata: Arc<ObjectMetadata>,
        range: Range<u64>,
    ) -> Result<Vec<Bytes>, Error> {
        self.read_range(metadata, range).try_collect().await
    }
}

impl Reading {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        while self.rest.start < self.rest.end {
            match self.try_next().await {
                Ok(Some(bytes)) => {
                    self.attempt = 1;
                    return Ok(Some(bytes));
                }
                Ok(None) => {
                    self.again(Error::new(
                        ErrorKind::Corrupt,
                        format!(
                            "{}: the body ended {} bytes early",
                            self.what,
                            self.rest.end - self.rest.start
                        ),
                    ))
                    .await?
                }
                Err(error) if error.is_retryable() => self.again(error).await?,
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// The next piece of the present body; `None` when the body has ended.
    async fn try_next(&mut self) -> Result<Option<Bytes>, Error> {
        if self.body.is_none() {
            self.body = Some(self.open().await?);
        }
        let Some(body) = &mut self.body else {
            return Ok(None);
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
        let mut bytes = piece.map_err(|error| {
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
                ErrorKind::Other,
                format!("{}: S3 sent more bytes than were asked for", self.what),
            ));
        }
        self.rest.start += bytes.len() as u64;
        Ok(Some(bytes.split_to(bytes.len())))
    }

    /// Sends the GET for what is still to come, and checks that the answer is that.
    async fn open(&self) -> Result<ByteStream, Error> {
        let (store, metadata, what) = (&self.store, &self.metadata, &self.what);
        let range = format!("bytes={}-{}", self.rest.start, self.rest.end - 1);
        store.meter().sent(Operation::Get);
        let request = store
            .client()
            .get_object()
            .bucket(store.bucket())
            .key(metadata.location.as_ref())
            .range(&range)
            .set_if_match(metadata.etag.clone())
            .set_version_id(metadata.version_id.clone());
        let limit = store.settings().response_timeout();
        let sent = tokio::time::timeout(limit, request.send())
            .await
            .map_err(|_elapsed| {
                Error::new(
                    ErrorKind::Stalled,
                    format!("{what}: no answer within {} ms", limit.as_millis()),
                )
            })?;
        let output = sent.map_err(|error| self.changed_or(Error::from_sdk(what, error)))?;
        store.meter().answered(
            output.request_id(),
            Some(store.clock().now().saturating_duration_since(self.started)),
        );
        let announced = output.content_range().and_then(parse_content_range);
        if announced != Some((self.rest.start, self.rest.end - 1, metadata.size)) {
            return Err(Error::new(
                ErrorKind::ObjectChanged,
                format!(
                    "{what}: {range} of {} bytes was asked for and {:?} came",
                    metadata.size,
                    output.content_range()
                ),
            ));
        }
        if metadata.etag.is_some() && output.e_tag != metadata.etag {
            return Err(Error::new(
                ErrorKind::ObjectChanged,
                format!("{what}: the answer has another ETag than was asked for"),
            ));
        }
        Ok(output.body)
    }

    /// A pin that does not hold means that the object changed, whichever way S3 says so.
    fn changed_or(&self, error: Error) -> Error {
        match error.kind() {
            ErrorKind::Precondition | ErrorKind::InvalidRange => Error::new(
                ErrorKind::ObjectChanged,
                format!("{}: the object changed while it was read", self.what),
            )
            .with_source(error),
            _ => error,
        }
    }

    /// Waits before another try, or gives the error back when there is none left.
    async fn again(&mut self, error: Error) -> Result<(), Error> {
        self.body = None;
        if self.attempt >= self.store.settings().attempts {
            return Err(error);
        }
        tracing::debug!(%error, attempt = self.attempt, from = self.rest.start, "a read from S3 is resumed");
        self.store.back_off(&error, self.attempt).await;
        self.attempt += 1;
        Ok(())
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
