//! Bodies of requests and answers with a code for each piece, so that nothing but what the other node has sent is decoded.
//!
//! Messages of rows hold lengths that their decoder takes at their word. What was damaged on its way, was cut off or belongs to
//! another request must not get that far. A body is therefore sent in frames: length, bytes, and a code (HMAC-SHA256) over both,
//! the frame's number and, in the last frame, the trailers. The key of the code is made of the secret of the cluster and of what
//! is alike for one request only: a random number in its header, its path, and the headers that the receiver acts on.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac, rand};
use bytes::{BufMut, Bytes, BytesMut};
use futures::{TryFutureExt, future::BoxFuture};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri};
use http_body::Frame;
use tonic::{Status, body::Body, server::NamedService};
use tower::Service;

use super::secret::{ClusterSecret, SECRET};

/// The header with the random number of a request.
const NUMBER: HeaderName = HeaderName::from_static("x-flowlake-request");
/// Headers that the key of a request depends on, by the beginnings of their names.
const COVERED: [&str; 2] = ["x-flowlake-", "x-datafusion-"];
/// What an error of the engine is made of again. Only that of a trailer has a code.
const DETAILS: &str = "grpc-status-details-bin";
const STATUS: [&str; 3] = ["grpc-status", "grpc-message", DETAILS];
/// Bytes of a frame, at most.
const LARGEST: usize = 256 << 10;
const LENGTH_BYTES: usize = 4;
const CODE_BYTES: usize = 32;

/// The keys of one request and its answer.
struct Keys {
    request: Codes,
    answer: Codes,
}

/// Codes of the frames of one body, in their order.
struct Codes {
    key: hmac::Key,
    frames: u64,
}

impl Keys {
    fn of(secret: &ClusterSecret, path: &Uri, headers: &HeaderMap) -> Self {
        let covered = headers.iter().filter(|(name, _)| {
            let name = name.as_str();
            name != SECRET && COVERED.iter().any(|start| name.starts_with(start))
        });
        let mut covered: Vec<(&[u8], &[u8])> = covered
            .map(|(name, value)| (name.as_ref(), value.as_bytes()))
            .collect();
        covered.sort_unstable();
        let secret = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let codes = |direction: &str| {
            let mut context = hmac::Context::with_key(&secret);
            let mut add = |part: &[u8]| {
                context.update(&(part.len() as u64).to_be_bytes());
                context.update(part);
            };
            add(direction.as_bytes());
            add(path.path().as_bytes());
            for (name, value) in &covered {
                add(name);
                add(value);
            }
            Codes {
                key: hmac::Key::new(hmac::HMAC_SHA256, context.sign().as_ref()),
                frames: 0,
            }
        };
        Self {
            request: codes("request"),
            answer: codes("answer"),
        }
    }
}

impl Codes {
    /// The code of the next frame.
    fn next(&mut self, bytes: &[u8]) -> hmac::Tag {
        let mut context = self.context(bytes.len());
        context.update(bytes);
        context.sign()
    }

    /// The code of the last frame, which has no bytes.
    fn last(&mut self, trailers: Option<&HeaderMap>) -> hmac::Tag {
        let mut context = self.context(0);
        let all = trailers.into_iter().flatten();
        let mut all: Vec<(&[u8], &[u8])> = all
            .map(|(name, value)| (name.as_ref(), value.as_bytes()))
            .collect();
        all.sort_unstable();
        for part in all.into_iter().flat_map(|(name, value)| [name, value]) {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        context.sign()
    }

    fn context(&mut self, bytes: usize) -> hmac::Context {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&self.frames.to_be_bytes());
        context.update(&(bytes as u64).to_be_bytes());
        self.frames += 1;
        context
    }
}

fn frame(bytes: &[u8], code: &hmac::Tag) -> Bytes {
    let mut frame = BytesMut::with_capacity(LENGTH_BYTES + bytes.len() + CODE_BYTES);
    frame.put_u32(u32::try_from(bytes.len()).expect("a frame has no more than LARGEST bytes"));
    frame.put_slice(bytes);
    frame.put_slice(code.as_ref());
    frame.freeze()
}

