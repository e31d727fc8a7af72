//! What is made of each answer that S3 gives, and what is sent for each kind of bucket and key. No network: answers are written
//! down here as S3 gives them.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use aws_credential_types::{
    Credentials,
    provider::{self, ProvideCredentials, future},
};
use aws_sdk_s3::{
    Client, Config,
    config::{BehaviorVersion, Region},
    primitives::SdkBody,
};
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn},
    orchestrator::{HttpRequest, HttpResponse},
};
use flowlake_s3_stream::{Clock, Error, ErrorKind, ListedObject, S3Stream, S3StreamSettings};
use futures::TryStreamExt;
use object_store::{ObjectStore, ObjectStoreExt, path::Path};

/// One request, as far as a test looks at it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Sent {
    method: String,
    uri: String,
    /// The region that it is signed for.
    region: String,
    payer: Option<String>,
}

type Answers = dyn Fn(&Sent, u64) -> HttpResponse + Send + Sync;

/// A connection that answers as the test says.
#[derive(Clone)]
struct Scripted {
    answers: Arc<Answers>,
    sent: Arc<Mutex<Vec<Sent>>>,
}

impl fmt::Debug for Scripted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Scripted")
    }
}

impl Scripted {
    fn new(answers: impl Fn(&Sent, u64) -> HttpResponse + Send + Sync + 'static) -> Self {
        Self {
            answers: Arc::new(answers),
            sent: Arc::default(),
        }
    }

    fn config(&self) -> aws_sdk_s3::config::Builder {
        let connector = SharedHttpConnector::new(self.clone());
        Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::for_tests())
            .http_client(http_client_fn(move |_, _| connector.clone()))
    }

    fn store(&self, bucket: &str) -> S3Stream {
        S3Stream::builder(Client::from_conf(self.config().build()), bucket)
            .build()
            .unwrap()
    }

    fn sent(&self) -> Vec<Sent> {
        self.sent.lock().unwrap().clone()
    }
}

impl HttpConnector for Scripted {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let header = |name: &str| request.headers().get(name).map(str::to_owned);
        let region = header("authorization")
            .and_then(|text| text.split('/').nth(2).map(str::to_owned))
            .unwrap_or_default();
        let sent = Sent {
            method: request.method().to_owned(),
            uri: request.uri().to_owned(),
            region,
            payer: header("x-amz-request-payer"),
        };
        let mut all = self.sent.lock().unwrap();
        let response = (self.answers)(&sent, all.len() as u64);
        all.push(sent);
        HttpConnectorFuture::ready(Ok(response))
    }
}

fn answer(
    status: u16,
    headers: &[(&'static str, &'static str)],
    body: &'static str,
) -> HttpResponse {
    let mut response = HttpResponse::new(status.try_into().unwrap(), SdkBody::from(body));
    for (name, value) in headers {
        response.headers_mut().insert(*name, *value);
    }
    response
}

/// The head of an object of five bytes, or its bytes.
fn five_bytes(sent: &Sent) -> HttpResponse {
    if sent.method == "HEAD" {
        return answer(200, &[("content-length", "5"), ("etag", "\"1\"")], "");
    }
    let headers = [
        ("content-length", "5"),
        ("content-range", "bytes 0-4/5"),
        ("etag", "\"1\""),
    ];
    answer(206, &headers, "hello")
}

fn refusal(code: &str) -> &'static str {
    // Leaked, once a test: answers are static.
    format!("<Error><Code>{code}</Code><Message>as S3 says it</Message></Error>").leak()
}

async fn kind_of(scripted: &Scripted) -> ErrorKind {
    let error = scripted.store("lake").metadata(&Path::from("x")).await;
    error.unwrap_err().kind()
}

