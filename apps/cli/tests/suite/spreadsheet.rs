//! Rows as a spreadsheet, as another reader sees them.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use quick_xml::{Reader, events::Event};
use zip::ZipArchive;

use crate::{desk::Desk, screen::Screen, support::House};

/// A part of the file as text.
fn part(path: &Path, name: &str) -> String {
    let mut archive = ZipArchive::new(File::open(path).unwrap()).unwrap();
    let mut text = String::new();
    let mut part = archive.by_name(name).unwrap();
    part.read_to_string(&mut text).unwrap();
    text
}

/// The cells of the sheet that are not empty, such as `B2 n 12.5` and `C2 n yyyy-mm-dd 46053`.
fn cells(path: &Path) -> Vec<String> {
    let styles = part(path, "xl/styles.xml");
    let sheet = part(path, "xl/worksheets/sheet1.xml");
    let (formats, looks) = (of_styles(&styles), &mut Vec::new());
    let mut reader = Reader::from_str(&sheet);
    let mut cell: Option<String> = None;
    loop {
        match reader.read_event().unwrap() {
            Event::Start(element) if element.local_name().as_ref() == b"c" => {
                let attribute = |name: &str| {
                    let found = element.try_get_attribute(name).unwrap();
                    found.map(|found| String::from_utf8(found.value.into_owned()).unwrap())
                };
                let kind = attribute("t").unwrap_or_else(|| "n".to_owned());
                let style = attribute("s").map_or(0, |style| style.parse().unwrap());
                let format = &formats[style];
                let blank = if format.is_empty() { "" } else { " " };
                cell = Some(format!(
                    "{} {kind} {format}{blank}",
                    attribute("r").unwrap()
                ));
            }
            Event::Text(text) => {
                if let Some(cell) = &mut cell {
                    *cell += &text.decode().unwrap();
                }
            }
            Event::GeneralRef(entity) => {
                if let Some(cell) = &mut cell {
                    *cell += match &*entity {
                        b"lt" => "<",
                        b"amp" => "&",
                        other => panic!("{other:?}"),
                    };
                }
            }
            Event::End(element) if element.local_name().as_ref() == b"c" => {
                looks.extend(cell.take());
            }
            Event::Eof => return std::mem::take(looks),
            _ => {}
        }
    }
}

/// The number format of each style.
fn of_styles(styles: &str) -> Vec<String> {
    let attribute = |text: &str, name: &str| {
        let (_, rest) = text.split_once(&format!(" {name}=\"")).unwrap();
        rest.split_once('"').unwrap().0.to_owned()
    };
    let named: Vec<(String, String)> = styles
        .split("<numFmt ")
        .skip(1)
        .map(|text| {
            let text = format!(" {text}");
            (attribute(&text, "numFmtId"), attribute(&text, "formatCode"))
        })
        .collect();
    let (_, used) = styles.split_once("<cellXfs").unwrap();
    let (used, _) = used.split_once("</cellXfs>").unwrap();
    used.split("<xf")
        .skip(1)
        .map(|text| {
            let id = attribute(text, "numFmtId");
            let named = named.iter().find(|(known, _)| *known == id);
            named.map_or_else(String::new, |(_, format)| format.replace('\\', ""))
        })
        .collect()
}

async fn written(desk: &Desk, sql: &str) -> PathBuf {
    let (_, told) = desk.asked(&["sql", sql, "-o", "out.xlsx"], 0).await;
    assert!(told.contains("written to out.xlsx"), "{told}");
    desk.path("out.xlsx")
}

