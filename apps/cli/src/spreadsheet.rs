//! Rows as a spreadsheet (XLSX), made of rows of Arrow.
//!
//! A cell is a number or a date where Excel shows it digit by digit, and text otherwise. Text is never a formula.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter},
    sync::Arc,
};

use chrono::{NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, Timelike};
use flowlake_data_action::{ActionError, ErrorCode};
use flowlake_transform::{
    TextValues,
    arrow::{
        array::{Array, RecordBatch},
        datatypes::{DataType, Schema},
        error::ArrowError,
        ipc::reader::StreamReader,
    },
};
use rust_xlsxwriter::{Format, Workbook, Worksheet, XlsxError};

use crate::{destination::Destination, failure::Failure};

/// Rows of a sheet below its header.
pub(crate) const MOST_ROWS: u64 = 1_048_575;
const MOST_COLUMNS: usize = 16_384;
/// Units of UTF-16 of a text.
const LONGEST_TEXT: usize = 32_767;
/// Digits that Excel shows of a number.
const MOST_DIGITS: usize = 15;
/// Day 0 of Excel for days since March 1900. Programs do not agree about earlier ones: to Excel, 1900 is a leap year.
const EPOCH: NaiveDate = NaiveDate::from_ymd_opt(1899, 12, 30).expect("it is a day");
const FIRST_DAY: NaiveDate = NaiveDate::from_ymd_opt(1900, 3, 1).expect("it is a day");
const LAST_DAY: NaiveDate = NaiveDate::from_ymd_opt(9999, 12, 31).expect("it is a day");
const MILLISECONDS_A_DAY: f64 = 86_400_000.0;
/// Widths of columns, in digits; others have the width that sheets have.
const DATE_WIDTH: f64 = 11.0;
const TIMESTAMP_WIDTH: f64 = 23.0;

/// Writes `count` rows, read from an Arrow stream, as a sheet.
///
/// # Errors
/// [`ErrorCode::LimitOutput`] for what a sheet cannot hold, and those of the write.
pub(crate) fn write(rows: &File, count: u64, destination: &Destination) -> Result<(), Failure> {
    if count > MOST_ROWS {
        return Err(not_held(format!(
            "a sheet holds {MOST_ROWS} rows below its header, and the answer has more"
        )));
    }
    let reader = StreamReader::try_new(BufReader::new(rows), None).map_err(unread)?;
    let schema = reader.schema();
    let mut workbook = Workbook::new();
    let sheet = workbook
        .add_worksheet_with_constant_memory()
        .map_err(unwritten)?;
    let mut sheet = Sheet::new(sheet, &schema)?;
    for batch in reader {
        sheet.push(&batch.map_err(unread)?)?;
    }
    let file = BufWriter::new(destination.file());
    workbook.save_to_writer(file).map_err(unwritten)
}

/// An error of reading the rows, which flowlake has written itself.
fn unread(error: ArrowError) -> Failure {
    Failure::Io(io::Error::other(error))
}

fn unwritten(error: XlsxError) -> Failure {
    Failure::Io(match error {
        XlsxError::IoError(error) => error,
        other => io::Error::other(other),
    })
}

fn not_held(what: String) -> Failure {
    ActionError::new(
        ErrorCode::LimitOutput,
        what,
        "Select less, or write CSV or Parquet.",
    )
    .into()
}

/// What the cells of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Boolean,
    /// A whole number or a decimal.
    Exact,
    Float,
    Date,
    Timestamp,
    Time,
}

impl Kind {
    fn of(data_type: &DataType) -> Self {
        match data_type {
            DataType::Dictionary(_, values) => Self::of(values),
            DataType::Boolean => Self::Boolean,
            DataType::Float16 | DataType::Float32 | DataType::Float64 => Self::Float,
            DataType::Date32 | DataType::Date64 => Self::Date,
            DataType::Timestamp(..) => Self::Timestamp,
            DataType::Time32(_) | DataType::Time64(_) => Self::Time,
            number if number.is_integer() || number.is_decimal() => Self::Exact,
            _ => Self::Text,
        }
    }
}

/// The content of a cell.
#[derive(Debug, PartialEq)]
enum Cell<'a> {
    Text(&'a str),
    Boolean(bool),
    Number(f64),
    /// Days since [`EPOCH`].
    Moment(f64, Look),
}

/// How a moment is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Look {
    Date,
    Timestamp,
    TimestampWithMilliseconds,
    Time,
    TimeWithMilliseconds,
}