#[tokio::test]
async fn a_bucket_in_another_region_is_found_and_asked_there() {
    let scripted = Scripted::new(|sent, _| {
        if sent.region == "eu-central-1" {
            return five_bytes(sent);
        }
        // A HEAD has no body: the region is in its head.
        answer(301, &[("x-amz-bucket-region", "eu-central-1")], "")
    });
    let store = scripted.store("lake").request();
    let bytes = store.get(&Path::from("x")).await.unwrap().bytes().await;
    assert_eq!(bytes.unwrap(), "hello");
    let regions: Vec<_> = scripted
        .sent()
        .into_iter()
        .map(|sent| sent.region)
        .collect();
    // Found once, remembered from then on.
    assert_eq!(regions, ["us-east-1", "eu-central-1", "eu-central-1"]);
    assert!(scripted.sent()[1].uri.contains("eu-central-1"));
    assert_eq!(store.meter().snapshot().retries, 1);
}

#[tokio::test]
async fn a_region_in_the_body_of_a_refusal_does_as_well_and_a_bad_one_is_not_followed() {
    let body = "<Error><Code>AuthorizationHeaderMalformed</Code><Message>m</Message><Region>eu-west-3</Region></Error>";
    let scripted =
        Scripted::new(
            move |sent, _| match (sent.method.as_str(), sent.region.as_str()) {
                (_, "eu-west-3") => five_bytes(sent),
                ("HEAD", _) => answer(200, &[("content-length", "5"), ("etag", "\"1\"")], ""),
                _ => answer(400, &[], body),
            },
        );
    let bytes = scripted.store("lake").get(&Path::from("x")).await.unwrap();
    assert_eq!(bytes.bytes().await.unwrap(), "hello");

    for region in ["us-east-1", "evil.example/", "a.b", ""] {
        let scripted =
            Scripted::new(move |_, _| answer(301, &[("x-amz-bucket-region", region)], ""));
        assert_eq!(kind_of(&scripted).await, ErrorKind::WrongRegion, "{region}");
        assert_eq!(scripted.sent().len(), 1, "{region}");
    }
}

#[tokio::test]
async fn a_region_that_leads_round_in_circles_is_followed_once() {
    let scripted = Scripted::new(|sent, _| {
        let other = if sent.region == "eu-west-1" {
            "eu-west-2"
        } else {
            "eu-west-1"
        };
        answer(301, &[("x-amz-bucket-region", other)], "")
    });
    assert_eq!(kind_of(&scripted).await, ErrorKind::WrongRegion);
    assert_eq!(scripted.sent().len(), 2);
}

/// Gives other credentials each time, and counts.
#[derive(Debug, Default)]
struct Renewed(Arc<AtomicU64>);

impl ProvideCredentials for Renewed {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        let number = self.0.fetch_add(1, SeqCst);
        future::ProvideCredentials::ready(provider::Result::Ok(Credentials::new(
            format!("AKID{number}"),
            "secret",
            None,
            None,
            "test",
        )))
    }
}

#[tokio::test]
async fn credentials_that_expired_are_renewed_once() {
    let asked = Arc::new(AtomicU64::new(0));
    let scripted = Scripted::new(|sent, number| match number {
        0 => answer(400, &[], ""),
        1 => answer(400, &[], refusal("ExpiredToken")),
        2 => answer(200, &[("content-length", "5"), ("etag", "\"1\"")], ""),
        _ => five_bytes(sent),
    });
    let config = scripted
        .config()
        .credentials_provider(Renewed(Arc::clone(&asked)))
        .build();
    let store = S3Stream::builder(Client::from_conf(config), "lake")
        .build()
        .unwrap();
    let _ = store.metadata(&Path::from("x")).await;
    let bytes = store.get(&Path::from("x")).await.unwrap().bytes().await;
    assert_eq!(bytes.unwrap(), "hello");
    assert_eq!(asked.load(SeqCst), 2);

    let scripted = Scripted::new(|_, _| answer(400, &[], refusal("ExpiredToken")));
    let config = scripted
        .config()
        .credentials_provider(Renewed(Arc::clone(&asked)))
        .build();
    let store = S3Stream::builder(Client::from_conf(config), "lake")
        .build()
        .unwrap();
    let failed = store.list(None).try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(
        Error::find(&failed).unwrap().kind(),
        ErrorKind::ExpiredCredentials
    );
    assert_eq!(scripted.sent().len(), 2);
}

