//! Types of columns: as they are declared, and as one table's files have them together.

use std::sync::Arc;

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, TimeUnit};

/// Reads a declared type.
pub(crate) fn parse_type(text: &str) -> Result<DataType, String> {
    let plain = text.trim().to_ascii_lowercase();
    let micros = TimeUnit::Microsecond;
    Ok(match plain.as_str() {
        "string" | "text" | "varchar" => DataType::Utf8,
        "integer" | "int" | "bigint" => DataType::Int64,
        "float" | "double" => DataType::Float64,
        "boolean" | "bool" => DataType::Boolean,
        "date" => DataType::Date32,
        "timestamp" => DataType::Timestamp(micros, None),
        "timestamptz" => DataType::Timestamp(micros, Some("+00:00".into())),
        _ => match decimal(&plain).or_else(|| moment(&plain)) {
            Some(found) => found,
            None => text.trim().parse::<DataType>().map_err(|_error| {
                format!(
                    "`{text}` is no type: use string, integer, float, decimal(p, s), boolean, date, timestamp or timestamptz"
                )
            })?,
        },
    })
}

/// A type in the words of docs/tables.md.
#[must_use]
pub fn type_name(kind: &DataType) -> String {
    use DataType::{
        Binary, BinaryView, Boolean, Date32, Date64, Decimal32, Decimal64, Decimal128, Decimal256,
        Dictionary, Duration, FixedSizeBinary, FixedSizeList, Float16, Float32, Float64, Int8,
        Int16, Int32, Int64, Interval, LargeBinary, LargeList, LargeListView, LargeUtf8, List,
        ListView, Map, Null, RunEndEncoded, Struct, Time32, Time64, Timestamp, UInt8, UInt16,
        UInt32, UInt64, Union, Utf8, Utf8View,
    };
    let plain = match kind {
        Utf8 | LargeUtf8 | Utf8View => "string",
        Int64 => "integer",
        Int8 => "integer (8 bits)",
        Int16 => "integer (16 bits)",
        Int32 => "integer (32 bits)",
        UInt8 => "integer (8 bits, unsigned)",
        UInt16 => "integer (16 bits, unsigned)",
        UInt32 => "integer (32 bits, unsigned)",
        UInt64 => "integer (unsigned)",
        Float64 => "float",
        Float32 => "float (32 bits)",
        Float16 => "float (16 bits)",
        Boolean => "boolean",
        Date32 | Date64 => "date",
        Time32(_) | Time64(_) => "time of day",
        Duration(_) => "duration",
        Interval(_) => "interval",
        Binary | LargeBinary | BinaryView | FixedSizeBinary(_) => "bytes",
        Null => "null",
        Union(..) => "value of several types",
        Decimal32(precision, scale)
        | Decimal64(precision, scale)
        | Decimal128(precision, scale)
        | Decimal256(precision, scale) => return format!("decimal({precision}, {scale})"),
        Timestamp(unit, zone) => return moment_name(*unit, zone.as_deref()),
        List(item)
        | LargeList(item)
        | ListView(item)
        | LargeListView(item)
        | FixedSizeList(item, _) => return format!("list of {}", type_name(item.data_type())),
        Struct(fields) => {
            let fields = fields.iter();
            let fields =
                fields.map(|field| format!("{} {}", field.name(), type_name(field.data_type())));
            return format!("object ({})", fields.collect::<Vec<_>>().join(", "));
        }
        Map(entries, _) => {
            return match entries.data_type() {
                Struct(entries) if entries.len() == 2 => format!(
                    "map of {} to {}",
                    type_name(entries[0].data_type()),
                    type_name(entries[1].data_type())
                ),
                _ => "map".to_owned(),
            };
        }
        Dictionary(_, values) => return type_name(values),
        RunEndEncoded(_, values) => return type_name(values.data_type()),
    };
    plain.to_owned()
}

fn moment_name(unit: TimeUnit, zone: Option<&str>) -> String {
    let name = match zone {
        None => "timestamp".to_owned(),
        Some("UTC" | "+00:00") => "timestamptz".to_owned(),
        Some(zone) => format!("timestamptz of {zone}"),
    };
    match unit {
        TimeUnit::Microsecond => name,
        TimeUnit::Second => name + "(s)",
        TimeUnit::Millisecond => name + "(ms)",
        TimeUnit::Nanosecond => name + "(ns)",
    }
}

/// `timestamp(ns)`: another unit than microseconds.
fn moment(text: &str) -> Option<DataType> {
    let (name, unit) = text.strip_suffix(')')?.split_once('(')?;
    let zone = match name {
        "timestamp" => None,
        "timestamptz" => Some("+00:00".into()),
        _ => return None,
    };
    let unit = match unit {
        "s" => TimeUnit::Second,
        "ms" => TimeUnit::Millisecond,
        "us" => TimeUnit::Microsecond,
        "ns" => TimeUnit::Nanosecond,
        _ => return None,
    };
    Some(DataType::Timestamp(unit, zone))
}

