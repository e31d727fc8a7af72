//! A question as somebody writes it into `actions/*.toml`.

use std::fmt::Write as _;

use crate::{
    files::{DELIMITERS, Dialect, Object},
    table::Table,
    value::Value,
    way::{Declares, Division, Way, Written},
};

/// The text of an action file: the table `t` at the keys of `folder`, the values as parameters.
pub(crate) fn toml(
    table: &Table,
    way: &Way,
    (folder, objects): (&str, &[Object]),
    sql: &str,
    params: &[Value],
) -> String {
    let mut text = "name = \"question\"\n".to_owned();
    if let Some(index) = &way.hot {
        let names = index
            .iter()
            .map(|&place| string(&table.columns[place].name));
        let _ = writeln!(
            text,
            "hot = true\nindex = [{}]",
            names.collect::<Vec<_>>().join(", ")
        );
    }
    text.push_str("[tables.t]\n");
    if way.hot.is_some() {
        let uris = objects
            .iter()
            .map(|object| string(&format!("s3://lake/{folder}/{}", object.key)));
        let _ = writeln!(text, "uri = [{}]", uris.collect::<Vec<_>>().join(", "));
    } else if way.spelling.is_multiple_of(3) {
        let _ = writeln!(text, "uri = \"s3://lake/{folder}/*\"");
    } else {
        let _ = writeln!(text, "uri = \"s3://lake/{folder}/\"");
    }
    if way.format == Written::Document {
        text.push_str("json_pointer = \"/rows\"\n");
    }
    if way.format == Written::Csv {
        let dialect = Dialect::of(way);
        // A delimiter that texts hold too cannot always be distinguished from one between fields.
        if has_other_delimiter(table, dialect.delimiter) {
            let delimiter = dialect.delimiter.to_string();
            let _ = writeln!(text, "delimiter = {}", string(&delimiter));
        }
        if way.declares == Declares::Places {
            text.push_str(if way.skips_header() {
                "header = \"skip\"\n"
            } else {
                "header = false\n"
            });
        }
    }
    if way.encoding == crate::way::Encoded::Windows1252 && way.declares_encoding() {
        text.push_str("encoding = \"windows-1252\"\n");
    }
    let places = way.declared(table);
    let declared = |open: char, between: &str, close: char| {
        let columns = places.iter().map(|&place| {
            let column = &table.columns[place];
            let (name, kind) = (string(&column.name), string(column.kind.declared()));
            format!("{open}{name}{between}{kind}{close}")
        });
        columns.collect::<Vec<_>>().join(", ")
    };
    let by_name = declared(' ', " = ", ' ');
    match way.declares {
        _ if places.is_empty() => {}
        Declares::Needed | Declares::Types => {
            let _ = writeln!(text, "types = {{ {by_name} }}");
        }
        Declares::Columns | Declares::Places if way.spelling.is_multiple_of(2) => {
            let _ = writeln!(text, "columns = {{ {by_name} }}");
        }
        Declares::Columns | Declares::Places => {
            let _ = writeln!(text, "columns = [{}]", declared('[', ", ", ']'));
        }
    }
    if let Some(place) = table.partition.filter(|_| way.files == Division::Parts) {
        let column = &table.columns[place];
        let (name, kind) = (string(&column.name), string(column.kind.declared()));
        let _ = writeln!(text, "partitions = {{ {name} = {kind} }}");
    }
    for (number, value) in params.iter().enumerate() {
        let kind = value.kind().and_then(crate::value::Kind::param);
        let kind = kind.expect("only values with a type of parameters become parameters");
        let _ = match value {
            Value::Many(_) => writeln!(
                text,
                "[params.p{number}]\ntype = \"list\"\nitems = \"{kind}\""
            ),
            _ => writeln!(text, "[params.p{number}]\ntype = \"{kind}\""),
        };
    }
    let _ = write!(
        text,
        "[limits]\ntimeout = \"60s\"\nmax_rows = 1000000\nmax_output_bytes = \"256MiB\"\n[query]\nsql = {}\n",
        string(sql)
    );
    text
}

/// A basic string of TOML, which spells what it has to as JSON does.
fn string(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

fn has_other_delimiter(table: &Table, own: char) -> bool {
    let names = table.columns.iter().map(|column| column.name.as_str());
    let rows = table.parts.iter().flat_map(|part| &part.rows);
    let texts = rows.flatten().filter_map(|value| match value {
        Value::String(text) | Value::Object(_, Some(text)) => Some(text.as_str()),
        _ => None,
    });
    let other = |c: char| c != own && (DELIMITERS.contains(&c) || c == '\n');
    names.chain(texts).any(|text| text.contains(other))
}
