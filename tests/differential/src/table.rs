//! A generated table, as it is meant: columns, and rows in parts that become files.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    dice::Dice,
    value::{Kind, Value, canonical},
};

/// A table. Its first column, `id`, numbers the rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Table {
    /// The columns.
    pub columns: Vec<Column>,
    /// The place of the column whose value the folder of a file tells, if any.
    pub partition: Option<usize>,
    /// The rows, by file.
    pub parts: Vec<Part>,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name, which SQL may have to quote.
    pub name: String,
    /// The kind of its values.
    pub kind: Kind,
}

/// The rows of one file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Places of columns that the file does not have.
    pub lacks: BTreeSet<usize>,
    /// A value for each column of the table; null where the file lacks it.
    pub rows: Vec<Vec<Value>>,
}

const NAMES: [&str; 10] = [
    "a", "b", "k", "v", "name", "amount", "flag", "day", "queue", "x1",
];
const ODD_NAMES: [&str; 8] = [
    "Mixed",
    "two words",
    "größe",
    "select",
    "user",
    "a.b",
    "x-y",
    "ORDER",
];
/// Texts that look like something else, need quoting, or are not of one byte a character.
const TEXTS: [&str; 40] = [
    "a",
    "A",
    "b",
    "B",
    "ab",
    "abc",
    "Sales",
    "Billing",
    "sales",
    "Müller",
    "ä",
    "Straße",
    "007",
    "0071",
    "1",
    "1.5",
    "-3",
    "true",
    "no",
    "null",
    "NULL",
    "NaN",
    "2026-01-05",
    "0000-00-00",
    "2026-01-05T10:00:00",
    "+4930901820",
    "x,y",
    "x;y",
    "q\"q",
    "it's",
    "l\nm",
    " lead",
    "trail ",
    "a%b",
    "a_b",
    "\\N",
    "back\\slash",
    "日本",
    "😀",
    "a\tb",
];
const PLAIN_TEXTS: [&str; 8] = [
    "north", "south", "east", "west", "Sales", "sales", "Claims", "VIP",
];
const INTEGERS: [i64; 12] = [
    0,
    1,
    -1,
    7,
    9,
    10,
    71,
    4_930_901_820,
    9_007_199_254_740_993,
    -9_007_199_254_740_993,
    i64::MAX,
    i64::MIN + 1,
];
/// Rows of a table that is decoded in several chunks.
pub(crate) const LARGE_ROWS: usize = 40_000;
const DAY: i64 = 86_400_000_000;
/// 2026-01-01 in days.
const NEW_YEAR: i64 = 20_454;

