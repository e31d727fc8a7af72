//! What a file is, told from its name, its content type and its first bytes.

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use super::{
    chunk_reader::line_end,
    records::{Delimiter, Dialect, Divider, trim},
};
use crate::{Compression, Format};

/// Delimiters that are tried, likelier ones first.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];
/// Number of records sampled to detect the delimiter.
const DELIMITER_RECORDS: usize = 50;
/// Lines in which a blank one is looked for that a table begins after.
const LINES_BEFORE: usize = 20;

/// Compression by the first bytes.
pub(crate) fn compression_by_magic(head: &[u8]) -> Option<Compression> {
    let bzip2 = head.starts_with(b"BZh")
        && head.get(3).is_some_and(u8::is_ascii_digit)
        && head
            .get(4..10)
            .is_none_or(|magic| magic == b"1AY&SY" || magic == b"\x17\x72\x45\x38\x50\x90");
    if head.starts_with(&[0x1f, 0x8b]) {
        Some(Compression::Gzip)
    } else if head.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) {
        Some(Compression::Zstd)
    } else if head.starts_with(&[0xfd, b'7', b'z', b'X', b'Z', 0]) {
        Some(Compression::Xz)
    } else {
        bzip2.then_some(Compression::Bzip2)
    }
}

/// What is no file of rows but holds some, or is compressed in a way that is not read, by the first bytes.
pub(crate) fn unreadable_by_magic(head: &[u8]) -> Option<&'static str> {
    const MAGIC: [(&[u8], &str); 12] = [
        (
            b"PK\x03\x04",
            "a ZIP archive (or a workbook of Excel, which is one)",
        ),
        (b"PK\x05\x06", "an empty ZIP archive"),
        (b"\x04\x22\x4d\x18", "compressed with LZ4"),
        (b"\x02\x21\x4c\x18", "compressed with LZ4"),
        (b"\xff\x06\x00\x00sNaPpY", "compressed with Snappy"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
        (b"Rar!\x1a\x07", "a RAR archive"),
        (b"\x1f\x9d", "compressed with compress"),
        (b"\x89LZO\x00", "compressed with LZO"),
        (
            b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
            "a document of Microsoft Office",
        ),
        (b"%PDF-", "a PDF document"),
        (b"SQLite format 3\x00", "a database of SQLite"),
    ];
    let found = MAGIC.iter().find(|(magic, _)| head.starts_with(magic));
    let is_tar = || matches!(head.get(257..263), Some(b"ustar\x00" | b"ustar "));
    found
        .map(|(_, what)| *what)
        .or_else(|| is_tar().then_some("a tar archive"))
}

/// The same by the ending of the name, where the bytes do not tell.
pub(crate) fn unreadable_by_name(key: &str) -> Option<&'static str> {
    let (_, ending) = key.rsplit_once('.')?;
    match ending.to_ascii_lowercase().as_str() {
        "br" => Some("compressed with brotli"),
        "lzma" => Some("compressed with LZMA"),
        "lz4" => Some("compressed with LZ4"),
        "lzo" => Some("compressed with LZO"),
        "snappy" | "sz" => Some("compressed with Snappy"),
        "z" => Some("compressed with compress"),
        "deflate" | "zz" => Some("compressed with deflate"),
        "zip" => Some("a ZIP archive"),
        "7z" => Some("a 7z archive"),
        "rar" => Some("a RAR archive"),
        "tar" | "tgz" => Some("a tar archive"),
        "xls" | "xlsx" => Some("a workbook of Excel"),
        "orc" => Some("ORC"),
        _ => None,
    }
}

/// Format and compression by the endings of the name: `calls.csv.gz`.
pub(crate) fn by_name(key: &str) -> (Option<Format>, Option<Compression>) {
    let name = key
        .rsplit('/')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let compressions = [
        (".gz", Compression::Gzip),
        (".gzip", Compression::Gzip),
        (".zst", Compression::Zstd),
        (".zstd", Compression::Zstd),
        (".bz2", Compression::Bzip2),
        (".xz", Compression::Xz),
    ];
    let compressed = compressions
        .into_iter()
        .find_map(|(ending, kind)| Some((name.strip_suffix(ending)?, kind)));
    let (name, compression) =
        compressed.map_or((name.as_str(), None), |(name, kind)| (name, Some(kind)));
    let format = match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("csv") => Some(Format::Csv),
        Some("tsv" | "tab") => Some(Format::Tsv),
        Some("ndjson" | "jsonl") => Some(Format::Ndjson),
        Some("json") => Some(Format::Json),
        Some("parquet") => Some(Format::Parquet),
        Some("avro") => Some(Format::Avro),
        Some("arrow" | "arrows" | "feather" | "ipc") => Some(Format::Arrow),
        _ => None,
    };
    (format, compression)
}

