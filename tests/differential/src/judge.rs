//! Questions for the programs and for another database, which answers them from a typed copy of the table.

use flowlake_transform::Error;
use serde_json::{Map, Value as Json, value::RawValue};

use crate::{
    dice::Dice,
    engine::Engines,
    query::{Queries, Query, Values},
    table::Table,
    value::{canonical, same},
    way::Way,
};

/// A table as files, and questions about it.
#[derive(Debug)]
pub struct JudgedTable {
    /// The seed that it comes from.
    pub seed: u64,
    /// Keys below the bucket `lake`, and contents.
    pub objects: Vec<(String, Vec<u8>)>,
    /// The whole table as one Parquet file.
    pub parquet: Vec<u8>,
    /// The questions.
    pub questions: Vec<Question>,
}

/// A question as an action, and as SQL for another database.
#[derive(Debug)]
pub struct Question {
    /// The action's name.
    pub name: String,
    /// The text of the action's file.
    pub toml: String,
    /// What is sent for its parameters.
    pub params: Json,
    /// The question with its values written out, over a table `t`.
    pub sql: String,
    /// Whether its rows have one order.
    pub in_order: bool,
}

/// Tables with their questions, from the first table's seed on. Only what has one answer is asked.
///
/// # Errors
/// When no engine can be built.
pub async fn judged(seed: u64, tables: u64, questions: usize) -> Result<Vec<JudgedTable>, Error> {
    let engines = Engines::new()?;
    let mut all = Vec::new();
    for seed in seed..seed + tables {
        all.push(judged_table(&engines, seed, questions).await);
    }
    Ok(all)
}

async fn judged_table(engines: &Engines, seed: u64, questions: usize) -> JudgedTable {
    let mut dice = Dice::new(seed);
    let table = Table::generate(&mut dice);
    let mut objects = Vec::new();
    let mut asked = Vec::new();
    while asked.len() < questions {
        let way = Way::generate(&mut dice, &table);
        let folder = format!("exports/s{seed}-{}", asked.len());
        let placed = engines.place_in(&table, &way, folder).await;
        for _ in 0..4 {
            let mut queries = Queries {
                table: &table,
                dice: &mut dice,
            };
            let query = queries.query();
            let limited = query.limit.is_some() || query.offset.is_some();
            // Databases do not agree on the capital of `ß`.
            let has_capitals = query
                .pieces()
                .iter()
                .any(|piece| piece.sql.contains("upper("));
            if limited && !query.is_ordered() || has_capitals {
                continue;
            }
            asked.push(question(&table, &way, &query, seed, asked.len(), &placed));
        }
        objects.extend(placed.into_objects());
    }
    JudgedTable {
        seed,
        objects,
        parquet: crate::files::parquet(&table),
        questions: asked,
    }
}

fn question(
    table: &Table,
    way: &Way,
    query: &Query,
    seed: u64,
    number: usize,
    placed: &crate::engine::Placed<'_>,
) -> Question {
    let mut params = Vec::new();
    let mut values = if way.params {
        Values::Params(&mut params)
    } else {
        Values::Literal
    };
    let sql = query.sql(table, &mut values);
    let name = format!("s{seed}-q{number}");
    let sent: Map<String, Json> = params
        .iter()
        .enumerate()
        .map(|(number, value)| (format!("p{number}"), value.sent()))
        .collect();
    Question {
        toml: placed
            .toml(&sql, &params)
            .replacen("\"question\"", &format!("\"{name}\""), 1),
        name,
        params: sent.into(),
        sql: query.sql(table, &mut Values::Literal),
        in_order: query.is_ordered(),
    }
}

/// Whether the rows of an answer, as text of JSON, are these: cells as text of JSON, by the names of their columns.
///
/// # Errors
/// What differs.
pub fn same_rows(
    answer: &str,
    expected: &[Map<String, Json>],
    in_order: bool,
) -> Result<(), String> {
    let found: Vec<std::collections::BTreeMap<&str, &RawValue>> =
        serde_json::from_str(answer).map_err(|_not_rows| format!("no rows: {answer}"))?;
    let cell = |json: &str| canonical(json);
    let mut found: Vec<Vec<String>> = found
        .iter()
        .map(|row| row.values().map(|json| cell(json.get())).collect())
        .collect();
    let mut expected: Vec<Vec<String>> = expected
        .iter()
        .map(|row| {
            let row: std::collections::BTreeMap<_, _> = row.iter().collect();
            row.values()
                .map(|json| cell(json.as_str().unwrap_or("(no text)")))
                .collect()
        })
        .collect();
    if !in_order {
        found.sort();
        expected.sort();
    }
    let equal = |(a, b): (&Vec<String>, &Vec<String>)| {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
    };
    if found.len() == expected.len() && found.iter().zip(&expected).all(equal) {
        Ok(())
    } else {
        Err(format!("expected {expected:?}, found {found:?}"))
    }
}
