//! The ways in which one table is written and read.

use serde::{Deserialize, Serialize};

use crate::{
    dice::Dice,
    table::{LARGE_ROWS, Table},
    value::{Kind, Value},
};

/// Threads and rows of a batch of the engines that [`Way::engine`] chooses from.
pub(crate) const ENGINES: [(usize, usize); 4] = [(1, 8192), (4, 8192), (2, 2), (3, 5)];

/// How a table is written, declared and read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    /// How files are written.
    pub format: Written,
    /// How files are compressed as a whole.
    pub compression: Packed,
    /// How text is encoded.
    pub encoding: Encoded,
    /// How rows are divided into files.
    pub files: Division,
    /// What an action declares of the columns.
    pub declares: Declares,
    /// Chooses spellings, quotes, orders of keys and physical types.
    pub spelling: u64,
    /// Which of the engines reads it.
    pub engine: usize,
    /// Bytes that the store gives at a time.
    pub piece_bytes: usize,
    /// Whether the tables are kept in memory; the columns with an index.
    pub hot: Option<Vec<usize>>,
    /// Whether values are parameters.
    pub params: bool,
}

/// How files are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Written {
    /// Delimited text.
    Csv,
    /// One object a line.
    Ndjson,
    /// An array of objects.
    Json,
    /// An array of objects in a document.
    Document,
    /// Apache Parquet.
    Parquet,
    /// Apache Avro.
    Avro,
    /// Arrow IPC, a file.
    Arrow,
    /// Arrow IPC, a stream.
    ArrowStream,
    /// Each file otherwise, but not in Parquet.
    Mixed,
}

/// How files are compressed as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Packed {
    Plain,
    Gzip,
    Zstd,
    Bzip2,
    Xz,
}

/// How text is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Encoded {
    Utf8,
    Utf8Mark,
    Utf16Le,
    Utf16Be,
    Windows1252,
}

/// How rows are divided into files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Division {
    /// As the table is, under folders where it has a partition.
    Parts,
    /// All in one, a partition being a column like the others.
    One,
}

/// What an action declares of the columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Declares {
    /// The types that the format cannot tell.
    Needed,
    /// All types.
    Types,
    /// All columns.
    Columns,
    /// All columns, by place: the text has no header, or one that is left out.
    Places,
}

impl Written {
    const ALL: [Self; 13] = [
        Self::Csv,
        Self::Csv,
        Self::Csv,
        Self::Ndjson,
        Self::Ndjson,
        Self::Json,
        Self::Document,
        Self::Parquet,
        Self::Parquet,
        Self::Avro,
        Self::Arrow,
        Self::ArrowStream,
        Self::Mixed,
    ];

    pub(crate) const fn is_text(self) -> bool {
        matches!(self, Self::Csv | Self::Ndjson | Self::Json | Self::Document)
    }

    pub(crate) const fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Ndjson => "ndjson",
            Self::Json | Self::Document => "json",
            Self::Parquet => "parquet",
            Self::Avro => "avro",
            Self::Arrow | Self::ArrowStream | Self::Mixed => "arrow",
        }
    }

    /// How part `place` is written.
    pub(crate) const fn of_part(self, place: usize, spelling: u64) -> Self {
        const EACH: [Written; 4] = [Written::Csv, Written::Ndjson, Written::Avro, Written::Arrow];
        match self {
            #[expect(clippy::cast_possible_truncation, reason = "only its last bits count")]
            Self::Mixed => EACH[(place + spelling as usize) % EACH.len()],
            other => other,
        }
    }
}

impl Way {
    /// The way that others are compared with: typed, whole, without anything that could rule rows out.
    pub(crate) const fn plain() -> Self {
        Self {
            format: Written::Arrow,
            compression: Packed::Plain,
            encoding: Encoded::Utf8,
            files: Division::One,
            declares: Declares::Needed,
            spelling: 0,
            engine: 0,
            piece_bytes: usize::MAX,
            hot: None,
            params: false,
        }
    }

    /// A way that can hold the table.
    pub(crate) fn generate(dice: &mut Dice, table: &Table) -> Self {
        loop {
            let format = *dice.one(&Written::ALL);
            let way = Self {
                format,
                compression: *dice.one(&[
                    Packed::Plain,
                    Packed::Plain,
                    Packed::Plain,
                    Packed::Gzip,
                    Packed::Gzip,
                    Packed::Zstd,
                    Packed::Bzip2,
                    Packed::Xz,
                ]),
                encoding: *dice.one(&[
                    Encoded::Utf8,
                    Encoded::Utf8,
                    Encoded::Utf8,
                    Encoded::Utf8Mark,
                    Encoded::Utf16Le,
                    Encoded::Utf16Be,
                    Encoded::Windows1252,
                ]),
                files: *dice.one(&[Division::Parts, Division::Parts, Division::One]),
                declares: *dice.one(&[
                    Declares::Needed,
                    Declares::Needed,
                    Declares::Types,
                    Declares::Columns,
                    Declares::Places,
                ]),
                spelling: dice.next(),
                engine: dice.below(ENGINES.len()),
                piece_bytes: *dice.one(&[usize::MAX, usize::MAX, 1, 7, 100]),
                hot: dice.once_in(3).then(|| {
                    let columns = 0..table.columns.len();
                    columns.filter(|_| dice.once_in(2)).collect()
                }),
                params: dice.once_in(2),
            };
            if way.holds(table) {
                return way;
            }
        }
    }

