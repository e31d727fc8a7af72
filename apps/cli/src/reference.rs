//! The reference of a file's keys as a page of Markdown, made of the file's JSON Schema.

use std::{collections::VecDeque, fmt::Write};

use serde_json::{Map, Value};

/// One section of the page: a table of the file, or of a list in it.
struct Section<'a> {
    /// As the file writes it, such as `[server.tls]` or `[[server.clients]]`; nothing for the top of the file.
    header: String,
    description: String,
    /// What its keys are.
    properties: &'a Map<String, Value>,
    required: Vec<&'a str>,
}

/// The page: a section for each table of the file, in the order of their types, with a row for each key.
pub(crate) fn page(schema: &Value, title: &str) -> String {
    let mut page = format!("# {title}\n");
    let mut sections = VecDeque::from([section(schema, schema, String::new(), "")]);
    while let Some(section) = sections.pop_front() {
        let Some(section) = section else { continue };
        let inner = write_section(&mut page, schema, &section);
        // The tables of a table come next, before its neighbours.
        for table in inner.into_iter().rev() {
            sections.push_front(table);
        }
    }
    page
}

/// Writes one section; gives the tables that its keys are.
fn write_section<'a>(
    page: &mut String,
    root: &'a Value,
    section: &Section<'a>,
) -> Vec<Option<Section<'a>>> {
    let mut tables = Vec::new();
    let mut rows = String::new();
    for (name, property) in section.properties {
        let description = description(root, property);
        let since = property.get("x-since").and_then(Value::as_str);
        let since = since.unwrap_or_default();
        let path = join(&section.header, name);
        if let Some(table) = table_of(root, property) {
            tables.push(self::section(
                root,
                table,
                format!("[{path}]"),
                &description,
            ));
            continue;
        }
        if let Some(table) = list_of(root, property).and_then(|item| table_of(root, item)) {
            tables.push(self::section(
                root,
                table,
                format!("[[{path}]]"),
                &description,
            ));
            continue;
        }
        if let Some(table) = named_tables_of(root, property) {
            tables.push(self::section(
                root,
                table,
                format!("[{path}.NAME]"),
                &description,
            ));
            continue;
        }
        let is_required = section.required.contains(&name.as_str());
        let default = match property.get("default") {
            Some(value) => format!("`{}`", toml_of(value)),
            None if is_required => "required".to_owned(),
            None => String::new(),
        };
        let kind = kind_of(root, property);
        let _ = writeln!(
            rows,
            "| `{name}` | {kind} | {} | {default} | {since} |",
            cell(&description)
        );
    }
    if !section.header.is_empty() {
        let _ = writeln!(page, "\n## `{}`", section.header);
    }
    if !section.description.is_empty() {
        let _ = writeln!(page, "\n{}", section.description);
    }
    if !rows.is_empty() {
        let _ = write!(
            page,
            "\n| key | value | what it says | default | since |\n|---|---|---|---|---|\n{rows}"
        );
    }
    tables
}

fn section<'a>(
    root: &'a Value,
    schema: &'a Value,
    header: String,
    description: &str,
) -> Option<Section<'a>> {
    let schema = resolved(root, schema);
    let required = schema.get("required").and_then(Value::as_array);
    let required = required.into_iter().flatten().filter_map(Value::as_str);
    Some(Section {
        header,
        description: description.to_owned(),
        properties: schema.get("properties")?.as_object()?,
        required: required.collect(),
    })
}

/// The dotted path of a key in a section.
fn join(header: &str, name: &str) -> String {
    let path = header.trim_matches(['[', ']']);
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// What a reference stands for, and what stands alone in an `allOf`.
fn resolved<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    if let Some(pointer) = schema.get("$ref").and_then(Value::as_str) {
        let target = root.pointer(pointer.trim_start_matches('#'));
        return target.map_or(schema, |target| resolved(root, target));
    }
    match schema
        .get("allOf")
        .and_then(Value::as_array)
        .map(Vec::as_slice)
    {
        Some([only]) => resolved(root, only),
        _ => schema,
    }
}

/// The table that a value is, when it has known keys.
fn table_of<'a>(root: &'a Value, schema: &'a Value) -> Option<&'a Value> {
    let schema = resolved(root, schema);
    schema.get("properties").map(|_| schema)
}

fn list_of<'a>(root: &'a Value, schema: &'a Value) -> Option<&'a Value> {
    resolved(root, schema).get("items")
}

/// The table behind each name of a table whose names are free.
fn named_tables_of<'a>(root: &'a Value, schema: &'a Value) -> Option<&'a Value> {
    let named = resolved(root, schema).get("additionalProperties")?;
    table_of(root, named)
}

/// What a key says of itself, else its type.
fn description(root: &Value, schema: &Value) -> String {
    let own = schema.get("description");
    let own = own.or_else(|| resolved(root, schema).get("description"));
    own.and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// The kinds of values, in the words of TOML.
fn kind_of(root: &Value, schema: &Value) -> String {
    let schema = resolved(root, schema);
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return choices(values.iter());
    }
    if let Some(value) = schema.get("const") {
        return format!("`{}`", toml_of(value));
    }
    for several in ["oneOf", "anyOf"] {
        let Some(kinds) = schema.get(several).and_then(Value::as_array) else {
            continue;
        };
        let constants: Option<Vec<_>> = kinds.iter().map(|kind| kind.get("const")).collect();
        if let Some(constants) = constants {
            return choices(constants.into_iter());
        }
        let mut kinds: Vec<_> = kinds.iter().map(|kind| kind_of(root, kind)).collect();
        kinds.dedup();
        return kinds.join(" or ");
    }
    let kinds = match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(kind)) => vec![kind.as_str()],
        _ => Vec::new(),
    };
    let kinds = kinds.into_iter().map(|kind| match kind {
        "object" => named_kind(root, schema),
        "array" => match schema.get("items") {
            Some(items) => format!("list of {}", kind_of(root, items)),
            None => "list".to_owned(),
        },
        "string" => "text".to_owned(),
        other => other.to_owned(),
    });
    kinds.collect::<Vec<_>>().join(" or ")
}

fn named_kind(root: &Value, schema: &Value) -> String {
    match schema.get("properties").and_then(Value::as_object) {
        Some(properties) => {
            let keys: Vec<_> = properties.keys().map(|key| format!("`{key}`")).collect();
            format!("table with {}", keys.join(", "))
        }
        None => match schema.get("additionalProperties") {
            Some(named) if named.is_object() => format!("table of {}", kind_of(root, named)),
            _ => "table".to_owned(),
        },
    }
}

fn choices<'a>(values: impl Iterator<Item = &'a Value>) -> String {
    let values: Vec<_> = values
        .map(|value| format!("`{}`", toml_of(value)))
        .collect();
    values.join(", ")
}

/// A value as TOML has it.
fn toml_of(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members: Vec<_> = members
                .iter()
                .map(|(name, value)| format!("{name} = {}", toml_of(value)))
                .collect();
            if members.is_empty() {
                return "{}".to_owned();
            }
            format!("{{ {} }}", members.join(", "))
        }
        Value::Array(items) => {
            let items: Vec<_> = items.iter().map(toml_of).collect();
            format!("[{}]", items.join(", "))
        }
        // JSON writes text, numbers and truth values as TOML does.
        other => other.to_string(),
    }
}

/// Text as one cell of a table.
fn cell(text: &str) -> String {
    text.replace("\n\n", "<br>")
        .replace('\n', " ")
        .replace('|', "\\|")
}
