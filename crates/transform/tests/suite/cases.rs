//! The SQL cases of `tests/cases/*.slt`, in sqllogictest's format. The end-to-end tests have DuckDB answer the same files.
//!
//! Besides queries, a case file has statements that set the scene, which both runners know:
//!
//! - `FILE [HOW…] KEY` and lines: an object. HOW is a compression, an encoding (`utf-16le`, `utf-16be`, `latin-1`, `bom`), a
//!   format that the lines, as CSV, are written in (`parquet`, `avro`, `arrow`), or `escaped` for `\n`, `\r`, `\t`, `\0` and `\\`.
//! - `TABLE NAME {…}`: a table, as in an action, in JSON. `PARAM NAME {…} VALUE`: a parameter and what is sent for it.
//! - `LIMITS {…}`: limits, as in an action. `STATS WHAT` as a query: a figure of the last run. `COLUMNS` as a query and SQL: the
//!   columns of the answer, told without running it. `PARAMS`: none of before, since an
//!   action may declare none that it does not use. `RESET`: nothing of before.
//!
//! `skipif duckdb` stands below a comment that says why the other engine answers otherwise. With `FLOWLAKE_WRITE_CASES` set, what
//! is answered is written into the files instead of being compared.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

#[cfg(feature = "cluster")]
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::support::Question;
use async_trait::async_trait;
use datafusion::arrow::datatypes::DataType;
use flowlake_cases::{shown, written};
use flowlake_transform::{Error, Run, RunStats, Transform, json::JsonRows};
use object_store::memory::InMemory;
use serde_json::{Value, json, value::RawValue};
use sqllogictest::{
    AsyncDB, DBOutput, DefaultColumnType, Record, Runner, default_normalizer, default_validator,
    strict_column_validator,
};

/// What the statements so far have set.
struct Scene {
    question: Question,
    transform: Transform,
    last: RunStats,
    machines: Machines,
}

/// Who answers.
#[derive(Clone)]
enum Machines {
    One,
    /// Two workers read, and count the files; this process only plans.
    #[cfg(feature = "cluster")]
    Three(Arc<AtomicU64>),
}

#[derive(Debug)]
struct Refused(String);

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

impl From<Error> for Refused {
    fn from(error: Error) -> Self {
        Self(format!("{:?}: {error}", error.kind()))
    }
}

impl Scene {
    fn new(machines: Machines) -> Self {
        let mut question = Question::over(Arc::new(InMemory::new()), "none");
        question.tables = json!({});
        Self {
            question,
            transform: Transform::builder().build().unwrap(),
            last: RunStats::default(),
            machines,
        }
    }

    async fn file(&self, head: &str, body: &str) {
        let words: Vec<&str> = head.split_whitespace().collect();
        let (key, how) = words.split_last().unwrap();
        self.question
            .put(key, written(how, body).await.unwrap())
            .await;
    }

    fn set(&mut self, word: &str, rest: &str) {
        let (name, rest) = match word {
            "LIMITS" => ("", rest),
            _ => rest.split_once(' ').unwrap(),
        };
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        let declared = values.next().unwrap().unwrap();
        match word {
            "LIMITS" => self.question.limits = serde_json::from_value(declared).unwrap(),
            "TABLE" => self.question.tables[name] = declared,
            _ => {
                self.question.params[name] = declared;
                // Null is as good as nothing sent.
                self.question.values[name] = values.next().map_or(Value::Null, Result::unwrap);
            }
        }
    }

    async fn query(&mut self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Refused> {
        let (prepared, bound) = self.question.prepare(sql)?;
        let lake = &self.question.lake;
        let files = self.transform.find(&prepared, &bound, lake).await?;
        let run = Run {
            prepared: &prepared,
            bound: &bound,
            files: &files,
            stores: lake,
        };
        let schema = self.transform.output_schema(&run).await?;
        let answered = match &self.machines {
            Machines::One => self.question.batches(&self.transform, sql).await,
            #[cfg(feature = "cluster")]
            Machines::Three(read) => {
                let workers = crate::support::workers::Workers::start(2, &lake.0).await;
                let engine = self.transform.on_cluster(&workers.cluster);
                let answered = self.question.batches(&engine, sql).await;
                read.fetch_add(workers.files_opened(), Relaxed);
                answered
            }
        };
        let (batches, stats) = answered?;
        self.last = stats;
        let mut json = JsonRows::new();
        batches.iter().try_for_each(|batch| json.push(batch))?;
        let rows: Vec<BTreeMap<String, Box<RawValue>>> =
            serde_json::from_str(json.finish()?.get()).unwrap();
        let names: Vec<&String> = schema.fields().iter().map(|field| field.name()).collect();
        Ok(DBOutput::Rows {
            types: schema
                .fields()
                .iter()
                .map(|field| kind(field.data_type()))
                .collect(),
            rows: rows
                .iter()
                .map(|row| names.iter().map(|name| shown(row[*name].get())).collect())
                .collect(),
        })
    }

    async fn columns(&self, sql: &str) -> Result<DBOutput<DefaultColumnType>, Refused> {
        let (prepared, bound) = self.question.prepare(sql)?;
        let lake = &self.question.lake;
        let files = self.transform.find(&prepared, &bound, lake).await?;
        let run = Run {
            prepared: &prepared,
            bound: &bound,
            files: &files,
            stores: lake,
        };
        let schema = self.transform.output_schema(&run).await?;
        let rows = schema.fields().iter().map(|field| {
            vec![
                field.name().clone(),
                flowlake_transform::type_name(field.data_type()),
            ]
        });
        Ok(DBOutput::Rows {
            types: vec![DefaultColumnType::Text; 2],
            rows: rows.collect(),
        })
    }

    fn stats(&self, what: &str) -> DBOutput<DefaultColumnType> {
        let all = serde_json::to_value(&self.last).unwrap();
        DBOutput::Rows {
            types: vec![DefaultColumnType::Text],
            rows: vec![vec![all[what].to_string()]],
        }
    }
}

#[async_trait]
impl AsyncDB for Scene {
    type Error = Refused;
    type ColumnType = DefaultColumnType;

