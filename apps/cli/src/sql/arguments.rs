//! What can be typed behind `flowlake sql`.

use std::{path::PathBuf, time::Duration};

use clap::{
    Args,
    builder::{PossibleValuesParser, TypedValueParser},
};
use flowlake_data_action::EngineChoice;
use flowlake_transform::{ParamType, TableSpec};
use serde::{
    Deserialize,
    de::{IntoDeserializer, value::Error as ValueError},
};
use toml::{Table, Value};

use crate::{format::Format, parameter::parameter};

/// Rows of a table, unless the command says otherwise.
pub(crate) const TABLE_ROWS: u64 = 1000;

#[derive(Debug, Args)]
pub(crate) struct Sql {
    /// One SELECT, read from standard input when left out; `FROM 's3://bucket/key'` and `FROM 'data/*.csv'` name files
    #[arg(conflicts_with = "file")]
    pub(crate) sql: Option<String>,
    /// The file that holds the SQL
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// A table by name: its files, and how they are written where that is not to be detected, with the keys of docs/tables.md
    #[arg(short = 't', long = "table", value_name = "NAME=FILE[,KEY=VALUE]...", value_parser = table)]
    pub(crate) tables: Vec<(String, TableSpec)>,
    /// A value for `$NAME` in the SQL; its type is that of a field of CSV with this text, unless it is said
    #[arg(long = "param", value_name = "NAME[:TYPE]=VALUE", value_parser = typed_parameter)]
    pub(crate) params: Vec<TypedParameter>,
    /// How to write the rows; left out, as the name of --output ends, else as a table
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
    /// The file, or `s3://bucket/key`, to write them to; standard output when left out. What is there is replaced once all rows are there
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Rows of a table; other formats have all rows unless it is given
    #[arg(long, value_name = "COUNT")]
    pub(crate) rows: Option<u64>,
    /// Columns of the terminal that a table may take; as many as it needs where standard output is none
    #[arg(long, value_name = "COLUMNS")]
    pub(crate) width: Option<usize>,
    /// Read also what `[confirm]` of flowlake.toml wants to be asked about
    #[arg(long)]
    pub(crate) yes: bool,
    /// Answer again whenever files have changed, which is looked at after this pause (2 seconds unless it is given); a question that depends on the time or on chance is answered each time. Ctrl-C ends it
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, require_equals = true, default_missing_value = "2", value_parser = pause)]
    pub(crate) watch: Option<Duration>,
    /// The longest time that the answer may take
    #[arg(long, value_name = "TIME", default_value = "1h", value_parser = time)]
    pub(crate) timeout: Duration,
    /// Which machines read objects of S3: this one, the workers of `[cluster]` in flowlake.toml, or those where there is much to read
    #[arg(long, value_name = "ENGINE", default_value = "local", value_parser = engine())]
    pub(crate) engine: EngineChoice,
}

fn engine() -> impl TypedValueParser<Value = EngineChoice> {
    let names = PossibleValuesParser::new(["local", "cluster", "auto"]);
    names.map(|name| match name.as_str() {
        "cluster" => EngineChoice::Cluster,
        "auto" => EngineChoice::Auto,
        _ => EngineChoice::Local,
    })
}

/// A parameter and the type that is written with it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TypedParameter {
    pub(crate) name: String,
    pub(crate) kind: Option<ParamType>,
    pub(crate) value: String,
}

pub(crate) fn time(text: &str) -> Result<Duration, humantime::DurationError> {
    humantime::parse_duration(text)
}

/// Seconds between two looks; ten a second at most.
pub(crate) fn pause(text: &str) -> Result<Duration, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| *seconds >= 0.1);
    let pause = seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    pause.ok_or_else(|| format!("`{text}` is no number of seconds, 0.1 at least"))
}

pub(crate) fn typed_parameter(text: &str) -> Result<TypedParameter, String> {
    let (name, value) = parameter(text)?;
    let (name, kind) = match name.split_once(':') {
        None => (name, None),
        Some((name, kind)) => {
            let deserializer: serde::de::value::StrDeserializer<'_, ValueError> =
                kind.into_deserializer();
            let known = ParamType::deserialize(deserializer)
                .ok()
                .filter(|kind| !matches!(kind, ParamType::List | ParamType::Enum));
            let known = known.ok_or_else(|| {
                format!(
                    "there is no type `{kind}` here: string, integer, decimal, boolean, date, timestamp and phone are"
                )
            })?;
            (name.to_owned(), Some(known))
        }
    };
    Ok(TypedParameter { name, kind, value })
}