/// Format by the content type that the store has for the object.
pub(crate) fn by_content_type(content_type: &str) -> Option<Format> {
    let plain = content_type
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    match plain.as_str() {
        "text/csv" | "application/csv" => Some(Format::Csv),
        "text/tab-separated-values" => Some(Format::Tsv),
        "application/x-ndjson"
        | "application/ndjson"
        | "application/jsonl"
        | "application/jsonlines" => Some(Format::Ndjson),
        "application/json" | "text/json" => Some(Format::Json),
        "application/vnd.apache.parquet" => Some(Format::Parquet),
        "application/avro" | "avro/binary" | "application/vnd.apache.avro" => Some(Format::Avro),
        "application/vnd.apache.arrow.file" | "application/vnd.apache.arrow.stream" => {
            Some(Format::Arrow)
        }
        _ => None,
    }
}

/// Binary formats by the first plain bytes.
pub(crate) fn binary_by_magic(head: &[u8]) -> Option<Format> {
    if head.starts_with(b"PAR1") {
        Some(Format::Parquet)
    } else if head.starts_with(b"Obj\x01") {
        Some(Format::Avro)
    } else if head.starts_with(b"ARROW1") || head.starts_with(&[0xff; 4]) {
        Some(Format::Arrow)
    } else {
        None
    }
}

/// The encoding of text by its byte order mark, by where its zero bytes are, or by what is no UTF-8 in it.
///
/// `whole` says that the head is all of the file, so that nothing is cut off at its end. With the reason in words.
pub(crate) fn encoding(head: &[u8], whole: bool) -> (&'static Encoding, &'static str) {
    const ZEROS: &str = "every second byte is zero";
    if let Some((encoding, _)) = Encoding::for_bom(head) {
        return (encoding, "the text begins with a byte order mark");
    }
    let sample = &head[..head.len().min(4096) & !1];
    let zeros = |from: usize| {
        sample
            .iter()
            .skip(from)
            .step_by(2)
            .filter(|byte| **byte == 0)
            .count()
    };
    let (even, odd, pairs) = (zeros(0), zeros(1), sample.len() / 2);
    if pairs >= 2 {
        if odd * 10 > pairs * 4 && even * 10 < pairs {
            return (UTF_16LE, ZEROS);
        }
        if even * 10 > pairs * 4 && odd * 10 < pairs {
            return (UTF_16BE, ZEROS);
        }
    }
    if simdutf8::basic::from_utf8(head).is_ok() {
        let reason = if head.is_ascii() {
            "the first bytes are ASCII"
        } else {
            "the first bytes are valid UTF-8"
        };
        return (UTF_8, reason);
    }
    match std::str::from_utf8(head) {
        Err(error) if error.error_len().is_some() || whole => {
            (WINDOWS_1252, "the first bytes are no valid UTF-8")
        }
        // It is cut off within a character.
        _ => (UTF_8, "the first bytes are valid UTF-8"),
    }
}

/// Whether text is an array, lines of objects, or another JSON document.
pub(crate) fn json_by_text(head: &str, whole: bool) -> Option<Format> {
    let text = head.trim_start();
    if text.starts_with('[') {
        return Some(Format::Json);
    }
    if !text.starts_with('{') {
        return None;
    }
    // Lines when the first ones are objects, each by itself; the last may be cut off.
    let mut lines: Vec<_> = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .take(8)
        .collect();
    if !whole && lines.len() > 1 {
        lines.pop();
    }
    let each = lines.iter().all(|line| {
        super::json_check::shape(line.trim().as_bytes()) == super::json_check::Shape::One
    });
    Some(if each { Format::Ndjson } else { Format::Json })
}

/// How the first records of a text are divided by a delimiter.
pub(crate) struct Divided {
    /// Fields of the first.
    pub(crate) fields: usize,
    pub(crate) records: usize,
    /// How many have as many fields.
    pub(crate) even: usize,
}

/// `None` when the text cannot be divided.
pub(crate) fn divided(text: &[u8], dialect: Dialect) -> Option<Divided> {
    let mut divider = Divider::new(dialect);
    divider.push(text, DELIMITER_RECORDS).ok()?;
    // The last record may be cut off, unless it is the only one.
    if divider.records().len() == 0 {
        divider.finish().ok()?;
    }
    let records = divider.take();
    let fields = records.iter().next()?.fields();
    let even = records
        .iter()
        .filter(|record| record.fields() == fields && !record.is_torn());
    Some(Divided {
        fields,
        records: records.len(),
        even: even.count(),
    })
}