#[tokio::test]
async fn each_value_is_in_its_cell_as_excel_has_it() {
    let desk = Desk::new();
    let sql = r#"
        SELECT 42 AS whole, 9007199254740993 AS long, CAST('12.50' AS DECIMAL(10, 2)) AS price,
            CAST('0.12345678901234567' AS DECIMAL(20, 17)) AS exact, 0.1 AS ratio, 1.0 / 0 AS endless,
            true AS flag, CAST(NULL AS BIGINT) AS nothing, '=1+1' AS formula, ' a<b & _x0041_' AS "text",
            DATE '2026-01-31' AS day, DATE '1899-12-31' AS old_day,
            TIMESTAMP '2026-01-31 06:00:00' AS moment, TIMESTAMP '2026-01-31 12:00:00.125' AS exact_moment,
            TIMESTAMP '2026-01-31 12:00:00.000125' AS fine_moment, [1, 2] AS list
        FROM 'data/calls.csv' LIMIT 1"#;
    let written = written(&desk, sql).await;
    let cells = cells(&written);
    let (header, row) = cells.split_at(16);
    assert_eq!(header[0], "A1 inlineStr whole");
    assert_eq!(header[15], "P1 inlineStr list");
    assert_eq!(
        row,
        [
            "A2 n 42",
            "B2 inlineStr 9007199254740993",
            "C2 n 12.5",
            "D2 inlineStr 0.12345678901234567",
            "E2 n 0.1",
            "F2 inlineStr inf",
            "G2 b 1",
            "I2 inlineStr =1+1",
            "J2 inlineStr  a<b & _x005F_x0041_",
            "K2 n yyyy-mm-dd 46053",
            "L2 inlineStr 1899-12-31",
            "M2 n yyyy-mm-dd hh:mm:ss 46053.25",
            "N2 n yyyy-mm-dd hh:mm:ss.000 46053.50000144676",
            "O2 inlineStr 2026-01-31T12:00:00.000125",
            "P2 inlineStr [1,2]",
        ]
    );
}

#[tokio::test]
async fn what_a_sheet_cannot_hold_is_an_error_and_no_file() {
    let desk = Desk::new();
    let rows: String = (0..1025).map(|n| format!("{n}\n")).collect();
    desk.lay("n.csv", &format!("n\n{rows}"));
    for (sql, error) in [
        (
            "SELECT a.n FROM 'n.csv' a JOIN 'n.csv' b ON a.n % 1 = b.n % 1",
            "a sheet holds 1048575 rows",
        ),
        (
            "SELECT id, repeat('é', 32768) AS notes FROM 'data/calls.csv' ORDER BY id",
            "column `notes`, row 1: the text has 32768 characters",
        ),
        // Two units of UTF-16 each.
        (
            "SELECT repeat('😀', 16384) AS notes FROM 'data/calls.csv'",
            "the text has 32768 characters",
        ),
    ] {
        let told = desk.refused(&["sql", sql, "-o", "out.xlsx"], 5).await;
        assert!(
            told.contains("limit.output") && told.contains(error),
            "{told}"
        );
        assert!(!told.contains('é'), "{told}");
        assert!(!desk.path("out.xlsx").exists());
    }
    let records = desk.records().await;
    let last = records.last().unwrap();
    assert_eq!(last["code"], "limit.output");
    let longest = "SELECT repeat('é', 32767) AS notes FROM 'data/calls.csv' LIMIT 1";
    assert_eq!(cells(&written(&desk, longest).await).len(), 2);
}

#[tokio::test]
async fn a_spreadsheet_is_for_files_pipes_and_objects() {
    let desk = Desk::new();
    let sql = "SELECT id FROM 'data/calls.csv' ORDER BY id";
    let output = desk.run(&["sql", sql, "--format", "xlsx"]).await;
    assert!(output.stdout.starts_with(b"PK"), "{output:?}");
    let house = House::new().await;
    house.told(&["run", "all", "-o", "all.xlsx"], 0).await;
    let cells = cells(&house.path().join("all.xlsx"));
    assert!(cells.contains(&"B3 inlineStr gold".to_owned()), "{cells:?}");
    assert!(cells.contains(&"D3 n 12.5".to_owned()), "{cells:?}");
    let command = desk.command(&["sql", sql, "--format", "xlsx"]);
    let ended = tokio::task::spawn_blocking(move || {
        let mut screen = Screen::start(&command);
        screen.expect("not for a terminal");
        screen.ended()
    });
    assert!(!ended.await.unwrap().success());
}
