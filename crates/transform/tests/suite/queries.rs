//! Queries over files in memory: formats, parameters, the guard, limits, and what errors say.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{collections::BTreeMap, io::Write, sync::Arc, time::Duration};

use chrono::{TimeZone, Utc};
use flowlake_transform::{
    BoxError, Error, ErrorKind, Limits, Prepared, Run, RunStats, StoreResolver, Transform,
    TransformSettings, TransformSpec, json::JsonRows,
};
use futures::StreamExt;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, memory::InMemory};
use serde_json::{Value, json};

const CALLS: &str = "queue,ani,ms,score,note\n\
    Sales,+12025550101,1200,7.5,\"one, two\"\n\
    Billing,+12025550102,800,,\"said \"\"hi\"\"\"\n\
    Sales,+12025550103,400,9.25,\"two\nlines\"\n";

#[derive(Default)]
struct Lake(Arc<InMemory>);

impl StoreResolver for Lake {
    fn store(&self, _bucket: &str) -> Result<Arc<dyn ObjectStore>, BoxError> {
        Ok(Arc::clone(&self.0) as Arc<dyn ObjectStore>)
    }
}

/// A query in the making.
struct Case {
    lake: Lake,
    tables: Value,
    params: Value,
    limits: Limits,
    values: Value,
}

impl Case {
    async fn of(key: &str, content: impl Into<PutPayload>) -> Self {
        let lake = Lake::default();
        lake.0.put(&key.into(), content.into()).await.unwrap();
        Self {
            lake,
            tables: json!({ "t": { "uri": format!("s3://lake/{key}") } }),
            params: json!({}),
            limits: Limits::default(),
            values: json!({}),
        }
    }

    fn params(mut self, params: Value, values: Value) -> Self {
        (self.params, self.values) = (params, values);
        self
    }

    fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    async fn run(&self, sql: &str) -> Result<(Value, RunStats), Error> {
        self.run_in(&Transform::builder().build()?, sql).await
    }

    async fn run_in(&self, transform: &Transform, sql: &str) -> Result<(Value, RunStats), Error> {
        let prepared = Prepared::try_new(TransformSpec {
            sql: sql.to_owned(),
            tables: serde_json::from_value(self.tables.clone()).unwrap(),
            params: serde_json::from_value::<BTreeMap<_, _>>(self.params.clone()).unwrap(),
            limits: self.limits.clone(),
        })?;
        let now = Utc.with_ymd_and_hms(2026, 1, 2, 3, 4, 5).unwrap();
        let bound = prepared.bind(self.values.as_object().unwrap(), now)?;
        let files = transform.find(&prepared, &bound, &self.lake).await?;
        let run = Run {
            prepared: &prepared,
            bound: &bound,
            files: &files,
            stores: &self.lake,
        };
        let mut stream = transform.run(&run).await?;
        let mut rows = JsonRows::new();
        while let Some(batch) = stream.next().await {
            rows.push(&batch?)?;
        }
        let text = rows.finish()?;
        Ok((serde_json::from_str(text.get()).unwrap(), stream.stats()))
    }

    async fn rows(&self, sql: &str) -> Value {
        self.run(sql).await.unwrap().0
    }

    async fn kind(&self, sql: &str) -> ErrorKind {
        self.run(sql).await.unwrap_err().kind()
    }
}

#[tokio::test]
async fn csv_keeps_quotes_lines_and_the_plus_of_a_number() {
    let case = Case::of("calls.csv", CALLS).await;
    let rows = case
        .rows("SELECT * FROM t WHERE queue = 'Sales' ORDER BY ms")
        .await;
    let expected = json!([
        { "queue": "Sales", "ani": "+12025550103", "ms": 400, "score": 9.25, "note": "two\nlines" },
        { "queue": "Sales", "ani": "+12025550101", "ms": 1200, "score": 7.5, "note": "one, two" },
    ]);
    assert_eq!(rows, expected);
    assert_eq!(
        case.rows("SELECT note, score FROM t WHERE queue = 'Billing'")
            .await,
        json!([{ "note": "said \"hi\"", "score": null }])
    );
}

#[tokio::test]
async fn json_lines_json_arrays_and_compressed_files_give_the_same_rows() {
    let lines = "{\"a\":1,\"b\":\"x\"}\n{\"a\":2,\"b\":null}\n";
    let array = "\n [ {\"a\":1,\"b\":\"x\"}, {\"a\":2,\"b\":null} ] ";
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(lines.as_bytes()).unwrap();
    let files: [(&str, PutPayload); 4] = [
        ("t.ndjson", lines.into()),
        ("t.json", array.into()),
        ("lines.json", lines.into()),
        ("t.ndjson.gz", gzip.finish().unwrap().into()),
    ];
    for (key, content) in files {
        let rows = Case::of(key, content)
            .await
            .rows("SELECT a, b FROM t ORDER BY a")
            .await;
        assert_eq!(
            rows,
            json!([{ "a": 1, "b": "x" }, { "a": 2, "b": null }]),
            "{key}"
        );
    }
}