#[tokio::test]
async fn a_refused_head_is_explained_by_a_get_of_one_byte() {
    let cases = [
        (403, "AccessDenied", ErrorKind::AccessDenied),
        (403, "RequestTimeTooSkewed", ErrorKind::ClockSkew),
        (403, "InvalidAccessKeyId", ErrorKind::ExpiredCredentials),
        (403, "SignatureDoesNotMatch", ErrorKind::ExpiredCredentials),
        (403, "InvalidObjectState", ErrorKind::Archived),
        (400, "KMS.DisabledException", ErrorKind::KmsDenied),
        (400, "ExpiredToken", ErrorKind::ExpiredCredentials),
    ];
    for (status, code, kind) in cases {
        let body = refusal(code);
        let scripted = Scripted::new(move |sent, _| {
            answer(status, &[], if sent.method == "HEAD" { "" } else { body })
        });
        assert_eq!(kind_of(&scripted).await, kind, "{code}");
    }
}

#[tokio::test]
async fn a_missing_key_and_a_missing_bucket_are_distinguished() {
    // To a HEAD of the object and one of the bucket alike, S3 says no more than 404.
    let bucket_is = |status| {
        Scripted::new(move |sent: &Sent, _| {
            answer(
                if sent.uri.ends_with("/x?") || sent.uri.contains("/x") {
                    404
                } else {
                    status
                },
                &[],
                "",
            )
        })
    };
    assert_eq!(kind_of(&bucket_is(200)).await, ErrorKind::NoSuchKey);
    assert_eq!(kind_of(&bucket_is(403)).await, ErrorKind::NoSuchKey);
    assert_eq!(kind_of(&bucket_is(404)).await, ErrorKind::NoSuchBucket);
}

#[tokio::test]
async fn an_archived_object_is_refused_without_a_get() {
    for (restore, words) in [
        ("", "is not restored"),
        ("ongoing-request=\"true\"", "is being restored"),
    ] {
        let scripted = Scripted::new(move |_, _| {
            let headers = [
                ("content-length", "5"),
                ("etag", "\"1\""),
                ("x-amz-storage-class", "DEEP_ARCHIVE"),
                ("x-amz-restore", restore),
            ];
            let headers = if restore.is_empty() {
                &headers[..3]
            } else {
                &headers[..]
            };
            answer(200, headers, "")
        });
        let failed = scripted
            .store("lake")
            .get(&Path::from("x"))
            .await
            .unwrap_err();
        let error = Error::find(&failed).unwrap();
        assert_eq!(error.kind(), ErrorKind::Archived);
        assert!(error.to_string().contains(words), "{error}");
        assert_eq!(scripted.sent().len(), 1);
    }
}

/// A clock that is moved by hand.
#[derive(Debug)]
struct Hand(Mutex<Instant>);

impl Hand {
    fn new() -> Arc<Self> {
        #[expect(clippy::disallowed_methods, reason = "the start of a made-up clock")]
        Arc::new(Self(Mutex::new(Instant::now())))
    }

    fn passes(&self, time: Duration) {
        *self.0.lock().unwrap() += time;
    }
}

impl Clock for Hand {
    fn now(&self) -> Instant {
        *self.0.lock().unwrap()
    }
}