    async fn run(&mut self, text: &str) -> Result<DBOutput<DefaultColumnType>, Refused> {
        let (word, rest) = text.split_once([' ', '\n']).unwrap_or((text, ""));
        match word {
            "RESET" => *self = Self::new(self.machines.clone()),
            "PARAMS" => (self.question.params, self.question.values) = (json!({}), json!({})),
            "FILE" => {
                let (head, body) = rest.split_once('\n').unwrap_or((rest, ""));
                self.file(head, body).await;
            }
            "TABLE" | "PARAM" | "LIMITS" => self.set(word, rest),
            "STATS" => return Ok(self.stats(rest.trim())),
            "COLUMNS" => return self.columns(rest).await,
            _ => return self.query(text).await,
        }
        Ok(DBOutput::StatementComplete(0))
    }

    async fn shutdown(&mut self) {}

    fn engine_name(&self) -> &'static str {
        "flowlake"
    }
}

fn kind(kind: &DataType) -> DefaultColumnType {
    match kind {
        kind if kind.is_integer() => DefaultColumnType::Integer,
        kind if kind.is_numeric() => DefaultColumnType::FloatingPoint,
        _ => DefaultColumnType::Text,
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

async fn answer(name: &str, machines: Machines) {
    let path = folder().join(format!("{name}.slt"));
    let mut runner = Runner::new(|| {
        let scene = Scene::new(machines.clone());
        async move { Ok(scene) }
    });
    runner.with_column_validator(strict_column_validator);
    #[expect(
        clippy::disallowed_methods,
        reason = "whether to write, which only its caller knows"
    )]
    let write = std::env::var_os("FLOWLAKE_WRITE_CASES").is_some();
    if write {
        let written = runner.update_test_file(
            &path,
            " ",
            default_validator,
            default_normalizer,
            strict_column_validator,
        );
        return written.await.unwrap();
    }
    if let Err(error) = runner.run_file_async(&path).await {
        panic!("{}", error.display(false));
    }
    #[cfg(feature = "cluster")]
    if let Machines::Three(read) = &machines {
        assert!(read.load(Relaxed) > 0, "{name}: no worker has read a file");
    }
}

macro_rules! files {
    ($($name:ident)+) => {
        $(#[tokio::test] async fn $name() { answer(stringify!($name), Machines::One).await; })+
        #[cfg(feature = "cluster")]
        mod with_workers {
            use super::{Arc, Machines, answer};
            $(#[tokio::test(flavor = "multi_thread")] async fn $name() {
                answer(stringify!($name), Machines::Three(Arc::default())).await;
            })+
        }
        const FILES: &[&str] = &[$(stringify!($name)),+];
    };
}

files! { answers delimited formats functions guard layout limits params policies queries schemas }

#[test]
fn every_file_is_run_and_every_exception_has_its_reason() {
    let mut found: Vec<String> = Vec::new();
    let mut queries = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let path = entry.unwrap().path();
        found.push(path.file_stem().unwrap().to_string_lossy().into_owned());
        let records = sqllogictest::parse_file::<DefaultColumnType>(&path).unwrap();
        queries += records
            .iter()
            .filter(|record| matches!(record, Record::Query { .. }))
            .count();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for pair in lines.windows(2) {
            assert!(
                pair[1] != "skipif duckdb" || pair[0].starts_with("# "),
                "{}: {pair:?} gives no reason",
                path.display()
            );
        }
    }
    found.sort();
    assert_eq!(found, FILES);
    assert!(queries >= 200, "{queries} cases");
}