/// A body on its way out.
struct Sealing {
    body: Body,
    codes: Codes,
    /// Bytes that do not have a frame yet.
    waiting: Bytes,
    /// What comes behind the last frame.
    trailers: Option<HeaderMap>,
    ended: bool,
}

impl Sealing {
    fn new(body: Body, codes: Codes) -> Self {
        Self {
            body,
            codes,
            waiting: Bytes::new(),
            trailers: None,
            ended: false,
        }
    }

    fn last(&mut self, trailers: Option<HeaderMap>) -> Frame<Bytes> {
        self.ended = true;
        let code = self.codes.last(trailers.as_ref());
        self.trailers = trailers;
        Frame::data(frame(&[], &code))
    }
}

type Polled = Poll<Option<Result<Frame<Bytes>, Status>>>;

impl http_body::Body for Sealing {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled {
        let this = &mut *self;
        loop {
            if !this.waiting.is_empty() {
                let bytes = this.waiting.split_to(this.waiting.len().min(LARGEST));
                let code = this.codes.next(&bytes);
                return Poll::Ready(Some(Ok(Frame::data(frame(&bytes, &code)))));
            }
            if this.ended {
                let trailers = this.trailers.take();
                return Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))));
            }
            let next = match ready!(Pin::new(&mut this.body).poll_frame(context)) {
                Some(next) => next?,
                None => return Poll::Ready(Some(Ok(this.last(None)))),
            };
            match next.into_data() {
                Ok(bytes) => this.waiting = bytes,
                Err(next) => {
                    let trailers = next.into_trailers().ok();
                    return Poll::Ready(Some(Ok(this.last(trailers))));
                }
            }
        }
    }
}

/// A body on its way in. Gives nothing that its code does not fit.
struct Opening {
    body: Body,
    codes: Codes,
    arrived: BytesMut,
    ended: bool,
}

impl Opening {
    fn new(body: Body, codes: Codes) -> Self {
        Self {
            body,
            codes,
            arrived: BytesMut::new(),
            ended: false,
        }
    }

    /// The bytes of the next frame, if all of it is there. The last frame stays: its code is that of the trailers.
    fn next(&mut self) -> Result<Option<Bytes>, Status> {
        let Some(length) = self.arrived.first_chunk::<LENGTH_BYTES>() else {
            return Ok(None);
        };
        let length = u32::from_be_bytes(*length) as usize;
        if length > LARGEST {
            return Err(not_sent());
        }
        let whole = LENGTH_BYTES + length + CODE_BYTES;
        if length == 0 {
            let behind = self.arrived.len() > whole;
            return if behind { Err(not_sent()) } else { Ok(None) };
        }
        if self.arrived.len() < whole {
            self.arrived.reserve(whole - self.arrived.len());
            return Ok(None);
        }
        let mut frame = self.arrived.split_to(whole);
        let code = frame.split_off(LENGTH_BYTES + length);
        let bytes = frame.split_off(LENGTH_BYTES).freeze();
        check(&self.codes.next(&bytes), &code)?;
        Ok(Some(bytes))
    }

    /// Checks the last frame, which nothing follows but the trailers.
    fn end(&mut self, trailers: Option<&HeaderMap>) -> Result<(), Status> {
        self.ended = true;
        let frame = std::mem::take(&mut self.arrived);
        let code = frame.strip_prefix(&[0; LENGTH_BYTES]);
        check(&self.codes.last(trailers), code.unwrap_or_default())
    }
}

fn check(expected: &hmac::Tag, code: &[u8]) -> Result<(), Status> {
    verify_slices_are_equal(expected.as_ref(), code).map_err(|_different| not_sent())
}

fn not_sent() -> Status {
    Status::data_loss("what arrived is not what the other node has sent")
}