fn decimal(text: &str) -> Option<DataType> {
    let inside = text.strip_prefix("decimal(")?.strip_suffix(')')?;
    let (precision, scale) = inside.split_once(',')?;
    let (precision, scale) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
    ((1..=38).contains(&precision)
        && (0..=38).contains(&scale)
        && scale <= i8::try_from(precision).ok()?)
    .then_some(DataType::Decimal128(precision, scale))
}

/// The columns of both, by name; `text` says that whatever disagrees can still be read as text.
///
/// # Errors
/// The name of the column whose types have nothing in common, and both types.
pub(crate) fn union(
    left: &Schema,
    right: &Schema,
    text: bool,
) -> Result<Schema, (String, DataType, DataType)> {
    Ok(Schema::new(union_fields(
        left.fields(),
        right.fields(),
        text,
    )?))
}

fn union_fields(
    left: &Fields,
    right: &Fields,
    text: bool,
) -> Result<Fields, (String, DataType, DataType)> {
    let mut all: Vec<FieldRef> = left.iter().map(Arc::clone).collect();
    // Wide files have thousands of columns, so places are looked up.
    let places: std::collections::HashMap<String, usize> = all
        .iter()
        .enumerate()
        .map(|(place, field)| (field.name().clone(), place))
        .collect();
    for field in right {
        let Some(&place) = places.get(field.name()) else {
            all.push(Arc::clone(field));
            continue;
        };
        let known = &all[place];
        if known.data_type() == field.data_type() && known.is_nullable() {
            continue;
        }
        let kind = widen(known.data_type(), field.data_type(), text).ok_or_else(|| {
            (
                field.name().clone(),
                known.data_type().clone(),
                field.data_type().clone(),
            )
        })?;
        all[place] = Arc::new(Field::new(field.name(), kind, true));
    }
    Ok(all.into())
}

/// The narrowest type that holds all values of both without loss of meaning.
pub(crate) fn widen(left: &DataType, right: &DataType, text: bool) -> Option<DataType> {
    use DataType::{
        Date32, Date64, Decimal128, Dictionary, Float64, LargeUtf8, List, Null, Struct, Timestamp,
        UInt64, Utf8, Utf8View,
    };
    if left == right {
        return Some(left.clone());
    }
    Some(match (left, right) {
        (Null, other) | (other, Null) => other.clone(),
        // An array without an item says nothing of a column that is no list.
        (List(item), other) | (other, List(item))
            if item.data_type().is_null() && !other.is_list() =>
        {
            other.clone()
        }
        (Dictionary(_, value), other) | (other, Dictionary(_, value)) => widen(value, other, text)?,
        (a, b) if is_text(a) && is_text(b) => {
            if *a == Utf8View || *b == Utf8View {
                Utf8View
            } else {
                LargeUtf8
            }
        }
        (UInt64, b) if b.is_signed_integer() => Decimal128(20, 0),
        (a, UInt64) if a.is_signed_integer() => Decimal128(20, 0),
        (a, b) if a.is_integer() && b.is_integer() => wider_integer(a, b),
        (Decimal128(p, s), b) if b.is_integer() => wider_decimal((*p, *s), (20, 0))?,
        (a, Decimal128(p, s)) if a.is_integer() => wider_decimal((*p, *s), (20, 0))?,
        (Decimal128(p, s), Decimal128(q, t)) => wider_decimal((*p, *s), (*q, *t))?,
        (a, b) if is_number(a) && is_number(b) => Float64,
        (Date32 | Date64, Timestamp(unit, zone)) | (Timestamp(unit, zone), Date32 | Date64) => {
            Timestamp(*unit, zone.clone())
        }
        (Date32, Date64) | (Date64, Date32) => Date64,
        (Timestamp(a, zone), Timestamp(b, other)) if zone == other => {
            Timestamp(finer(*a, *b), zone.clone())
        }
        (Struct(a), Struct(b)) => Struct(union_fields(a, b, text).ok()?),
        (List(a), List(b)) => List(Arc::new(Field::new(
            a.name(),
            widen(a.data_type(), b.data_type(), text)?,
            true,
        ))),
        (a, b) if text && !a.is_nested() && !b.is_nested() => Utf8,
        _ => return None,
    })
}

/// Whether a type is text.
pub(crate) const fn is_text(kind: &DataType) -> bool {
    matches!(
        kind,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    )
}

fn is_number(kind: &DataType) -> bool {
    kind.is_integer() || kind.is_floating() || matches!(kind, DataType::Decimal128(..))
}

