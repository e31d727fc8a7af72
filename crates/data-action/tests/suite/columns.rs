//! Declared columns of an action's file: their order, and the forms that they are written in.

use serde_json::{Map, Value, json};

use crate::support::House;

const FORMS: [&str; 3] = [
    "columns = { zed = \"string\", alpha = \"string\", mid = \"integer\" }",
    "columns = [[\"zed\", \"string\"], [\"alpha\", \"string\"], [\"mid\", \"integer\"]]",
    "[[tables.t.columns]]\nname = \"zed\"\ntype = \"string\"\n[[tables.t.columns]]\nname = \"alpha\"\ntype = \"string\"\n\
     [[tables.t.columns]]\nname = \"mid\"\ntype = \"integer\"",
];

/// What the actions over `t` answer, each of which has the lines of one table.
async fn answers(files: &[(&str, &str)], tables: &[String]) -> Vec<Value> {
    let action = |(number, table): (usize, &String)| {
        format!("name = \"a{number}\"\n[query]\nsql = \"SELECT * FROM t\"\n[tables.t]\n{table}\n")
    };
    let actions: Vec<_> = tables.iter().enumerate().map(action).collect();
    let actions: Vec<_> = actions.iter().map(String::as_str).collect();
    let may = json!([{ "Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*" }]);
    let house = House::furnished(files, may, "", &actions, |_| {}).await;
    let mut answers = Vec::new();
    for number in 0..tables.len() {
        let answer = house.run(&format!("a{number}"), json!({})).await;
        answers.push(answer.map_or_else(
            |(_, message)| json!(message),
            |answer| answer["data"].clone(),
        ));
    }
    answers
}

#[tokio::test]
async fn columns_go_by_the_order_of_the_file() {
    let files = [
        ("exports/t.csv", "first,second,3\n"),
        ("exports/h.csv", "alpha,mid,zed\nA,1,Z\n"),
    ];
    let bare = FORMS
        .map(|columns| format!("uri = \"s3://lake/exports/t.csv\"\nheader = false\n{columns}"));
    let named = FORMS.map(|columns| format!("uri = \"s3://lake/exports/h.csv\"\n{columns}"));
    let tables = [bare, named].concat();
    let answers = answers(&files, &tables).await;
    for (table, answer) in tables.iter().zip(&answers) {
        let expected = if table.contains("t.csv") {
            r#"[{"zed":"first","alpha":"second","mid":3}]"#
        } else {
            r#"[{"zed":"Z","alpha":"A","mid":1}]"#
        };
        assert_eq!(answer.to_string(), expected, "{table}");
    }
}

#[tokio::test]
async fn a_partition_has_its_declared_place_and_type() {
    let files = [("exports/day=2026-01-05/t.csv", "id\n7\n")];
    let uri = "uri = \"s3://lake/exports/\"\n";
    let tables = [
        format!("{uri}columns = {{ day = \"string\", id = \"integer\" }}"),
        format!("{uri}columns = {{ id = \"integer\" }}"),
    ];
    let answers = answers(&files, &tables).await;
    assert_eq!(answers[0].to_string(), r#"[{"day":"2026-01-05","id":7}]"#);
    assert_eq!(answers[1].to_string(), r#"[{"id":7,"day":"2026-01-05"}]"#);
}

#[tokio::test]
async fn a_column_that_cannot_be_is_refused_with_its_place() {
    let action = "name = \"a\"\n[tables.t]\nuri = \"s3://lake/exports/t.csv\"\ncolumns = [[\"a\", \"string\"], [\"a\", \"date\"]]\n\
                  [query]\nsql = \"SELECT a FROM t\"\n";
    let error =
        flowlake_data_action::ActionDefinition::parse("a.toml".as_ref(), action).unwrap_err();
    assert!(
        error.message().contains("a.toml:4:") && error.message().contains("declared twice"),
        "{error}"
    );
}

/// A data action of one row shows no other, so it is chosen only where there is none.
#[tokio::test]
async fn one_row_at_most_is_said_only_of_what_gives_no_more() {
    let cases = [
        ("SELECT id FROM t LIMIT 1", true),
        ("SELECT count(*) AS n FROM t", true),
        ("SELECT 1 AS x", true),
        (
            "SELECT max(id) AS m FROM t UNION ALL SELECT id FROM t LIMIT 1",
            true,
        ),
        ("SELECT id FROM t", false),
        ("SELECT id FROM t LIMIT 2", false),
        ("SELECT id, count(*) AS n FROM t GROUP BY id", false),
        ("SELECT 1 AS x UNION SELECT count(*) FROM t", false),
        ("SELECT 1 AS x UNION ALL SELECT 3", false),
        (
            "SELECT x FROM (SELECT 1 AS x UNION ALL SELECT 3) u WHERE x IN (SELECT id FROM t)",
            false,
        ),
        (
            "SELECT x FROM (SELECT 1 AS x UNION ALL SELECT 3) u EXCEPT SELECT id FROM t",
            false,
        ),
        (
            "SELECT a.n, b.m FROM (SELECT count(*) AS n FROM t) a FULL JOIN (SELECT max(id) AS m FROM t) b ON a.n = b.m",
            false,
        ),
        (
            "SELECT id, count(*) AS n FROM (SELECT id FROM t LIMIT 1) u GROUP BY ROLLUP (id)",
            false,
        ),
    ];
    let actions: Vec<_> = (0..)
        .zip(&cases)
        .map(|(number, (sql, _)): (usize, _)| {
            format!(
                "name = \"a{number}\"\n[query]\nsql = \"{sql}\"\n[tables.t]\nuri = \"s3://lake/exports/t.csv\"\n"
            )
        })
        .collect();
    let actions: Vec<_> = actions.iter().map(String::as_str).collect();
    let may = json!([{ "Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*" }]);
    let house = House::furnished(
        &[("exports/t.csv", "id\n1\n3\n")],
        may,
        "",
        &actions,
        |_| {},
    )
    .await;
    let inspector = house.inspector().await;
    for (number, (sql, one)) in cases.iter().enumerate() {
        let check = Box::pin(inspector.check(&format!("a{number}"), &Map::new())).await;
        let columns = check.unwrap().columns.unwrap().unwrap();
        assert_eq!(columns.at_most_one_row, *one, "{sql}");
        let answer = house.run(&format!("a{number}"), json!({})).await.unwrap();
        let rows = answer["data"].as_array().unwrap().len();
        assert!(!one || rows <= 1, "{sql}");
    }
}
