//! Reading through a cache on disk: the same bytes, from wherever they come.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path as FilePath, PathBuf},
    time::Duration,
};

use super::support::{BUCKET, Embedded, content, read};
use flowlake_s3_stream::{DiskCache, DiskCacheSettings, ErrorKind, MeterSnapshot, S3Stream};
use futures::StreamExt;
use object_store::{ObjectStoreExt, path::Path};
use rand::{Rng, SeedableRng, rngs::StdRng};

const MIB: usize = 1 << 20;

fn settings(folder: &FilePath) -> DiskCacheSettings {
    DiskCacheSettings {
        folder: folder.to_owned(),
        max_bytes: 16 << 20,
        kms: false,
    }
}

/// A cache of its own over a folder, as another process would have it.
fn cached(embedded: &Embedded, folder: &FilePath) -> (S3Stream, DiskCache) {
    let cache = DiskCache::open(settings(folder)).unwrap();
    let store = S3Stream::builder(embedded.client(), BUCKET)
        .with_disk_cache(cache.clone())
        .build()
        .unwrap();
    (store, cache)
}

async fn settled(cache: &DiskCache) {
    cache.settle(Duration::from_secs(60)).await;
}

/// The bytes of an object as one request sees them, and what moved.
async fn asked(store: &S3Stream, key: &str) -> (bytes::Bytes, MeterSnapshot) {
    let request = store.request();
    let bytes = read(&request, key).await;
    (bytes, request.meter().snapshot())
}