impl Table {
    /// A table of these dice.
    pub(crate) fn generate(dice: &mut Dice) -> Self {
        let mut columns = vec![Column {
            name: "id".to_owned(),
            kind: Kind::Integer,
        }];
        for _ in 0..dice.between(3, 8) {
            let odd = dice.once_in(8);
            let name = *dice.one(if odd { ODD_NAMES.as_slice() } else { &NAMES });
            if columns.iter().all(|column| column.name != name) {
                let kind = *dice.one(&Kind::FLAT);
                columns.push(Column {
                    name: name.to_owned(),
                    kind,
                });
            }
        }
        let partition = dice.once_in(4).then(|| {
            let kind = *dice.one(&[Kind::Integer, Kind::String, Kind::Date]);
            columns.push(Column {
                name: "region".to_owned(),
                kind,
            });
            columns.len() - 1
        });
        let styles: Vec<Style> = columns.iter().map(|_| Style::generate(dice)).collect();
        let mut parts: Vec<Part> = Vec::new();
        let mut next = 0;
        for _ in 0..dice.between(1, 4) {
            let lacks = (1..columns.len())
                .filter(|place| Some(*place) != partition && dice.once_in(6))
                .collect();
            let rows = match dice.below(20) {
                0 => 0,
                1 => dice.between(60, 120),
                _ => dice.between(1, 14),
            };
            let mut part = Part {
                lacks,
                rows: Vec::new(),
            };
            let folder = partition.map(|place| segment(dice, columns[place].kind));
            let empty: BTreeSet<usize> = (1..columns.len()).filter(|_| dice.once_in(10)).collect();
            for _ in 0..rows {
                next += 1;
                let row = columns.iter().enumerate().map(|(place, column)| {
                    if place == 0 {
                        return Value::Integer(next);
                    }
                    if Some(place) == partition {
                        return folder.clone().unwrap_or(Value::Null);
                    }
                    let value = styles[place].value(dice, column.kind);
                    if part.lacks.contains(&place) || empty.contains(&place) {
                        Value::Null
                    } else {
                        value
                    }
                });
                let row = row.collect();
                part.rows.push(row);
            }
            parts.push(part);
        }
        if parts.iter().all(|part| part.rows.is_empty()) {
            return Self::generate(dice);
        }
        let mut table = Self {
            columns,
            partition,
            parts,
        };
        // A column that no file with rows has is none.
        for place in 1..table.columns.len() {
            let mut full = table.parts.iter_mut().filter(|part| !part.rows.is_empty());
            if full.all(|part| part.lacks.contains(&place)) {
                let first = table.parts.iter_mut().find(|part| !part.rows.is_empty());
                first.map(|part| part.lacks.remove(&place));
            }
        }
        table
    }

    /// Adds a column of lists or objects, which delimited text does not have.
    pub(crate) fn add_nested(&mut self, dice: &mut Dice) {
        let kind = *dice.one(&[Kind::Integers, Kind::Object]);
        let style = Style::generate(dice);
        self.columns.push(Column {
            name: "nested".to_owned(),
            kind,
        });
        for part in &mut self.parts {
            for row in &mut part.rows {
                row.push(style.value(dice, kind));
            }
        }
    }

    pub(crate) fn has_nested(&self) -> bool {
        self.columns.iter().any(|column| column.kind.is_nested())
    }

    /// A table of more text than is read at a time: the rows of another one, again and again.
    pub(crate) fn generate_large(dice: &mut Dice) -> Self {
        let mut table = Self::generate(dice);
        let mut next = 0;
        let parts = i64::try_from(table.parts.len()).unwrap_or(1);
        for part in &mut table.parts {
            let rows = std::mem::take(&mut part.rows);
            let again = rows.iter().cycle().take(if rows.is_empty() {
                0
            } else {
                LARGE_ROWS / usize::try_from(parts).unwrap_or(1)
            });
            part.rows = again.cloned().collect();
            for row in &mut part.rows {
                next += 1;
                row[0] = Value::Integer(next);
            }
        }
        table
    }

    /// The rows of all files as they are answered, in the order of `id`.
    pub(crate) fn answer(&self) -> Vec<Vec<String>> {
        let mut rows: Vec<&Vec<Value>> = self.parts.iter().flat_map(|part| &part.rows).collect();
        rows.sort_by_key(|row| match row[0] {
            Value::Integer(id) => id,
            _ => 0,
        });
        let cells = |row: &Vec<Value>| row.iter().map(|value| canonical(&value.json())).collect();
        rows.into_iter().map(cells).collect()
    }

    /// The values of a column that are there.
    pub(crate) fn values(&self, place: usize) -> impl Iterator<Item = &Value> {
        let rows = self.parts.iter().flat_map(|part| &part.rows);
        rows.map(move |row| &row[place])
            .filter(|value| !value.is_null())
    }

    /// The table as one file that has all columns, the partition among them.
    pub(crate) fn in_one_file(&self) -> Self {
        let rows = self.parts.iter().flat_map(|part| part.rows.clone());
        Self {
            columns: self.columns.clone(),
            partition: None,
            parts: vec![Part {
                lacks: BTreeSet::new(),
                rows: rows.collect(),
            }],
        }
    }