#[tokio::test]
async fn a_json_array_that_is_large_enough_to_be_cut_is_read_whole() {
    let row = format!("{{\"a\":1,\"b\":\"{}\"}}", "x".repeat(200));
    let rows = 60_000;
    let array = format!("[{}]", vec![row; rows].join(","));
    assert!(
        array.len() > 10 << 20,
        "the engine cuts files from 10 MiB on"
    );
    let counted = Case::of("t.json", array)
        .await
        .rows("SELECT sum(a) AS n FROM t")
        .await;
    assert_eq!(counted, json!([{ "n": rows }]));
}

#[tokio::test]
async fn numbers_are_exact() {
    let case = Case::of("t.csv", "n\n1\n").await;
    let rows = case.run("SELECT 9223372036854775807 AS big, CAST('12345678901234567890.12' AS DECIMAL(38, 2)) AS d, 'NaN'::double AS nan FROM t").await;
    let text = rows.unwrap().0.to_string();
    assert!(text.contains("9223372036854775807"), "{text}");
    assert!(text.contains("\"nan\":null"), "{text}");
}

#[tokio::test]
async fn parameters_are_values_whatever_they_hold() {
    let declared = json!({ "q": { "type": "string" } });
    for evil in [
        "' OR 1=1 --",
        "Sales'; DROP TABLE t; --",
        "$q",
        "\u{2019} OR 1=1",
        "*/ 1 /*",
    ] {
        let case = Case::of("calls.csv", CALLS)
            .await
            .params(declared.clone(), json!({ "q": evil }));
        assert_eq!(
            case.rows("SELECT * FROM t WHERE queue = $q").await,
            json!([]),
            "{evil}"
        );
    }
    let case = Case::of("calls.csv", CALLS)
        .await
        .params(declared, json!({ "q": "Billing" }));
    assert_eq!(
        case.rows("SELECT ms FROM t WHERE queue = $q").await,
        json!([{ "ms": 800 }])
    );
}

#[tokio::test]
async fn parameters_are_checked_and_errors_never_hold_them() {
    let cases = [
        (
            json!({ "type": "integer", "min": 1, "max": 5 }),
            json!(["0", 6, "x", 1.5, null, [1]]),
            json!([1, "5"]),
        ),
        (
            json!({ "type": "phone" }),
            json!(["2025550101", "+0123", "+1202555010112345678", "+1 202"]),
            json!(["+12025550101"]),
        ),
        (
            json!({ "type": "string", "pattern": "agent-[0-9]{4}" }),
            json!(["agent-1", "agent-00011", "xagent-0001"]),
            json!(["agent-0001"]),
        ),
        (
            json!({ "type": "date" }),
            json!(["2026-02-30", "2026-1-1", "last week"]),
            json!(["2026-01-01", "yesterday"]),
        ),
        (
            json!({ "type": "enum", "values": ["a", "b"] }),
            json!(["c", ""]),
            json!(["a"]),
        ),
        (
            json!({ "type": "boolean" }),
            json!(["yes", 1]),
            json!([true, "false"]),
        ),
        (
            json!({ "type": "decimal", "max": "10.50" }),
            json!(["10.51", "1e3", ""]),
            json!(["10.5", "-3", 2]),
        ),
        (
            json!({ "type": "timestamp" }),
            json!(["2026-01-01"]),
            json!(["2026-01-01T00:00:00Z"]),
        ),
    ];
    for (declared, bad, good) in cases {
        let spec = TransformSpec {
            sql: "SELECT $p AS p FROM t".to_owned(),
            tables: serde_json::from_value(json!({ "t": { "uri": "s3://lake/t.csv" } })).unwrap(),
            params: serde_json::from_value(json!({ "p": declared })).unwrap(),
            limits: Limits::default(),
        };
        let prepared = Prepared::try_new(spec).unwrap();
        let bind = |value: &Value| {
            prepared.bind(
                json!({ "p": value }).as_object().unwrap(),
                Utc::now_for_tests(),
            )
        };
        for value in bad.as_array().unwrap() {
            let error = bind(value).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidParam, "{declared} {value}");
            let text = value.as_str().unwrap_or_default();
            assert!(
                text.len() < 3 || !error.to_string().contains(text),
                "{error}"
            );
        }
        for value in good.as_array().unwrap() {
            assert!(bind(value).is_ok(), "{declared} {value}");
        }
    }
}