/// The delimiter that divides each of the first records into as many columns as are known to be there; when that is not known,
/// the one that divides them most evenly. `None` when none divides them at all. Where none divides the first line, it is a title, or
/// one column: a delimiter that divides all others makes that an error, which names the line.
pub(crate) fn delimiter(
    text: &[u8],
    dialect: Dialect,
    columns: Option<usize>,
) -> Option<Delimiter> {
    let of = |byte| Dialect {
        delimiter: Delimiter::byte(byte),
        ..dialect
    };
    if columns.is_some_and(|columns| columns > 1) {
        let single = DELIMITERS.into_iter().map(Delimiter::byte);
        let twice = DELIMITERS.into_iter();
        let twice = twice.filter_map(|byte| Delimiter::of(&[byte, byte]));
        let fits = |&delimiter: &Delimiter| {
            let dialect = Dialect {
                delimiter,
                ..dialect
            };
            divided(text, dialect)
                .is_some_and(|found| Some(found.fields) == columns && found.even == found.records)
        };
        if let Some(found) = single.chain(twice).find(fits) {
            return Some(found);
        }
    }
    let mut best: Option<(usize, usize, u8)> = None;
    for byte in DELIMITERS {
        let Some(found) = divided(text, of(byte)) else {
            continue;
        };
        let share = found.even * 1000 / found.records;
        let better = best.is_none_or(|(best_share, best_fields, _)| {
            (share, found.fields) > (best_share, best_fields)
                && (share > best_share || found.fields > 2 * best_fields)
        });
        if found.fields > 1 && better {
            best = Some((share, found.fields, byte));
        }
    }
    let Some((_, _, byte)) = best else {
        if columns == Some(1) {
            return None;
        }
        let others = &text[line_end(text, false)?..];
        let divides = |byte: &u8| {
            divided(others, of(*byte)).is_some_and(|found| {
                found.fields > 1 && found.records > 1 && found.even == found.records
            })
        };
        return DELIMITERS.into_iter().find(divides).map(Delimiter::byte);
    };
    let twice = Delimiter::of(&[byte, byte])?;
    Some(if is_doubled(text, dialect, byte) {
        twice
    } else {
        Delimiter::byte(byte)
    })
}

/// The delimiter that Excel writes into a first line of its own: `sep=;`.
pub(crate) fn separator(text: &[u8]) -> Option<Delimiter> {
    let line = &text[..line_end(text, true)?];
    let line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let inside = line
        .strip_prefix(b"\"")
        .and_then(|line| line.strip_suffix(b"\""));
    let (name, delimiter) = inside.unwrap_or(line).split_at_checked(4)?;
    let is_one = matches!(
        delimiter,
        [b'\t' | b' ' | b',' | b';' | b'|' | b':' | b'^' | b'~' | b'#']
    );
    if !name.eq_ignore_ascii_case(b"sep=") || !is_one {
        return None;
    }
    Delimiter::of(delimiter)
}

/// Whether a delimiter always stands twice: every second field, also of the header, is then an empty one.
fn is_doubled(text: &[u8], dialect: Dialect, byte: u8) -> bool {
    let delimiter = Delimiter::byte(byte);
    let mut divider = Divider::new(Dialect {
        delimiter,
        ..dialect
    });
    if divider.push(text, DELIMITER_RECORDS).is_err() {
        return false;
    }
    let records = divider.take();
    records.len() > 1
        && records.iter().all(|record| {
            let mut between = (1..record.fields()).step_by(2);
            record.fields() > 2
                && record.fields() % 2 == 1
                && between.all(|place| record.field(place).is_some_and(<[u8]>::is_empty))
        })
}

/// Whether each delimiter of the first lines has a blank behind it, or each has one in front of it.
pub(crate) fn has_blanks_around(text: &[u8], dialect: Dialect) -> bool {
    let delimiter = dialect.delimiter.bytes();
    if delimiter.first() == Some(&b' ') || delimiter.last() == Some(&b' ') {
        return false;
    }
    let text = &text[..text.len().min(64 << 10)];
    let mut lines: Vec<&[u8]> = text
        .split(|&byte| byte == b'\n')
        .filter(|line| !trim(line).is_empty())
        .take(DELIMITER_RECORDS)
        .collect();
    // The last may be cut off.
    if lines.len() > 2 {
        lines.pop();
    }
    let finder = memchr::memmem::Finder::new(delimiter);
    let all = |has: &dyn Fn(&[u8], usize) -> bool| {
        lines.iter().all(|line| {
            let mut places = finder.find_iter(line).peekable();
            places.peek().is_some() && places.all(|place| has(line, place))
        })
    };
    let after = |line: &[u8], place: usize| {
        let next = line.get(place + delimiter.len());
        next.is_none_or(|&byte| byte == b' ' || byte == b'\r')
    };
    let before = |line: &[u8], place: usize| place > 0 && line[place - 1] == b' ';
    lines.len() > 1 && (all(&after) || all(&before))
}