impl Look {
    const ALL: [(Self, &'static str); 5] = [
        (Self::Date, "yyyy\\-mm\\-dd"),
        (Self::Timestamp, "yyyy\\-mm\\-dd\\ hh:mm:ss"),
        (
            Self::TimestampWithMilliseconds,
            "yyyy\\-mm\\-dd\\ hh:mm:ss.000",
        ),
        (Self::Time, "hh:mm:ss"),
        (Self::TimeWithMilliseconds, "hh:mm:ss.000"),
    ];
}

/// The cell of a value, which CSV would write as this text.
fn cell(kind: Kind, text: &str) -> Cell<'_> {
    let found = match kind {
        Kind::Text => None,
        Kind::Boolean => text.parse().ok().map(Cell::Boolean),
        Kind::Exact if significant_digits(text) > MOST_DIGITS => None,
        Kind::Exact | Kind::Float => {
            let number = text.parse::<f64>().ok();
            number.filter(|number| number.is_finite()).map(Cell::Number)
        }
        Kind::Date => date(text),
        Kind::Timestamp => timestamp(text),
        Kind::Time => time(text),
    };
    found.unwrap_or(Cell::Text(text))
}

/// Number of digits between the first and the last one that is not zero.
fn significant_digits(text: &str) -> usize {
    let digits = text.bytes().filter(u8::is_ascii_digit);
    let digits: Vec<u8> = digits.skip_while(|digit| *digit == b'0').collect();
    let zeros = digits.iter().rev().take_while(|digit| **digit == b'0');
    digits.len() - zeros.count()
}

fn date(text: &str) -> Option<Cell<'static>> {
    let day: NaiveDate = text.get(..10)?.parse().ok()?;
    // A day with a time, as `Date64` may have one.
    let is_day = matches!(&text[10..], "" | "T00:00:00");
    let days = days(day).filter(|_| is_day)?;
    Some(Cell::Moment(days, Look::Date))
}

/// A timestamp without an offset, or of UTC. Excel has no offsets, so another one would be lost.
fn timestamp(text: &str) -> Option<Cell<'static>> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let moment: NaiveDateTime = text.parse().ok()?;
    let (time, is_whole) = of_day(moment.time())?;
    let look = match is_whole {
        true => Look::Timestamp,
        false => Look::TimestampWithMilliseconds,
    };
    Some(Cell::Moment(days(moment.date())? + time, look))
}

fn time(text: &str) -> Option<Cell<'static>> {
    let (time, is_whole) = of_day(text.parse().ok()?)?;
    let look = match is_whole {
        true => Look::Time,
        false => Look::TimeWithMilliseconds,
    };
    Some(Cell::Moment(time, look))
}

fn days(day: NaiveDate) -> Option<f64> {
    let days = i32::try_from((day - EPOCH).num_days()).ok()?;
    (FIRST_DAY..=LAST_DAY)
        .contains(&day)
        .then(|| f64::from(days))
}

/// The time as a fraction of the day, and whether it has whole seconds. None for what Excel would round.
fn of_day(time: NaiveTime) -> Option<(f64, bool)> {
    let since = time - NaiveTime::MIN;
    let milliseconds = i32::try_from(since.num_milliseconds()).ok()?;
    let is_exact = since == TimeDelta::milliseconds(milliseconds.into());
    is_exact.then(|| {
        (
            f64::from(milliseconds) / MILLISECONDS_A_DAY,
            time.nanosecond() == 0,
        )
    })
}

/// A sheet that is being written.
struct Sheet<'a> {
    sheet: &'a mut Worksheet,
    columns: Vec<(String, Kind)>,
    looks: Vec<(Look, Format)>,
    rows: u32,
}

impl<'a> Sheet<'a> {
    /// A sheet with its header.
    fn new(sheet: &'a mut Worksheet, schema: &Schema) -> Result<Self, Failure> {
        let fields = schema.fields();
        if fields.len() > MOST_COLUMNS {
            return Err(not_held(format!(
                "a sheet holds {MOST_COLUMNS} columns, and the answer has {}",
                fields.len()
            )));
        }
        let columns: Vec<_> = fields
            .iter()
            .map(|field| (field.name().clone(), Kind::of(field.data_type())))
            .collect();
        let bold = Format::new().set_bold();
        sheet.set_freeze_panes(1, 0).map_err(unwritten)?;
        for (place, (name, kind)) in (0..).zip(&columns) {
            let width = match kind {
                Kind::Date | Kind::Time => Some(DATE_WIDTH),
                Kind::Timestamp => Some(TIMESTAMP_WIDTH),
                _ => None,
            };
            if let Some(width) = width {
                sheet.set_column_width(place, width).map_err(unwritten)?;
            }
            check(name, || "the name of a column".to_owned())?;
            let written = sheet.write_string_with_format(0, place, name, &bold);
            written.map_err(unwritten)?;
        }
        Ok(Self {
            sheet,
            columns,
            looks: Look::ALL
                .map(|(look, shown)| (look, Format::new().set_num_format(shown)))
                .into(),
            rows: 0,
        })
    }