/// A fixed moment, under a name that reads well where it is used.
trait NowForTests {
    fn now_for_tests() -> chrono::DateTime<Utc>;
}

impl NowForTests for Utc {
    fn now_for_tests() -> chrono::DateTime<Utc> {
        Utc.with_ymd_and_hms(2026, 1, 2, 0, 0, 0).unwrap()
    }
}

#[tokio::test]
async fn a_parameter_in_a_uri_fills_one_segment() {
    let mut case = Case::of("2026-01-01/t.csv", "a\n1\n").await;
    case.tables = json!({ "t": { "uri": "s3://lake/{day}/t.csv" } });
    let case = case.params(
        json!({ "day": { "type": "string" } }),
        json!({ "day": "2026-01-01" }),
    );
    assert_eq!(case.rows("SELECT a FROM t").await, json!([{ "a": 1 }]));
    for evil in [
        "..", ".", "", "a/b", "/", "..%2f", "*", "2026?", "a\\b", "\u{0}", "[a]", "a#b",
    ] {
        let case = Case {
            values: json!({ "day": evil }),
            ..Case::of("x.csv", "a\n1\n")
                .await
                .params(case.params.clone(), json!({}))
        };
        let case = Case {
            tables: json!({ "t": { "uri": "s3://lake/{day}/t.csv" } }),
            ..case
        };
        assert_eq!(
            case.kind("SELECT a FROM t").await,
            ErrorKind::InvalidParam,
            "{evil:?}"
        );
    }
}

#[tokio::test]
async fn the_guard_lets_only_the_actions_own_tables_be_read() {
    let case = Case::of("calls.csv", CALLS).await;
    for sql in [
        "SELECT * FROM information_schema.tables",
        "SELECT * FROM 'file:///etc/passwd'",
        "SELECT * FROM \"/etc/passwd\"",
        "SELECT * FROM 's3://other/x.csv'",
        "SELECT * FROM other",
        "SELECT * FROM generate_series(1, 1000000000)",
        "SELECT * FROM t UNION ALL SELECT * FROM pg_catalog.pg_tables",
        "WITH RECURSIVE n AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM n) SELECT * FROM n",
        "SELECT * INTO x FROM t",
        "SELECT 1; SELECT 2",
        "COPY t TO 's3://lake/out.csv'",
    ] {
        let kind = case.kind(sql).await;
        assert!(
            matches!(
                kind,
                ErrorKind::NotAllowed
                    | ErrorKind::NotAQuery
                    | ErrorKind::UnknownTable
                    | ErrorKind::InvalidSql
            ),
            "{sql}: {kind:?}"
        );
    }
}

#[tokio::test]
async fn errors_name_what_is_wrong_and_hold_no_values() {
    let case = Case::of("calls.csv", CALLS).await;
    let error = case.run("SELECT queu FROM t").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnknownColumn);
    assert!(
        error.to_string().contains("did you mean `queue`?"),
        "{error}"
    );

    let mut long = "a,b\n".to_owned();
    for number in 0..2000 {
        long += &format!("{number},{number}\n");
    }
    let ragged = Case::of("t.csv", format!("{long}1,2,3\n")).await;
    let error = ragged.run("SELECT sum(a) FROM t").await.unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (
            ErrorKind::MalformedData,
            "t.csv: line 2002 has 3 fields and 2 were expected"
        )
    );

    let typed = Case::of("t.csv", format!("{long}tel:+12025550142,2\n")).await;
    let error = typed.run("SELECT sum(a) FROM t").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MalformedData);
    let mut shown = format!("{error} {error:?}");
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        shown += &format!("{cause} {cause:?}");
        source = cause.source();
    }
    assert!(!shown.contains("12025550142"), "{shown}");
}

#[tokio::test]
async fn files_that_are_not_what_they_seem_are_refused() {
    for (key, content) in [
        ("t.parquet", "not parquet at all"),
        ("t.json", "[{\"a\":1}, {\"a\""),
        ("t.ndjson", "{\"a\":1}\n{\"a\"\n"),
    ] {
        let kind = Case::of(key, content).await.kind("SELECT a FROM t").await;
        assert!(matches!(kind, ErrorKind::MalformedData), "{key}: {kind:?}");
    }
    assert_eq!(
        Case::of("t.csv", "").await.kind("SELECT a FROM t").await,
        ErrorKind::NoMatchingFiles
    );
    assert_eq!(
        Case::of("t.unknown", "x")
            .await
            .kind("SELECT a FROM t")
            .await,
        ErrorKind::InvalidSpec
    );
}

