//! The report for people.

use std::fmt::Write;

use flowlake_data_action::{Answer, Inspected, ScanPrice, TableInfo};
use flowlake_transform::ColumnSummary;
use rust_decimal::Decimal;
use serde_json::value::RawValue;
use unicode_width::UnicodeWidthStr;

use crate::{failure::Failure, grid::shortened, output, sql::summary, text};

/// Objects that are named one by one.
const OBJECTS: usize = 5;
/// The widest that a name or a value is shown.
const WIDEST: usize = 32;
/// Parts of a histogram, from nothing to the largest.
const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

pub(super) fn report(
    answer: &Answer,
    inspected: &Inspected,
    width: Option<usize>,
) -> Result<String, Failure> {
    let mut out = String::new();
    objects(&mut out, answer, &inspected.table);
    out += "\nHow it is written\n";
    written(&mut out, inspected);
    let _ = writeln!(out, "\nFirst rows\n{}", output::table(answer, width)?);
    let rows = inspected.summary.rows;
    match answer.truncated {
        true => out += &format!("\nColumns, by the first {rows} rows\n"),
        false => out += &format!("\nColumns, by all {rows} rows\n"),
    }
    columns(&mut out, inspected);
    problems(&mut out, inspected);
    prices(&mut out, &inspected.scans);
    let _ = writeln!(out, "\n{}", summary(answer));
    Ok(out)
}

fn objects(out: &mut String, answer: &Answer, table: &TableInfo) {
    if table.files > 1 {
        let bytes = text::bytes(table.bytes);
        let _ = writeln!(out, "{} files of {bytes}", table.files);
    }
    for read in answer.metadata.iter().take(OBJECTS) {
        let object = &read.object;
        let modified = object.last_modified.format("%Y-%m-%d %H:%M:%SZ");
        let _ = write!(
            out,
            "{read}\n  {}, modified {modified}",
            text::bytes(object.size)
        );
        let more = [
            ("etag", object.etag.as_deref().filter(|_| !read.is_local())),
            ("version", object.version_id.as_deref()),
            ("class", object.storage_class.as_deref()),
            ("type", object.content_type.as_deref()),
            ("encoding", object.content_encoding.as_deref()),
            ("encrypted by", object.server_side_encryption.as_deref()),
            ("key", object.kms_key_id.as_deref()),
        ];
        for (what, value) in more {
            if let Some(value) = value {
                let _ = write!(out, ", {what} {value}");
            }
        }
        out.push('\n');
    }
    if answer.metadata.len() > OBJECTS {
        let _ = writeln!(out, "and {} more", answer.metadata.len() - OBJECTS);
    }
}

/// What was found, each with its reason.
fn written(out: &mut String, inspected: &Inspected) {
    let table = &inspected.table;
    let differing = inspected.differing();
    let same = table.evidence.iter();
    for evidence in same.filter(|evidence| !differing.contains(&evidence.about)) {
        let found = match evidence.about {
            "format" => table.format.clone(),
            "compression" => table.compression.clone(),
            "encoding" => table.encoding.clone().unwrap_or_default(),
            "delimiter" => table
                .delimiter
                .as_ref()
                .map_or_else(String::new, |text| format!("{text:?}")),
            "header" if table.header == Some(true) => "true".to_owned(),
            "header" => "false".to_owned(),
            about => {
                let begin = format!("{about} = ");
                let mut lines = table.dialect.iter();
                let found = lines.find_map(|line| line.strip_prefix(&begin));
                found.unwrap_or_default().to_owned()
            }
        };
        let _ = writeln!(
            out,
            "  {:<12} {found:<12} {}",
            evidence.about, evidence.reason
        );
    }
    if !differing.is_empty() {
        let _ = writeln!(out, "  ! files differ in {}:", differing.join(", "));
        for written in inspected.written.iter().take(OBJECTS) {
            let own = written.lines.iter().filter(|line| {
                let key = line.split(" = ").next().unwrap_or_default();
                differing.contains(&key)
            });
            let own: Vec<_> = own.map(String::as_str).collect();
            let more = match written.files {
                1 => String::new(),
                files => format!(" and {} more", files - 1),
            };
            let _ = writeln!(out, "    {}{more}: {}", written.example, own.join(", "));
        }
        if inspected.written.len() > OBJECTS {
            let more = inspected.written.len() - OBJECTS;
            let _ = writeln!(out, "    and {more} ways more");
        }
    }
    for (name, kind) in &table.partitions {
        let _ = writeln!(
            out,
            "  {:<12} {name} {kind:<12} from the names of folders",
            "partition"
        );
    }
}

