//! Whatever the SQL and whatever the bytes: an answer or an error that somebody can act on, and never `internal`.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::sync::Arc;

use flowlake_data_action::ErrorCode;
use flowlake_dev_stack::generated_cases;
use flowlake_transform::arrow::{
    array::{
        ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, RecordBatch, StringArray,
    },
    datatypes::Int64Type,
    ipc::writer::FileWriter,
};
use rand::{Rng, SeedableRng, rngs::StdRng};

use crate::support::{lake::Lake, parquet};

const ROWS: usize = 40;
/// Damaged files of each format.
const FILES: u64 = 12;

/// Queries that look at all columns, at few, at statistics alone, and some that are mistakes.
const QUERIES: [&str; 10] = [
    "SELECT * FROM t",
    "SELECT count(*) AS n FROM t",
    "SELECT id FROM t WHERE name = 'n7' OR score > 3",
    "SELECT name, sum(id) AS s FROM t GROUP BY name ORDER BY name LIMIT 5",
    "SELECT min(id) AS a, max(score) AS b, count(flag) AS c FROM t",
    "SELECT a.id FROM t a JOIN t b ON a.id = b.id WHERE b.flag",
    "SELECT CAST(name AS INT) AS v FROM t",
    "SELECT id / (id - 5) AS v FROM t",
    "SELECT date_trunc('fortnight', now()) AS v FROM t",
    "SELECT id FROM t WHERE flag = 'x'",
];

fn columns() -> Vec<(&'static str, ArrayRef)> {
    let numbers = || (0..ROWS as i64).map(Some);
    let id: ArrayRef = Arc::new(numbers().collect::<Int64Array>());
    let names = numbers().map(|n| n.map(|n| format!("n{n}")));
    let name: ArrayRef = Arc::new(names.collect::<StringArray>());
    let scores = (0..ROWS).map(|n| Some(n as f64 / 8.0));
    let score: ArrayRef = Arc::new(scores.collect::<Float64Array>());
    let flags = numbers().map(|n| n.map(|n| n % 2 == 0));
    let flag: ArrayRef = Arc::new(flags.collect::<BooleanArray>());
    let lists = numbers().map(|n| n.map(|n| vec![Some(n), None]));
    let list: ArrayRef = Arc::new(ListArray::from_iter_primitive::<Int64Type, _, _>(lists));
    vec![
        ("id", id),
        ("name", name),
        ("score", score),
        ("flag", flag),
        ("list", list),
    ]
}

/// The same rows in each format.
fn files() -> Vec<(&'static str, Vec<u8>)> {
    let line = |n: usize| {
        format!(
            "{{\"id\":{n},\"name\":\"n{n}\",\"score\":{}.5,\"flag\":true}}",
            n
        )
    };
    let lines: Vec<String> = (0..ROWS).map(line).collect();
    let csv: String = (0..ROWS)
        .map(|n| format!("{n},n{n},{n}.5,true\n"))
        .collect();
    let batch = RecordBatch::try_from_iter(columns()).unwrap();
    let mut arrow = FileWriter::try_new(Vec::new(), batch.schema_ref()).unwrap();
    arrow.write(&batch).unwrap();
    vec![
        ("a.csv", format!("id,name,score,flag\n{csv}").into_bytes()),
        ("a.ndjson", lines.join("\n").into_bytes()),
        ("a.json", format!("[{}]", lines.join(",")).into_bytes()),
        ("a.parquet", parquet::file(&columns())),
        ("a.arrow", arrow.into_inner().unwrap()),
    ]
}

fn damage(bytes: &mut Vec<u8>, rng: &mut StdRng) {
    for _ in 0..rng.random_range(1..4) {
        let place = rng.random_range(0..bytes.len());
        match rng.random_range(0..6) {
            0 => bytes.truncate(place.max(1)),
            1 => bytes[place] ^= 1 << rng.random_range(0..8),
            2 => bytes[place] = rng.random(),
            3 => bytes.insert(place, rng.random()),
            4 => {
                let end = (place + rng.random_range(1..40)).min(bytes.len());
                bytes.drain(place..end);
                if bytes.is_empty() {
                    bytes.push(b'x');
                }
            }
            // The footer of a binary format, where lengths are.
            _ => {
                let place = bytes.len() - 1 - rng.random_range(0..bytes.len().min(200));
                bytes[place] = bytes[place].wrapping_add(1);
            }
        }
    }
}

#[tokio::test]
async fn nothing_ends_in_a_fault_of_ours() {
    for (key, whole) in files() {
        for seed in 0..generated_cases(FILES) {
            let mut bytes = whole.clone();
            if seed > 0 {
                damage(&mut bytes, &mut StdRng::seed_from_u64(seed));
            }
            let told = Lake::new()
                .file(key, bytes)
                .in_one_folder()
                .ask(&QUERIES)
                .await;
            for (told, sql) in told.iter().zip(QUERIES) {
                if let Err((code, message)) = told {
                    assert_ne!(
                        *code,
                        ErrorCode::Internal,
                        "{key}, seed {seed}, {sql}: {message}"
                    );
                    assert!(!message.is_empty());
                }
            }
        }
    }
}
