//! Each query of the case files as an action.

use std::{collections::BTreeMap, path::Path};

use flowlake_transform::BoxError;
use regex::Regex;
use serde_json::{Map, Value, json};
use sqllogictest::{
    Condition, DefaultColumnType, QueryExpect, Record, SortMode, parser::ExpectedError,
};

use crate::file::written;

/// The bucket that the case files name.
const BUCKET: &str = "s3://lake/";
/// Runs `onlyif` this and not `skipif` this.
const ENGINE: &str = "flowlake";

/// All cases.
#[derive(Debug, Default)]
pub struct Suite {
    /// Objects by key.
    pub files: Vec<(String, Vec<u8>)>,
    /// The questions.
    pub cases: Vec<Case>,
}

/// One question.
#[derive(Debug)]
pub struct Case {
    /// The action's name: the case file and the line, such as `queries-12`.
    pub name: String,
    /// The content of the action's file.
    pub toml: String,
    /// What is sent for the parameters.
    pub values: Map<String, Value>,
    /// Whether the answer is that of the case files' own day.
    pub needs_clock: bool,
    /// What is to come.
    pub asks: Asks,
}

/// What a case asks for.
#[derive(Debug)]
pub enum Asks {
    /// Rows.
    Rows {
        /// As lines.
        rows: Vec<String>,
        /// Whether in this order.
        in_order: bool,
        /// Figures of the run, such as `skipped_rows`, and what they are.
        figures: Vec<(String, String)>,
    },
    /// The answer's columns with their types, without running it.
    Columns(Vec<String>),
    /// An error whose kind and message match.
    Error(Regex),
    /// Rows as JSON.
    Data(Value),
    /// An error whose message has this part.
    Message(&'static str),
}

/// What the statements so far have set.
#[derive(Debug, Default)]
struct Scene {
    files: BTreeMap<String, Vec<u8>>,
    tables: Map<String, Value>,
    params: Map<String, Value>,
    values: Map<String, Value>,
    limits: Value,
    /// Where its files are, once a query needed them.
    folder: Option<String>,
}

impl Suite {
    /// Reads the case files of a folder. Keys begin with `prefix`, such as `exports/`, in the bucket of that name.
    ///
    /// # Errors
    /// When a case file cannot be read.
    pub async fn load(folder: &Path, bucket: &str, prefix: &str) -> Result<Self, BoxError> {
        let mut suite = Self::default();
        let mut paths: Vec<_> = std::fs::read_dir(folder)?
            .map(|entry| entry.map(|entry| entry.path()))
            .collect::<Result<_, _>>()?;
        paths.sort();
        for path in paths {
            suite.add(&path, bucket, prefix).await?;
        }
        Ok(suite)
    }

