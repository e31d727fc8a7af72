//! Text that is decoded in chunks and sieved before: whatever way rows are written, and whichever of them a query asks for,
//! the answer is what the rows say.
//!
//! `FLOWLAKE_SCAN_TABLES=500` reads that many tables instead of a few.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{collections::BTreeMap, fmt::Write as _, iter};

use crate::lake::Lake;
use serde_json::{Value, json};

const NEEDLE: &str = "+12000000123";
/// Some have to be quoted in CSV or escaped in JSON, and all may be.
const TEXTS: [&str; 13] = [
    NEEDLE,
    "+1200000012",
    "Tech Tier 2",
    "callback, scheduled",
    "said \"thanks\"",
    "two\nlines",
    "two\r\nlines\r\n",
    "back\\slash",
    "naïve 📞",
    "null",
    " padded ",
    "in/out",
    "0",
];

/// xorshift64*: enough chance, and nothing to install.
struct Chance(u64);

struct Row {
    id: i64,
    name: Option<String>,
    note: Option<String>,
    score: Option<f64>,
}

impl Chance {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let mixed = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(mixed).unwrap() % below
    }

    fn one_in(&mut self, many: usize) -> bool {
        self.next(many) == 0
    }

    fn text(&mut self, odd: bool) -> Option<String> {
        if self.one_in(9) {
            return None;
        }
        let text = TEXTS[self.next(TEXTS.len())];
        // Texts without line ends and quotes keep nearly all chunks regular.
        let plain = odd || !text.contains(['\n', '\r', '\\']);
        Some(if plain && !self.one_in(3) {
            text.to_owned()
        } else {
            format!("text {}", self.next(5000))
        })
    }

    fn rows(&mut self, count: usize, odd: bool) -> Vec<Row> {
        let row = |id| Row {
            id,
            name: self.text(odd),
            note: self.text(odd),
            score: (!self.one_in(7))
                .then(|| f64::from(u32::try_from(self.next(100_000)).unwrap()) / 8.0),
        };
        (0..).take(count).map(row).collect()
    }

    fn csv(&mut self, rows: &[Row]) -> String {
        let end = if self.one_in(3) { "\r\n" } else { "\n" };
        let mut text = format!("id,name,note,score{end}");
        for row in rows {
            let score = row.score.map(|score| score.to_string());
            let fields = [
                Some(row.id.to_string()),
                row.name.clone(),
                row.note.clone(),
                score,
            ];
            for (place, field) in fields.into_iter().enumerate() {
                if place > 0 {
                    text.push(',');
                }
                // Null has no quotes: in quotes, it would be empty text.
                let is_there = field.is_some();
                let field = field.unwrap_or_default();
                let must = field.contains(['"', ',', '\n', '\r']);
                let quoted = (must || self.one_in(6)) && is_there;
                if quoted {
                    write!(text, "\"{}\"", field.replace('"', "\"\"")).unwrap();
                } else {
                    text.push_str(&field);
                }
            }
            text.push_str(end);
        }
        if self.one_in(2) {
            text.truncate(text.trim_end_matches(end).len());
        }
        text
    }

    fn json(&mut self, rows: &[Row], odd: bool) -> String {
        let mut text = String::new();
        for row in rows {
            let mut members = vec![
                ("id", json!(row.id)),
                ("name", json!(row.name)),
                ("note", json!(row.note)),
                ("score", json!(row.score)),
                ("extra", json!({ "deep": [1, { "}": "]\"" }], "id": -1 })),
            ];
            if odd {
                members.retain(|(_, value)| !value.is_null() || self.one_in(2));
                if self.one_in(5) {
                    members.reverse();
                }
            }
            let (colon, comma) = if self.one_in(4) {
                (": ", ", ")
            } else {
                (":", ",")
            };
            let members: Vec<String> = members
                .iter()
                .map(|(key, value)| format!("\"{key}\"{colon}{}", self.value(value, odd)))
                .collect();
            writeln!(text, "{{{}}}", members.join(comma)).unwrap();
        }
        text
    }

    /// A value, of which some characters are escaped that need not be.
    fn value(&mut self, value: &Value, odd: bool) -> String {
        let Some(plain) = value.as_str().filter(|_| odd && self.one_in(4)) else {
            return value.to_string();
        };
        if plain.contains('/') && self.one_in(2) {
            return value.to_string().replace('/', "\\/");
        }
        let mut text = String::from("\"");
        for unit in plain.encode_utf16() {
            write!(text, "\\u{unit:04x}").unwrap();
        }
        text + "\""
    }
}

type Holds = fn(&Row) -> bool;

