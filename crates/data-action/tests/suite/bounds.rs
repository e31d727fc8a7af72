//! Files that ask for more memory than they may have: each ends in its rows or in an error, in bounded memory, and keeps no
//! worker from its other tasks.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{
    fmt::Write as _,
    io::Write as _,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use async_compression::Level;
use async_compression::tokio::write::{BzEncoder, GzipEncoder, XzEncoder, ZstdEncoder};
use serde_json::{Value, json};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::support::{
    House,
    parquet::{self, Pages, page, unsigned, zigzag},
};
use ::parquet::basic::Compression as Codec;

const MIB: usize = 1 << 20;
/// The memory pool of the engine and what may come on top of it, without what a program has before it reads anything.
const MOST_BYTES: usize = (256 + 150 - 50) * MIB;

/// Processor time that a worker may spend at a time. Optimised, it is 10 ms (`cargo xtask nightly bounds`). Otherwise it is what
/// a small file takes twice, and this: memory given back to the system takes its time. A record of 64 MiB out of zstd took 70 ms on
/// one machine and 130 to 230 on another; all other cases stayed below 100.
const TOLERANCE: Duration = Duration::from_millis(if cfg!(debug_assertions) { 300 } else { 10 });

struct Case {
    file: &'static str,
    /// On disk, so that it is not in memory twice.
    content: tempfile::NamedTempFile,
    table: &'static str,
    sql: &'static str,
    expected: Result<Value, &'static str>,
}

/// A number in a line of `/proc/self/status`, in bytes.
fn status(name: &str) -> usize {
    let text = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find(|line| line.starts_with(name)).unwrap();
    let kib = line.split_whitespace().nth(1).unwrap();
    kib.parse::<usize>().unwrap() * 1024
}

/// Time that this thread has been on a processor.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanoseconds = text.split_whitespace().next().unwrap();
    Duration::from_nanos(nanoseconds.parse().unwrap())
}

/// Runs a case with one worker. Gives by how much resident memory grew, and the longest that the worker worked at one task.
fn run(case: &Case) -> (usize, Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let action = format!(
            "name = \"bounded\"\n[limits]\ntimeout = \"60s\"\n[tables.t]\nuri = \"s3://lake/exports/{}\"\n{}\n[query]\nsql = '{}'\n",
            case.file, case.table, case.sql
        );
        let house = House::build(&[&action]).await;
        let lake = house.folder.path().join("lake-root/lake/exports");
        std::fs::copy(case.content.path(), lake.join(case.file)).unwrap();
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        let before = status("VmRSS");
        let (done, longest) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let watch = {
            let (done, longest) = (Arc::clone(&done), Arc::clone(&longest));
            tokio::spawn(async move {
                let mut before = processor_time();
                while !done.load(Ordering::Relaxed) {
                    tokio::task::yield_now().await;
                    let now = processor_time();
                    let took = u64::try_from((now - before).as_micros()).unwrap();
                    longest.fetch_max(took, Ordering::Relaxed);
                    before = now;
                }
            })
        };
        let answer = house.run("bounded", json!({})).await;
        done.store(true, Ordering::Relaxed);
        watch.await.unwrap();
        let shown = format!("{} {}", case.file, case.sql);
        match (&answer, &case.expected) {
            (Ok(answer), Ok(rows)) => assert_eq!(answer["data"], *rows, "{shown}"),
            (Err((_, message)), Err(part)) => assert!(message.contains(part), "{shown}: {message}"),
            (Ok(answer), Err(_)) => panic!("{shown}: {}", answer["data"]),
            (Err((code, message)), Ok(_)) => panic!("{shown}: {code:?} {message}"),
        }
        (
            status("VmHWM").saturating_sub(before),
            Duration::from_micros(longest.load(Ordering::Relaxed)),
        )
    })
}

