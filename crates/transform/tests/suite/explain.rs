//! The explanation of a query before it runs, and of its steps afterwards.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use crate::support::Question;
use flowlake_transform::{Explanation, RowEncoder, RowFormat, Run, Step, Transform};
use futures::StreamExt;
use serde_json::json;

async fn explain(question: &Question, sql: &str) -> Explanation {
    let transform = Transform::builder().build().unwrap();
    let (prepared, bound) = question.prepare(sql).unwrap();
    let files = transform.find(&prepared, &bound, &question.lake).await;
    let run = Run {
        prepared: &prepared,
        bound: &bound,
        files: &files.unwrap(),
        stores: &question.lake,
    };
    transform.explain(&run).await.unwrap()
}

fn texts(steps: &[Step]) -> Vec<&str> {
    steps.iter().map(|step| step.text.as_str()).collect()
}

async fn partitioned() -> Question {
    let mut question =
        Question::of("lake/date=2026-01-01/a.csv", "id,queue,ms\n1,Sales,10\n").await;
    question
        .put(
            "lake/date=2026-01-02/b.csv",
            "id,queue,ms\n2,Billing,20\n3,Sales,30\n",
        )
        .await;
    question.tables = json!({ "t": { "uri": "s3://lake/lake/" } });
    question
}

#[tokio::test]
async fn files_columns_and_conditions_are_named_and_values_are_not() {
    let question = partitioned().await.with(
        json!({ "q": { "type": "string", "sensitive": true } }),
        json!({ "q": "TopSecretQueue" }),
    );
    let told = explain(
        &question,
        "SELECT id, ms FROM t WHERE date = '2026-01-02' AND queue = $q ORDER BY ms",
    )
    .await;
    let scan = &told.scans[0];
    assert_eq!(
        (scan.table.as_str(), scan.files, told.tables[0].files),
        ("t", 1, 2)
    );
    assert_eq!(scan.first_files, ["lake/date=2026-01-02/b.csv"]);
    assert_eq!(scan.conditions_on_files, ["date"]);
    assert_eq!(scan.bytes_to_read, told.bytes_to_read());
    assert!(scan.bytes_to_read < told.tables[0].bytes);
    for column in ["id", "ms", "queue"] {
        assert!(
            scan.columns.iter().any(|name| name == column),
            "{:?}",
            scan.columns
        );
    }
    assert_eq!(
        told.columns,
        [
            ("id".to_owned(), "integer".to_owned()),
            ("ms".to_owned(), "integer".to_owned())
        ]
    );
    assert_eq!(
        texts(&told.steps),
        [
            "sort by `ms`",
            "keep rows by conditions on `queue`",
            "read `t`"
        ]
    );
    assert!(told.steps[0].spills && told.steps[0].keeps_bytes.is_some());
    assert!(told.pool_bytes == 256 << 20 && told.reader_memory_bytes > 0);
    let all = serde_json::to_string(&told).unwrap();
    assert!(
        !all.contains("TopSecretQueue") && !format!("{told:?}").contains("TopSecretQueue"),
        "{all}"
    );
}

#[tokio::test]
async fn of_parquet_only_the_columns_count_and_conditions_are_pushed_down() {
    let rows = Question::of(
        "t.csv",
        (0..20_000_u64).fold("id,queue,padding\n".to_owned(), |text, id| {
            // Text that does not compress: a file of less than 256 KiB is read whole.
            let noise = [
                0x9e37_79b9_7f4a_7c15,
                0xbf58_476d_1ce4_e5b9,
                0x94d0_49bb_1331_11eb,
            ];
            let noise: String = noise
                .map(|factor: u64| format!("x{:x}", id.wrapping_mul(factor).rotate_left(29)))
                .concat();
            text + &format!("{id},q{},{noise}\n", id % 7)
        }),
    )
    .await;
    let transform = Transform::builder().build().unwrap();
    let mut rows = rows;
    rows.limits.max_rows = 20_000;
    let (batches, _) = rows.batches(&transform, "SELECT * FROM t").await.unwrap();
    let mut encoder = RowEncoder::try_new(RowFormat::Parquet, &batches[0].schema()).unwrap();
    batches
        .iter()
        .for_each(|batch| encoder.push(batch).unwrap());
    let bytes = [encoder.take(), encoder.finish().unwrap()].concat();
    let question = Question::of("t.parquet", bytes).await;
    let told = explain(&question, "SELECT id FROM t WHERE queue = 'q1'").await;
    let scan = &told.scans[0];
    assert_eq!(scan.estimated_rows, 20_000);
    assert_eq!(scan.conditions_pushed_down, ["queue"]);
    assert!(scan.bytes_to_read * 2 < scan.bytes_of_files, "{scan:?}");
}

#[tokio::test]
async fn joins_groups_and_limits_are_in_plain_words_with_what_they_keep() {
    let mut question = partitioned().await;
    question
        .put("agents.csv", "queue,team\nSales,North\n")
        .await;
    question.tables["a"] = json!({ "uri": "s3://lake/agents.csv" });
    let told = explain(
        &question,
        "SELECT a.team, count(*) AS n FROM t JOIN a ON t.queue = a.queue GROUP BY a.team ORDER BY n DESC LIMIT 2",
    )
    .await;
    let texts = texts(&told.steps);
    for part in [
        "keep the first 2 rows by a computed value",
        "group by `team`",
        "join (inner) on `queue` = `queue`",
        "read `t`",
        "read `a`",
    ] {
        assert!(
            texts.iter().any(|text| text.contains(part)),
            "no {part} in {texts:?}"
        );
    }
    assert!(told.estimated_memory_bytes > 0);
}

#[tokio::test]
async fn after_a_run_each_step_says_what_it_did() {
    let question = partitioned().await;
    let transform = Transform::builder().build().unwrap();
    let sql = "SELECT queue, sum(ms) AS s FROM t WHERE ms > 15 GROUP BY queue ORDER BY s";
    let (prepared, bound) = question.prepare(sql).unwrap();
    let files = transform.find(&prepared, &bound, &question.lake).await;
    let run = Run {
        prepared: &prepared,
        bound: &bound,
        files: &files.unwrap(),
        stores: &question.lake,
    };
    let told = transform.explain(&run).await.unwrap();
    let mut rows = transform.run(&run).await.unwrap();
    while let Some(batch) = rows.next().await {
        batch.unwrap();
    }
    let steps = rows.steps();
    assert_eq!(steps.len(), told.steps.len());
    let of = |part: &str| {
        steps
            .iter()
            .find(|step| step.text.contains(part))
            .unwrap()
            .run
            .unwrap()
    };
    // Of three rows, one is left out before it is decoded.
    assert_eq!(of("read files").rows, 2);
    assert_eq!(of("keep rows").rows, 2);
    assert_eq!(of("sort by").rows, 2);
    assert!(told.steps.iter().all(|step| step.run.is_none()));
}