/// Conditions in SQL, and what they mean.
fn conditions() -> Vec<(String, Holds)> {
    vec![
        ("true".into(), |_| true),
        (format!("name = '{NEEDLE}'"), |row| {
            row.name.as_deref() == Some(NEEDLE)
        }),
        ("note = 'said \"thanks\"'".into(), |row| {
            row.note.as_deref() == Some("said \"thanks\"")
        }),
        (format!("name = '{NEEDLE}' OR note = 'text 17'"), |row| {
            row.name.as_deref() == Some(NEEDLE) || row.note.as_deref() == Some("text 17")
        }),
        ("name = 'in/out' OR name = 'text 4901'".into(), |row| {
            matches!(row.name.as_deref(), Some("in/out" | "text 4901"))
        }),
        ("note = 'text 4902'".into(), |row| {
            row.note.as_deref() == Some("text 4902")
        }),
        (
            "name IN ('text 17', 'text 18', 'naïve 📞')".into(),
            |row| {
                ["text 17", "text 18", "naïve 📞"]
                    .map(Some)
                    .contains(&row.name.as_deref())
            },
        ),
        ("name LIKE 'text 49%' AND score > 9000".into(), |row| {
            row.name
                .as_deref()
                .is_some_and(|name| name.starts_with("text 49"))
                && row.score.is_some_and(|score| score > 9000.0)
        }),
        (
            "note LIKE '%back\nslash%' OR note LIKE '%lines%'".into(),
            |row| {
                row.note
                    .as_deref()
                    .is_some_and(|note| note.contains("lines"))
            },
        ),
        ("starts_with(note, 'text 1') AND id % 2 = 0".into(), |row| {
            row.id % 2 == 0
                && row
                    .note
                    .as_deref()
                    .is_some_and(|note| note.starts_with("text 1"))
        }),
        ("score < 50".into(), |row| {
            row.score.is_some_and(|score| score < 50.0)
        }),
        ("name IS NULL AND id > 100".into(), |row| {
            row.name.is_none() && row.id > 100
        }),
        ("name <> 'text 17'".into(), |row| {
            row.name.as_deref().is_some_and(|name| name != "text 17")
        }),
    ]
}

async fn check(lake: &Lake, rows: &[Row], what: &str) {
    for (condition, holds) in conditions() {
        let sql = format!("SELECT id, note, score FROM t WHERE {condition} ORDER BY id");
        let answer = lake.rows(&sql).await;
        let answer = answer.as_array().unwrap();
        let expected: Vec<Value> = rows
            .iter()
            .filter(|row| holds(row))
            .map(|row| json!({ "id": row.id, "note": row.note, "score": row.score }))
            .collect();
        assert_eq!(answer.len(), expected.len(), "{what}: {condition}");
        for (found, expected) in iter::zip(answer, &expected) {
            assert_eq!(found, expected, "{what}: {condition}");
        }
    }
    let counted = lake.rows("SELECT count(*) AS n FROM t").await;
    assert_eq!(counted, json!([{ "n": rows.len() }]), "{what}");
    let best = lake
        .rows("SELECT id, name FROM t WHERE score IS NOT NULL ORDER BY score DESC, id LIMIT 5")
        .await;
    let mut scored: Vec<&Row> = rows.iter().filter(|row| row.score.is_some()).collect();
    scored.sort_by(|a, b| {
        b.score
            .unwrap()
            .total_cmp(&a.score.unwrap())
            .then(a.id.cmp(&b.id))
    });
    let expected: Vec<Value> = scored
        .iter()
        .take(5)
        .map(|row| json!({ "id": row.id, "name": row.name }))
        .collect();
    assert_eq!(best, Value::from(expected), "{what}");
    let grouped = lake
        .rows("SELECT coalesce(name, '-') AS k, count(*) AS n FROM t GROUP BY 1 ORDER BY n DESC, k LIMIT 20")
        .await;
    let mut groups: BTreeMap<&str, u64> = BTreeMap::new();
    for row in rows {
        *groups
            .entry(row.name.as_deref().unwrap_or("-"))
            .or_default() += 1;
    }
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let expected: Vec<Value> = groups
        .iter()
        .take(20)
        .map(|(key, count)| json!({ "k": key, "n": count }))
        .collect();
    assert_eq!(grouped, Value::from(expected), "{what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_do_not_depend_on_how_rows_are_written() {
    #[expect(
        clippy::disallowed_methods,
        reason = "how long to go on is asked for from outside"
    )]
    let tables = std::env::var("FLOWLAKE_SCAN_TABLES")
        .ok()
        .and_then(|count| count.parse().ok());
    let tables = tables.unwrap_or(3_u64);
    let mut records = 0;
    for seed in 1..=tables {
        let mut chance = Chance(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let odd = chance.one_in(2);
        // Enough for several chunks of a megabyte in some, less than one in others.
        let count = [700, 30_000, 80_000][chance.next(3)];
        let rows = chance.rows(count, odd);
        let types =
            json!({ "id": "integer", "name": "string", "note": "string", "score": "float" });
        let csv = Lake::of("t.csv", chance.csv(&rows))
            .await
            .with("columns", types.clone());
        check(&csv, &rows, &format!("seed {seed}, CSV")).await;
        let json = Lake::of("t.ndjson", chance.json(&rows, odd))
            .await
            .with("columns", types);
        check(&json, &rows, &format!("seed {seed}, NDJSON")).await;
        records += 2 * rows.len() * (conditions().len() + 3);
    }
    eprintln!("{tables} tables, {records} records read");
}
