//! DuckDB answers the SQL cases of `transform` as they are written there. That we answer them so is `transform`'s own test.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use flowlake_e2e::Environment;
use serde_json::json;

#[test]
fn duckdb_answers_the_sql_cases_as_we_do() -> Result<()> {
    let python = Environment::load()?.python();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crates/transform/tests/cases");
    let counts = python.call("cases", &json!({ "folder": folder }))?;
    let files = counts.as_object().context("no counts")?;
    let sum = |what: &str| {
        files
            .values()
            .filter_map(|file| file[what].as_u64())
            .sum::<u64>()
    };
    let (answered, left_out) = (sum("answered"), sum("left out"));
    ensure!(
        answered >= 150 && left_out * 2 < answered,
        "{answered} answered, {left_out} left out: {counts}"
    );
    Ok(())
}