#[tokio::test]
async fn metadata_is_believed_for_its_time_and_a_missing_object_for_a_shorter_one() {
    for (status, ttl) in [(200, 30_000), (404, 2_000)] {
        let scripted = Scripted::new(move |sent, _| {
            if sent.uri.contains("/x") {
                answer(status, &[("content-length", "5"), ("etag", "\"1\"")], "")
            } else {
                answer(200, &[], "")
            }
        });
        let clock = Hand::new();
        let store = S3Stream::builder(Client::from_conf(scripted.config().build()), "lake")
            .with_clock(Arc::clone(&clock) as Arc<dyn Clock>)
            .build()
            .unwrap();
        let heads = || {
            let sent = scripted.sent();
            sent.iter().filter(|sent| sent.uri.contains("/x")).count()
        };
        let key = Path::from("x");
        for (passes, expected) in [(0, 1), (ttl - 1, 1), (1, 2), (ttl, 3)] {
            clock.passes(Duration::from_millis(passes));
            let found = store.metadata(&key).await;
            assert_eq!(found.is_ok(), status == 200);
            assert_eq!(heads(), expected, "{status} after {passes} ms more");
        }
        store.invalidate(&key).await;
        let _ = store.metadata(&key).await;
        assert_eq!(heads(), 4);
    }
}

#[tokio::test]
async fn failures_other_than_a_missing_object_are_not_kept() {
    let scripted = Scripted::new(|sent, number| match number {
        0 | 1 => answer(
            403,
            &[],
            if sent.method == "HEAD" {
                ""
            } else {
                refusal("AccessDenied")
            },
        ),
        _ => five_bytes(sent),
    });
    let store = scripted.store("lake");
    let key = Path::from("x");
    assert_eq!(
        store.metadata(&key).await.unwrap_err().kind(),
        ErrorKind::AccessDenied
    );
    assert_eq!(store.metadata(&key).await.unwrap().size, 5);
}

#[tokio::test]
async fn the_metadata_cache_is_bounded_by_weight() {
    let scripted = Scripted::new(|sent, _| five_bytes(sent));
    let settings = S3StreamSettings {
        metadata_cache_bytes: 50_000,
        ..S3StreamSettings::default()
    };
    let store = S3Stream::builder(Client::from_conf(scripted.config().build()), "lake")
        .with_settings(settings)
        .build()
        .unwrap();
    let keys: Vec<_> = (0..1000)
        .map(|number| Path::from(format!("exports/{number}")))
        .collect();
    for round in 1..3 {
        for key in &keys {
            store.metadata(key).await.unwrap();
        }
        let sent = scripted.sent().len();
        assert!(
            sent > round * 850,
            "{sent} requests after round {round}: too much is kept"
        );
    }
}

#[tokio::test]
async fn who_pays_is_said_when_it_is_set() {
    for pays in [false, true] {
        let scripted = Scripted::new(|sent, _| {
            if sent.uri.contains("list-type") {
                return answer(
                    200,
                    &[],
                    "<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>",
                );
            }
            five_bytes(sent)
        });
        let client = Client::from_conf(scripted.config().build());
        let store = S3Stream::builder(client, "lake")
            .with_settings(S3StreamSettings {
                requester_pays: pays,
                ..S3StreamSettings::default()
            })
            .build()
            .unwrap();
        let result = store.get(&Path::from("x")).await.unwrap();
        assert_eq!(result.bytes().await.unwrap(), "hello");
        store.list(None).try_collect::<Vec<_>>().await.unwrap();
        let expected = pays.then(|| "requester".to_owned());
        let sent = scripted.sent();
        assert_eq!(sent.len(), 3);
        assert!(sent.iter().all(|sent| sent.payer == expected), "{sent:?}");
    }
}

#[tokio::test]
async fn where_versions_are_kept_the_one_that_metadata_named_is_read() {
    let scripted = Scripted::new(|sent, _| {
        let mut found = five_bytes(sent);
        found.headers_mut().insert("x-amz-version-id", "v7");
        found
    });
    let request = scripted.store("lake").request();
    let result = request.get(&Path::from("x")).await.unwrap();
    assert_eq!(result.meta.version.as_deref(), Some("v7"));
    assert_eq!(result.bytes().await.unwrap(), "hello");
    request.get_range(&Path::from("x"), 0..5).await.unwrap();
    let sent = scripted.sent();
    let asked: Vec<_> = sent
        .iter()
        .map(|sent| sent.uri.contains("versionId=v7"))
        .collect();
    assert_eq!(asked, [false, true, true], "{sent:?}");
}

