//! What somebody learns of files who looks into them: what they are and why, what their columns hold, what does not fit, and what
//! queries over them cost.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use flowlake_cost_audit::Cost;
use flowlake_transform::{
    ColumnSummary, ColumnType, Explanation, Prepared, Problems, Run, Summary, TableInfo, Transform,
    TransformSpec, Written,
};
use serde::Serialize;
use serde_json::Map;
use toml::{Table, Value};

use crate::{
    Action, ActionError, ErrorCode,
    admit::Admitted,
    ledger::{Ledger, Pricing},
    plan::ReadPlan,
    stores::RequestStores,
};

/// Bytes of a file that are read to find its columns, at most.
const HEAD_BYTES: u64 = 1 << 20;

/// The report about the files of one table.
#[derive(Debug, Clone, Serialize)]
pub struct Inspected {
    /// What the files are, and why they are taken to be so.
    pub table: TableInfo,
    /// What the columns hold.
    pub summary: Summary,
    /// What does not fit.
    pub problems: Problems,
    /// How the files are written that were read, one entry for files that are written alike.
    pub written: Vec<Written>,
    /// Why reading ended before the files did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broke_off: Option<String>,
    /// What queries cost that read from S3; nothing for files of this machine.
    pub scans: Vec<ScanPrice>,
}

/// What one kind of query reads, and its price.
#[derive(Debug, Clone, Serialize)]
pub struct ScanPrice {
    /// The kind of query.
    pub query: String,
    /// Bytes that it reads at most.
    pub bytes: u64,
    /// The price; none where the price table has no figure for it.
    pub cost: Option<Cost>,
}

impl Inspected {
    /// `[tables.NAME]` of an action over these files. `options` are keys that it has to have, `uri` among them; everything else that was
    /// detected is added, so that later files cannot be taken for something else.
    ///
    /// What differs from file to file ([`Self::differing`]) is left out, so that it is detected in each of them.
    ///
    /// A column of text files whose values are not all of the type that the first records have is declared as text. Where rows cannot be
    /// divided, or a value is not even text, `on_error` is `null`, since a query would fail otherwise.
    #[must_use]
    pub fn to_table(&self, options: &Table) -> Table {
        let mut table = options.clone();
        let info = &self.table;
        let differing = self.differing();
        let mut add = |key: &str, value: Value| {
            if !differing.contains(&key) {
                table.entry(key).or_insert(value);
            }
        };
        add("format", info.format.clone().into());
        if info.compression != "none" {
            add("compression", info.compression.clone().into());
        }
        if let Some(encoding) = &info.encoding {
            add("encoding", encoding.to_lowercase().into());
        }
        if let Some(delimiter) = info.delimiter.as_ref().filter(|_| info.format != "tsv") {
            add("delimiter", delimiter.clone().into());
        }
        if let Some(header) = info.header {
            let is_skipped = info.dialect.iter().any(|line| line.starts_with("header ="));
            if !is_skipped {
                add("header", header.into());
            }
        }
        let dialect: Table = toml::from_str(&info.dialect.join("\n")).unwrap_or_default();
        for (key, value) in dialect {
            add(&key, value);
        }
        if self.has_unfit() {
            add("on_error", "null".into());
        }
        let is_text = info.encoding.is_some();
        if is_text && !options.contains_key("columns") {
            let types = self.types();
            match table.get_mut("types").and_then(Value::as_table_mut) {
                Some(declared) => {
                    for (name, kind) in types {
                        declared.entry(name).or_insert(kind);
                    }
                }
                None => {
                    table.insert("types".to_owned(), types.into());
                }
            }
        }
        table
    }

    /// Whether rows cannot be divided or values are not even text: no declaration of types takes them in.
    #[must_use]
    pub fn has_unfit(&self) -> bool {
        let by_column = &self.problems.by_column;
        let of_values: u64 = by_column.values().sum();
        let is_text = |name: &String| {
            let mut columns = self.table.columns.iter();
            columns.any(|(column, kind)| column == name && kind == "string")
        };
        self.problems.count > of_values || by_column.keys().any(is_text)
    }

