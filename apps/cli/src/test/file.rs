//! `actions/NAME.test.toml`: the cases of one action, as they are written.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use flowlake_data_action::{ActionError, ErrorCode, nearest, read_toml};
use flowlake_transform::ColumnType;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::{Map, Value};
use toml::Spanned;

/// The cases of one action. What stands above them holds for all of them that do not say otherwise.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TestFile {
    #[serde(default)]
    now: Option<Moment>,
    #[serde(default)]
    params: Params,
    #[serde(default)]
    tables: BTreeMap<String, TableData>,
    #[serde(default, rename = "case")]
    cases: Vec<RawCase>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCase {
    name: Spanned<String>,
    #[serde(default)]
    now: Option<Moment>,
    #[serde(default)]
    params: Params,
    #[serde(default)]
    tables: BTreeMap<String, TableData>,
    #[serde(default)]
    expect: Option<Expect>,
}

type Params = BTreeMap<String, Spanned<toml::Value>>;

/// One case, with what its file says for all.
#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) name: String,
    /// The line of its name.
    pub(super) line: usize,
    pub(super) now: Option<DateTime<Utc>>,
    pub(super) params: Map<String, Value>,
    pub(super) tables: BTreeMap<String, TableData>,
    pub(super) expect: Option<Expect>,
}

/// What lies behind one table.
#[derive(Debug, Clone, Default)]
pub(super) struct TableData {
    pub(super) content: Vec<Content>,
    /// Objects by uri, where the table has several or none.
    pub(super) files: Option<BTreeMap<String, TableData>>,
    /// Types of columns of the file that is made.
    pub(super) types: BTreeMap<String, ColumnType>,
}

/// The content of one object.
#[derive(Debug, Clone)]
pub(super) enum Content {
    /// Aligned text, which is written as the table's files are.
    Rows(String),
    /// Delimited text as it is.
    Csv(String),
    /// Lines of JSON as they are.
    Ndjson(String),
    /// A JSON document as it is.
    Json(String),
    /// A file beside the test file, as it is.
    File(PathBuf),
}

/// What an answer has to be.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Expect {
    /// The rows as aligned text.
    pub(super) rows: Option<String>,
    /// The rows as lines of JSON.
    pub(super) ndjson: Option<String>,
    /// A file beside the test file with the rows: lines of JSON (`.ndjson`, `.jsonl`), or aligned text.
    pub(super) file: Option<PathBuf>,
    /// The code that the action fails with.
    pub(super) error: Option<String>,
    /// A part of its message.
    pub(super) message: Option<String>,
    /// Whether the order of the rows counts.
    pub(super) ordered: bool,
    /// How far numbers may be off.
    pub(super) tolerance: f64,
    /// Whether the answer may have columns that are not expected.
    pub(super) subset: bool,
    /// Whether the action's row limit cuts rows off.
    pub(super) truncated: bool,
    /// Rows of files that do not fit and are left out.
    pub(super) skipped_rows: u64,
    /// Values of files that do not fit and are made null.
    pub(super) nulled_values: u64,
}

/// A moment with its offset, as text or as TOML has it.
#[derive(Debug, Clone, Copy)]
struct Moment(DateTime<Utc>);

impl<'de> Deserialize<'de> for Moment {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match toml::Value::deserialize(deserializer)? {
            toml::Value::String(text) => text,
            toml::Value::Datetime(moment) => moment.to_string(),
            _ => String::new(),
        };
        let moment = DateTime::parse_from_rfc3339(&text).map_err(|_| {
            D::Error::custom("a moment has a day, a time and an offset: \"2026-01-31T08:00:00Z\"")
        })?;
        Ok(Self(moment.to_utc()))
    }
}

impl<'de> Deserialize<'de> for TableData {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields {
            rows: Option<String>,
            csv: Option<String>,
            ndjson: Option<String>,
            json: Option<String>,
            file: Option<PathBuf>,
            files: Option<BTreeMap<String, TableData>>,
            #[serde(default)]
            types: BTreeMap<String, ColumnType>,
        }
        struct TextOrFields;
        impl<'de> Visitor<'de> for TextOrFields {
            type Value = TableData;

            fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                formatter.write_str("rows as text, or a table with `rows`, `csv`, `ndjson`, `json`, `file` or `files`")
            }