impl http_body::Body for Opening {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Polled {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(None);
        }
        let polled = loop {
            match this.next() {
                Ok(Some(bytes)) => return Poll::Ready(Some(Ok(Frame::data(bytes)))),
                Ok(None) => {}
                Err(error) => break Some(Err(error)),
            }
            let next = match ready!(Pin::new(&mut this.body).poll_frame(context)) {
                Some(Ok(next)) => next,
                Some(Err(error)) => break Some(Err(error)),
                None => break this.end(None).err().map(Err),
            };
            match next.into_data() {
                Ok(bytes) => this.arrived.extend_from_slice(&bytes),
                Err(next) => {
                    let trailers = next.into_trailers().unwrap_or_default();
                    let checked = this.end(Some(&trailers));
                    break Some(checked.map(|()| Frame::trailers(trailers)));
                }
            }
        };
        this.ended = true;
        Poll::Ready(polled)
    }
}

/// A connection to a worker: each request has the secret, and codes in its body and its answer.
#[derive(Clone)]
pub(super) struct SealedClient<S> {
    pub(super) inner: S,
    pub(super) secret: ClusterSecret,
}

impl<S> Service<Request<Body>> for SealedClient<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (mut head, body) = request.into_parts();
        head.headers.insert(SECRET, self.secret.header());
        head.headers.insert(NUMBER, random());
        let Keys { request, answer } = Keys::of(&self.secret, &head.uri, &head.headers);
        let body = Body::new(Sealing::new(body, request));
        let sent = self.inner.call(Request::from_parts(head, body));
        Box::pin(sent.map_ok(|response| {
            let (mut head, body) = response.into_parts();
            // Nothing here says who has written it.
            head.headers.remove(DETAILS);
            Response::from_parts(head, Body::new(Opening::new(body, answer)))
        }))
    }
}

/// The other side of [`SealedClient`].
#[derive(Clone)]
pub(super) struct SealedServer<S> {
    pub(super) inner: S,
    pub(super) secret: ClusterSecret,
}

impl<S: NamedService> NamedService for SealedServer<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for SealedServer<S>
where
    S: Service<Request<Body>, Response = Response<Body>>,
    S::Future: Future<Output = Result<Response<Body>, S::Error>> + Send + 'static,
{
    type Response = Response<Body>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Response<Body>, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (head, body) = request.into_parts();
        let Keys { request, answer } = Keys::of(&self.secret, &head.uri, &head.headers);
        let body = Body::new(Opening::new(body, request));
        let answered = self.inner.call(Request::from_parts(head, body));
        Box::pin(answered.map_ok(|response| {
            let (mut head, body) = response.into_parts();
            let mut sealing = Sealing::new(body, answer);
            // An answer without a body has its status in front. It goes behind the last frame, as that of all others.
            let status = STATUS.map(HeaderName::from_static).into_iter();
            let status = status.filter_map(|name| {
                let value = head.headers.remove(&name)?;
                Some((name, value))
            });
            let status: HeaderMap = status.collect();
            if !status.is_empty() {
                sealing.body = Body::new(Trailers(Some(status)));
            }
            Response::from_parts(head, Body::new(sealing))
        }))
    }
}

/// A body of trailers alone.
struct Trailers(Option<HeaderMap>);

impl http_body::Body for Trailers {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, _context: &mut Context<'_>) -> Polled {
        let trailers = self.0.take();
        Poll::Ready(trailers.map(|trailers| Ok(Frame::trailers(trailers))))
    }
}

fn random() -> HeaderValue {
    HeaderValue::try_from(random_name()).expect("digits are visible")
}

/// A name that nothing else has: 128 random bits as hexadecimal digits.
pub(super) fn random_name() -> String {
    let mut bytes = [0; 16];
    rand::fill(&mut bytes).expect("the system has random numbers");
    format!("{:032x}", u128::from_be_bytes(bytes))
}