#[tokio::test]
async fn limits_hold() {
    let mut csv = "a\n".to_owned();
    for number in 0..50_000 {
        csv += &format!("{number}\n");
    }
    let limited = |limits| async { Case::of("t.csv", csv.clone()).await.limits(limits) };
    let (rows, stats) = limited(Limits {
        max_rows: 10,
        ..Limits::default()
    })
    .await
    .run("SELECT a FROM t ORDER BY a")
    .await
    .unwrap();
    assert_eq!(
        (
            rows.as_array().unwrap().len(),
            stats.truncated,
            stats.rows_out
        ),
        (10, true, 10)
    );
    let (_, stats) = limited(Limits {
        max_rows: 50_000,
        ..Limits::default()
    })
    .await
    .run("SELECT a FROM t")
    .await
    .unwrap();
    assert_eq!(
        (stats.truncated, stats.rows_out, stats.rows_scanned),
        (false, 50_000, 50_000)
    );

    let few_bytes = Limits {
        max_output_bytes: "1kB".parse().unwrap(),
        max_rows: 50_000,
        ..Limits::default()
    };
    assert_eq!(
        limited(few_bytes).await.kind("SELECT a FROM t").await,
        ErrorKind::OutputLimit
    );
    let short_scan = Limits {
        max_scan_bytes: Some("10kB".parse().unwrap()),
        ..Limits::default()
    };
    assert_eq!(
        limited(short_scan)
            .await
            .kind("SELECT count(*) FROM t")
            .await,
        ErrorKind::ScanLimit
    );
    let no_time = Limits {
        timeout: Duration::ZERO,
        ..Limits::default()
    };
    assert_eq!(
        limited(no_time).await.kind("SELECT count(*) FROM t").await,
        ErrorKind::Timeout
    );
}

/// Numbers to multiply into bombs.
fn bomb_table(rows: u32) -> String {
    let mut csv = "a\n".to_owned();
    for number in 0..rows {
        csv += &format!("{number}\n");
    }
    csv
}

#[tokio::test]
async fn a_time_bomb_ends_within_its_limit() {
    let case = Case::of("t.csv", bomb_table(2000)).await.limits(Limits {
        timeout: Duration::from_millis(300),
        // It is the time and the memory that are to end these joins.
        max_keyless_rows: u64::MAX,
        ..Limits::default()
    });
    let bomb = case
        .run("SELECT count(*) FROM t a CROSS JOIN t b CROSS JOIN t c WHERE a.a + b.a + c.a = 7");
    let ended = tokio::time::timeout(Duration::from_secs(20), bomb)
        .await
        .expect("the limit must end the query");
    assert_eq!(ended.unwrap_err().kind(), ErrorKind::Timeout);
}

/// A batch of one side makes millions of rows with the other; nothing else is read meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_join_on_few_keys_ends_within_its_limit() {
    let mut csv = "g,v\n".to_owned();
    for row in 0..40_000 {
        csv += &format!("{},{row}\n", row % 7);
    }
    let case = Case::of("t.csv", csv).await.limits(Limits {
        timeout: Duration::from_millis(300),
        ..Limits::default()
    });
    let sql = "SELECT a.g, count(*) AS n, sum(a.v * b.v) AS s FROM t a JOIN t b ON a.g = b.g GROUP BY a.g";
    let join = tokio::spawn(async move { case.run(sql).await.map(drop) });
    let ended = tokio::time::timeout(Duration::from_secs(20), join)
        .await
        .expect("the limit must end the query");
    assert_eq!(ended.unwrap().unwrap_err().kind(), ErrorKind::Timeout);
}

#[tokio::test]
async fn a_join_without_memory_ends_with_the_limits_error_and_does_not_start_over() {
    let case = Case::of("t.csv", bomb_table(3000)).await.limits(Limits {
        timeout: Duration::from_secs(60),
        // It is the time and the memory that are to end these joins.
        max_keyless_rows: u64::MAX,
        ..Limits::default()
    });
    // Nine million rows of the first join are the second one's left side, in a pool of 1 MiB.
    let transform = Transform::builder()
        .with_settings(TransformSettings {
            memory: bytesize::ByteSize::mib(1),
            ..TransformSettings::default()
        })
        .build()
        .unwrap();
    let sql = "SELECT count(*) FROM t a JOIN t b ON a.a + b.a > 0 JOIN t c ON a.a + b.a + c.a > 0";
    let failed = case.run_in(&transform, sql).await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::MemoryLimit, "{failed}");
}