/// `NAME=FILE,KEY=VALUE…`, or `NAME={ uri = …, … }` as TOML has it.
pub(crate) fn table(text: &str) -> Result<(String, TableSpec), String> {
    let (name, text) = parameter(text).map_err(|_| "write NAME=FILE[,KEY=VALUE]...".to_owned())?;
    let options = if text.trim_start().starts_with('{') {
        let all: Table = toml::from_str(&format!("v = {text}")).map_err(|error| told(&error))?;
        all.into_iter().next().map(|(_, value)| value)
    } else {
        let mut parts = parts(&text).into_iter();
        let mut options = Table::new();
        let uri = parts.next().unwrap_or_default();
        options.insert("uri".to_owned(), Value::String(uri.to_owned()));
        for part in parts {
            let (key, value) = option(part).map_err(|error| {
                format!("{error}; a comma in a value stands in quotes: delimiter=\",\"")
            })?;
            options.insert(key, value);
        }
        Some(Value::Table(options))
    };
    let spec = options
        .unwrap_or(Value::Boolean(false))
        .try_into::<TableSpec>()
        .map_err(|error| told(&error))?;
    Ok((name, spec))
}

/// `KEY=VALUE`, as a table of an action file has it.
pub(crate) fn option(text: &str) -> Result<(String, Value), String> {
    let (key, value) = text
        .split_once('=')
        .ok_or_else(|| format!("`{text}` is no KEY=VALUE"))?;
    let key = key.trim();
    Ok((key.to_owned(), value_of(key, value)))
}

/// What is wrong, without the place in a text that nobody has written.
fn told(error: &toml::de::Error) -> String {
    error.message().to_owned()
}

/// Divides at commas that are not inside quotes or brackets.
fn parts(text: &str) -> Vec<&str> {
    let (mut parts, mut begin, mut depth, mut quote) = (Vec::new(), 0, 0_usize, None);
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), _) if open == c => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(c),
            (None, '{' | '[') => depth += 1,
            (None, '}' | ']') => depth = depth.saturating_sub(1),
            (None, ',') if depth == 0 => {
                parts.push(&text[begin..at]);
                begin = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[begin..]);
    parts
}

/// A value as TOML has it, and otherwise text, of which shells eat the quotes. What is always text needs none.
fn value_of(key: &str, text: &str) -> Value {
    const TEXTS: [&str; 8] = [
        "format",
        "compression",
        "encoding",
        "json_pointer",
        "delimiter",
        "quote",
        "escape",
        "comment",
    ];
    let read = |text: &str| {
        let found: Option<Table> = toml::from_str(&format!("v = {text}")).ok();
        found
            .and_then(|table| table.into_iter().next())
            .map(|(_, value)| value)
    };
    let whole = read(text).filter(|value| !TEXTS.contains(&key) || value.is_str());
    let escaped = || read(&format!("\"{text}\"")).filter(|_| text.contains('\\'));
    whole
        .or_else(escaped)
        .unwrap_or_else(|| Value::String(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use flowlake_transform::{Format, HeaderKind, OnError, ParamType};

    use super::{TypedParameter, table, typed_parameter};

    #[test]
    fn options_of_a_table() {
        let (name, spec) = table("calls=s3://b/calls/*.csv,delimiter=;,header=false,skip_lines=2,on_error=skip,types={a=\"string\",b=\"date\"}").unwrap();
        assert_eq!(name, "calls");
        assert_eq!(spec.uri, ["s3://b/calls/*.csv"]);
        assert_eq!(spec.delimiter.as_deref(), Some(";"));
        assert_eq!(spec.header, Some(HeaderKind::None));
        assert_eq!((spec.skip_lines, spec.on_error), (Some(2), OnError::Skip));
        assert_eq!(spec.types.len(), 2);
        let (_, spec) =
            table("t=a[12].csv,delimiter=\",\",null_values=[\"\", \"x,y\"],comment=1").unwrap();
        assert_eq!(spec.uri, ["a[12].csv"]);
        assert_eq!(spec.delimiter.as_deref(), Some(","));
        assert_eq!(spec.comment, Some('1'));
        assert_eq!(spec.null_values, ["", "x,y"]);
        let (_, spec) = table("t=a.txt,format=csv,delimiter=\\t,quote=").unwrap();
        assert_eq!(spec.delimiter.as_deref(), Some("\t"));
        assert_eq!((spec.format, spec.quote.0), (Some(Format::Csv), None));
        let (_, spec) = table("t={ uri = [\"a.csv\", \"b.csv\"], header = \"skip\" }").unwrap();
        assert_eq!((spec.uri.len(), spec.header), (2, Some(HeaderKind::Skip)));
        for wrong in [
            "t",
            "=a.csv",
            "t=a.csv,x",
            "t=a.csv,delimiters=;",
            "t={ uri = 1 }",
            "t={",
        ] {
            assert!(table(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_parameter_may_say_its_type() {
        let read = |text: &str| {
            typed_parameter(text).map(|TypedParameter { name, kind, value }| (name, kind, value))
        };
        let of = |name: &str, kind, value: &str| Ok((name.to_owned(), kind, value.to_owned()));
        assert_eq!(read("n=5"), of("n", None, "5"));
        assert_eq!(read("n:string=5"), of("n", Some(ParamType::String), "5"));
        assert_eq!(read("at=10:30=x"), of("at", None, "10:30=x"));
        assert!(read("n:list=5").is_err() && read("n:int=5").is_err() && read("n").is_err());
    }
}