#[tokio::test]
async fn a_copy_that_fails_leaves_no_parts_to_pay_for() {
    let scripted = Scripted::new(|sent, _| match sent.method.as_str() {
        "POST" => answer(
            200,
            &[],
            "<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>",
        ),
        "PUT" => answer(403, &[], "<Error><Code>AccessDenied</Code></Error>"),
        "DELETE" => answer(204, &[], ""),
        _ => five_bytes(sent),
    });
    let store = S3Stream::builder(Client::from_conf(scripted.config().build()), "lake")
        .with_settings(S3StreamSettings {
            requester_pays: true,
            ..S3StreamSettings::default()
        })
        .build()
        .unwrap();
    let (from, to) = (Path::from("x"), Path::from("y"));
    assert!(store.copy_if_not_exists(&from, &to).await.is_err());
    let sent = scripted.sent();
    let last = sent.last().unwrap();
    assert_eq!(last.method, "DELETE");
    assert!(
        last.uri.contains("/y?") && last.uri.contains("uploadId=u"),
        "{last:?}"
    );
    assert!(
        sent.iter()
            .all(|sent| sent.payer.as_deref() == Some("requester")),
        "{sent:?}"
    );
}

#[tokio::test]
async fn every_kind_of_bucket_is_asked_at_its_own_host() {
    let cases = [
        ("lake", "https://lake.s3.us-east-1.amazonaws.com/x"),
        (
            "dots.in.it",
            "https://s3.us-east-1.amazonaws.com/dots.in.it/x",
        ),
        (
            "arn:aws:s3:us-east-1:123456789012:accesspoint/reports",
            "https://reports-123456789012.s3-accesspoint.us-east-1.amazonaws.com/x",
        ),
        (
            "fast--use1-az4--x-s3",
            "https://fast--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com/x",
        ),
    ];
    for (bucket, url) in cases {
        let scripted = Scripted::new(|sent, _| {
            if sent.uri.contains("?session") {
                let body = "<CreateSessionResult><Credentials><AccessKeyId>A</AccessKeyId><SecretAccessKey>S</SecretAccessKey>\
                    <SessionToken>T</SessionToken><Expiration>2126-01-01T00:00:00Z</Expiration></Credentials></CreateSessionResult>";
                return answer(200, &[], body);
            }
            five_bytes(sent)
        });
        let result = scripted.store(bucket).get(&Path::from("x")).await;
        assert_eq!(result.unwrap().bytes().await.unwrap(), "hello", "{bucket}");
        let sent = scripted.sent();
        let asked: Vec<_> = sent
            .iter()
            .filter(|sent| !sent.uri.contains("session"))
            .collect();
        assert_eq!(asked.len(), 2, "{bucket}: {sent:?}");
        for sent in asked {
            assert_eq!(sent.uri.split('?').next().unwrap(), url, "{bucket}");
        }
    }
}

#[tokio::test]
async fn every_character_of_a_key_reaches_s3() {
    let cases = [
        ("a b", "a%20b"),
        ("a+b", "a%2Bb"),
        ("a%20b", "a%2520b"),
        ("100%", "100%25"),
        ("ü/名前.csv", "%C3%BC/%E5%90%8D%E5%89%8D.csv"),
        ("q?x=1&y#z", "q%3Fx%3D1%26y%23z"),
        ("date=2026-01-01/x.csv", "date%3D2026-01-01/x.csv"),
    ];
    for (key, path) in cases {
        let scripted = Scripted::new(|sent, _| five_bytes(sent));
        let location = Path::parse(key).unwrap();
        scripted.store("lake").get(&location).await.unwrap();
        let sent = scripted.sent();
        let expected = format!("https://lake.s3.us-east-1.amazonaws.com/{path}");
        assert!(
            sent.iter()
                .all(|sent| sent.uri.split("?x-id").next() == Some(&*expected)),
            "{key}: {sent:?}"
        );
    }
}