/// Lines in front of a table that begins after a blank line: what is in front of it has another number of fields than its
/// records, which all have the same.
pub(crate) fn lines_before(text: &[u8], dialect: Dialect, delimiter: Option<Delimiter>) -> usize {
    let text = &text[..text.len().min(64 << 10)];
    let (mut start, mut blank_lines) = (0, Vec::new());
    for line in 0..LINES_BEFORE {
        let Some(end) = line_end(&text[start..], true) else {
            break;
        };
        let inner = text[start..start + end].trim_ascii();
        start += end;
        if inner.is_empty() {
            blank_lines.push((line + 1, start));
        }
    }
    let is_table = |&&(_, start): &&(usize, usize)| {
        let table = &text[start..];
        let delimiter = delimiter.or_else(|| self::delimiter(table, dialect, None));
        let Some(delimiter) = delimiter else {
            return false;
        };
        let dialect = Dialect {
            delimiter,
            ..dialect
        };
        let Some(found) = divided(table, dialect) else {
            return false;
        };
        let mut before = Divider::new(dialect);
        let is_divided = before.push(&text[..start], usize::MAX).is_ok() && before.finish().is_ok();
        let before = before.take();
        is_divided
            && found.fields > 1
            && found.records > 1
            && found.even == found.records
            && before.len() > 0
            && before.iter().all(|record| record.fields() != found.fields)
    };
    let last = blank_lines.iter().rev().find(is_table);
    last.map_or(0, |(lines, _)| *lines)
}

#[cfg(test)]
mod tests {
    use encoding_rs::{UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

    use super::{
        by_name, delimiter, encoding, json_by_text, unreadable_by_magic, unreadable_by_name,
    };
    use crate::{
        Compression, Format,
        formats::records::{Delimiter, Dialect},
    };

    #[test]
    fn names_tell_format_and_compression() {
        assert_eq!(by_name("a/calls.CSV"), (Some(Format::Csv), None));
        assert_eq!(
            by_name("a/calls.ndjson.gz"),
            (Some(Format::Ndjson), Some(Compression::Gzip))
        );
        assert_eq!(by_name("a.csv/calls"), (None, None));
        assert_eq!(by_name("a/*.parquet").0, Some(Format::Parquet));
    }

    #[test]
    fn archives_are_recognised() {
        let mut tar = vec![b'a'; 257];
        assert_eq!(unreadable_by_magic(&tar), None);
        tar.extend_from_slice(b"ustar\x0000");
        assert_eq!(unreadable_by_magic(&tar), Some("a tar archive"));
        assert_eq!(unreadable_by_magic(b"PK\n1\n"), None);
        assert_eq!(
            unreadable_by_name("a.csv.BR"),
            Some("compressed with brotli")
        );
        assert_eq!(unreadable_by_name("a.br/calls.csv"), None);
        assert_eq!(unreadable_by_name("calls"), None);
    }

    #[test]
    fn delimiters_are_detected_from_records() {
        let dialect = Dialect {
            delimiter: Delimiter::byte(b','),
            quote: Some(b'"'),
            escape: None,
            comment: None,
            trim: false,
        };
        let found = |text: &str| {
            let found = delimiter(text.as_bytes(), dialect, None);
            found.and_then(|found| found.single())
        };
        assert_eq!(found("a;b\n1,5;2\n3;4,5\n"), Some(b';'));
        assert_eq!(found("a,b\n\"x;y;z\",2\n"), Some(b','));
        assert_eq!(found("a\tb\n1\t2\n"), Some(b'\t'));
        assert_eq!(found("a|b|c\n1|2|3"), Some(b'|'));
        assert_eq!(found("a\n1\n"), None);
        assert_eq!(found("a,b"), Some(b','));
    }

    #[test]
    fn encodings_are_detected_from_bytes() {
        assert_eq!(encoding(b"a,b\n", true).0, UTF_8);
        assert_eq!(encoding(b"\xef\xbb\xbfa", true).0, UTF_8);
        assert_eq!(encoding(b"\xff\xfea\0", true).0, UTF_16LE);
        assert_eq!(encoding(b"a\0,\0b\0\n\0", true).0, UTF_16LE);
        assert_eq!(encoding(b"\0a\0,\0b\0\n", true).0, UTF_16BE);
        assert_eq!(encoding(b"caf\xe9,1\n", true).0, WINDOWS_1252);
        assert_eq!(encoding(b"caf\xc3", false).0, UTF_8);
        assert_eq!(encoding(b"caf\xc3", true).0, WINDOWS_1252);
    }

    #[test]
    fn json_is_detected_from_its_first_lines() {
        assert_eq!(json_by_text(" [1]", true), Some(Format::Json));
        assert_eq!(
            json_by_text("{\"a\":1}\n{\"a\":2}\n", true),
            Some(Format::Ndjson)
        );
        assert_eq!(json_by_text("{\n\"a\":1}\n", true), Some(Format::Json));
        assert_eq!(json_by_text("a,b", true), None);
    }
}