    /// The keys of `[tables.NAME]` that not all files agree in, such as `delimiter`.
    #[must_use]
    pub fn differing(&self) -> Vec<&str> {
        let lines = self.written.iter().flat_map(|written| &written.lines);
        let mut keys: Vec<&str> = lines
            .filter(|line| {
                let mut all = self.written.iter();
                all.any(|other| !other.lines.contains(line))
            })
            .filter_map(|line| line.split_once(" = "))
            .map(|(key, _)| key)
            .collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// The types of the columns in text files, as far as they can be declared.
    fn types(&self) -> Table {
        let of_keys = &self.table.partitions;
        let columns = self.table.columns.iter();
        let own = columns.filter(|(name, _)| of_keys.iter().all(|(other, _)| other != name));
        let types = own.filter_map(|(name, kind)| {
            let fits = !self.problems.by_column.contains_key(name);
            let kind = Value::String(if fits { kind.as_str() } else { "string" }.to_owned());
            let is_type = kind.clone().try_into::<ColumnType>().is_ok();
            is_type.then(|| (name.clone(), kind))
        });
        types.collect()
    }
}

/// A column that rows can be looked up by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyColumn {
    /// Its name.
    pub name: String,
    /// The type of a parameter that is compared with it, as an action's file writes it.
    pub kind: &'static str,
}

/// Parts of names that columns have which people look rows up by, likelier ones first.
const KEY_NAMES: [&str; 12] = [
    "ani", "phone", "customer", "account", "caller", "user", "agent", "email", "id", "key",
    "number", "code",
];

impl Inspected {
    /// The column that somebody most likely looks rows up by: telephone numbers, else one that is named so, else the one with the most
    /// values. None where no column can be compared with a parameter.
    #[must_use]
    pub fn key_column(&self) -> Option<KeyColumn> {
        let table = self.to_table(&Table::new());
        let types = table.get("types").and_then(Value::as_table);
        let kind_of = |column: &ColumnSummary| {
            let declared = types.and_then(|types| types.get(&column.name)?.as_str());
            let is_phones = column
                .text
                .as_ref()
                .is_some_and(|text| text.others_are_phones && text.null_texts.is_empty());
            match declared.unwrap_or(&column.kind) {
                "string" if is_phones => Some("phone"),
                "string" => Some("string"),
                "integer" => Some("integer"),
                "date" => Some("date"),
                _ => None,
            }
        };
        let rank = |column: &ColumnSummary, kind: &str| {
            let words = column.name.to_lowercase();
            let mut words = words.split(|c: char| !c.is_alphanumeric());
            let named = words.find_map(|word| KEY_NAMES.iter().position(|name| *name == word));
            let by_name = named.map_or(0, |place| KEY_NAMES.len() - place);
            (kind == "phone", by_name, kind != "date", column.distinct)
        };
        let columns = self.summary.columns.iter();
        let columns = columns.filter(|column| column.distinct > 0);
        let keys = columns.filter_map(|column| Some((column, kind_of(column)?)));
        // Of equal ones, the first.
        let best = keys.rev().max_by_key(|(column, kind)| rank(column, kind));
        best.map(|(column, kind)| KeyColumn {
            name: column.name.clone(),
            kind,
        })
    }
}

/// What a person looks into has one table.
pub(super) fn one_table(tables: &[TableInfo]) -> Result<TableInfo, ActionError> {
    tables.first().cloned().ok_or_else(|| {
        ActionError::new(
            ErrorCode::Internal,
            "there is no table to look into",
            "Report this.",
        )
    })
}

