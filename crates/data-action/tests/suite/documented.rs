//! The examples of docs/tables.md and docs/functions.md through the pipeline; the programs answer them in `tests/e2e`.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{collections::BTreeSet, fmt::Write as _, io::Write as _, path::Path};

use flowlake_cases::{Answered, Documented, documented_tables};
use serde_json::json;

use crate::support::House;

fn page() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/tables.md");
    std::fs::read_to_string(page).unwrap()
}

/// The names in the first cells of the page's tables.
fn names(page: &str) -> BTreeSet<&str> {
    let rows = page.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.flat_map(|row| row.split('|').nth(1));
    let names = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2));
    names.map(|name| name.trim_matches('"')).collect()
}

#[tokio::test]
async fn each_name_of_the_page_has_an_example() {
    let page = page();
    let examples = documented_tables();
    let shown: BTreeSet<&str> = examples.iter().map(|example| example.name).collect();
    assert_eq!(names(&page), shown);
    let functions = include_str!("../../../../docs/functions.md");
    let Documented { mut files, cases } = Documented::of(functions, "lake", "exports/");
    let mut actions: Vec<_> = cases.iter().map(|case| case.toml.clone()).collect();
    // The page's own projects, over files of ours.
    let mut blocks = page.split("```toml\n").skip(1);
    let mut block = || blocks.next().unwrap().split("```").next().unwrap();
    let calls = block().replace("s3://genesys-data-lake/calls/", "s3://lake/exports/calls/");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"ani,ms\n0071,5\n0072,x,y\n").unwrap();
    let gzip = gzip.finish().unwrap();
    files.push((
        "exports/calls/date=2026-01-01/hour=0/part-0.csv.gz".to_owned(),
        gzip,
    ));
    let sql = "SELECT * FROM calls WHERE date = '2026-01-01'";
    actions.push(format!(
        "name = \"calls\"\n[query]\nsql = \"\"\"{sql}\"\"\"\n{calls}"
    ));
    let callers = b"ani,tier\n0071,gold\n".to_vec();
    files.push(("exports/callers.csv".to_owned(), callers));
    let sql = "SELECT tier FROM c WHERE ani = '0071'";
    actions.push(format!(
        "{}[query]\nsql = \"\"\"{sql}\"\"\"\n[tables.c]\nuri = \"s3://lake/exports/callers.csv\"\n",
        block()
    ));
    assert!(
        blocks.next().is_none(),
        "a block of the page that is not tried"
    );
    let files: Vec<_> = files
        .iter()
        .map(|(key, content)| (key.as_str(), content.as_slice()))
        .collect();
    let actions: Vec<_> = actions.iter().map(String::as_str).collect();
    let may = json!([{ "Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*" }]);
    let house = House::furnished(&files, may, "", &actions, |_| {}).await;
    let mut wrong = String::new();
    for case in &cases {
        let difference = match house.ask(&case.name, json!({})).await {
            Ok(answer) => {
                let answer = serde_json::to_string(&answer).unwrap();
                case.difference(Ok(&Answered::parse(&answer).unwrap()))
            }
            Err((code, message)) => case.difference(Err((code.as_str(), &message))),
        };
        if let Some(difference) = difference {
            writeln!(wrong, "{}: {difference}\n{}", case.name, case.toml).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    let calls = house.run("calls", json!({})).await.unwrap();
    assert_eq!(
        calls["data"],
        json!([{ "ani": "0071", "ms": 5, "date": "2026-01-01", "hour": 0 }])
    );
    let caller = house.run("caller-profile", json!({})).await.unwrap();
    assert_eq!(caller["data"], json!([{ "tier": "gold" }]));
}