            fn visit_str<E>(self, text: &str) -> Result<TableData, E> {
                Ok(TableData {
                    content: vec![Content::Rows(text.to_owned())],
                    ..TableData::default()
                })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TableData, A::Error> {
                let fields = Fields::deserialize(MapAccessDeserializer::new(map))?;
                let contents = [
                    fields.rows.map(Content::Rows),
                    fields.csv.map(Content::Csv),
                    fields.ndjson.map(Content::Ndjson),
                    fields.json.map(Content::Json),
                    fields.file.map(Content::File),
                ];
                let content: Vec<_> = contents.into_iter().flatten().collect();
                if content.len() + usize::from(fields.files.is_some()) != 1 {
                    return Err(A::Error::custom(
                        "a table has one of `rows`, `csv`, `ndjson`, `json`, `file` and `files`",
                    ));
                }
                Ok(TableData {
                    content,
                    files: fields.files,
                    types: fields.types,
                })
            }
        }
        deserializer.deserialize_any(TextOrFields)
    }
}

impl TestFile {
    /// Reads the cases of a file.
    pub(super) fn cases(path: &Path, text: &str) -> Result<Vec<Case>, ActionError> {
        let file: Self = read_toml(path, text)?;
        if file.cases.is_empty() {
            return Err(invalid(path, 1, "there is no [[case]]"));
        }
        let mut names = BTreeSet::new();
        let mut cases = Vec::with_capacity(file.cases.len());
        for raw in file.cases {
            let line = line_of(text, raw.name.span().start);
            let name = raw.name.into_inner();
            if !names.insert(name.clone()) {
                let what = format!("a second case is named `{name}`");
                return Err(invalid(path, line, &what));
            }
            if let Some(expect) = &raw.expect {
                expect.check().map_err(|what| invalid(path, line, &what))?;
            }
            let mut params = json_params(&file.params, text);
            params.extend(json_params(&raw.params, text));
            let mut tables = file.tables.clone();
            tables.extend(raw.tables);
            cases.push(Case {
                name,
                line,
                now: raw.now.or(file.now).map(|moment| moment.0),
                params,
                tables,
                expect: raw.expect,
            });
        }
        Ok(cases)
    }
}

impl Expect {
    fn check(&self) -> Result<(), String> {
        let forms = [
            self.rows.is_some(),
            self.ndjson.is_some(),
            self.file.is_some(),
            self.error.is_some(),
        ];
        if forms.into_iter().filter(|given| *given).count() != 1 {
            return Err("`expect` has one of `rows`, `ndjson`, `file` and `error`".to_owned());
        }
        if self.message.is_some() && self.error.is_none() {
            return Err("`message` goes with `error`".to_owned());
        }
        if !self.tolerance.is_finite() || self.tolerance < 0.0 {
            return Err("`tolerance` is a number that is not below 0".to_owned());
        }
        let Some(code) = &self.error else {
            return Ok(());
        };
        let known = || ErrorCode::ALL.iter().map(|known| known.as_str());
        if known().any(|known| known == code) {
            return Ok(());
        }
        let meant = nearest(code, known());
        let meant = meant.map_or_else(String::new, |known| format!("; did you mean `{known}`?"));
        Err(format!("there is no error code `{code}`{meant}"))
    }
}

/// What is wrong with a test file, and where.
pub(super) fn invalid(path: &Path, line: usize, what: &str) -> ActionError {
    ActionError::new(
        ErrorCode::ConfigInvalid,
        format!("{}:{line}: {what}", path.display()),
        "Correct the test file; docs/testing.md has its keys.",
    )
}

/// Parameters as a request has them. A float is kept digit by digit.
fn json_params(params: &Params, text: &str) -> Map<String, Value> {
    let params = params.iter().map(|(name, value)| {
        let written = text.get(value.span()).unwrap_or_default();
        (name.clone(), json(value.get_ref(), written))
    });
    params.collect()
}

fn json(value: &toml::Value, written: &str) -> Value {
    match value {
        toml::Value::String(text) => Value::String(text.clone()),
        toml::Value::Integer(number) => Value::from(*number),
        toml::Value::Float(_) => Value::String(written.replace('_', "")),
        toml::Value::Boolean(flag) => Value::Bool(*flag),
        toml::Value::Datetime(moment) => Value::String(moment.to_string()),
        toml::Value::Array(items) => {
            let items = items.iter().map(|item| json(item, &item.to_string()));
            Value::Array(items.collect())
        }
        toml::Value::Table(members) => {
            let members = members.iter();
            let members =
                members.map(|(name, member)| (name.clone(), json(member, &member.to_string())));
            Value::Object(members.collect())
        }
    }
}

/// The line of a byte, from 1.
fn line_of(text: &str, at: usize) -> usize {
    text.get(..at).unwrap_or(text).matches('\n').count() + 1
}