fn columns(out: &mut String, inspected: &Inspected) {
    let found = &inspected.summary;
    let name = |column: &ColumnSummary| shortened(&column.name, WIDEST);
    let widths = found.columns.iter().map(|column| name(column).width());
    let names = widths.max().unwrap_or_default();
    let kinds = found.columns.iter().map(|column| column.kind.width());
    let kinds = kinds.max().unwrap_or_default().min(WIDEST);
    for column in &found.columns {
        let name = name(column);
        let pad = " ".repeat(names - name.width());
        let kind = shortened(&column.kind, WIDEST);
        let about = if column.distinct_is_estimate {
            "about "
        } else {
            ""
        };
        let _ = write!(
            out,
            "  {name}{pad}  {kind:<kinds$}  {}, {about}{} distinct",
            nulls(column.nulls, found.rows),
            column.distinct
        );
        if let (Some(min), Some(max)) = (&column.min, &column.max) {
            let _ = write!(out, ", {} to {}", value(min), value(max));
        }
        out.push('\n');
        let inner = " ".repeat(names + 4);
        if !column.histogram.is_empty() {
            let _ = writeln!(
                out,
                "{inner}{}  {}",
                bars(&column.histogram),
                quantiles(column)
            );
        }
        let top = column.top.iter().filter(|top| top.count > 1);
        let top: Vec<_> = top
            .map(|top| {
                let more = if top.at_least { "at least " } else { "" };
                format!("{} ({more}{})", value(&top.value), top.count)
            })
            .collect();
        if !top.is_empty() {
            let _ = writeln!(out, "{inner}most frequent: {}", top.join(", "));
        }
        if let Some(text) = column.text.as_ref().filter(|text| text.longest > 0) {
            let _ = writeln!(
                out,
                "{inner}{} to {} characters",
                text.shortest, text.longest
            );
        }
        for hint in hints(column) {
            let _ = writeln!(out, "{inner}! {hint}");
        }
    }
    if found.columns_left_out > 0 {
        let _ = writeln!(out, "  and {} columns more", found.columns_left_out);
    }
    if !inspected.table.unlisted.is_empty() {
        let names = inspected.table.unlisted.join(", ");
        let _ = writeln!(
            out,
            "  ! no columns, since only records beyond the first have them (raise infer_rows, or declare all columns): {names}"
        );
    }
}

fn nulls(nulls: u64, rows: u64) -> String {
    match nulls {
        0 => "no null".to_owned(),
        _ if nulls == rows => "null everywhere".to_owned(),
        _ => {
            let rows = u128::from(rows.max(1));
            let tenths = (u128::from(nulls) * 1000 + rows / 2) / rows;
            // Some are null and some are not, however few.
            match tenths {
                0 => format!("{nulls} null (under 0.1 %)"),
                1000.. => format!("{nulls} null (over 99.9 %)"),
                _ => format!("{nulls} null ({}.{} %)", tenths / 10, tenths % 10),
            }
        }
    }
}

/// A value as people write it, shortened.
fn value(json: &RawValue) -> String {
    let text: Option<String> = serde_json::from_str(json.get()).ok();
    shortened(text.as_deref().unwrap_or(json.get()), WIDEST)
}

fn bars(histogram: &[u64]) -> String {
    let largest = histogram.iter().copied().max().unwrap_or_default().max(1);
    let levels = BARS.len() as u64 - 1;
    let bar = |count: &u64| {
        let level = (u128::from(*count) * u128::from(levels)).div_ceil(u128::from(largest));
        BARS[usize::try_from(level).unwrap_or_default()]
    };
    histogram.iter().map(bar).collect()
}

fn quantiles(column: &ColumnSummary) -> String {
    let quantiles = column.quantiles.iter();
    let quantiles: Vec<_> = quantiles
        .map(|quantile| format!("{} % {}", quantile.percent, value(&quantile.value)))
        .collect();
    quantiles.join(" · ")
}

/// What the table could declare of a column.
fn hints(column: &ColumnSummary) -> Vec<String> {
    let Some(text) = &column.text else {
        return Vec::new();
    };
    let mut hints = Vec::new();
    let spellings: Vec<_> = text
        .null_texts
        .iter()
        .map(|(spelling, count)| format!("{spelling:?} ({count})"))
        .collect();
    if !spellings.is_empty() {
        hints.push(format!("may stand for null: {}", spellings.join(", ")));
    }
    if let Some(kind) = &text.others_are {
        let nulls = text
            .null_texts
            .iter()
            .map(|(spelling, _)| spelling.as_str());
        let all: Vec<_> = std::iter::once("")
            .chain(nulls.filter(|text| !text.is_empty()))
            .collect();
        let also = if spellings.is_empty() {
            String::new()
        } else {
            format!("null_values = {all:?} and ")
        };
        hints.push(format!(
            "all other values are of the type {kind}: {also}types = {{ {:?} = {kind:?} }}",
            column.name
        ));
    }
    hints
}

fn problems(out: &mut String, inspected: &Inspected) {
    let problems = &inspected.problems;
    if problems.count == 0 && inspected.broke_off.is_none() {
        return;
    }
    out.push_str("\nProblems\n");
    let several = inspected.table.files > 1;
    let has_lines = inspected.table.encoding.is_some();
    for problem in &problems.first {
        let file = if several {
            format!("{} ", problem.file)
        } else {
            String::new()
        };
        let unit = if has_lines { "line" } else { "row" };
        let column = problem.column.as_ref();
        let column = column.map_or_else(String::new, |name| format!(", column `{name}`"));
        let _ = writeln!(
            out,
            "  {file}{unit} {}{column} {}",
            problem.line, problem.what
        );
    }
    let more = problems.count - problems.first.len() as u64;
    if more > 0 {
        let _ = writeln!(out, "  and {more} more");
    }
    for (column, count) in &problems.by_column {
        let _ = writeln!(out, "  values of `{column}` that do not fit: {count}");
    }
    if let Some(why) = &inspected.broke_off {
        let _ = writeln!(out, "  reading ended there: {why}");
    }
}

fn prices(out: &mut String, scans: &[ScanPrice]) {
    if scans.is_empty() {
        return;
    }
    out.push_str("\nWhat a query costs\n");
    let widest = scans
        .iter()
        .map(|scan| scan.query.width())
        .max()
        .unwrap_or_default();
    for scan in scans {
        let price = scan.cost.as_ref().map_or_else(
            || "no price known".to_owned(),
            |cost| {
                let thousand = cost.total_usd * Decimal::ONE_THOUSAND;
                format!(
                    "{} USD, {} USD for a thousand",
                    cost.total_usd.normalize(),
                    thousand.normalize()
                )
            },
        );
        let bytes = text::bytes(scan.bytes);
        let _ = writeln!(out, "  {:<widest$}  {bytes:>9}  {price}", scan.query);
    }
}
