//! Attempts to read, change or use up what an action may not: none may succeed, and memory is back afterwards.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::time::{Duration, Instant};

use bytesize::ByteSize;
use flowlake_transform::{EngineUsage, ErrorKind, Transform, TransformSettings};
use serde_json::{Value, json};

use crate::support::Question;

const CALLS: &str = "queue,ani,ms\nSales,+12025550101,1200\nBilling,+12025550102,800\n";
const SECRET: &str = "who,what\nboss,SECRET-ROW\n";

/// A lake with a file that no action declares.
async fn lake() -> Question {
    let question = Question::of("calls.csv", CALLS).await;
    question.put("secret.csv", SECRET).await;
    question.put("secret/other.csv", SECRET).await;
    question
}

fn small() -> Transform {
    let settings = TransformSettings {
        memory: ByteSize::mib(32),
        max_spill: ByteSize::mib(64),
        threads: Some(2),
        ..TransformSettings::default()
    };
    Transform::builder()
        .with_settings(settings)
        .build()
        .unwrap()
}

/// SQL that reads or changes something else, or makes the engine speak of itself.
const STATEMENTS: [&str; 64] = [
    // Stacked statements and comments.
    "SELECT 1 FROM t; SELECT * FROM secret",
    "SELECT 1 FROM t; DROP TABLE t",
    "SELECT 1 FROM t;;SELECT 2 FROM t",
    "SELECT 1 FROM t /* ; */ ; -- \nDROP TABLE t",
    "SELECT 1 FROM t -- \n; COPY t TO 's3://lake/x.csv'",
    // Changes.
    "INSERT INTO t VALUES ('a', 'b', 1)",
    "INSERT OVERWRITE t SELECT * FROM t",
    "UPDATE t SET ms = 0",
    "DELETE FROM t",
    "TRUNCATE TABLE t",
    "MERGE INTO t USING t AS s ON t.ms = s.ms WHEN MATCHED THEN DELETE",
    "WITH x AS (DELETE FROM t RETURNING *) SELECT * FROM x",
    "WITH x AS (INSERT INTO t VALUES ('a','b',1) RETURNING *) SELECT * FROM x",
    "SELECT * INTO copy FROM t",
    "CREATE TABLE x AS SELECT * FROM t",
    "CREATE VIEW x AS SELECT * FROM t",
    "CREATE OR REPLACE TABLE t AS SELECT 1",
    "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION 's3://lake/secret.csv'",
    "CREATE EXTERNAL TABLE x STORED AS CSV LOCATION 'file:///etc/passwd'",
    "CREATE UNBOUNDED EXTERNAL TABLE x (a int) STORED AS CSV LOCATION '/etc/passwd'",
    "CREATE FUNCTION f(DOUBLE) RETURNS DOUBLE RETURN $1",
    "CREATE SCHEMA x",
    "CREATE DATABASE x",
    "DROP TABLE t",
    "DROP VIEW t",
    "ALTER TABLE t ADD COLUMN x INT",
    // Copies out.
    "COPY t TO 's3://lake/stolen.csv'",
    "COPY (SELECT * FROM t) TO '/tmp/stolen.csv' STORED AS CSV",
    "COPY t FROM '/etc/passwd'",
    // Settings and the engine's own views.
    "SET datafusion.catalog.information_schema = true",
    "SET datafusion.runtime.memory_limit = '100G'",
    "RESET datafusion.execution.batch_size",
    "SHOW ALL",
    "SHOW TABLES",
    "SHOW COLUMNS FROM t",
    "SHOW CREATE TABLE t",
    "DESCRIBE t",
    "EXPLAIN SELECT * FROM t",
    "EXPLAIN ANALYZE SELECT * FROM t",
    "EXPLAIN VERBOSE SELECT * FROM t",
    "PREPARE p AS SELECT 1",
    "EXECUTE p",
    "DEALLOCATE p",
    "BEGIN",
    "COMMIT",
    "USE other",
    "GRANT ALL ON t TO public",
    "ANALYZE TABLE t",
    "VACUUM",
    "CALL system.kill()",
    "SELECT * FROM information_schema.tables",
    "SELECT * FROM information_schema.df_settings",
    "SELECT * FROM datafusion.information_schema.columns",
    "SELECT * FROM datafusion.public.t",
    "SELECT * FROM pg_catalog.pg_tables",
    "TABLE t",
    // Files and addresses as tables.
    "SELECT * FROM 'file:///etc/passwd'",
    "SELECT * FROM '/etc/passwd'",
    "SELECT * FROM \"/etc/passwd\"",
    "SELECT * FROM \"s3://lake/secret.csv\"",
    "SELECT * FROM 'secret.csv'",
    "SELECT * FROM secret",
    "SELECT * FROM t UNION ALL SELECT who, what, 1 FROM secret",
    "SELECT (SELECT what FROM secret) FROM t",
];