impl<S> fmt::Debug for SealedServer<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SealedServer")
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::VecDeque, future::poll_fn};

    use http_body::Body as _;

    use super::*;

    /// A body of given frames.
    struct Given(VecDeque<Frame<Bytes>>);

    impl http_body::Body for Given {
        type Data = Bytes;
        type Error = Status;

        fn poll_frame(mut self: Pin<&mut Self>, _context: &mut Context<'_>) -> Polled {
            Poll::Ready(self.0.pop_front().map(Ok))
        }
    }

    fn keys(number: &'static str) -> Keys {
        let secret = ClusterSecret::try_new("0123456789abcdef").unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(NUMBER, HeaderValue::from_static(number));
        Keys::of(&secret, &Uri::from_static("http://a/b"), &headers)
    }

    fn body(frames: impl IntoIterator<Item = Frame<Bytes>>) -> Body {
        Body::new(Given(frames.into_iter().collect()))
    }

    /// All bytes of a body, and its trailers.
    async fn all(
        mut body: impl http_body::Body<Data = Bytes, Error = Status> + Unpin,
    ) -> Result<(Vec<u8>, Option<HeaderMap>), Status> {
        let (mut bytes, mut trailers) = (Vec::new(), None);
        while let Some(frame) = poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await {
            match frame?.into_data() {
                Ok(data) => bytes.extend(data),
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
        Ok((bytes, trailers))
    }

    fn status(text: &'static str) -> HeaderMap {
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static(text));
        trailers
    }

    fn message() -> Vec<u8> {
        (0..700_000_u32).map(|place| (place % 251) as u8).collect()
    }

    async fn sent(trailers: Option<HeaderMap>) -> (Vec<u8>, Option<HeaderMap>) {
        let mut frames = vec![Frame::data(message().into()), Frame::data("end".into())];
        frames.extend(trailers.map(Frame::trailers));
        let sealing = Sealing::new(body(frames), keys("1").answer);
        all(sealing).await.unwrap()
    }

    async fn arrived(
        codes: Codes,
        bytes: &[u8],
        trailers: Option<HeaderMap>,
    ) -> Result<(Vec<u8>, Option<HeaderMap>), Status> {
        // As HTTP/2 gives it, in frames of its own.
        let frames = bytes
            .chunks(16_384)
            .map(|part| Frame::data(Bytes::copy_from_slice(part)));
        let frames = frames.chain(trailers.map(Frame::trailers));
        all(Opening::new(body(frames), codes)).await
    }

    #[tokio::test]
    async fn a_body_arrives_as_it_was_sent() {
        for trailers in [None, Some(status("0")), Some(status("5"))] {
            let (bytes, behind) = sent(trailers.clone()).await;
            let (bytes, behind) = arrived(keys("1").answer, &bytes, behind).await.unwrap();
            assert_eq!(bytes, [message(), b"end".to_vec()].concat());
            assert_eq!(behind, trailers);
        }
    }

    #[tokio::test]
    async fn what_was_not_sent_so_does_not_arrive() {
        let (bytes, behind) = sent(Some(status("0"))).await;
        for place in (0..bytes.len())
            .step_by(4999)
            .chain(bytes.len() - 60..bytes.len())
        {
            let mut changed = bytes.clone();
            changed[place] ^= 1 << (place % 8);
            let changed = arrived(keys("1").answer, &changed, behind.clone()).await;
            assert_eq!(
                changed.unwrap_err().code(),
                tonic::Code::DataLoss,
                "{place}"
            );
            let cut = arrived(keys("1").answer, &bytes[..place], behind.clone()).await;
            assert!(cut.is_err(), "{place}");
        }
        let more = [bytes.as_slice(), b"more"].concat();
        assert!(
            arrived(keys("1").answer, &more, behind.clone())
                .await
                .is_err()
        );
        // Another end, none, a status that was none, and frames of another request or direction.
        assert!(arrived(keys("1").answer, &bytes, None).await.is_err());
        let other = Some(status("1"));
        assert!(arrived(keys("1").answer, &bytes, other).await.is_err());
        assert!(
            arrived(keys("2").answer, &bytes, behind.clone())
                .await
                .is_err()
        );
        assert!(arrived(keys("1").request, &bytes, behind).await.is_err());
    }

    #[tokio::test]
    async fn a_length_that_is_garbage_asks_for_no_memory() {
        let mut opening = Opening::new(Body::empty(), keys("1").answer);
        opening.arrived.extend_from_slice(&[0xff; 64]);
        assert!(opening.next().is_err());
        assert!(opening.arrived.capacity() < 1024);
        assert!(!opening.is_end_stream());
    }
}