    fn push(&mut self, batch: &RecordBatch) -> Result<(), Failure> {
        let columns = batch.columns().iter();
        let columns = columns.map(|column: &Arc<dyn Array>| {
            let values = TextValues::try_new(column).map_err(ActionError::from)?;
            Ok::<_, ActionError>((column.logical_nulls(), values))
        });
        let columns = columns.collect::<Result<Vec<_>, _>>()?;
        let mut text = String::new();
        for row in 0..batch.num_rows() {
            self.rows += 1;
            for (place, (nulls, values)) in columns.iter().enumerate() {
                if nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
                    continue;
                }
                text.clear();
                values.write(row, &mut text).map_err(ActionError::from)?;
                self.put(place, &text)?;
            }
        }
        Ok(())
    }

    /// Writes a cell of the last row.
    fn put(&mut self, place: usize, text: &str) -> Result<(), Failure> {
        let (name, kind) = &self.columns[place];
        let row = self.rows;
        let column = u16::try_from(place).expect("a sheet has no more columns");
        let written = match cell(*kind, text) {
            Cell::Text(text) => {
                check(text, || format!("column `{name}`, row {row}"))?;
                self.sheet.write_string(row, column, text)
            }
            Cell::Boolean(value) => self.sheet.write_boolean(row, column, value),
            Cell::Number(value) => self.sheet.write_number(row, column, value),
            Cell::Moment(days, look) => {
                let known = self.looks.iter().find(|(known, _)| *known == look);
                let (_, format) = known.expect("each look has a format");
                self.sheet
                    .write_number_with_format(row, column, days, format)
            }
        };
        written.map(drop).map_err(unwritten)
    }
}

/// Fails for a text that no cell can hold.
fn check(text: &str, place: impl Fn() -> String) -> Result<(), Failure> {
    let length = text.encode_utf16().count();
    match length > LONGEST_TEXT {
        true => Err(not_held(format!(
            "{}: the text has {length} characters, and a cell of a sheet holds {LONGEST_TEXT}",
            place()
        ))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Cell, Kind, Look, cell};

    #[test]
    fn numbers_are_numbers_where_excel_shows_each_digit() {
        for (kind, text, number) in [
            (Kind::Exact, "0", 0.0),
            (Kind::Exact, "-123456789012345", -123_456_789_012_345.0),
            (Kind::Exact, "1000000000000000000", 1e18),
            (Kind::Exact, "12.50", 12.5),
            (Kind::Exact, "0.000000000000000001", 1e-18),
            (Kind::Float, "0.1", 0.1),
            (Kind::Float, "1e-7", 1e-7),
            (Kind::Float, "9007199254740993.0", 9_007_199_254_740_992.0),
        ] {
            assert_eq!(cell(kind, text), Cell::Number(number), "{text}");
        }
        for (kind, text) in [
            (Kind::Exact, "1234567890123456"),
            (Kind::Exact, "9007199254740993"),
            (Kind::Exact, "0.1234567890123456"),
            (Kind::Float, "NaN"),
            (Kind::Float, "-inf"),
            (Kind::Text, "5"),
            (Kind::Text, "=1+1"),
            (Kind::Text, "true"),
        ] {
            assert_eq!(cell(kind, text), Cell::Text(text), "{text}");
        }
        assert_eq!(cell(Kind::Boolean, "true"), Cell::Boolean(true));
    }

    #[test]
    fn moments_are_dates_of_excel_where_it_has_them() {
        for (kind, text, days, look) in [
            (Kind::Date, "1900-03-01", 61.0, Look::Date),
            (Kind::Date, "9999-12-31", 2_958_465.0, Look::Date),
            (Kind::Date, "2026-01-31T00:00:00", 46053.0, Look::Date),
            (
                Kind::Timestamp,
                "2026-01-31T06:00:00",
                46053.25,
                Look::Timestamp,
            ),
            (
                Kind::Timestamp,
                "2026-01-31T12:00:00.000Z",
                46053.5,
                Look::Timestamp,
            ),
            (
                Kind::Timestamp,
                "2026-01-31T00:00:00.864Z",
                46053.00001,
                Look::TimestampWithMilliseconds,
            ),
            (Kind::Time, "18:00:00", 0.75, Look::Time),
        ] {
            assert_eq!(cell(kind, text), Cell::Moment(days, look), "{text}");
        }
        for (kind, text) in [
            (Kind::Date, "1900-02-28"),
            (Kind::Date, "-0044-03-15"),
            (Kind::Date, "+10000-01-01"),
            (Kind::Timestamp, "2026-01-31T06:00:00.123456Z"),
            (Kind::Timestamp, "2026-01-31T06:00:00+01:00"),
            (Kind::Time, "18:00:00.0001"),
        ] {
            assert_eq!(cell(kind, text), Cell::Text(text), "{text}");
        }
    }
}