    pub(crate) fn places_of(&self, wanted: impl Fn(Kind) -> bool) -> Vec<usize> {
        let columns = self.columns.iter().enumerate();
        columns
            .filter(|(_, column)| wanted(column.kind))
            .map(|(place, _)| place)
            .collect()
    }
}

/// How the values of a column are spread.
#[derive(Debug, Clone, Copy)]
struct Style {
    /// One value in this many is null; none when 0.
    nulls: usize,
    /// Few different values, so that they group and join.
    few: bool,
    /// Parts of a second, in powers of ten of microseconds.
    unit: i64,
}

impl Style {
    fn generate(dice: &mut Dice) -> Self {
        Self {
            nulls: *dice.one(&[0, 0, 2, 5, 9, 1]),
            few: dice.once_in(2),
            unit: *dice.one(&[DAY, 1_000_000, 1_000_000, 1000, 1]),
        }
    }

    fn value(self, dice: &mut Dice, kind: Kind) -> Value {
        if self.nulls > 0 && dice.once_in(self.nulls) {
            return Value::Null;
        }
        match kind {
            Kind::Integer if self.few => Value::Integer(dice.between(0, 4)),
            Kind::Integer if dice.once_in(3) => Value::Integer(*dice.one(&INTEGERS)),
            Kind::Integer => Value::Integer(dice.between(-50, 1000)),
            // Quarters, whose sums are exact in whatever order they are added.
            Kind::Float => {
                let quarters = dice.between(-400, if self.few { -396 } else { 4000 });
                Value::Float(f64::from(i32::try_from(quarters).unwrap_or_default()) / 4.0)
            }
            Kind::Decimal if self.few => Value::Decimal(dice.between(100, 103) * 25),
            Kind::Decimal => Value::Decimal(dice.between(-100_000, 10_000_000)),
            Kind::String if self.few => Value::String((*dice.one(&PLAIN_TEXTS)).to_owned()),
            Kind::String => Value::String((*dice.one(&TEXTS)).to_owned()),
            Kind::Boolean => Value::Boolean(dice.once_in(2)),
            Kind::Date => {
                let day = NEW_YEAR + dice.between(0, if self.few { 3 } else { 400 });
                Value::Date(i32::try_from(day).unwrap_or_default())
            }
            Kind::Timestamp => Value::Timestamp(self.moment(dice)),
            Kind::Timestamptz => Value::Timestamptz(self.moment(dice)),
            Kind::Integers => {
                let items = (0..dice.below(4)).map(|_| {
                    let item = dice.between(0, if self.few { 2 } else { 1 << 40 });
                    (!dice.once_in(5)).then_some(item)
                });
                Value::Integers(items.collect())
            }
            Kind::Object => {
                let number = (!dice.once_in(4)).then(|| dice.between(0, 4));
                let text = (!dice.once_in(4)).then(|| (*dice.one(&TEXTS)).to_owned());
                Value::Object(number, text)
            }
        }
    }

    fn moment(self, dice: &mut Dice) -> i64 {
        let days = dice.between(0, if self.few { 2 } else { 90 });
        let within = if self.few {
            [0, 36_000_000_000, 36_000_500_000, 82_800_000_000][dice.below(4)]
        } else {
            dice.between(0, DAY - 1)
        };
        let micros = (NEW_YEAR + days) * DAY + within;
        micros - micros.rem_euclid(self.unit)
    }
}

/// What a `region=` segment of a key can hold.
fn segment(dice: &mut Dice, kind: Kind) -> Value {
    match kind {
        Kind::Integer => Value::Integer(dice.between(0, 12)),
        Kind::Date => Value::Date(i32::try_from(NEW_YEAR + dice.between(0, 3)).unwrap_or_default()),
        _ => Value::String((*dice.one(&["north", "south", "x y", "größe", "a=b"])).to_owned()),
    }
}
