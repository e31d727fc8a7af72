//! The sample files hold the same rows in every format, and the same bytes every time.

use std::collections::BTreeSet;
use std::fs::File;

use arrow::array::{Array, AsArray};
use arrow::datatypes::Int64Type;
use flowlake_dev_stack::sample::{SampleSettings, write};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;

#[test]
fn every_format_has_the_same_rows() {
    let folder = tempfile::tempdir().unwrap();
    let settings = SampleSettings {
        rows: 3000,
        customers: 50,
        ..SampleSettings::default()
    };
    let files = write(folder.path(), &settings).unwrap();
    let lines: Vec<Value> = std::fs::read_to_string(&files.ndjson.path)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let array: Vec<Value> =
        serde_json::from_slice(&std::fs::read(&files.json.path).unwrap()).unwrap();
    assert_eq!(lines.len(), 3000);
    assert_eq!(lines, array);
    let csv = std::fs::read_to_string(&files.csv.path).unwrap();
    assert_eq!(csv.lines().count(), 3001);
    assert!(csv.contains("\"customer said \"\"thanks\"\"\""));
    assert!(csv.contains("\"callback, scheduled\""));
    let reader = ParquetRecordBatchReaderBuilder::try_new(File::open(&files.parquet.path).unwrap())
        .unwrap()
        .with_batch_size(3000)
        .build()
        .unwrap();
    let mut seen = 0;
    for batch in reader {
        let batch = batch.unwrap();
        let id = batch
            .column_by_name("conversation_id")
            .unwrap()
            .as_string::<i32>();
        let handle = batch
            .column_by_name("t_handle_ms")
            .unwrap()
            .as_primitive::<Int64Type>();
        let wrapup = batch.column_by_name("wrapup").unwrap().as_string::<i32>();
        for row in 0..batch.num_rows() {
            let line = &lines[seen];
            assert_eq!(id.value(row), line["conversation_id"]);
            assert_eq!(handle.value(row), line["t_handle_ms"]);
            let wrapup = (!wrapup.is_null(row)).then(|| wrapup.value(row));
            assert_eq!(wrapup, line["wrapup"].as_str());
            seen += 1;
        }
    }
    assert_eq!(seen, 3000);
    let callers: BTreeSet<&str> = lines
        .iter()
        .filter_map(|line| line["ani"].as_str())
        .collect();
    let customers = std::fs::read_to_string(&files.customers.path).unwrap();
    assert_eq!(files.customers.rows, 50);
    for line in customers.lines().skip(1) {
        let ani = line.split(',').nth(1).unwrap();
        assert!(callers.contains(ani), "{ani}");
    }
    assert!(customers.contains(&files.example_ani));
    assert!(csv.contains(&files.example_agent_id));

    let again = tempfile::tempdir().unwrap();
    let second = write(again.path(), &settings).unwrap();
    for (one, two) in [
        (&files.csv, &second.csv),
        (&files.parquet, &second.parquet),
        (&files.customers, &second.customers),
    ] {
        assert_eq!(
            std::fs::read(&one.path).unwrap(),
            std::fs::read(&two.path).unwrap()
        );
    }
    let other = SampleSettings {
        seed: 43,
        ..settings
    };
    write(again.path(), &other).unwrap();
    assert_ne!(std::fs::read(&second.csv.path).unwrap(), csv.as_bytes());
}