fn wider_integer(left: &DataType, right: &DataType) -> DataType {
    use DataType::{Int16, Int32, Int64, UInt8, UInt16, UInt32, UInt64};
    let bits = |kind: &DataType| kind.primitive_width().unwrap_or(8) * 8;
    match (left.is_unsigned_integer(), right.is_unsigned_integer()) {
        (true, true) => match bits(left).max(bits(right)) {
            8 => UInt8,
            16 => UInt16,
            32 => UInt32,
            _ => UInt64,
        },
        (unsigned_left, unsigned_right) => {
            let needs = |kind: &DataType, unsigned: bool| bits(kind) * if unsigned { 2 } else { 1 };
            match needs(left, unsigned_left).max(needs(right, unsigned_right)) {
                8 | 16 => Int16,
                32 => Int32,
                _ => Int64,
            }
        }
    }
}

fn wider_decimal(left: (u8, i8), right: (u8, i8)) -> Option<DataType> {
    let scale = left.1.max(right.1);
    let whole = |(precision, scale): (u8, i8)| i16::from(precision) - i16::from(scale);
    let precision = whole(left).max(whole(right)) + i16::from(scale);
    let precision = u8::try_from(precision).ok()?.min(38);
    Some(DataType::Decimal128(precision, scale))
}

fn finer(left: TimeUnit, right: TimeUnit) -> TimeUnit {
    left.max(right)
}

/// The schema with text where no value told a type, and every column nullable: any file may lack it.
pub(crate) fn settled(schema: &Schema) -> Schema {
    Schema::new(schema.fields().iter().map(settle).collect::<Fields>())
}

fn settle(field: &FieldRef) -> FieldRef {
    let kind = match field.data_type() {
        DataType::Null => DataType::Utf8,
        // Beside an integer, the engine would compute with 16 bits: 70000 is none of them.
        DataType::Float16 => DataType::Float32,
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(settle).collect()),
        DataType::List(item) => DataType::List(settle(item)),
        DataType::Dictionary(_, value) => value.as_ref().clone(),
        other => other.clone(),
    };
    Arc::new(Field::new(field.name(), kind, true))
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::{DataType, TimeUnit};

    use super::{parse_type, type_name, widen};

    #[test]
    fn types_are_widened_and_conflicts_are_reported() {
        use DataType::{
            Boolean, Date32, Decimal128, Float64, Int8, Int16, Int32, Int64, UInt8, Utf8,
        };
        let seconds = DataType::Timestamp(TimeUnit::Second, None);
        for (left, right, wide) in [
            (Int32, Int64, Some(Int64)),
            (Int8, UInt8, Some(Int16)),
            (Int64, Float64, Some(Float64)),
            (Int64, Decimal128(38, 0), Some(Decimal128(38, 0))),
            (Date32, seconds.clone(), Some(seconds)),
            (Int64, Utf8, None),
            (Boolean, Int64, None),
        ] {
            assert_eq!(widen(&left, &right, false), wide, "{left} {right}");
            assert_eq!(widen(&right, &left, false), wide, "{right} {left}");
        }
        assert_eq!(widen(&Int64, &Boolean, true), Some(Utf8));
    }

    #[test]
    fn no_name_is_the_engines() {
        for text in [
            "Int8",
            "UInt64",
            "Float32",
            "Date64",
            "Time64(ns)",
            "Duration(s)",
            "LargeBinary",
            "Timestamp(ms, \"Europe/Berlin\")",
            "LargeList(Int32)",
            "Decimal256(50, 2)",
            "Struct(\"a\": Int32, \"b\": List(Utf8))",
            "Dictionary(Int32, Int16)",
            "Interval(DayTime)",
            "Map(\"entries\": non-null Struct(\"keys\": non-null Utf8, \"values\": Int32), unsorted)",
        ] {
            let name = type_name(&text.parse().unwrap());
            let has_capitals = name
                .replace("Europe/Berlin", "")
                .contains(|c: char| c.is_uppercase());
            assert!(!has_capitals && !name.contains("view"), "{text}: {name}");
        }
        let nested = "Struct(\"a\": Int32, \"b\": List(Utf8))".parse().unwrap();
        assert_eq!(
            type_name(&nested),
            "object (a integer (32 bits), b list of string)"
        );
    }

    #[test]
    fn declared_types_have_short_names_and_arrows_own() {
        assert_eq!(
            parse_type("decimal(10, 2)"),
            Ok(DataType::Decimal128(10, 2))
        );
        assert_eq!(parse_type("Int32"), Ok(DataType::Int32));
        assert_eq!(parse_type("string"), Ok(DataType::Utf8));
        for name in [
            "timestamp(ns)",
            "timestamptz(s)",
            "timestamp",
            "decimal(10, 2)",
        ] {
            assert_eq!(type_name(&parse_type(name).unwrap()), name);
        }
        assert!(parse_type("decimal(2, 5)").is_err() && parse_type("timestamp(h)").is_err());
        assert!(parse_type("number").is_err());
    }
}