/// Functions that would read files or tell about the machine, if there were any.
const FUNCTIONS: [&str; 19] = [
    "SELECT * FROM read_csv('s3://lake/secret.csv')",
    "SELECT * FROM read_parquet('/etc/passwd')",
    "SELECT * FROM read_json('/etc/passwd')",
    "SELECT * FROM parquet_metadata('/etc/passwd')",
    "SELECT * FROM metadata_cache()",
    "SELECT * FROM statistics_cache()",
    "SELECT * FROM list_files_cache()",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM TABLE(read_csv('/etc/passwd'))",
    "SELECT * FROM LATERAL read_csv('/etc/passwd')",
    "SELECT pg_read_file('/etc/passwd') FROM t",
    "SELECT load_extension('x') FROM t",
    "SELECT current_setting('datafusion.runtime.memory_limit') FROM t",
    "SELECT getenv('AWS_SECRET_ACCESS_KEY') FROM t",
    "SELECT pg_sleep(100) FROM t",
    "SELECT http_get('http://169.254.169.254/') FROM t",
    "SELECT * FROM url('http://169.254.169.254/')",
    // Other letters that look like the ones of a name, and letters that turn round.
    "SELECT * FROM s\u{435}cret",
    "SELECT * FROM \u{202e}terces",
];

#[tokio::test]
async fn sql_that_does_anything_else_is_refused() {
    let question = lake().await;
    let transform = small();
    for sql in STATEMENTS.into_iter().chain(FUNCTIONS) {
        let error = question.run_in(&transform, sql).await.unwrap_err();
        assert!(
            matches!(
                error.kind(),
                ErrorKind::NotAllowed
                    | ErrorKind::NotAQuery
                    | ErrorKind::InvalidSql
                    | ErrorKind::UnknownTable
            ),
            "{sql}: {error} ({:?})",
            error.kind()
        );
        assert!(!error.to_string().contains("SECRET-ROW"), "{sql}: {error}");
    }
    assert_eq!(transform.usage(), EngineUsage::default());
}

/// Values that would be SQL if they were spliced into it.
const INJECTIONS: [&str; 18] = [
    "' OR '1'='1",
    "' OR 1=1 --",
    "Sales'; DROP TABLE t; --",
    "' UNION SELECT who, what, 1 FROM secret --",
    "') OR (queue <> '",
    "\\' OR 1=1 --",
    "''''",
    "\" OR \"\"=\"",
    "$q",
    "$q.0",
    "${q}",
    "{q}",
    "*/ OR 1=1 /*",
    "Sales\u{0} OR 1=1",
    "\u{2019} OR 1=1 --",
    "\u{ff07} OR 1=1 --",
    "Sales%",
    "CAST('Sales' AS VARCHAR)",
];

