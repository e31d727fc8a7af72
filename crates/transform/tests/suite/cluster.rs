//! Queries that workers take part in: rows, figures and errors are those of one machine.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use flowlake_transform::{
    ErrorKind, Transform, TransformSettings,
    cluster::{Cluster, ClusterSecret},
};
use object_store::{ObjectStore, memory::InMemory};
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::{
    Question,
    counting::Counting,
    workers::{Workers, settings},
};

const GROUPED: &str = "SELECT q, count(*) AS n, sum(v) AS v FROM t GROUP BY q ORDER BY q";

/// Ten files of CSV with a thousand rows each.
async fn calls() -> Question {
    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let question = Question::over(store, "calls/*.csv");
    for file in 0..10 {
        let rows = (0..1000).map(|row| format!("q{},{},{file}\n", row % 7, row));
        let text = format!("q,v,f\n{}", rows.collect::<String>());
        question.put(&format!("calls/{file}.csv"), text).await;
    }
    question
}

fn engine() -> Transform {
    Transform::builder().build().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_and_figures_are_those_of_one_machine() {
    let question = calls().await;
    let workers = Workers::start(3, &question.lake.0).await;
    let (local, one) = question.run_in(&engine(), GROUPED).await.unwrap();
    let mut settings = settings(&workers.addresses);
    settings.bytes_per_task = 20_000;
    let divided = engine().on_cluster(&Cluster::try_new(settings).unwrap());
    let (rows, three) = question.run_in(&divided, GROUPED).await.unwrap();
    assert_eq!(rows, local);
    assert_eq!(workers.files_opened(), 10);
    assert_eq!(three.rows_scanned, one.rows_scanned);
    // The coordinator has read the heads of these files too, to find the columns.
    assert!(three.bytes_scanned >= one.bytes_scanned);
    assert!(three.bytes_scanned <= 2 * one.bytes_scanned);
}

/// Files that workers read may have a declared column that the others do not.
#[tokio::test(flavor = "multi_thread")]
async fn declared_columns_that_no_file_has_are_reported_by_workers() {
    let mut question = calls().await;
    question.put("calls/9.csv", "q,v,late\nq1,1,2\n").await;
    question.tables["t"]["columns"] =
        json!({ "q": "string", "v": "integer", "late": "integer", "nmae": "string" });
    let workers = Workers::start(2, &question.lake.0).await;
    let divided = engine().on_cluster(&workers.cluster);
    let sql = "SELECT q, sum(v) AS v, count(late) AS late, count(nmae) AS nmae FROM t GROUP BY q";
    let (_, stats) = question.run_in(&divided, sql).await.unwrap();
    assert_eq!(workers.files_opened(), 10);
    assert_eq!(stats.absent, ["nmae".to_owned()].into());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_cut_off_says_so_and_what_was_read() {
    let mut question = calls().await;
    question.limits.max_rows = 5;
    let workers = Workers::start(2, &question.lake.0).await;
    let divided = engine().on_cluster(&workers.cluster);
    let (rows, stats) = question.run_in(&divided, "SELECT v FROM t").await.unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 5);
    assert!(stats.truncated && stats.rows_scanned >= 5, "{stats:?}");
    let limited = "SELECT v FROM t LIMIT 3";
    let (rows, stats) = question.run_in(&divided, limited).await.unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 3);
    assert!(!stats.truncated);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_keep_their_kind() {
    let mut question = calls().await;
    question.put("calls/3.csv", "q,v,f\nq1,1\n").await;
    let workers = Workers::start(2, &question.lake.0).await;
    let divided = engine().on_cluster(&workers.cluster);
    let kind = async |question: &Question, sql: &str| {
        let on_one = question.run_in(&engine(), sql).await.unwrap_err();
        let error = question.run_in(&divided, sql).await.unwrap_err();
        assert_eq!(error.kind(), on_one.kind(), "{error} and {on_one}");
        (error.kind(), error.to_string(), on_one.to_string())
    };
    let (found, message, on_one) = kind(&question, "SELECT sum(v) AS v FROM t").await;
    assert_eq!(found, ErrorKind::MalformedData);
    assert_eq!(message, on_one);
    question.put("calls/3.csv", "q,v,f\nq1,1,3\n").await;
    let (found, message, on_one) = kind(&question, "SELECT sum(v / (f - 3)) AS v FROM t").await;
    assert_eq!(found, ErrorKind::NotComputable);
    assert_eq!(message, on_one);
    question.limits.max_scan_bytes = serde_json::from_value(json!(1000)).unwrap();
    let (found, ..) = kind(&question, "SELECT sum(v) AS v FROM t").await;
    assert_eq!(found, ErrorKind::ScanLimit);
}

#[tokio::test(flavor = "multi_thread")]
async fn misfits_of_workers_are_counted() {
    let question = calls().await;
    question.put("calls/3.csv", "q,v,f\nq1,none,3\n").await;
    let mut question = question;
    question.tables["t"]["on_error"] = json!("skip");
    question.tables["t"]["types"] = json!({ "v": "integer" });
    let workers = Workers::start(2, &question.lake.0).await;
    let divided = engine().on_cluster(&workers.cluster);
    let (rows, stats) = question.run_in(&divided, GROUPED).await.unwrap();
    assert_eq!(stats.skipped_rows, 1);
    assert_eq!(rows, question.rows(GROUPED).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_gone_is_left_out_and_none_is_an_error() {
    let question = calls().await;
    let workers = Workers::start(2, &question.lake.0).await;
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let gone = gone.local_addr().unwrap();
    let with_one_gone = [workers.addresses[0], gone];
    let mut with_two_gone = settings(&with_one_gone);
    with_two_gone
        .workers
        .push("no-such-host.invalid:7400".to_owned());
    let cluster = Cluster::try_new(with_two_gone).unwrap();
    let divided = engine().on_cluster(&cluster);
    let (rows, _) = question.run_in(&divided, GROUPED).await.unwrap();
    assert_eq!(rows, question.rows(GROUPED).await);
    let cluster = Cluster::try_new(settings(&[gone])).unwrap();
    let divided = engine().on_cluster(&cluster);
    let error = question.run_in(&divided, GROUPED).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WorkerLost, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coordinator_with_another_secret_is_refused() {
    let question = calls().await;
    let workers = Workers::start(1, &question.lake.0).await;
    let mut settings = settings(&workers.addresses);
    settings.secret = ClusterSecret::try_new("something-else-entirely").unwrap();
    let divided = engine().on_cluster(&Cluster::try_new(settings).unwrap());
    let error = question.run_in(&divided, GROUPED).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WorkerRefused, "{error}");
    assert!(error.to_string().contains("secret"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_takes_too_long_ends_and_leaves_nothing_behind() {
    let mut question = calls().await;
    question.limits.timeout = Duration::from_millis(1500);
    question.limits.max_keyless_rows = u64::MAX;
    let workers = Workers::start(2, &question.lake.0).await;
    let divided = engine().on_cluster(&workers.cluster);
    let long = "SELECT count(*) AS n FROM t a, t b WHERE a.v * b.v % 7 < a.v";
    let error = question.run_in(&divided, long).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
    // A worker frees what a part of a plan held when it next has something to do.
    question.limits.timeout = Duration::from_secs(30);
    let mut tries = 0;
    while workers.engine.usage().reserved_bytes > 0 {
        tries += 1;
        assert!(tries < 100, "{:?}", workers.engine.usage());
        tokio::time::sleep(Duration::from_millis(200)).await;
        let (rows, _) = question.run_in(&divided, GROUPED).await.unwrap();
        assert_eq!(rows.as_array().unwrap().len(), 7);
    }
}

/// One file of ten thousand records.
async fn one_file(key: &str, record: impl Fn(usize) -> String, header: &str) -> Question {
    let rows: String = (0..10_000).map(record).collect();
    Question::of(key, format!("{header}{rows}")).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_file_of_text_is_read_in_parts() {
    let csv = |row: usize| format!("q{},{row},\"a, b\"\n", row % 7);
    let json = |row: usize| format!("{{\"q\":\"q{}\",\"v\":{row},\"n\":null}}\n", row % 7);
    let skipped = "made by hand\n\nq,v,n\n";
    let mut questions = vec![
        one_file("calls.csv", csv, "\u{feff}q,v,n\n").await,
        one_file("calls.json", json, "").await,
        one_file("calls.csv", csv, skipped).await,
    ];
    questions[2].tables["t"]["skip_lines"] = json!(2);
    for question in questions {
        let workers = Workers::start(3, &question.lake.0).await;
        let divided = engine().on_cluster(&workers.cluster);
        let (rows, stats) = question.batches_once(&divided, GROUPED).await.unwrap();
        assert_eq!(rows.iter().map(|batch| batch.num_rows()).sum::<usize>(), 7);
        assert_eq!(stats.rows_scanned, 10_000);
        assert!(workers.files_opened() >= 8, "{}", workers.files_opened());
        let (rows, _) = question.run_in(&divided, GROUPED).await.unwrap();
        assert_eq!(rows, question.rows(GROUPED).await);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_whose_records_have_several_lines_is_read_whole() {
    let lines = "line, \"\"quoted\"\"\n".repeat(9);
    let record = |row: usize| format!("q{},{row},\"{lines}\"\n", row % 7);
    let question = one_file("notes.csv", record, "q,v,n\n").await;
    let workers = Workers::start(2, &question.lake.0).await;
    let divided = engine().on_cluster(&workers.cluster);
    let sql = "SELECT q, count(*) AS n, max(length(n)) AS most FROM t GROUP BY q ORDER BY q";
    let error = question.batches_once(&divided, sql).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::FilesDivided, "{error}");
    let opened = workers.files_opened();
    let (rows, _) = question.run_in(&divided, sql).await.unwrap();
    assert_eq!(rows, question.rows(sql).await);
    // The file is remembered: nothing was read twice.
    assert_eq!(workers.files_opened(), opened + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_of_parts_that_is_cut_off_is_one_of_whole_files() {
    let record = |row: usize| format!("q{},{row},\"a\"\n", row % 7);
    let mut question = one_file("calls.csv", record, "q,v,n\n").await;
    question.limits.max_rows = 3;
    let workers = Workers::start(2, &question.lake.0).await;
    let divided = engine().on_cluster(&workers.cluster);
    let sql = "SELECT v FROM t WHERE v % 2 = 1";
    let (rows, stats) = question.run_in(&divided, sql).await.unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 3);
    assert!(stats.truncated);
    // Later queries read parts again.
    question.limits.max_rows = 10;
    question.batches_once(&divided, GROUPED).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_in_a_part_names_the_line_of_the_file() {
    let record = |row: usize| match row {
        9_000 => "q1,1\n".to_owned(),
        _ => format!("q{},{row},x\n", row % 7),
    };
    let question = one_file("calls.csv", record, "q,v,n\n").await;
    let workers = Workers::start(2, &question.lake.0).await;
    let divided = engine().on_cluster(&workers.cluster);
    let error = question.run_in(&divided, GROUPED).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MalformedData, "{error}");
    assert!(error.to_string().contains("9002"), "{error}");
}

/// Two hundred files of CSV with 1,000 bytes each, of which the first says what the columns are.
async fn many_files() -> (Arc<Counting>, Question) {
    let store = Arc::new(Counting::default());
    let mut question = Question::over(Arc::clone(&store) as Arc<dyn ObjectStore>, "calls/*.csv");
    question.tables["t"]["infer_files"] = json!(1);
    for file in 0..200 {
        let rows = "q1,12345678\n".repeat(83);
        question
            .put(&format!("calls/{file}.csv"), format!("q,v\n{rows}"))
            .await;
    }
    (store, question)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_ends_soon_after_its_workers_have_read_too_much_together() {
    let (store, mut question) = many_files().await;
    let workers = Workers::start(5, &question.lake.0).await;
    let divided = engine().on_cluster(&workers.cluster);
    let sql = "SELECT sum(v) AS v FROM t";
    question.batches_once(&divided, sql).await.unwrap();
    // Each of five scans alone reads less, and none comes to its end.
    question.limits.max_scan_bytes = serde_json::from_value(json!(45_000)).unwrap();
    question.limits.timeout = Duration::from_secs(20);
    store.answered.store(store.total() + 60, SeqCst);
    let error = question.batches_once(&divided, sql).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ScanLimit, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_refuses_more_queries_than_it_may_take_part_in() {
    let (store, question) = many_files().await;
    let workers = Workers::start_with(1, &question.lake.0, engine(), 1).await;
    let divided = engine().on_cluster(&workers.cluster);
    store.is_slow.store(true, SeqCst);
    let ask = || question.batches_once(&divided, "SELECT sum(v) AS v FROM t");
    let (one, other) = tokio::join!(ask(), ask());
    let ((Ok(_), Err(error)) | (Err(error), Ok(_))) = (one, other) else {
        panic!("one of two queries is refused");
    };
    assert_eq!(error.kind(), ErrorKind::WorkerBusy, "{error}");
    assert!(error.to_string().contains("max_queries"), "{error}");
    store.is_slow.store(false, SeqCst);
    ask().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_memory_of_a_worker_is_bounded_by_its_own_settings() {
    let question = calls().await;
    let small: TransformSettings =
        serde_json::from_value(json!({ "memory": "1MiB", "max_spill": 0 })).unwrap();
    let small = Transform::builder().with_settings(small).build().unwrap();
    let workers = Workers::start_with(2, &question.lake.0, small, 32).await;
    let divided = engine().on_cluster(&workers.cluster);
    let sql = "SELECT repeat(CAST(v * 10 + f AS VARCHAR), 200) AS k, count(*) AS n FROM t GROUP BY 1 ORDER BY 2 LIMIT 1";
    let error = question.run_in(&divided, sql).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::MemoryLimit, "{error}");
    let sql = "SELECT count(*) AS n FROM t";
    question.run_in(&divided, sql).await.unwrap();
}
