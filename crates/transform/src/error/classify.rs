//! `DataFusion`'s errors as ours.
//!
//! While planning, parameters are still placeholders, so messages of the engine hold nothing secret and are passed on.
//! While running, they may quote fields of rows and values of parameters: only what is known to be safe is taken out of
//! them, and the engine's error itself is not kept.

use std::{collections::BTreeSet, error::Error as StdError, sync::LazyLock};

use datafusion::{
    arrow::error::ArrowError,
    common::{Column, DataFusionError, SchemaError},
};
use regex::Regex;

use crate::{
    Error, ErrorKind,
    error::{Place, wording},
    functions::{GrowthRefused, InvalidArgument},
    memory::JoinMemoryExhausted,
    scan_store::ScanLimitReached,
    stop::Stopped,
    too_large::TooLarge,
};

/// Column names that are listed when one is not found.
const LISTED_COLUMNS: usize = 30;

/// An error of planning the SQL over the files' schemas.
pub(crate) fn planning(error: DataFusionError) -> Error {
    let place = Place::of(&error);
    told(error).at(place)
}

fn told(error: DataFusionError) -> Error {
    if let Some(found) = known_cause(&error) {
        return found.with_source(error);
    }
    // Several at a time: the first is enough to correct.
    if let DataFusionError::Collection(mut all) = error {
        return match all.is_empty() {
            true => Error::new(ErrorKind::InvalidSql, "the SQL cannot be planned"),
            false => told(all.swap_remove(0)),
        };
    }
    let message = match error.find_root() {
        DataFusionError::SchemaError(schema, _) => {
            if let SchemaError::FieldNotFound {
                field,
                valid_fields,
            } = schema.as_ref()
            {
                return unknown_column(field, valid_fields, None);
            }
            wording::reworded(&schema.to_string())
        }
        DataFusionError::SQL(parser, _) => wording::unreadable(&parser.to_string()),
        DataFusionError::Plan(text)
            if text.starts_with("table '") && text.ends_with("not found") =>
        {
            let name = text
                .split('\'')
                .nth(1)
                .and_then(|name| name.rsplit('.').next())
                .unwrap_or_default();
            return Error::new(
                ErrorKind::UnknownTable,
                format!("there is no table `{name}`"),
            );
        }
        root if is_of_files(root) => return running_root(root, &error),
        root => wording::reworded(&root.message()),
    };
    Error::new(ErrorKind::InvalidSql, message)
}

/// What a query and the engine are asked about when the query cannot be planned.
pub(crate) struct Asked<'a> {
    /// Whether the query gives a name with AS.
    pub(crate) has_alias: &'a dyn Fn(&str) -> bool,
    /// Where a name stands in double quotes.
    pub(crate) quoted: &'a dyn Fn(&str) -> Option<String>,
    pub(crate) tables: &'a [String],
    /// The functions that there are.
    pub(crate) functions: &'a dyn Fn() -> Vec<String>,
}

/// An error of planning a query, which may name one of its own aliases where that is not known, a declared table in another
/// spelling, text in double quotes, or a function that there is not.
pub(crate) fn planning_query(error: DataFusionError, asked: &Asked<'_>) -> Error {
    let place = Place::of(&error);
    not_planned(error, asked).at(place)
}

fn not_planned(error: DataFusionError, asked: &Asked<'_>) -> Error {
    match error.find_root() {
        DataFusionError::Plan(text) => {
            if let Some(name) = wording::unknown_function(text) {
                let message = wording::no_function(name, (asked.functions)());
                return Error::new(ErrorKind::InvalidSql, message);
            }
        }
        DataFusionError::SchemaError(schema, _) => {
            if let SchemaError::FieldNotFound {
                field,
                valid_fields,
            } = schema.as_ref()
            {
                let name = field.name();
                if field.relation.is_none() && (asked.has_alias)(name) {
                    return Error::new(
                        ErrorKind::UnknownColumn,
                        format!(
                            "`{name}` is a name that the SELECT gives with AS, and is not known here (as in WHERE and ON): repeat the expression, or select from a subquery"
                        ),
                    );
                }
                return unknown_column(field, valid_fields, (asked.quoted)(name));
            }
        }
        _ => {}
    }
    let told = planning(error);
    let message = told.to_string();
    let Some(name) = message.split('`').nth(1) else {
        return told;
    };
    let meant = match told.kind() {
        ErrorKind::UnknownTable => meant_table(name, asked.tables),
        _ => None,
    };
    match meant {
        Some(meant) => {
            Error::new(ErrorKind::UnknownTable, format!("{message}; {meant}")).at(told.place())
        }
        None => told,
    }
}