/// The prices of queries over the files of a plan.
pub(super) async fn scans(
    engine: &Transform,
    ledger: &Ledger,
    admitted: &Admitted,
    plan: &ReadPlan,
    stores: &RequestStores,
    table: &TableInfo,
    now: DateTime<Utc>,
) -> Result<Vec<ScanPrice>, ActionError> {
    let (action, month_bytes) = (&admitted.action, ledger.budgets.month_bytes());
    if plan.objects.is_empty() {
        return Ok(Vec::new());
    }
    let total: u64 = plan.objects.iter().map(|object| object.size).sum();
    let price = |query: String, bytes: u64, requests: Option<u64>| {
        let cost = match requests {
            Some(requests) => ledger
                .pricing
                .estimate_reads(plan, requests, bytes, month_bytes),
            None => ledger.pricing.estimate_part(plan, bytes, month_bytes),
        };
        ScanPrice {
            query,
            bytes,
            cost: cost.ok(),
        }
    };
    let mut prices = Vec::new();
    if table.format == "parquet" {
        let name = quoted(&table.table);
        let mut kinds = vec![
            ("all columns".to_owned(), format!("SELECT * FROM {name}")),
            (
                "count(*)".to_owned(),
                format!("SELECT count(*) FROM {name}"),
            ),
        ];
        if let Some((column, _)) = table.columns.first() {
            let sql = format!("SELECT {} FROM {name}", quoted(column));
            kinds.push((format!("the column `{column}`"), sql));
        }
        for (kind, sql) in kinds {
            let told = explained(engine, action, plan, stores, sql, now).await?;
            let bytes = told.bytes_to_read();
            // Ranges of a large file are read in several parts.
            let parts = ledger.pricing.s3.gets(bytes) - 1;
            let requests = told.requests_to_read().map(|requests| requests + parts);
            prices.push(price(kind, bytes, requests));
        }
    } else {
        prices.push(price(
            "any query, without conditions on folders".to_owned(),
            total,
            None,
        ));
    }
    for (column, _) in &table.partitions {
        if let Some(part) = last_part(plan, column) {
            let (bytes, requests) = part.read(&ledger.pricing, action, plan);
            let query = format!("{column} = '{}'", part.value);
            prices.push(price(query, bytes, Some(requests)));
        }
    }
    Ok(prices)
}

/// What a query would read.
async fn explained(
    engine: &Transform,
    action: &Action,
    plan: &ReadPlan,
    stores: &RequestStores,
    sql: String,
    now: DateTime<Utc>,
) -> Result<Explanation, ActionError> {
    let definition = action.definition();
    let prepared = Prepared::try_new(TransformSpec {
        sql,
        tables: definition.tables.clone(),
        params: BTreeMap::new(),
        limits: action.prepared().limits().clone(),
    })?;
    let bound = prepared.bind(&Map::new(), now)?;
    let run = Run {
        prepared: &prepared,
        bound: &bound,
        files: &plan.files,
        stores,
    };
    Ok(engine.explain(&run).await?)
}

/// The files of one value of a column that folders make.
struct Part {
    /// As it is written there.
    value: String,
    sizes: Vec<u64>,
}

impl Part {
    /// Bytes and GETs of a query over it: its files, and the heads of all files that columns are found from, unless those are declared.
    fn read(&self, pricing: &Pricing, action: &Action, plan: &ReadPlan) -> (u64, u64) {
        let mut tables = action.definition().tables.values();
        let heads = tables.next().map_or(0, |table| match table.columns {
            Some(_) => 0,
            None => table.infer_files.min(plan.objects.len()),
        }) as u64;
        let head = HEAD_BYTES.min(plan.size().bytes / (plan.objects.len().max(1) as u64));
        let gets = self.sizes.iter().map(|size| pricing.s3.gets(*size));
        let gets: u64 = gets.sum();
        (self.sizes.iter().sum::<u64>() + heads * head, gets + heads)
    }
}

/// The files of the last value that folders have of a column.
fn last_part(plan: &ReadPlan, column: &str) -> Option<Part> {
    let begin = format!("{column}=");
    let value_of = |key: &str| {
        let mut segments = key.split('/');
        segments.find_map(|segment| segment.strip_prefix(&begin).map(str::to_owned))
    };
    let objects = || plan.files.objects().map(|(_, object)| object);
    let last = objects().map(|object| object.location.as_ref()).max()?;
    let value = value_of(last)?;
    let of_value =
        objects().filter(|object| value_of(object.location.as_ref()).as_ref() == Some(&value));
    Some(Part {
        sizes: of_value.map(|object| object.size).collect(),
        value,
    })
}

/// A name as SQL has it in double quotes.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
