//! A bucket in memory: keys and what is behind them, listed and read as from S3, and every request counted.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    ops::Bound,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::Result;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

use crate::nginx::IDENTITY;

/// Keys of one page of a listing.
const PAGE: usize = 1000;

/// The objects of the bucket: a key, and the place of its content.
pub type Objects = BTreeMap<String, usize>;

/// How far away a bucket is.
#[derive(Debug, Clone, Copy, Default)]
pub struct Distance {
    /// Time that each request takes before it is answered.
    pub delay: Duration,
    /// Bytes a second of each connection; 0 for as many as there can be.
    pub rate: u64,
}

/// A server of one bucket, ended when dropped.
#[derive(Debug)]
pub struct Lake {
    port: u16,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

/// Requests that were answered, by what they ask.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Requests {
    /// GETs of objects.
    pub get: u64,
    /// HEADs of objects.
    pub head: u64,
    /// Pages of listings.
    pub list: u64,
}

#[derive(Debug)]
struct Shared {
    bucket: String,
    objects: Objects,
    contents: Vec<Vec<u8>>,
    distance: Distance,
    get: AtomicU64,
    head: AtomicU64,
    list: AtomicU64,
}

impl Requests {
    /// All together.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.get + self.head + self.list
    }
}

impl Lake {
    /// Serves objects on a free port of loopback.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(
        bucket: &str,
        objects: Objects,
        contents: Vec<Vec<u8>>,
        distance: Distance,
    ) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        let shared = Arc::new(Shared {
            bucket: bucket.to_owned(),
            objects,
            contents,
            distance,
            get: AtomicU64::new(0),
            head: AtomicU64::new(0),
            list: AtomicU64::new(0),
        });
        let serving = Arc::clone(&shared);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&serving);
                tokio::spawn(async move {
                    // A connection that breaks off ends here; its client sees that for itself.
                    let _ = shared.serve(stream).await;
                });
            }
        });
        Ok(Self { port, shared, task })
    }

    /// Where it listens.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// The requests since the last call.
    #[must_use]
    pub fn take_requests(&self) -> Requests {
        let shared = &self.shared;
        Requests {
            get: shared.get.swap(0, Relaxed),
            head: shared.head.swap(0, Relaxed),
            list: shared.list.swap(0, Relaxed),
        }
    }
}

impl Drop for Lake {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The head of a request, as far as it is looked at.
#[derive(Debug, Default)]
struct Head {
    method: String,
    path: String,
    query: BTreeMap<String, String>,
    range: Option<String>,
    if_match: Option<String>,
    length: usize,
}

impl Head {
    fn of(text: &str) -> Option<Self> {
        let mut lines = text.split("\r\n");
        let mut first = lines.next()?.split(' ');
        let mut head = Self {
            method: first.next()?.to_owned(),
            ..Self::default()
        };
        let target = first.next()?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        head.path = decoded(path);
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            head.query.insert(decoded(name), decoded(value));
        }
        for line in lines {
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            let value = value.trim();
            match name.to_ascii_lowercase().as_str() {
                "range" => head.range = Some(value.to_owned()),
                "if-match" => head.if_match = Some(value.to_owned()),
                "content-length" => head.length = value.parse().ok()?,
                _ => {}
            }
        }
        Some(head)
    }
}