/// The declared table that was probably meant.
fn meant_table(name: &str, tables: &[String]) -> Option<String> {
    // The engine has taken the capitals of a name that is not quoted.
    if let Some(table) = tables.iter().find(|table| table.to_lowercase() == name) {
        return Some(format!(
            "a name with capitals stands in double quotes: \"{table}\""
        ));
    }
    nearest(name, tables).map(|table| format!("did you mean `{table}`?"))
}

/// The name nearest to one that is not known.
pub(super) fn nearest<'a, T: AsRef<str>>(name: &str, known: &'a [T]) -> Option<&'a T> {
    let near = |known: &T| strsim::jaro_winkler(known.as_ref(), name);
    let nearest = known.iter().max_by(|a, b| near(a).total_cmp(&near(b)));
    nearest.filter(|nearest| near(nearest) > 0.8)
}

/// Whether an error is about what a file holds or what there is room for, and not about the SQL.
fn is_of_files(error: &DataFusionError) -> bool {
    match error {
        DataFusionError::ResourcesExhausted(_)
        | DataFusionError::ParquetError(_)
        | DataFusionError::IoError(_)
        | DataFusionError::ObjectStore(_) => true,
        DataFusionError::ArrowError(arrow, _) => matches!(
            arrow.as_ref(),
            ArrowError::CsvError(_)
                | ArrowError::JsonError(_)
                | ArrowError::IpcError(_)
                | ArrowError::AvroError(_)
                | ArrowError::ParquetError(_)
                | ArrowError::IoError(..)
        ),
        _ => false,
    }
}

/// An error of planning with values of parameters, where planning without them succeeds. The engine's words may quote them.
pub(crate) fn binding(error: DataFusionError) -> Error {
    static KIND: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?s)(?:to value of|Can't cast value .* to type|as type|to store in a) (\w+)")
            .expect("the pattern is valid")
    });
    let is_known = known_cause(&error).is_some() || is_of_files(error.find_root());
    if is_known {
        return running(error);
    }
    let text = error.find_root().to_string();
    let kind = KIND.captures(&text).map_or_else(String::new, |found| {
        format!(
            " no {}, as what it stands beside:",
            wording::words(&found[1])
        )
    });
    Error::new(
        ErrorKind::InvalidSql,
        if kind.is_empty() {
            "the SQL cannot be computed with this value of a parameter".to_owned()
        } else {
            format!("the value of a parameter is{kind} declare the parameter with that type")
        },
    )
}

/// An error of running the plan.
pub(crate) fn running(error: DataFusionError) -> Error {
    match known_cause(&error) {
        Some(found) => found.with_source(error),
        None => running_root(error.find_root(), &error),
    }
}

/// The error of a file, a limit or a function of ours; none for what the SQL computes.
#[cfg(feature = "cluster")]
pub(crate) fn of_a_file_or_limit(error: &DataFusionError) -> Option<Error> {
    known_cause(error).or_else(|| {
        let root = error.find_root();
        is_of_files(root).then(|| running_root(root, error))
    })
}

/// Causes that are found by type in the source chain: the store's errors, and our own limits.
fn known_cause(error: &DataFusionError) -> Option<Error> {
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(limit) = error.downcast_ref::<ScanLimitReached>() {
            return Some(Error::new(ErrorKind::ScanLimit, limit.to_string()));
        }
        if let Some(stopped) = error.downcast_ref::<Stopped>() {
            return Some(Error::new(ErrorKind::Timeout, stopped.to_string()));
        }
        if let Some(join) = error.downcast_ref::<JoinMemoryExhausted>() {
            return Some(Error::new(ErrorKind::MemoryLimit, join.to_string()));
        }
        if let Some(growth) = error.downcast_ref::<GrowthRefused>() {
            return Some(Error::new(ErrorKind::MemoryLimit, growth.to_string()));
        }
        if let Some(large) = error.downcast_ref::<TooLarge>() {
            return Some(Error::new(ErrorKind::NotComputable, large.to_string()));
        }
        if let Some(argument) = error.downcast_ref::<InvalidArgument>() {
            return Some(Error::new(ErrorKind::InvalidSql, argument.to_string()));
        }
        // An error of our own readers, on its way back through the engine.
        if let Some(own) = error.downcast_ref::<Error>() {
            return Some(Error::new(own.kind(), own.to_string()));
        }
        if let Some(store) = error.downcast_ref::<object_store::Error>().filter(|error| {
            StdError::source(*error).is_none_or(|source| !source.is::<ScanLimitReached>())
        }) {
            return Some(store_error(store));
        }
        next = error.source();
    }
    None
}