#[tokio::test]
async fn keys_that_no_path_can_name_are_left_out_of_listings() {
    let scripted = Scripted::new(|_, _| {
        let body = "<ListBucketResult><IsTruncated>false</IsTruncated>\
            <Contents><Key>/leading</Key><Size>1</Size></Contents><Contents><Key>folder/</Key><Size>0</Size></Contents>\
            <Contents><Key>a//b</Key><Size>1</Size></Contents><Contents><Key>a b+c%d</Key><Size>3</Size></Contents></ListBucketResult>";
        answer(200, &[], body)
    });
    let listed: Vec<_> = scripted
        .store("lake")
        .list(None)
        .try_collect()
        .await
        .unwrap();
    let keys: Vec<_> = listed.iter().map(|meta| meta.location.as_ref()).collect();
    assert_eq!(keys, ["a b+c%d"]);
}

#[tokio::test]
async fn a_listing_sends_its_prefix_as_it_is_and_gives_every_key() {
    let scripted = Scripted::new(|_, number| {
        let first = "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>next</NextContinuationToken>\
            <Contents><Key>a//b</Key><Size>1</Size><ETag>\"1\"</ETag><StorageClass>GLACIER_IR</StorageClass></Contents></ListBucketResult>";
        let last = "<ListBucketResult><IsTruncated>false</IsTruncated>\
            <Contents><Key>folder/</Key><Size>0</Size></Contents></ListBucketResult>";
        answer(200, &[], if number % 2 == 0 { first } else { last })
    });
    let store = scripted.store("lake").request();
    for (prefix, sent) in [
        ("exports/part-", "prefix=exports%2Fpart-"),
        ("K\u{f6}ln/", "prefix=K%C3%B6ln%2F"),
        ("a~b/", "prefix=a~b%2F"),
        ("100%/", "prefix=100%25%2F"),
    ] {
        let before = scripted.sent().len();
        let listed: Vec<_> = store.list_objects(prefix).try_collect().await.unwrap();
        let keys: Vec<_> = listed.iter().map(|object| object.key.as_str()).collect();
        assert_eq!(keys, ["a//b", "folder/"]);
        assert_eq!(listed[0].size, 1);
        assert_eq!(listed[0].etag.as_deref(), Some("\"1\""));
        assert_eq!(listed[0].storage_class.as_deref(), Some("GLACIER_IR"));
        let requests = &scripted.sent()[before..];
        assert_eq!(requests.len(), 2);
        assert!(
            requests.iter().all(|request| request.uri.contains(sent)),
            "{prefix}: {requests:?}"
        );
    }
    let all: Vec<_> = store.list_objects("").try_collect().await.unwrap();
    assert_eq!(all.len(), 2);
    let last = scripted.sent().pop().unwrap();
    assert!(!last.uri.contains("prefix="), "{last:?}");
    assert_eq!(store.meter().snapshot().list_requests, 10);
}