    async fn add(&mut self, path: &Path, bucket: &str, prefix: &str) -> Result<(), BoxError> {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let mut scene = Scene::default();
        for record in sqllogictest::parse_file::<DefaultColumnType>(path)? {
            match record {
                Record::Statement {
                    sql, conditions, ..
                } if is_ours(&conditions) => {
                    scene.statement(&sql).await?;
                }
                Record::Query {
                    sql,
                    conditions,
                    expected,
                    loc,
                    ..
                } if is_ours(&conditions) => {
                    if let Some(figure) = sql.strip_prefix("STATS ") {
                        self.figure(figure.trim(), expected);
                        continue;
                    }
                    let place = format!("{stem}-{}", loc.line());
                    let folder = match &scene.folder {
                        Some(folder) => folder.clone(),
                        None => {
                            let folder = format!("{prefix}{place}/");
                            for (key, content) in &scene.files {
                                self.files.push((format!("{folder}{key}"), content.clone()));
                            }
                            scene.folder.insert(folder).clone()
                        }
                    };
                    let root = format!("s3://{bucket}/{folder}");
                    self.cases.push(scene.case(place, &root, &sql, expected)?);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A figure of the last query.
    fn figure(&mut self, what: &str, expected: QueryExpect<DefaultColumnType>) {
        if let Some(Case {
            asks: Asks::Rows { figures, .. },
            ..
        }) = self.cases.last_mut()
            && let QueryExpect::Results { results, .. } = expected
        {
            figures.push((what.to_owned(), results.join(" ")));
        }
    }
}

fn is_ours(conditions: &[Condition]) -> bool {
    conditions.iter().all(|condition| match condition {
        Condition::OnlyIf { label } => label == ENGINE,
        Condition::SkipIf { label } => label != ENGINE,
    })
}

impl Scene {
    async fn statement(&mut self, text: &str) -> Result<(), BoxError> {
        let (word, rest) = text.split_once([' ', '\n']).unwrap_or((text, ""));
        match word {
            "RESET" => *self = Self::default(),
            "PARAMS" => (self.params, self.values) = (Map::new(), Map::new()),
            "FILE" => {
                let (head, lines) = rest.split_once('\n').unwrap_or((rest, ""));
                let words: Vec<&str> = head.split_whitespace().collect();
                let (key, how) = words.split_last().ok_or("FILE without a key")?;
                let content = written(how, lines).await?;
                self.files.insert((*key).to_owned(), content);
                self.folder = None;
            }
            "LIMITS" => self.limits = serde_json::from_str(rest)?,
            "TABLE" => {
                let (name, declared) = rest.split_once(' ').ok_or("TABLE without a name")?;
                self.tables
                    .insert(name.to_owned(), serde_json::from_str(declared)?);
            }
            "PARAM" => {
                let (name, rest) = rest.split_once(' ').ok_or("PARAM without a name")?;
                let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
                let declared = values.next().ok_or("PARAM without a type")??;
                self.params.insert(name.to_owned(), declared);
                let sent = values.next().transpose()?.unwrap_or(Value::Null);
                self.values.insert(name.to_owned(), sent);
            }
            other => return Err(format!("`{other}` is no statement of a case file").into()),
        }
        Ok(())
    }

    fn case(
        &self,
        name: String,
        root: &str,
        sql: &str,
        expected: QueryExpect<DefaultColumnType>,
    ) -> Result<Case, BoxError> {
        let columns = sql.strip_prefix("COLUMNS ");
        let asks = match expected {
            QueryExpect::Results { results, .. } if columns.is_some() => Asks::Columns(results),
            QueryExpect::Results {
                results, sort_mode, ..
            } => Asks::Rows {
                rows: results,
                in_order: matches!(sort_mode, None | Some(SortMode::NoSort)),
                figures: Vec::new(),
            },
            QueryExpect::Error(ExpectedError::Inline(pattern)) => {
                Asks::Error(Regex::new(pattern.as_str())?)
            }
            QueryExpect::Error(_) => Asks::Error(Regex::new(".")?),
        };
        let sql = columns.unwrap_or(sql);
        let tables: Map<String, Value> = self
            .tables
            .iter()
            .map(|(name, table)| (name.clone(), under(root, table)))
            .collect();
        let mut action = Map::new();
        action.insert("name".to_owned(), json!(name));
        action.insert("query".to_owned(), json!({ "sql": sql }));
        action.insert("tables".to_owned(), Value::Object(tables));
        action.insert("params".to_owned(), Value::Object(self.params.clone()));
        if self.limits.is_object() {
            action.insert("limits".to_owned(), self.limits.clone());
        }
        let relative = Regex::new(r"^(today|yesterday|tomorrow|now|[+-]\d.*)$")?;
        let defaults = self
            .params
            .values()
            .filter_map(|param| param.get("default"));
        let mut texts = self
            .values
            .values()
            .chain(defaults)
            .filter_map(Value::as_str);
        let needs_clock = texts.any(|text| relative.is_match(text)) || sql.contains("now()");
        Ok(Case {
            toml: toml::to_string(&action)?,
            values: self.values.clone(),
            needs_clock,
            asks,
            name,
        })
    }
}

/// A table whose files are somewhere else.
fn under(root: &str, table: &Value) -> Value {
    let moved = |uri: &str| match uri.strip_prefix(BUCKET) {
        Some(key) => json!(format!("{root}{key}")),
        None => json!(uri),
    };
    let mut table = table.clone();
    match table.get_mut("uri") {
        Some(Value::String(uri)) => table["uri"] = moved(&uri.clone()),
        Some(Value::Array(uris)) => {
            for uri in uris {
                if let Some(text) = uri.as_str() {
                    *uri = moved(text);
                }
            }
        }
        _ => {}
    }
    table
}