/// The files of pieces.
fn files(folder: &FilePath) -> Vec<PathBuf> {
    let folders = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    let folders =
        folders.filter(|entry| entry.file_type().unwrap().is_dir() && entry.file_name() != "asked");
    let mut files: Vec<_> = folders
        .flat_map(|entry| fs::read_dir(entry.path()).unwrap())
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

#[tokio::test]
async fn a_second_read_asks_s3_for_metadata_only() {
    let embedded = Embedded::start().await;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("cache");
    let bytes = content(5 * MIB + 11);
    embedded.write("x", &bytes);

    let (store, cache) = cached(&embedded, &folder);
    let (got, moved) = asked(&store, "x").await;
    assert!(got == bytes);
    assert_eq!(
        (moved.bytes_received, moved.bytes_from_disk),
        (bytes.len() as u64, 0)
    );
    settled(&cache).await;
    assert_eq!(files(&folder).len(), 3);

    // Of another process, which knows nothing of the object.
    let (store, _) = cached(&embedded, &folder);
    let (got, moved) = asked(&store, "x").await;
    assert!(got == bytes);
    assert_eq!(
        (
            moved.head_requests,
            moved.get_requests,
            moved.bytes_received,
            moved.bytes_from_disk
        ),
        (1, 0, 0, bytes.len() as u64)
    );
    let part = store
        .get_range(&Path::from("x"), 3_000_000..5_000_000)
        .await;
    assert!(part.unwrap() == bytes[3_000_000..5_000_000]);
}

#[tokio::test]
async fn a_new_version_is_read_from_s3() {
    let embedded = Embedded::start().await;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("cache");
    embedded.write("x", b"id\n1\n");
    let (store, cache) = cached(&embedded, &folder);
    assert_eq!(asked(&store, "x").await.0, "id\n1\n");
    settled(&cache).await;

    embedded.write("x", b"id\n2\n");
    store.invalidate(&Path::from("x")).await;
    let (got, moved) = asked(&store, "x").await;
    assert_eq!((&got[..], moved.bytes_from_disk), (&b"id\n2\n"[..], 0));
    settled(&cache).await;
    let (got, moved) = asked(&store, "x").await;
    assert_eq!((&got[..], moved.bytes_from_disk), (&b"id\n2\n"[..], 5));
}

/// An object that is gone, or that S3 refuses, is refused although its bytes are here.
#[tokio::test]
async fn bytes_are_given_only_of_what_s3_shows() {
    let embedded = Embedded::start().await;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("cache");
    embedded.write("x", b"id\n1\n");
    let (store, cache) = cached(&embedded, &folder);
    asked(&store, "x").await;
    settled(&cache).await;
    fs::remove_file(embedded.folder.path().join(BUCKET).join("x")).unwrap();

    let (store, _) = cached(&embedded, &folder);
    let gone = store.get(&Path::from("x")).await.unwrap_err();
    assert!(matches!(gone, object_store::Error::NotFound { .. }));
}

#[tokio::test]
async fn a_damaged_file_is_removed_and_s3_asked() {
    let embedded = Embedded::start().await;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("cache");
    let bytes = content(4 * MIB);
    embedded.write("x", &bytes);
    let (store, cache) = cached(&embedded, &folder);
    asked(&store, "x").await;
    settled(&cache).await;

    let two = files(&folder);
    let [first, second] = &two[..] else {
        panic!("{two:?}")
    };
    let whole = fs::read(first).unwrap();
    let mut flipped = whole.clone();
    flipped[1_000_000] ^= 1;
    let mut longer = whole.clone();
    longer.push(0);
    let other = fs::read(second).unwrap();
    for damaged in [
        &flipped,
        &longer,
        &whole[..77].to_vec(),
        &Vec::new(),
        &other,
    ] {
        fs::write(first, damaged).unwrap();
        let (got, moved) = asked(&store, "x").await;
        assert!(got == bytes);
        assert_eq!(
            (moved.bytes_received, moved.bytes_from_disk),
            (2 * MIB as u64, 2 * MIB as u64)
        );
        settled(&cache).await;
        assert!(fs::read(first).unwrap() == whole, "it is written once more");
    }
}

#[tokio::test]
async fn what_was_not_read_whole_is_not_kept() {
    let embedded = Embedded::start().await;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("cache");
    let bytes = content(4 * MIB);
    embedded.write("x", &bytes);
    let (store, cache) = cached(&embedded, &folder);
    let result = store.get(&Path::from("x")).await.unwrap();
    let mut stream = result.into_stream();
    stream.next().await.unwrap().unwrap();
    drop(stream);
    settled(&cache).await;
    for file in files(&folder) {
        assert_eq!(fs::metadata(&file).unwrap().len(), 2 * MIB as u64 + 16);
    }
    assert!(asked(&store, "x").await.0 == bytes);
}

/// Sets the times of all files and marks back, as if a while had gone by.
fn age(paths: impl IntoIterator<Item = PathBuf>, by: Duration) {
    for path in paths {
        let file = fs::File::options().append(true).open(path).unwrap();
        let then = file.metadata().unwrap().modified().unwrap() - by;
        file.set_modified(then).unwrap();
    }
}

#[tokio::test]
async fn a_full_cache_keeps_what_is_asked_for_again_and_gives_up_the_oldest() {
    let embedded = Embedded::start().await;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("cache");
    let (store, cache) = cached(&embedded, &folder);
    // Seven of 2 MiB and a bit fit into 16 MiB.
    for number in 0..9_u8 {
        let mut bytes = content(2 * MIB);
        bytes[0] = number;
        embedded.write(&format!("{number}"), &bytes);
        asked(&store, &format!("{number}")).await;
        settled(&cache).await;
        age(files(&folder), Duration::from_secs(10));
    }
    let bytes_of = |folder: &FilePath| -> u64 {
        let lengths = files(folder).into_iter();
        lengths.map(|file| fs::metadata(file).unwrap().len()).sum()
    };
    let of_disk = async |key: &str| asked(&store, key).await.1.bytes_from_disk > 0;
    assert_eq!(files(&folder).len(), 7);
    // What is asked for a second time at once is no reason to give up anything.
    assert!(!of_disk("8").await);
    settled(&cache).await;
    assert_eq!(files(&folder).len(), 7);

    let marks = fs::read_dir(folder.join("asked")).unwrap();
    age(
        marks.map(|mark| mark.unwrap().path()),
        Duration::from_secs(120),
    );
    // The first is used now; the second is the oldest then.
    assert!(of_disk("0").await);
    assert!(!of_disk("8").await);
    settled(&cache).await;
    assert!(of_disk("8").await);
    assert!(of_disk("0").await);
    assert!(!of_disk("1").await);
    assert!(bytes_of(&folder) <= 16 << 20);
}

/// Random ranges, while files are damaged and removed and two processes share the folder.
#[tokio::test]
async fn every_range_gives_its_bytes_whatever_happens_to_the_folder() {
    let embedded = Embedded::start().await;
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("cache");
    let bytes = content(5 * MIB + 12_345);
    embedded.write("x", &bytes);
    let (one, cache) = cached(&embedded, &folder);
    let (other, second_cache) = cached(&embedded, &folder);
    let mut random = StdRng::seed_from_u64(7);
    let mut from_disk = 0;
    for round in 0..60 {
        let start = random.random_range(0..bytes.len());
        let end = random.random_range(start + 1..=bytes.len());
        let (start, end) = match round % 4 {
            0 => (0, bytes.len()),
            1 => (start / (2 * MIB) * (2 * MIB), end),
            _ => (start, end),
        };
        let requests = [one.request(), other.request()];
        let range = start as u64..end as u64;
        let path = Path::from("x");
        let (first, second) = tokio::join!(
            requests[0].get_range(&path, range.clone()),
            requests[1].get_range(&path, range)
        );
        assert!(first.unwrap() == bytes[start..end], "{start}..{end}");
        assert!(second.unwrap() == bytes[start..end], "{start}..{end}");
        from_disk += requests[0].meter().snapshot().bytes_from_disk;
        settled(&cache).await;
        settled(&second_cache).await;
        for file in files(&folder) {
            match random.random_range(0..6) {
                0 => fs::remove_file(file).unwrap(),
                1 => fs::write(file, b"flpiece1 and nothing more").unwrap(),
                _ => {}
            }
        }
    }
    assert!(from_disk > 10 << 20, "{from_disk}");
}

#[test]
fn a_folder_that_others_may_enter_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let open = || DiskCache::open(settings(folder.path())).map(drop);
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let error = open().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidSetting);
    assert!(error.to_string().contains("chmod 700"), "{error}");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
    open().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, b"").unwrap();
    let no_folder = DiskCache::open(settings(&file)).unwrap_err();
    assert_eq!(no_folder.kind(), ErrorKind::InvalidSetting);
}