#[tokio::test]
async fn what_was_listed_is_read_in_that_version_or_not_at_all() {
    let head = |sent: &Sent, etag: &'static str| {
        assert_eq!(sent.method, "HEAD");
        answer(200, &[("content-length", "5"), ("etag", etag)], "")
    };
    let listed = |etag: &str| ListedObject {
        key: "x".to_owned(),
        size: 5,
        etag: Some(etag.to_owned()),
        last_modified: chrono::DateTime::UNIX_EPOCH,
        storage_class: None,
    };
    let path = Path::from("x");
    // The version that was listed, and another one.
    for (etag, kind) in [("\"1\"", None), ("\"0\"", Some(ErrorKind::ObjectChanged))] {
        let view = Scripted::new(|sent, _| five_bytes(sent));
        let view = view.store("lake").request();
        view.expect(&path, &listed(etag));
        assert!(view.pinned().is_empty());
        let found = view.metadata(&path).await;
        assert_eq!(found.err().map(|error| error.kind()), kind);
        let read = view.get(&path).await;
        assert_eq!(read.is_err(), kind.is_some());
    }
    // The cache knows an older version than the listing.
    let scripted =
        Scripted::new(move |sent, number| head(sent, if number == 0 { "\"1\"" } else { "\"2\"" }));
    let store = scripted.store("lake");
    store.request().metadata(&path).await.unwrap();
    let view = store.request();
    view.expect(&path, &listed("\"2\""));
    let found = view.metadata(&path).await.unwrap();
    assert_eq!(found.etag.as_deref(), Some("\"2\""));
    assert_eq!(scripted.sent().len(), 2);
    assert_eq!(view.pinned().len(), 1);
    // It is gone, and its bucket is still there.
    let gone = Scripted::new(|sent, _| {
        let status = if sent.uri.contains("/x") { 404 } else { 200 };
        answer(status, &[], "")
    });
    let view = gone.store("lake").request();
    view.expect(&path, &listed("\"1\""));
    let error = view.metadata(&path).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ObjectChanged);
}