/// Runs all. Where tests are not optimised, what a worker does at a time is compared with a small file.
fn check(cases: Vec<Case>) {
    let small = case(
        "small.csv",
        "a\n1\n",
        "",
        "SELECT max(a) AS m FROM t",
        Ok(json!([{ "m": 1 }])),
    );
    let (_, usual) = run(&small);
    let mut over = String::new();
    for case in cases {
        let (bytes, longest) = run(&case);
        let line = format!(
            "{} of {} bytes, {}: {} MiB, a worker was kept for {longest:?} (usual {usual:?})",
            case.file,
            case.content.as_file().metadata().unwrap().len(),
            case.sql,
            bytes / MIB
        );
        let most = match cfg!(debug_assertions) {
            true => usual * 2 + TOLERANCE,
            false => TOLERANCE,
        };
        if bytes > MOST_BYTES || longest > most {
            writeln!(over, "{line}").unwrap();
        }
        std::io::stderr()
            .write_all(format!("{line}\n").as_bytes())
            .unwrap();
    }
    assert!(over.is_empty(), "{over}");
}

fn case(
    file: &'static str,
    text: impl AsRef<[u8]>,
    table: &'static str,
    sql: &'static str,
    expected: Result<Value, &'static str>,
) -> Case {
    let mut content = tempfile::NamedTempFile::new().unwrap();
    content.write_all(text.as_ref()).unwrap();
    Case {
        file,
        content,
        table,
        sql,
        expected,
    }
}

const COUNT: &str = "SELECT count(*) AS n FROM t";

fn counted(rows: usize) -> Result<Value, &'static str> {
    Ok(json!([{ "n": rows }]))
}

async fn compressed(mut encoder: impl AsyncWrite + Unpin, plain: &[u8]) {
    encoder.write_all(plain).await.unwrap();
    encoder.shutdown().await.unwrap();
}

/// A file of text in each compression, and the compression's name.
const COMPRESSED: [(&str, &str); 4] = [
    ("t.csv.gz", "gzip"),
    ("t.csv.zst", "zstandard"),
    ("t.csv.bz2", "bzip2"),
    ("t.csv.xz", "xz"),
];

/// The plain text in one compression, at its fastest: what it expands to is what counts.
fn packed(compression: &str, plain: &[u8]) -> Vec<u8> {
    let (mut bytes, fastest) = (Vec::new(), Level::Fastest);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(async {
        match compression {
            "gzip" => compressed(GzipEncoder::with_quality(&mut bytes, fastest), plain).await,
            "zstandard" => compressed(ZstdEncoder::with_quality(&mut bytes, fastest), plain).await,
            "bzip2" => compressed(BzEncoder::with_quality(&mut bytes, fastest), plain).await,
            "xz" => compressed(XzEncoder::with_quality(&mut bytes, fastest), plain).await,
            other => panic!("no compression is called {other}"),
        }
    });
    bytes
}

#[test]
fn files_that_expand_a_thousand_times() {
    let mut cases = Vec::new();
    // One record, from the first byte on and behind others.
    let record = vec![b'x'; 80 * MIB];
    for (file, compression) in COMPRESSED {
        let error = Err("larger than 64 MiB");
        cases.push(case(
            file,
            packed(compression, &record),
            "columns = { a = \"string\" }\nheader = false",
            COUNT,
            error,
        ));
    }
    drop(record);
    let rows = [b"a\n1\n", &vec![b' '; 40 * MIB][..], b"\n2\n"].concat();
    for (file, compression) in COMPRESSED {
        let content = packed(compression, &rows);
        cases.push(case(file, content, "", COUNT, counted(3)));
    }
    drop(rows);
    check(cases);
}

#[test]
fn a_dictionary_of_gigabytes() {
    let mut xz = packed("xz", b"a\n1\n");
    // Of the stream's header come 12 bytes; the block's begins with its size in units of 4 bytes.
    let header = 12..12 + 4 * (usize::from(xz[12]) + 1);
    let filter = header
        .clone()
        .find(|&place| xz[place..].starts_with(&[0x21, 1]))
        .unwrap();
    xz[filter + 2] = 40;
    let mut sum = flate2::Crc::new();
    sum.update(&xz[header.start..header.end - 4]);
    let sum = sum.sum().to_le_bytes();
    xz[header.end - 4..header.end].copy_from_slice(&sum);
    check(vec![case(
        "t.csv.xz",
        xz,
        "",
        COUNT,
        Err("is xz with a dictionary that is larger than 64 MiB"),
    )]);
}