fn store_error(error: &object_store::Error) -> Error {
    match error {
        object_store::Error::NotFound { path, .. } => {
            Error::new(ErrorKind::Store, format!("{path} does not exist"))
        }
        object_store::Error::PermissionDenied { path, .. } => {
            Error::new(ErrorKind::Store, format!("{path} may not be read"))
        }
        object_store::Error::Precondition { path, .. } => Error::new(
            ErrorKind::Store,
            format!("{path} changed while it was read"),
        ),
        _ => Error::new(ErrorKind::Store, "the store failed while a file was read"),
    }
}

fn running_root(root: &DataFusionError, whole: &DataFusionError) -> Error {
    match root {
        DataFusionError::ResourcesExhausted(_) => Error::new(
            ErrorKind::MemoryLimit,
            "the query needs more memory and spill space than is configured",
        ),
        DataFusionError::ArrowError(arrow, _) => arrow_error(arrow),
        DataFusionError::ParquetError(_) => Error::new(
            ErrorKind::MalformedData,
            "the file is not valid Parquet, or is cut off",
        ),
        DataFusionError::Execution(text) => data_error(text).unwrap_or_else(|| {
            Error::new(
                ErrorKind::NotComputable,
                "a value cannot be computed: a cast or an operation failed on the data",
            )
        }),
        DataFusionError::External(external) => match external.downcast_ref::<ArrowError>() {
            Some(arrow) => arrow_error(arrow),
            None => Error::new(ErrorKind::Internal, "the engine failed"),
        },
        DataFusionError::IoError(error) => Error::new(
            ErrorKind::MalformedData,
            format!("a file cannot be decoded ({})", error.kind()),
        ),
        _ => data_error(&whole.to_string())
            .unwrap_or_else(|| Error::new(ErrorKind::Internal, "the engine failed")),
    }
}

fn arrow_error(error: &ArrowError) -> Error {
    let text = error.to_string();
    data_error(&text).unwrap_or_else(|| match error {
        ArrowError::CsvError(_) => {
            Error::new(ErrorKind::MalformedData, "the file is not valid CSV")
        }
        ArrowError::JsonError(_) => {
            Error::new(ErrorKind::MalformedData, "the file is not valid JSON")
        }
        ArrowError::ParquetError(_) => Error::new(
            ErrorKind::MalformedData,
            "the file is not valid Parquet, or is cut off",
        ),
        // What the engine's spill files say when their directory is full, as text alone.
        ArrowError::IoError(text, _) if text.contains("during the spilling process") => Error::new(
            ErrorKind::MemoryLimit,
            "the query needs more memory and spill space than is configured",
        ),
        ArrowError::DivideByZero => Error::new(
            ErrorKind::NotComputable,
            "the SQL divides by zero on this data",
        ),
        ArrowError::ArithmeticOverflow(_) => Error::new(
            ErrorKind::NotComputable,
            "a number is too large for its type",
        ),
        ArrowError::CastError(_) => Error::new(
            ErrorKind::NotComputable,
            "a value cannot be cast to the type that the SQL asks for",
        ),
        ArrowError::ParseError(_) => Error::new(
            ErrorKind::MalformedData,
            "a value is not of its column's type",
        ),
        _ => Error::new(ErrorKind::Internal, "the engine failed"),
    })
}