#[tokio::test]
async fn what_was_listed_is_read_with_one_request_that_tells_the_rest() {
    /// CRC-32 of "hello", as S3 writes it.
    const CHECKSUM: &str = "NhCmhg==";
    let listed = |size: u64, class: Option<&str>| ListedObject {
        key: "x".to_owned(),
        size,
        etag: Some("\"1\"".to_owned()),
        last_modified: chrono::DateTime::UNIX_EPOCH,
        storage_class: class.map(str::to_owned),
    };
    let whole = |body: &'static str| {
        Scripted::new(move |sent, _| {
            assert_eq!(sent.method, "GET");
            let headers = [
                ("content-length", "5"),
                ("etag", "\"1\""),
                ("content-type", "text/csv"),
                ("x-amz-version-id", "v7"),
                ("x-amz-storage-class", "GLACIER_IR"),
                ("x-amz-checksum-crc32", CHECKSUM),
            ];
            answer(200, &headers, body)
        })
    };
    let path = Path::from("x");
    let scripted = whole("hello");
    let view = scripted.store("lake").request();
    view.expect(&path, &listed(5, Some("GLACIER_IR")));
    let result = view.get(&path).await.unwrap();
    assert_eq!(result.meta.version.as_deref(), Some("v7"));
    let content_type = result.attributes.get(&object_store::Attribute::ContentType);
    assert_eq!(content_type.map(AsRef::as_ref), Some("text/csv"));
    assert_eq!(result.bytes().await.unwrap(), "hello");
    let sent = scripted.sent();
    assert_eq!(sent.len(), 1, "{sent:?}");
    let pinned = view.pinned();
    assert_eq!(pinned[0].1.storage_class.as_deref(), Some("GLACIER_IR"));
    assert!(pinned[0].1.checksum.is_some());
    // From then on it is that version.
    view.get(&path).await.unwrap();
    assert!(scripted.sent()[1].uri.contains("versionId=v7"));
    // What came is verified.
    let view = whole("hullo").store("lake").request();
    view.expect(&path, &listed(5, None));
    let read = view.get(&path).await.unwrap().bytes().await.unwrap_err();
    assert_eq!(Error::find(&read).unwrap().kind(), ErrorKind::Corrupt);
    // A part is read without asking first, too; its answer has no checksum.
    let scripted = Scripted::new(|sent, _| {
        assert_eq!(sent.method, "GET");
        let headers = [
            ("content-length", "2"),
            ("content-range", "bytes 1-2/5"),
            ("etag", "\"1\""),
        ];
        answer(206, &headers, "el")
    });
    let view = scripted.store("lake").request();
    view.expect(&path, &listed(5, None));
    assert_eq!(view.get_range(&path, 1..3).await.unwrap(), "el");
    assert_eq!(view.pinned()[0].1.size, 5);
    // It is gone, or may not be read: said by the one request.
    for (status, code, kind) in [
        (404, "NoSuchKey", ErrorKind::ObjectChanged),
        (412, "PreconditionFailed", ErrorKind::ObjectChanged),
        (403, "AccessDenied", ErrorKind::AccessDenied),
        (403, "InvalidObjectState", ErrorKind::Archived),
    ] {
        let body = refusal(code);
        let scripted = Scripted::new(move |_, _| answer(status, &[], body));
        let view = scripted.store("lake").request();
        view.expect(&path, &listed(5, None));
        let error = view.get(&path).await.unwrap_err();
        assert_eq!(Error::find(&error).unwrap().kind(), kind, "{code}");
        assert_eq!(scripted.sent().len(), 1, "{code}");
    }
    // Whether an archived object is restored, HEAD tells; and the checksum of one that is read in parts.
    for (size, class) in [(5, Some("GLACIER")), (5 << 20, None)] {
        let scripted = Scripted::new(|_, _| answer(500, &[], ""));
        let view = scripted.store("lake").request();
        view.expect(&path, &listed(size, class));
        tokio::time::timeout(Duration::from_secs(60), view.get(&path))
            .await
            .unwrap()
            .unwrap_err();
        assert_eq!(scripted.sent()[0].method, "HEAD", "{size} {class:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_passes_is_waited_for_and_what_lasts_is_reported() {
    let throttled = Scripted::new(|sent, number| {
        if number < 3 {
            return answer(503, &[], refusal("SlowDown"));
        }
        five_bytes(sent)
    });
    let store = throttled.store("lake").request();
    #[expect(clippy::disallowed_methods, reason = "the paused clock of this test")]
    let now = tokio::time::Instant::now;
    let began = now();
    store.metadata(&Path::from("x")).await.unwrap();
    let waited = began.elapsed();
    // Three waits, of 25-50, 50-100 and 100-200 ms.
    assert!(
        (Duration::from_millis(175)..Duration::from_millis(351)).contains(&waited),
        "{waited:?}"
    );
    let moved = store.meter().snapshot();
    assert_eq!(
        (moved.head_requests, moved.retries, moved.throttles),
        (4, 3, 3)
    );

    let lasting = Scripted::new(|_, _| answer(503, &[], refusal("SlowDown")));
    assert_eq!(kind_of(&lasting).await, ErrorKind::Throttled);
    let failing = Scripted::new(|_, _| answer(500, &[], refusal("InternalError")));
    assert_eq!(kind_of(&failing).await, ErrorKind::Unavailable);
    assert_eq!(failing.sent().len(), 4);
}

/// A clock that panics in the tasks that a store starts.
#[derive(Debug)]
struct PanicsInTasks(Instant);

impl Clock for PanicsInTasks {
    fn now(&self) -> Instant {
        assert!(tokio::task::try_id().is_none(), "the clock is broken");
        self.0
    }
}

#[tokio::test]
async fn a_part_whose_task_panicked_names_the_object_and_the_panic() {
    #[expect(clippy::disallowed_methods, reason = "the start of a made-up clock")]
    let clock = PanicsInTasks(Instant::now());
    let scripted = Scripted::new(|sent, _| five_bytes(sent));
    let store = S3Stream::builder(Client::from_conf(scripted.config().build()), "lake")
        .with_settings(S3StreamSettings {
            part_bytes: 2,
            min_part_bytes: 2,
            ..S3StreamSettings::default()
        })
        .with_clock(Arc::new(clock))
        .build()
        .unwrap();
    // The first piece is waited for before there is an answer.
    let error = store.get(&Path::from("x")).await.unwrap_err();
    let error = Error::find(&error).unwrap();
    assert_eq!(error.to_string(), "s3://lake/x: a part was lost");
    let cause = std::error::Error::source(error).unwrap();
    let cause = cause.downcast_ref::<tokio::task::JoinError>().unwrap();
    assert!(cause.is_panic(), "{cause}");
}
