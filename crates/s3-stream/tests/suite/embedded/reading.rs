//! Reading from the embedded S3: parts, pins, retries, the meter, and what failures are called.

use super::support::{Embedded, content, read, small_parts};
use flowlake_dev_stack::Failure;
use flowlake_s3_stream::{Error, ErrorKind, S3StreamSettings};
use futures::StreamExt;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt, path::Path};

#[tokio::test]
async fn an_object_is_read_in_parts_and_in_order() {
    let embedded = Embedded::start().await;
    let bytes = content(10_123);
    embedded.write("a/b.bin", &bytes);
    let request = embedded.store(small_parts()).request();
    let got = read(&request, "a/b.bin").await;
    assert!(got == bytes);
    let moved = request.meter().snapshot();
    assert_eq!(
        (
            moved.get_requests,
            moved.head_requests,
            moved.bytes_received,
            moved.retries
        ),
        (11, 1, 10_123, 0)
    );
    assert!(moved.time_to_first_byte.is_some());
}

#[tokio::test]
async fn every_kind_of_range_gives_its_bytes() {
    let embedded = Embedded::start().await;
    let bytes = content(5000);
    embedded.write("x", &bytes);
    let store = embedded.store(small_parts());
    let cases = [
        (GetRange::Bounded(0..1), 0..1),
        (GetRange::Bounded(999..3001), 999..3001),
        (GetRange::Bounded(4000..9000), 4000..5000),
        (GetRange::Offset(4999), 4999..5000),
        (GetRange::Suffix(7), 4993..5000),
    ];
    for (range, expected) in cases {
        let options = GetOptions {
            range: Some(range.clone()),
            ..GetOptions::default()
        };
        let result = store.get_opts(&Path::from("x"), options).await.unwrap();
        assert_eq!(result.range, expected.start as u64..expected.end as u64);
        assert!(
            result.bytes().await.unwrap() == bytes[expected],
            "{range:?}"
        );
    }
    let beyond = GetOptions {
        range: Some(GetRange::Bounded(5000..5001)),
        ..GetOptions::default()
    };
    assert!(store.get_opts(&Path::from("x"), beyond).await.is_err());
}

#[tokio::test]
async fn an_empty_object_is_read_with_one_get() {
    let embedded = Embedded::start().await;
    embedded.write("empty", b"");
    let request = embedded.store(small_parts()).request();
    assert!(read(&request, "empty").await.is_empty());
    assert_eq!(request.meter().snapshot().get_requests, 1);
}

#[tokio::test]
async fn metadata_is_asked_once_and_shared_by_requests() {
    let embedded = Embedded::start().await;
    embedded.write("x", b"hello");
    let store = embedded.store(S3StreamSettings::default());
    let (first, second) = (store.request(), store.request());
    for request in [&first, &second] {
        read(request, "x").await;
    }
    assert_eq!(first.meter().snapshot().head_requests, 1);
    assert_eq!(second.meter().snapshot().head_requests, 0);
    assert_eq!(second.meter().snapshot().metadata_cache_hits, 1);
    assert_eq!(second.pinned()[0].1.size, 5);
}

#[tokio::test]
async fn an_object_that_changes_under_a_reader_is_never_mixed() {
    let embedded = Embedded::start().await;
    embedded.write("x", &content(100_000));
    let request = embedded.store(small_parts()).request();
    let mut stream = request.get(&Path::from("x")).await.unwrap().into_stream();
    stream.next().await.unwrap().unwrap();
    embedded.write("x", &vec![7; 100_000]);
    let failed = loop {
        match stream.next().await {
            Some(Ok(bytes)) => assert!(
                !bytes.iter().all(|byte| *byte == 7),
                "bytes of the new version"
            ),
            Some(Err(error)) => break error,
            None => panic!("the read ended as if nothing had happened"),
        }
    };
    assert_eq!(
        Error::find(&failed).unwrap().kind(),
        ErrorKind::ObjectChanged
    );

    // The pin holds until it is given up; then the new version is read, whole.
    assert!(request.get(&Path::from("x")).await.is_err());
    request.invalidate(&Path::from("x")).await;
    assert!(read(&request, "x").await == vec![7; 100_000]);
}

#[tokio::test]
async fn failures_that_pass_are_tried_again_and_counted() {
    let embedded = Embedded::start().await;
    let bytes = content(5000);
    embedded.write("x", &bytes);
    embedded
        .stack
        .s3()
        .fail_next_of("GetObject", 3, Failure::Status(503));
    let request = embedded.store(small_parts()).request();
    assert!(read(&request, "x").await == bytes);
    let moved = request.meter().snapshot();
    assert_eq!(
        (moved.retries, moved.throttles, moved.get_requests),
        (3, 3, 8)
    );
}