/// The place and kind of a malformed record, out of the messages of `arrow-csv` 59 and `arrow-json` 59, without the values
/// that they quote.
fn data_error(text: &str) -> Option<Error> {
    static FIELDS: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            r"incorrect number of fields for line (\d+), expected (\d+) got (more than )?(\d+)",
        )
        .expect("the pattern is valid")
    });
    static VALUE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"as type '(\w+)' for column (\d+) at line (\d+)").expect("the pattern is valid")
    });
    if let Some(found) = FIELDS.captures(text) {
        let more = found.get(3).map_or("", |_| "more than ");
        return Some(Error::new(
            ErrorKind::MalformedData,
            format!(
                "line {} has {more}{} fields and {} were expected",
                &found[1], &found[4], &found[2]
            ),
        ));
    }
    if let Some(found) = VALUE.captures(text) {
        let column = found[2].parse::<u64>().map_or(0, |column| column + 1);
        return Some(Error::new(
            ErrorKind::MalformedData,
            format!(
                "line {}, column {column} holds a value that is no {}, which the first rows were",
                &found[3], &found[1]
            ),
        ));
    }
    let json = ["expected", "whilst parsing", "Json error", "JSON error"]
        .iter()
        .any(|part| text.contains(part))
        && text.to_lowercase().contains("json");
    json.then(|| {
        Error::new(
            ErrorKind::MalformedData,
            "the file is not valid JSON, or a value has another type than in the first rows",
        )
    })
}

/// A column that there is not. What stands in double quotes is often a text, such as a telephone number, which no message holds:
/// then its place is given, where it is known.
fn unknown_column(field: &Column, valid: &[Column], quoted: Option<String>) -> Error {
    let told = |text: String| Error::new(ErrorKind::UnknownColumn, text);
    let name = field.name();
    if let Some(table) = &field.relation {
        let tables: BTreeSet<String> = valid
            .iter()
            .filter_map(|column| column.relation.as_ref())
            .map(|table| table.table().to_owned())
            .collect();
        if !tables.contains(table.table()) && !tables.is_empty() {
            let tables: Vec<_> = tables.iter().map(|table| format!("`{table}`")).collect();
            return told(format!(
                "there is no table or alias `{}` here; there is {}",
                table.table(),
                tables.join(", ")
            ));
        }
    }
    // Of a table that is named, its own columns alone.
    let own = |column: &&Column| match (&field.relation, &column.relation) {
        (Some(table), Some(other)) => table.table() == other.table(),
        _ => true,
    };
    let mut names: Vec<_> = valid.iter().filter(own).map(Column::name).collect();
    names.sort_unstable();
    names.dedup();
    let same = names
        .iter()
        .find(|other| other.eq_ignore_ascii_case(name) && **other != name);
    let nearest = nearest(name, &names);
    // Only a name in double quotes keeps its capitals and blanks.
    let is_quoted = quoted.is_some()
        || name.contains(|c: char| c.is_uppercase() || !(c.is_alphanumeric() || c == '_'));
    let column = match quoted {
        _ if !is_quoted || same.is_some() => match &field.relation {
            Some(table) => format!("`{}.{name}`", table.table()),
            None => format!("`{name}`"),
        },
        Some(place) => format!("of the name in double quotes {place}"),
        None => "of a name in double quotes".to_owned(),
    };
    let nearest = match (same, nearest) {
        (Some(same), _) if same.contains(|c: char| c.is_uppercase()) => {
            format!("; a name with capitals stands in double quotes: \"{same}\"")
        }
        (Some(same), _) => format!("; there is `{same}`, which is another name"),
        (None, Some(nearest)) => format!("; did you mean `{nearest}`?"),
        (None, None) if is_quoted => "; text stands in single quotes: 'text'".to_owned(),
        (None, None) => String::new(),
    };
    let more = names.len().saturating_sub(LISTED_COLUMNS);
    let rest = if more > 0 {
        format!(" and {more} more")
    } else {
        String::new()
    };
    names.truncate(LISTED_COLUMNS);
    if names.is_empty() {
        return told(format!(
            "there is no column {column} here: no table is in reach"
        ));
    }
    told(format!(
        "there is no column {column}{nearest} (columns: {}{rest})",
        names.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use super::data_error;

    #[test]
    fn places_are_kept_and_values_are_not() {
        let text = "Error while parsing value '+12025550142' as type 'Int64' for column 6 at line 1002. Row data: '[ann,+12025550142]'";
        let error = data_error(text).unwrap();
        assert_eq!(
            error.to_string(),
            "line 1002, column 7 holds a value that is no Int64, which the first rows were"
        );
        let error = data_error(
            "Csv error: incorrect number of fields for line 3, expected 13 got more than 13",
        )
        .unwrap();
        assert_eq!(
            error.to_string(),
            "line 3 has more than 13 fields and 13 were expected"
        );
    }
}