fn avro(schema: &str, codec: &str, blocks: &[(i64, i64, &[u8])]) -> Vec<u8> {
    let mut file = b"Obj\x01".to_vec();
    file.extend(zigzag(2));
    for text in ["avro.schema", schema, "avro.codec", codec] {
        file.extend(zigzag(i64::try_from(text.len()).unwrap()));
        file.extend(text.as_bytes());
    }
    file.extend(zigzag(0));
    file.extend([7; 16]);
    for (rows, size, bytes) in blocks {
        file.extend(zigzag(*rows));
        file.extend(zigzag(*size));
        file.extend(*bytes);
        file.extend([7; 16]);
    }
    file
}

fn deflated(plain: &[u8]) -> Vec<u8> {
    let mut encoder =
        flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn avro_that_says_it_has_more_than_it_has() {
    const RECORD: &str = r#"{"type":"record","name":"r","fields":[{"name":"a","type":"long"}]}"#;
    const EMPTY: &str = r#"{"type":"record","name":"r","fields":[{"name":"a","type":"null"}]}"#;
    const NULLS: &str = r#"{"type":"record","name":"r","fields":[{"name":"a","type":{"type":"array","items":"null"}}]}"#;
    const LISTS: &str = r#"{"type":"record","name":"r","fields":[{"name":"a","type":{"type":"array","items":"long"}}]}"#;
    let sized = |codec: &str, plain: &[u8], packed: &[u8]| {
        let rows = i64::try_from(plain.len()).unwrap();
        avro(
            RECORD,
            codec,
            &[(rows, i64::try_from(packed.len()).unwrap(), packed)],
        )
    };
    let large = vec![0; 80 * MIB];
    let fits = vec![0; 2 * MIB];
    let mut cases = vec![
        case(
            "t.avro",
            avro(RECORD, "null", &[(1, 1 << 40, b"x")]),
            "",
            COUNT,
            Err("not valid Avro"),
        ),
        case(
            "t.avro",
            avro(RECORD, "null", &[(1, 60 << 20, b"x")]),
            "",
            COUNT,
            Err("not valid Avro"),
        ),
        case(
            "t.avro",
            avro(EMPTY, "null", &[(1 << 50, 0, b"")]),
            "",
            COUNT,
            Err("not valid Avro"),
        ),
        case(
            "t.avro",
            avro(EMPTY, "null", &[(100_000, 0, b"")]),
            "",
            COUNT,
            Err("not valid Avro"),
        ),
        case(
            "t.avro",
            avro(NULLS, "null", &[(1, 10, &zigzag(1 << 60))]),
            "",
            COUNT,
            Err("values without content"),
        ),
        case(
            "t.avro",
            avro(LISTS, "null", &[(1, 10, &zigzag(1 << 60)[..9])]),
            "",
            COUNT,
            Err("not valid Avro"),
        ),
        case(
            "t.avro",
            avro(RECORD, "lzma9", &[]),
            "",
            COUNT,
            Err("codec `lzma9`"),
        ),
        case(
            "t.avro",
            sized("deflate", &large, &deflated(&large)),
            "",
            COUNT,
            Err("larger than 64 MiB"),
        ),
        case(
            "t.avro",
            sized("deflate", &fits, &deflated(&fits)),
            "",
            COUNT,
            counted(2 * MIB),
        ),
    ];
    for codec in ["zstandard", "bzip2", "xz"] {
        cases.push(case(
            "t.avro",
            sized(codec, &large, &packed(codec, &large)),
            "",
            COUNT,
            Err("larger than 64 MiB"),
        ));
        cases.push(case(
            "t.avro",
            sized(codec, &fits, &packed(codec, &fits)),
            "",
            COUNT,
            counted(2 * MIB),
        ));
    }
    // A header of 60 MiB that never ends.
    let mut header = b"Obj\x01".to_vec();
    header.extend(zigzag(1 << 40));
    header.resize(60 * MIB, 0);
    cases.push(case("t.avro", header, "", COUNT, Err("not valid Avro")));
    check(cases);
}

const PLAIN: i64 = 0;
const DELTA_LENGTHS: i64 = 6;

fn pages(kind: &'static str, codec: Codec, rows: usize, bytes: Vec<u8>) -> Pages {
    Pages {
        kind,
        columns: 1,
        codec,
        rows: i64::try_from(rows).unwrap(),
        bytes,
        index: None,
    }
}

#[test]
fn parquet_whose_pages_are_larger_than_memory() {
    const NO_ROOM: Result<Value, &str> = Err("which is more memory than is left");
    let zstd = Codec::ZSTD(::parquet::basic::ZstdLevel::default());
    let sum = "SELECT count(*) AS n, sum(c0) AS s FROM t";
    let zeros = |bytes: usize| {
        let packed = packed("zstandard", &vec![0; bytes]);
        let rows = bytes / 8;
        let bytes = page(false, PLAIN, i64::try_from(rows).unwrap(), bytes, &packed);
        pages("int64", zstd, rows, bytes)
    };
    let parquet =
        |pages: &Pages, table, sql, expected| case("t.parquet", pages.file(), table, sql, expected);
    let large = zeros(300 * MIB);
    let mut cases = vec![
        // It truly has that many.
        parquet(&large, "", sum, NO_ROOM),
        parquet(
            &zeros(20 * MIB),
            "",
            sum,
            Ok(json!([{ "n": 20 * MIB / 8, "s": 0 }])),
        ),
    ];
    // It says so alone, in pages and in dictionaries.
    let lie = 2_000_000_000;
    for dictionary in [false, true] {
        let page = page(dictionary, PLAIN, 10, lie, b"\x00");
        let pages = pages("binary", Codec::SNAPPY, 10, page);
        for table in ["", "on_error = \"null\""] {
            cases.push(parquet(&pages, table, "SELECT c0 FROM t", NO_ROOM));
        }
    }
    // Each column has little, in the same bytes.
    let many = Pages {
        columns: 1000,
        ..zeros(MIB)
    };
    cases.push(parquet(&many, "", "SELECT * FROM t LIMIT 1", NO_ROOM));
    cases.push(parquet(
        &many,
        "",
        sum,
        Ok(json!([{ "n": MIB / 8, "s": 0 }])),
    ));
    check(cases);
}

#[test]
fn parquet_that_says_it_has_more_than_it_has() {
    let malformed = || Err("is not valid Parquet");
    let lengths = |count: u64| [&unsigned(128)[..], &[4], &unsigned(count), &[0]].concat();
    let texts = |count: u64| {
        let lengths = lengths(count);
        let page = page(false, DELTA_LENGTHS, 10, lengths.len(), &lengths);
        pages("binary", Codec::UNCOMPRESSED, 10, page).file()
    };
    let plain = page(false, PLAIN, 1, 8, &[0; 8]);
    let indexed = Pages {
        // A list of two thousand million places, of which none comes.
        index: Some([&[0x19, 0xfc][..], &unsigned(i32::MAX as u64), &[0; 64]].concat()),
        ..pages("int64", Codec::UNCOMPRESSED, 1, plain)
    };
    let read = "SELECT c0 FROM t";
    check(vec![
        case(
            "t.parquet",
            parquet::with_endless_groups(),
            "",
            read,
            malformed(),
        ),
        case(
            "t.parquet",
            parquet::with_endless_groups(),
            "on_error = \"null\"",
            read,
            malformed(),
        ),
        case("t.parquet", indexed.file(), "", read, malformed()),
        case("t.parquet", texts(1 << 40), "", read, malformed()),
        case(
            "t.parquet",
            texts(1 << 33),
            "on_error = \"null\"",
            read,
            malformed(),
        ),
        case(
            "t.parquet",
            parquet::of_equal_texts(&"x".repeat(MIB), 300),
            "",
            "SELECT max(length(c0)) AS n FROM t",
            Err("which is more memory than is left"),
        ),
        case(
            "t.parquet",
            parquet::of_equal_texts(&"x".repeat(MIB / 64), 3000),
            "",
            "SELECT max(length(c0)) AS n FROM t",
            Ok(json!([{ "n": MIB / 64 }])),
        ),
    ]);
}

/// With 30,000 rows, of which all but the first have one value or none: as values of eight bytes, 2.4 GB.
#[test]
fn ten_thousand_columns() {
    let names: Vec<_> = (0..10_000).map(|column| format!("c{column}")).collect();
    let members: Vec<_> = names.iter().map(|name| format!("\"{name}\":1")).collect();
    let object = format!("{{{}}}\n", members.join(","));
    let few = |rows: usize| format!("{object}{}", "{}\n".repeat(rows));
    let one = "SELECT count(*) AS n, sum(c9999) AS c FROM t";
    let header = format!("{}\n{}\n", names.join(","), vec!["1"; 10_000].join(","));
    let short = |rows: usize| format!("{header}{}", "1\n".repeat(rows));
    let parquet = Pages {
        columns: 10_000,
        ..pages(
            "int64",
            Codec::UNCOMPRESSED,
            1,
            page(false, PLAIN, 1, 8, &[1, 0, 0, 0, 0, 0, 0, 0]),
        )
    };
    check(vec![
        case(
            "t.parquet",
            parquet.file(),
            "",
            one,
            Ok(json!([{ "n": 1, "c": 1 }])),
        ),
        case(
            "t.ndjson",
            few(30_000),
            "",
            one,
            Ok(json!([{ "n": 30_001, "c": 1 }])),
        ),
        case(
            "t.ndjson",
            few(2_000),
            "on_error = \"skip\"",
            one,
            Ok(json!([{ "n": 2_001, "c": 1 }])),
        ),
        case(
            "t.csv",
            short(30_000),
            "on_error = \"null\"",
            one,
            Ok(json!([{ "n": 30_001, "c": 1 }])),
        ),
        case(
            "t.csv",
            header.clone(),
            "",
            "SELECT c9999 FROM t",
            Ok(json!([{ "c9999": 1 }])),
        ),
        // A record of delimiters alone.
        case(
            "t.csv",
            vec![b','; 40 * MIB],
            "delimiter = \",\"",
            COUNT,
            Err("more than 100,000 fields"),
        ),
    ]);
}

#[test]
fn one_record_of_60_mib() {
    let text = "x".repeat(60 * MIB);
    // What the engine itself does with a value of this size is not looked at here.
    let other = "SELECT count(*) AS n FROM t WHERE a = 2";
    let cases = vec![
        case(
            "t.csv",
            format!("a,b\n1,y\n2,\"{text}\"\n3,z\n"),
            "",
            other,
            counted(1),
        ),
        case(
            "t.ndjson",
            format!("{{\"a\":1,\"b\":\"y\"}}\n{{\"a\":2,\"b\":\"{text}\"}}\n"),
            "",
            other,
            counted(1),
        ),
        case(
            "t.json",
            format!("[{{\"a\":1,\"b\":\"y\"}},{{\"a\":2,\"b\":\"{text}\"}}]"),
            "",
            other,
            counted(1),
        ),
        // It is the first, so that the columns are found from it.
        case("t.csv", format!("a,b\n2,{text}\n"), "", other, counted(1)),
        case(
            "t.ndjson",
            format!("{{\"a\":2,\"b\":\"{text}\"}}\n"),
            "",
            other,
            counted(1),
        ),
        // And a line that is not the table's.
        case(
            "t.csv",
            format!("{text}\na,b\n2,x\n"),
            "skip_lines = 1",
            COUNT,
            counted(1),
        ),
    ];
    drop(text);
    check(cases);
}

#[test]
fn the_value_of_60_mib_itself() {
    let text = "x".repeat(60 * MIB);
    let length = "SELECT length(b) AS n FROM t WHERE a = 2";
    let found = || Ok(json!([{ "n": 60 * MIB }]));
    let cases = [
        case(
            "t.csv",
            format!("a,b\n1,y\n2,\"{text}\"\n"),
            "",
            length,
            found(),
        ),
        case(
            "t.ndjson",
            format!("{{\"a\":2,\"b\":\"{text}\"}}\n"),
            "",
            length,
            found(),
        ),
    ];
    drop(text);
    for case in cases {
        let (bytes, _) = run(&case);
        assert!(bytes <= MOST_BYTES, "{}: {} MiB", case.file, bytes / MIB);
    }
}