    /// Whether files of this way can hold the table, and say all of it.
    pub(crate) fn holds(&self, table: &Table) -> bool {
        let binary = !self.format.is_text();
        let places = self.declares == Declares::Places;
        let packs = !matches!(self.format, Written::Parquet) || self.compression == Packed::Plain;
        let encodes = self.encoding == Encoded::Utf8
            || self.format.is_text()
                && (self.encoding != Encoded::Windows1252 || is_windows_1252(table));
        let avro_names = table.columns.iter().all(|column| {
            let name = &column.name;
            name.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        });
        let avro = !matches!(self.format, Written::Avro | Written::Mixed) || avro_names;
        let mixed = self.format != Written::Mixed || self.declares == Declares::Types;
        // A type can be declared only for what a file has, and text without rows may have nothing.
        let has = |place: &usize| {
            let mut parts = table.parts.iter();
            parts.any(|part| !part.rows.is_empty() && !part.lacks.contains(place))
        };
        let rows = binary || (0..table.columns.len()).all(|place| has(&place));
        let by_place = !places
            || self.format == Written::Csv
                && (self.files == Division::One
                    || table.partition.is_none()
                        && table.parts.iter().all(|part| part.lacks.is_empty()));
        // What a folder says counts below the place that a uri names, and a hot table names single objects.
        let folders = table.partition.is_none() || self.files == Division::One;
        let hot = self.hot.is_none() || folders;
        let nested = !matches!(self.format, Written::Csv | Written::Mixed) || !table.has_nested();
        nested && hot && packs && encodes && avro && mixed && rows && by_place
    }

    /// Whether text whose columns go by place has a header that is left out.
    pub(crate) const fn skips_header(&self) -> bool {
        self.spelling % 5 < 2
    }

    /// Whether the encoding of one byte a character is declared; it is also told by bytes that are no UTF-8.
    pub(crate) const fn declares_encoding(&self) -> bool {
        self.spelling.is_multiple_of(2)
    }

    /// Whether the text of a large table shows only behind its head how it is encoded, so that an error is as good.
    pub(crate) fn may_be_refused(&self, table: &Table) -> bool {
        let is_large = table
            .parts
            .iter()
            .any(|part| part.rows.len() >= LARGE_ROWS / 4);
        self.encoding == Encoded::Windows1252 && !self.declares_encoding() && is_large
    }

    /// The columns whose types this way has to declare, since its text cannot tell them.
    pub(crate) fn declared(&self, table: &Table) -> Vec<usize> {
        let columns = (0..table.columns.len())
            .filter(|&place| self.files == Division::One || Some(place) != table.partition);
        columns
            .filter(|&place| match self.declares {
                Declares::Needed => self.format.is_text() && !self.tells(table, place),
                _ => true,
            })
            .collect()
    }

    /// Whether text of this way tells the type of a column.
    fn tells(&self, table: &Table, place: usize) -> bool {
        let csv = self.format == Written::Csv;
        let mut values = table.values(place).peekable();
        if values.peek().is_none() {
            return false;
        }
        match table.columns[place].kind {
            Kind::Integer | Kind::Float | Kind::Boolean => true,
            // At least one is a text to everybody.
            Kind::String => !csv || values.any(|value| *value == Value::String("Sales".to_owned())),
            Kind::Date | Kind::Timestamp => csv,
            Kind::Decimal | Kind::Timestamptz => false,
            Kind::Integers => values.any(|value| {
                matches!(value, Value::Integers(items) if items.iter().any(Option::is_some))
            }),
            Kind::Object => {
                let (mut number, mut text) = (false, false);
                for value in values {
                    if let Value::Object(own_number, own_text) = value {
                        number |= own_number.is_some();
                        text |= own_text.is_some();
                    }
                }
                number && text
            }
        }
    }
}

fn is_windows_1252(table: &Table) -> bool {
    let fits = |text: &str| !encoding_rs::WINDOWS_1252.encode(text).2;
    let names = table.columns.iter().map(|column| column.name.as_str());
    let rows = table.parts.iter().flat_map(|part| &part.rows);
    let texts = rows.flatten().filter_map(|value| match value {
        Value::String(text) | Value::Object(_, Some(text)) => Some(text.as_str()),
        _ => None,
    });
    names.chain(texts).all(fits)
}
