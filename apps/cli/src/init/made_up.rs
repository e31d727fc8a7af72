//! The test file of a first action: rows that are made up, since those of the files may be personal data.

use flowlake_data_action::{Inspected, KeyColumn};
use flowlake_transform::{Format, TableSpec};
use toml::{Table, Value};

/// Characters that names of columns in aligned text cannot have as they are.
const NOT_IN_NAMES: [char; 2] = ['|', '"'];

/// Two values of a type as aligned text has them: one that is there, and one that is not.
fn values(kind: &str) -> Option<(&'static str, &'static str)> {
    Some(match kind {
        "string" => ("text", "other"),
        "phone" => ("+12025550142", "+12025550143"),
        "integer" => ("1", "2"),
        "float" => ("1.5", "2.5"),
        "boolean" => ("true", "false"),
        "date" => ("2026-01-31", "2026-02-01"),
        "timestamp" => ("2026-01-31T08:00:00", "2026-02-01T08:00:00"),
        // Of any digits.
        kind if kind.starts_with("decimal(") => ("0", "0"),
        _ => return None,
    })
}

/// The file, of the action that looks rows up by `key`; none where rows cannot be made up for the table: of several files, in columns
/// that are not one value each, or with lines around them.
pub(super) fn file(
    inspected: &Inspected,
    declared: &Table,
    table: &str,
    key: Option<(&KeyColumn, &str)>,
) -> Option<String> {
    let spec: TableSpec = Value::from(declared.clone()).try_into().ok()?;
    let [uri] = spec.uri.as_slice() else {
        return None;
    };
    let is_plain = !uri.contains(['*', '?', '['])
        && inspected.table.partitions.is_empty()
        && spec.skip_lines.is_none()
        && spec.header_lines == 1
        && spec.json_pointer.is_none()
        && matches!(
            spec.format,
            Some(Format::Csv | Format::Tsv | Format::Ndjson | Format::Parquet)
        );
    if !is_plain {
        return None;
    }
    let types_of_table = declared.get("types").and_then(Value::as_table);
    let (mut names, mut cells, mut types) = (Vec::new(), Vec::new(), Vec::new());
    let mut asked = None;
    for (name, found) in &inspected.table.columns {
        let kind = types_of_table.and_then(|types| types.get(name)?.as_str());
        let kind = kind.unwrap_or(found);
        let named = key.filter(|(key, _)| key.name == *name);
        let (one, other) = values(named.map_or(kind, |(key, _)| key.kind))?;
        if name.trim() != name || name.is_empty() || name.contains(NOT_IN_NAMES) {
            return None;
        }
        if let Some((key, param)) = named {
            let value = |text: &str| match key.kind {
                "integer" => text.to_owned(),
                _ => format!("\"{text}\""),
            };
            asked = Some((param, value(one), value(other)));
        }
        let width = name.chars().count().max(one.len());
        names.push(format!("{name:width$}"));
        cells.push(format!("{one:width$}"));
        types.push(format!("{} = \"{kind}\"", Value::from(name.as_str())));
    }
    let rows = format!("{}\n{}\n", names.join(" | "), cells.join(" | "));
    let name = Value::from(table);
    let given = match spec.format {
        // Their files say the types.
        Some(Format::Parquet) => format!(
            "[tables.{name}]\nrows = \"\"\"\n{rows}\"\"\"\ntypes = {{ {} }}\n",
            types.join(", ")
        ),
        _ => format!("[tables]\n{name} = \"\"\"\n{rows}\"\"\"\n"),
    };
    let (params, another) = match asked {
        None => (String::new(), String::new()),
        Some((param, one, other)) => (
            format!("params = {{ {param} = {one} }}\n"),
            format!(
                "\n[[case]]\nname = \"what is not there\"\nparams = {{ {param} = {other} }}\nexpect = {{ rows = \"\" }}\n"
            ),
        ),
    };
    Some(format!(
        "# `flowlake test` runs these cases without S3. The rows are made up; docs/testing.md has every key.\n\n{given}\n[[case]]\nname = \"a row that is there\"\n{params}\n[case.expect]\nrows = \"\"\"\n{rows}\"\"\"\n{another}"
    ))
}