#[tokio::test]
async fn a_value_of_any_type_is_never_sql() {
    let sqls = [
        "SELECT * FROM t WHERE queue = $q",
        "SELECT * FROM t WHERE queue IN ($q)",
        "SELECT * FROM t WHERE queue = ANY($q)",
        "SELECT * FROM t WHERE array_has(make_array($q), queue)",
        "SELECT * FROM t WHERE queue = concat($q, '')",
    ];
    let transform = small();
    for evil in INJECTIONS {
        for sql in sqls {
            let types: &[Value] = if sql.contains("ANY") {
                &[json!({ "type": "list", "items": "string" })]
            } else if sql.contains(" IN ") {
                &[
                    json!({ "type": "string" }),
                    json!({ "type": "list", "items": "string" }),
                ]
            } else {
                &[json!({ "type": "string" })]
            };
            for declared in types {
                let sent = if declared["type"] == "list" {
                    json!([evil])
                } else {
                    json!(evil)
                };
                let question = lake()
                    .await
                    .with(json!({ "q": declared }), json!({ "q": sent }));
                match question.run_in(&transform, sql).await {
                    Ok((rows, _)) => assert_eq!(rows, json!([]), "{evil:?} in {sql}"),
                    Err(error) => {
                        assert_eq!(
                            error.kind(),
                            ErrorKind::InvalidParam,
                            "{evil:?} in {sql}: {error}"
                        );
                    }
                }
            }
        }
        // Types that are not text do not take it at all.
        for declared in [
            json!({ "type": "integer" }),
            json!({ "type": "decimal" }),
            json!({ "type": "boolean" }),
            json!({ "type": "date" }),
            json!({ "type": "timestamp" }),
            json!({ "type": "phone" }),
            json!({ "type": "enum", "values": ["Sales"] }),
            json!({ "type": "string", "pattern": "[A-Z][a-z]+" }),
            json!({ "type": "list", "items": "integer" }),
        ] {
            let question = lake()
                .await
                .with(json!({ "q": declared }), json!({ "q": evil }));
            let error = question
                .run_in(&transform, "SELECT $q AS q FROM t")
                .await
                .unwrap_err();
            assert_eq!(
                error.kind(),
                ErrorKind::InvalidParam,
                "{evil:?} as {declared}"
            );
            assert!(!error.to_string().contains(evil), "{error}");
        }
    }
}

#[tokio::test]
async fn a_value_does_not_leave_its_segment() {
    let transform = small();
    for (uri, evil) in [
        ("s3://lake/{p}.csv", "secret/other"),
        ("s3://lake/a/{p}.csv", "../secret"),
        ("s3://lake/a/{p}.csv", "..\\secret"),
        ("s3://lake/a/{p}.csv", "%2e%2e%2fsecret"),
        ("s3://lake/a/{p}.csv", "%2e%2e/secret"),
        ("s3://lake/a/{p}/secret.csv", ".."),
        ("s3://lake/a/{p}/secret.csv", "."),
        ("s3://lake/a/{p}/secret.csv", ""),
        ("s3://lake/{p}", "secret.csv#"),
        ("s3://lake/{p}.csv", "secret.csv?x="),
        ("s3://lake/{p}.csv", "*"),
        ("s3://lake/{p}.csv", "s?cret"),
        ("s3://lake/{p}.csv", "[s]ecret"),
        ("s3://lake/{p}.csv", "{secret,calls}"),
        ("s3://lake/{p}.csv", "secret\n"),
        ("s3://lake/{p}.csv", " secret"),
        ("s3://lake/{p}.csv", "\u{feff}secret"),
        ("s3://lake/{p}.csv", "secret\u{202e}"),
        ("s3://lake/{p}.csv", "secret\u{2215}other"),
        ("s3://lake/{p}.csv", "\u{ff0e}\u{ff0e}\u{ff0f}secret"),
        ("s3://lake/{p}.csv", "file:///etc/passwd"),
        ("s3://lake/{p}.csv", "s3://other/secret"),
    ] {
        let mut question = lake()
            .await
            .with(json!({ "p": { "type": "string" } }), json!({ "p": evil }));
        question.tables = json!({ "t": { "uri": uri, "format": "csv" } });
        let error = question
            .run_in(&transform, "SELECT * FROM t")
            .await
            .unwrap_err();
        assert!(
            matches!(error.kind(), ErrorKind::InvalidParam),
            "{uri} with {evil:?}: {error} ({:?})",
            error.kind()
        );
    }
    for uri in [
        "s3://{p}/calls.csv",
        "file:///etc/{p}",
        "s3://lake/../{p}",
        "{p}",
        "s3://lake/%2e%2e/{p}",
    ] {
        let mut question = lake().await.with(
            json!({ "p": { "type": "string" } }),
            json!({ "p": "secret.csv" }),
        );
        question.tables = json!({ "t": { "uri": uri } });
        let error = question
            .run_in(&transform, "SELECT * FROM t")
            .await
            .unwrap_err();
        // A uri is no URL: `%2e%2e` is the name of a folder, and the lake has none of that name.
        let expected = if uri.contains('%') {
            ErrorKind::NoMatchingFiles
        } else {
            ErrorKind::InvalidSpec
        };
        assert_eq!(error.kind(), expected, "{uri}");
    }
}