/// Text of a URL without its escapes.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        let escaped = (byte == b'%').then(|| behind.get(..2)).flatten();
        let escaped = escaped.and_then(|digits| std::str::from_utf8(digits).ok());
        match escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(found) => {
                bytes.push(found);
                rest = &behind[2..];
            }
            None => {
                bytes.push(byte);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl Shared {
    async fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut buffer: Vec<u8> = Vec::new();
        loop {
            let end = loop {
                let found = buffer.windows(4).position(|window| window == b"\r\n\r\n");
                if let Some(end) = found {
                    break end;
                }
                if stream.read_buf(&mut buffer).await? == 0 {
                    return Ok(());
                }
            };
            let text = String::from_utf8_lossy(&buffer[..end]).into_owned();
            buffer.drain(..end + 4);
            let Some(head) = Head::of(&text) else {
                return Ok(());
            };
            while buffer.len() < head.length {
                if stream.read_buf(&mut buffer).await? == 0 {
                    return Ok(());
                }
            }
            buffer.drain(..head.length);
            if !self.distance.delay.is_zero() {
                tokio::time::sleep(self.distance.delay).await;
            }
            self.answer(&mut stream, &head).await?;
        }
    }

    async fn answer(&self, stream: &mut TcpStream, head: &Head) -> std::io::Result<()> {
        let path = head.path.trim_start_matches('/');
        let key = path.strip_prefix(&self.bucket);
        let key = key.map(|key| key.trim_start_matches('/'));
        match (head.method.as_str(), key) {
            ("GET", Some("")) => {
                self.list.fetch_add(1, Relaxed);
                let page = self.page(&head.query);
                write(
                    stream,
                    "200 OK",
                    "Content-Type: application/xml\r\n",
                    page.as_bytes(),
                )
                .await
            }
            ("GET" | "HEAD", Some(key)) => self.object(stream, head, key).await,
            _ => {
                write(
                    stream,
                    "200 OK",
                    "Content-Type: text/xml\r\n",
                    IDENTITY.as_bytes(),
                )
                .await
            }
        }
    }

    async fn object(&self, stream: &mut TcpStream, head: &Head, key: &str) -> std::io::Result<()> {
        let is_head = head.method == "HEAD";
        let counter = if is_head { &self.head } else { &self.get };
        counter.fetch_add(1, Relaxed);
        let Some(&place) = self.objects.get(key) else {
            let body = "<Error><Code>NoSuchKey</Code></Error>";
            return write(stream, "404 Not Found", "", body.as_bytes()).await;
        };
        let content = &self.contents[place];
        let etag = etag(place);
        if head.if_match.as_ref().is_some_and(|wanted| *wanted != etag) {
            let body = "<Error><Code>PreconditionFailed</Code></Error>";
            return write(stream, "412 Precondition Failed", "", body.as_bytes()).await;
        }
        let mut headers = format!(
            "ETag: {etag}\r\nAccept-Ranges: bytes\r\nContent-Type: application/octet-stream\r\n\
             Last-Modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
        );
        if is_head {
            let length = content.len();
            let text = format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: {length}\r\n\r\n");
            return stream.write_all(text.as_bytes()).await;
        }
        let range = head
            .range
            .as_deref()
            .and_then(|text| range(text, content.len()));
        let (status, bytes) = match range {
            None => ("200 OK", &content[..]),
            Some((first, behind)) => {
                let last = behind - 1;
                let _ = write!(
                    headers,
                    "Content-Range: bytes {first}-{last}/{}\r\n",
                    content.len()
                );
                ("206 Partial Content", &content[first..behind])
            }
        };
        if let Some(micros) = (bytes.len() as u64 * 1_000_000).checked_div(self.distance.rate) {
            tokio::time::sleep(Duration::from_micros(micros)).await;
        }
        write(stream, status, &headers, bytes).await
    }

    /// One page of a listing, of all keys or of those of one folder.
    fn page(&self, query: &BTreeMap<String, String>) -> String {
        let text = |name: &str| query.get(name).map_or("", String::as_str);
        let (prefix, delimiter) = (text("prefix"), text("delimiter"));
        let after = text("continuation-token").max(text("start-after"));
        let from = if after < prefix {
            Bound::Included(prefix)
        } else {
            Bound::Excluded(after)
        };
        let mut page = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?><ListBucketResult>");
        let (mut entries, mut last, mut folder) = (0, String::new(), String::new());
        let mut is_cut = false;
        for (key, &place) in self.objects.range::<str, _>((from, Bound::Unbounded)) {
            if !key.starts_with(prefix) {
                break;
            }
            let below = &key[prefix.len()..];
            let common = (!delimiter.is_empty())
                .then(|| below.find(delimiter))
                .flatten()
                .map(|end| &key[..prefix.len() + end + delimiter.len()]);
            if common.is_some_and(|common| common == folder) {
                key.clone_into(&mut last);
                continue;
            }
            if entries == PAGE {
                is_cut = true;
                break;
            }
            entries += 1;
            key.clone_into(&mut last);
            let _ = match common {
                Some(common) => {
                    common.clone_into(&mut folder);
                    write!(
                        page,
                        "<CommonPrefixes><Prefix>{common}</Prefix></CommonPrefixes>"
                    )
                }
                None => write!(
                    page,
                    "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>\
                     <ETag>{}</ETag><Size>{}</Size><StorageClass>STANDARD</StorageClass></Contents>",
                    etag(place).replace('"', "&quot;"),
                    self.contents[place].len()
                ),
            };
        }
        let _ = write!(
            page,
            "<Name>{}</Name><Prefix>{prefix}</Prefix><KeyCount>{entries}</KeyCount><MaxKeys>{PAGE}</MaxKeys>\
             <IsTruncated>{is_cut}</IsTruncated>",
            self.bucket
        );
        if is_cut {
            let _ = write!(
                page,
                "<NextContinuationToken>{last}</NextContinuationToken>"
            );
        }
        page + "</ListBucketResult>"
    }
}

fn etag(place: usize) -> String {
    format!("\"{place:032x}\"")
}

/// First byte, and the one behind the last, of `bytes=…`.
fn range(text: &str, size: usize) -> Option<(usize, usize)> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    if first.is_empty() {
        let length: usize = last.parse().ok()?;
        return Some((size.saturating_sub(length), size));
    }
    let first: usize = first.parse().ok()?;
    let behind = match last {
        "" => size,
        last => last.parse::<usize>().ok()?.saturating_add(1).min(size),
    };
    (first < behind).then_some((first, behind))
}

async fn write(
    stream: &mut TcpStream,
    status: &str,
    headers: &str,
    body: &[u8],
) -> std::io::Result<()> {
    let length = body.len();
    let mut answer = Vec::with_capacity(512 + length);
    let head = format!("HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\n\r\n");
    answer.extend_from_slice(head.as_bytes());
    answer.extend_from_slice(body);
    stream.write_all(&answer).await
}
