//! One connection alone, from a store that is near, becomes slow while it brings the rest.

use std::{
    ops::Range,
    sync::{Arc, Mutex, Weak},
    time::{Duration, Instant},
};

use aws_sdk_s3::primitives::SdkBody;
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture},
    orchestrator::{HttpRequest, HttpResponse},
};
use bytes::Bytes;
use flowlake_s3_stream::{Clock, S3Stream, S3StreamSettings};
use futures::{StreamExt, stream};
use http_body_util::StreamBody;
use object_store::{ObjectStoreExt, path::Path};

use super::{
    object::Version,
    server::{client, parse_range},
};

const MIB: usize = 1 << 20;
const LENGTH: usize = 128 * MIB;
/// What a connection brings at once; the rest of a body comes at 64 MB a second.
const FAST: usize = 40 * MIB;
const PIECE: usize = 64 << 10;

/// The time of the test's runtime, which passes only while everybody waits.
#[derive(Debug)]
struct PausedClock;

impl Clock for PausedClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the clock that the store asks"
    )]
    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

#[derive(Debug, Clone)]
struct Slowing {
    version: Version,
    asked: Arc<Mutex<Vec<Range<usize>>>>,
    /// Lives as long as the bodies do.
    bodies: Weak<()>,
}

impl Slowing {
    fn answer(&self, request: &HttpRequest, body_lives: Arc<()>) -> HttpResponse {
        let size = self.version.bytes.len();
        let range = request
            .headers()
            .get("range")
            .map(|text| parse_range(text, size));
        let (status, body, length) = match &range {
            None => (200, SdkBody::empty(), size),
            Some(range) => {
                self.asked.lock().unwrap().push(range.clone());
                let mut rest = self.version.bytes.slice(range.clone());
                let length = rest.len();
                let fast = rest.split_to(FAST.min(length));
                let slow = stream::unfold(rest, |mut rest| async move {
                    let piece = rest.split_to(PIECE.min(rest.len()));
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    (!piece.is_empty()).then_some((piece, rest))
                });
                let pieces = stream::iter([fast]).chain(slow).map(move |piece: Bytes| {
                    let _lives = &body_lives;
                    std::io::Result::Ok(http_body::Frame::data(piece))
                });
                (206, SdkBody::from_body_1_x(StreamBody::new(pieces)), length)
            }
        };
        let mut response = HttpResponse::new(status.try_into().unwrap(), body);
        let headers = response.headers_mut();
        headers.insert("etag", self.version.etag.clone());
        headers.insert("last-modified", "Thu, 01 Jan 2026 00:00:00 GMT");
        headers.insert("content-length", length.to_string());
        if let Some(range) = range {
            let text = format!("bytes {}-{}/{size}", range.start, range.end - 1);
            headers.insert("content-range", text);
        }
        response
    }
}

impl HttpConnector for Slowing {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let lives = self.bodies.upgrade().unwrap();
        HttpConnectorFuture::ready(Ok(self.answer(&request, lives)))
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_connection_that_became_slow_has_not_brought_is_asked_for_in_parts() {
    let bodies = Arc::new(());
    let server = Slowing {
        version: Version::new(1, LENGTH),
        asked: Arc::default(),
        bodies: Arc::downgrade(&bodies),
    };
    let settings = S3StreamSettings::default();
    let part = usize::try_from(settings.part_bytes).unwrap();
    let store = S3Stream::builder(client(server.clone()), "lake")
        .with_settings(settings)
        .with_clock(Arc::new(PausedClock))
        .build()
        .unwrap();
    let result = store.get(&Path::from("x")).await.unwrap();
    assert!(result.bytes().await.unwrap() == server.version.bytes);

    let asked = server.asked.lock().unwrap().clone();
    let long: Vec<_> = asked.iter().filter(|range| range.len() > part).collect();
    let [all_the_rest] = long[..] else {
        panic!("one connection alone is tried once: {asked:?}")
    };
    assert_eq!(all_the_rest.end, LENGTH);
    // It was believed as long as it was fast, and given up at the end of a stretch of 32 MiB that was slow.
    let restarted = asked.iter().skip_while(|range| *range != all_the_rest);
    let restarted: Vec<_> = restarted.collect();
    let restarted = &restarted[1..];
    let given_up_at = restarted[0].start - all_the_rest.start;
    assert!((FAST..=FAST + 32 * MIB).contains(&given_up_at), "{asked:?}");
    assert!(restarted.is_sorted_by(|a, b| a.end == b.start), "{asked:?}");
    assert_eq!(Arc::strong_count(&bodies), 1, "a body is still open");
}