#[tokio::test]
async fn failures_have_their_names() {
    let embedded = Embedded::start().await;
    let store = embedded.store(S3StreamSettings {
        attempts: 1,
        ..S3StreamSettings::default()
    });
    let missing = store.metadata(&Path::from("none")).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NoSuchKey);
    assert!(!missing.advice().is_empty());

    let client = embedded.client();
    embedded.stack.shutdown().await;
    let store = flowlake_s3_stream::S3Stream::builder(client, "lake")
        .with_settings(S3StreamSettings {
            attempts: 1,
            ..S3StreamSettings::default()
        })
        .build()
        .unwrap();
    assert_eq!(
        store.metadata(&Path::from("x")).await.unwrap_err().kind(),
        ErrorKind::Unavailable
    );
}

#[tokio::test]
async fn dropping_a_stream_stops_its_transfers() {
    let embedded = Embedded::start().await;
    embedded.write("x", &content(4_000_000));
    let store = embedded.store(S3StreamSettings {
        part_bytes: 100_000,
        concurrency: 4,
        ..S3StreamSettings::default()
    });
    let request = store.request();
    let mut stream = request.get(&Path::from("x")).await.unwrap().into_stream();
    stream.next().await.unwrap().unwrap();
    drop(stream);
    tokio::task::yield_now().await;
    let asked = embedded.stack.s3().count("GetObject");
    // Nothing is asked for any more, and no more than the window was.
    tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    assert_eq!(embedded.stack.s3().count("GetObject"), asked);
    assert!(asked <= 5, "{asked} of 40 parts were asked for");
    assert!(request.meter().snapshot().bytes_received <= 500_000);
}

#[tokio::test]
async fn readers_without_budget_go_on_one_get_at_a_time() {
    let embedded = Embedded::start().await;
    let bytes = content(50_000);
    embedded.write("x", &bytes);
    // Room for one part of 16 readers at the same time.
    let store = embedded.store(S3StreamSettings {
        part_bytes: 4096,
        budget_bytes: 4096,
        ..S3StreamSettings::default()
    });
    let reads = (0..16).map(|_| async {
        let result = store.get(&Path::from("x")).await.unwrap();
        result.bytes().await.unwrap()
    });
    let all = futures::future::join_all(reads).await;
    assert!(all.iter().all(|read| *read == bytes));
}

#[tokio::test]
async fn near_ranges_are_read_as_one() {
    let embedded = Embedded::start().await;
    let bytes = content(3_000_000);
    embedded.write("x", &bytes);
    let request = embedded.store(S3StreamSettings::default()).request();
    let ranges = [0..10, 500..600, 90_000..90_001, 2_500_000..2_500_100];
    let read = request.get_ranges(&Path::from("x"), &ranges).await.unwrap();
    for (range, read) in ranges.iter().zip(&read) {
        let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
        assert!(*read == bytes[range]);
    }
    assert_eq!(request.meter().snapshot().get_requests, 2);
}

#[tokio::test]
async fn many_who_ask_at_once_make_one_head() {
    let embedded = Embedded::start().await;
    embedded.write("x", b"hello");
    let store = embedded.store(S3StreamSettings::default());
    let asked = (0..100).map(|_| async { store.metadata(&Path::from("x")).await.unwrap().size });
    let sizes = futures::future::join_all(asked).await;
    assert!(sizes.iter().all(|size| *size == 5));
    assert_eq!(embedded.stack.s3().count("HeadObject"), 1);
}

#[tokio::test]
async fn each_kind_of_request_is_counted_and_the_first_ids_are_kept() {
    let embedded = Embedded::start().await;
    let request = embedded.store(S3StreamSettings::default()).request();
    let key = Path::from("x");
    request.put(&key, "hello".into()).await.unwrap();
    for _ in 0..20 {
        read(&request, "x").await;
    }
    let listed: Vec<_> = request.list(None).collect().await;
    assert_eq!(listed.len(), 1);
    request.delete(&key).await.unwrap();
    let moved = request.meter().snapshot();
    assert_eq!(
        (
            moved.put_requests,
            moved.head_requests,
            moved.get_requests,
            moved.list_requests,
            moved.delete_requests
        ),
        (1, 1, 20, 1, 1)
    );
    assert_eq!(moved.bytes_received, 100);
    // All of 24 requests had one.
    let ids: std::collections::BTreeSet<_> = moved.request_ids.iter().collect();
    assert_eq!((moved.request_ids.len(), ids.len()), (16, 16), "{ids:?}");
}