/// Queries that would take memory or time without end.
fn bombs() -> Vec<String> {
    let mut doubled = "SELECT queue AS x FROM t".to_owned();
    for _ in 0..40 {
        doubled = format!("SELECT x || x AS x FROM ({doubled})");
    }
    let mut encoded = "queue".to_owned();
    for _ in 0..30 {
        encoded = format!("encode({encoded}, 'hex')");
    }
    let mut lists = "SELECT make_array(queue) AS x FROM t".to_owned();
    let mut multiplied = "WITH c0 AS (SELECT * FROM t)".to_owned();
    for n in 1..30 {
        lists = format!("SELECT array_concat(x, x) AS x FROM ({lists})");
        let last = n - 1;
        multiplied +=
            &format!(", c{n} AS (SELECT a.* FROM c{last} a JOIN c{last} b ON a.ms = b.ms)");
    }
    let columns = (0..20)
        .map(|n| format!("ms + {n}"))
        .collect::<Vec<_>>()
        .join(", ");
    let mut all = vec![
        format!("SELECT length(x) AS n FROM ({doubled})"),
        format!("SELECT length({encoded}) AS n FROM t"),
        format!("SELECT cardinality(x) AS n FROM ({lists})"),
        format!("{multiplied} SELECT count(*) AS n FROM c29"),
        format!("SELECT count(*) AS n FROM t GROUP BY CUBE({columns})"),
        format!(
            "SELECT {}1{} AS n FROM t",
            "(".repeat(5000),
            ")".repeat(5000)
        ),
        format!("SELECT {}1 AS n FROM t", "NOT ".repeat(50_000)),
        format!("SELECT * FROM t WHERE queue ~ '{}'", "(a{1000}){1000}"),
        format!("SELECT * FROM t WHERE queue ~ '{}'", "a?".repeat(5000)),
    ];
    all.extend(
        [
            "SELECT length(repeat('x', 2000000000)) AS n FROM t",
            "SELECT length(repeat(queue, 2000000000)) AS n FROM t",
            "SELECT length(repeat(queue, ms * 10000000)) AS n FROM t",
            "SELECT length(lpad(queue, 2000000000, 'x')) AS n FROM t",
            "SELECT length(rpad('x', 2000000000)) AS n FROM t",
            "SELECT length(replace(repeat('a', 10000), 'a', repeat('b', 1000000))) AS n FROM t",
            "SELECT length(regexp_replace(repeat(queue, 10000), '', repeat('b', 100000), 'g')) AS n FROM t",
            "SELECT cardinality(array_repeat(queue, 1000000000)) AS n FROM t",
            "SELECT cardinality(array_resize(make_array(1), 1000000000, 7)) AS n FROM t",
            "SELECT cardinality(range(10000000000)) AS n FROM t",
            "SELECT cardinality(generate_series(1, 10000000000)) AS n FROM t",
            "SELECT range(-9223372036854775808, 9223372036854775807) AS n FROM t",
            "SELECT cardinality(generate_series(DATE '0001-01-01', DATE '9999-01-01', INTERVAL '1' MINUTE)) AS n FROM t",
            "SELECT length(array_to_string(array_repeat('x', 100000), repeat('y', 100000))) AS n FROM t",
            "SELECT cardinality(array_repeat(array_repeat(1, 10000), 100000)) AS n FROM t",
            "SELECT count(*) AS n FROM range(length(repeat('x', 2000000000)))",
            "SELECT count(*) AS n FROM range(length('x' || arrow_cast('y', 'FixedSizeBinary(2000000000)')))",
            "SELECT count(*) AS n FROM generate_series(1, 100000000000)",
            "SELECT count(*) AS n FROM range(0, 9223372036854775807)",
            "SELECT count(*) AS n FROM generate_series(TIMESTAMP '2000-01-01', TIMESTAMP '2100-01-01', INTERVAL '1' SECOND)",
            "WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r) SELECT count(*) AS n FROM r",
            "WITH RECURSIVE r AS (SELECT queue AS n FROM t UNION ALL SELECT n || n FROM r) SELECT count(*) AS n FROM r",
            "SELECT count(*) AS n FROM generate_series(1, 1000000) a, generate_series(1, 1000000) b",
            "SELECT count(*) AS n FROM generate_series(1, 1000000) a CROSS JOIN generate_series(1, 1000000) b",
            "SELECT count(*) AS n FROM generate_series(1, 1000000) a JOIN generate_series(1, 1000000) b ON a.value < b.value",
            "SELECT count(*) AS n FROM generate_series(1, 1000000) a JOIN generate_series(1, 1000000) b ON true",
            "SELECT count(*) AS n FROM generate_series(1, 1000000) a LEFT JOIN generate_series(1, 1000000) b ON a.value + b.value = -1",
            "SELECT array_agg(value) OVER (ORDER BY value) AS n FROM generate_series(1, 1000000)",
            "SELECT string_agg(CAST(value AS VARCHAR), ',') OVER (ORDER BY value) AS n FROM generate_series(1, 1000000)",
            "SELECT array_agg(lpad(CAST(value AS VARCHAR), 1000, '0')) AS n FROM generate_series(1, 1000000)",
            "SELECT count(DISTINCT lpad(CAST(value AS VARCHAR), 1000, '0')) AS n FROM generate_series(1, 1000000)",
            "SELECT * FROM t WHERE regexp_like('aaaa', queue)",
            "SELECT * FROM t WHERE queue SIMILAR TO queue",
            "SELECT arrow_cast(NULL, 'FixedSizeBinary(2000000000)') AS n FROM t",
            "SELECT value || lpad('x', 5000) AS n FROM generate_series(1, 1000000)",
        ]
        .map(str::to_owned),
    );
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bombs_end_within_the_limit_and_give_their_memory_back() {
    let mut question = lake().await;
    question.limits.timeout = Duration::from_secs(5);
    let transform = small();
    for sql in bombs() {
        let shown: String = sql.chars().take(150).collect();
        #[expect(clippy::disallowed_methods, reason = "how long a bomb really takes")]
        let started = Instant::now();
        let result = question.run_in(&transform, &sql).await;
        let took = started.elapsed();
        let error = match result {
            Err(error) => error,
            Ok((rows, _)) => panic!("{shown}: {} bytes of rows", rows.to_string().len()),
        };
        assert!(
            matches!(
                error.kind(),
                ErrorKind::NotAllowed
                    | ErrorKind::InvalidSql
                    | ErrorKind::MemoryLimit
                    | ErrorKind::OutputLimit
                    | ErrorKind::Timeout
            ),
            "{shown}: {error} ({:?})",
            error.kind()
        );
        assert!(took < Duration::from_secs(20), "{shown}: {took:?}");
        // A row of it would be gigabytes: it is refused before there is one.
        let before_any_row = error.kind() == ErrorKind::NotAllowed;
        assert!(
            !sql.contains("FixedSize") || before_any_row,
            "{shown}: {error}"
        );
        until_free(&transform, &shown).await;
    }
}

#[tokio::test]
async fn the_widest_range_is_refused_for_its_size() {
    let question = lake().await;
    let sql = "SELECT range(-9223372036854775808, 9223372036854775807) AS n FROM t";
    let error = question.run_in(&small(), sql).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MemoryLimit, "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn planning_ends_with_the_time_limit() {
    let mut question = lake().await;
    question.limits.timeout = Duration::from_millis(100);
    // 3,888 grouping sets, a few fewer than the engine refuses.
    let rollup = "ROLLUP(ms, ms + 1, ms + 2, ms + 3, ms + 4)";
    let sql = format!(
        "SELECT count(*) AS n FROM t GROUP BY {}, ROLLUP(queue, ani)",
        [rollup; 4].join(", ")
    );
    #[expect(clippy::disallowed_methods, reason = "how long it really takes")]
    let started = Instant::now();
    let error = question.run_in(&small(), &sql).await.unwrap_err();
    let took = started.elapsed();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    assert!(took < Duration::from_secs(2), "{took:?}");
}

/// Tasks of a dropped stream end when they next give their thread back.
async fn until_free(transform: &Transform, after: &str) {
    for _ in 0..2000 {
        if transform.usage() == EngineUsage::default() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("after {after}: {:?} is still held", transform.usage());
}
