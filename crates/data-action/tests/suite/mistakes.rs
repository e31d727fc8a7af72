//! The answers to mistakes of analysts: each has its code and message, as reviewed in `mistakes.txt`.

use std::{fmt::Write, path::Path};

use flowlake_data_action::{Action, ActionDefinition, ActionError};
use serde_json::{Map, json};

use crate::support::House;

const REVIEWED: &str = include_str!("mistakes.txt");

const CALLS: &str = "queue,ani,started,ended,handle_ms,score,answered,agent_id,note,day,amount,CamelCase
Sales-EU,+4930901820,2026-01-05T10:00:00,2026-01-05T10:05:00,300000,4.5,true,7,vip caller,2026-01-05,12.50,a
Support,+12025550142,2026-01-05T11:00:00,2026-01-05T11:02:00,0,,false,8,17,2026-01-05,3.00,b
Sales-EU,+12025550143,2026-01-06T09:00:00,2026-01-06T09:01:00,60000,3.0,true,7,,2026-01-06,1.00,c
";

/// Mistakes, each with its answer under it.
#[tokio::test]
async fn each_mistake_is_reported_as_reviewed() {
    let mistakes: Vec<&str> = REVIEWED
        .lines()
        .filter(|line| !line.starts_with("    ") && !line.is_empty())
        .collect();
    let actions: Vec<String> = mistakes
        .iter()
        .enumerate()
        .map(|(number, sql)| {
            format!(
                "name = \"m{number}\"\n[query]\nsql = '''{sql}'''\n[tables.calls]\nuri = \"s3://lake/exports/calls.csv\"\ntypes = {{ amount = \"decimal(10, 2)\" }}\n"
            )
        })
        .collect();
    let allow = json!([
        { "Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": ["arn:aws:s3:::lake", "arn:aws:s3:::lake/exports/*"] },
    ]);
    // What is refused when actions are loaded, and what only when they run.
    let refused: Vec<Option<ActionError>> = actions
        .iter()
        .map(|action| {
            let definition = ActionDefinition::parse(Path::new("m.toml"), action).unwrap();
            Action::try_new(definition).err()
        })
        .collect();
    let pairs = actions.iter().zip(&refused);
    let runnable: Vec<&str> = pairs
        .filter(|(_, refused)| refused.is_none())
        .map(|(action, _)| action.as_str())
        .collect();
    let files = [("exports/calls.csv", CALLS)];
    let house = House::furnished(&files, allow, "", &runnable, |_| {}).await;
    let mut told = String::new();
    for (number, sql) in mistakes.iter().enumerate() {
        let name = format!("m{number}");
        let answer = match &refused[number] {
            Some(error) => {
                let prefix = format!("action `{name}`: ");
                Err((error.code(), error.message().replacen(&prefix, "", 1)))
            }
            None => house.run(&name, json!({})).await,
        };
        let _ = match answer {
            Ok(answer) => writeln!(told, "{sql}\n    answers {}", answer["data"]),
            Err((code, message)) => writeln!(told, "{sql}\n    {code}: {message}"),
        };
    }
    if told != REVIEWED {
        let differs: Vec<String> = told
            .lines()
            .zip(REVIEWED.lines())
            .filter(|(told, reviewed)| told != reviewed)
            .map(|(told, reviewed)| format!("told     {told}\nreviewed {reviewed}"))
            .collect();
        let file = std::env::temp_dir().join("flowlake-mistakes.txt");
        std::fs::write(&file, told).unwrap();
        panic!(
            "{}\n(all of them in {})",
            differs.join("\n"),
            file.display()
        );
    }
}

/// `check` plans to the end, with the types of parameters and without their values.
#[tokio::test]
async fn what_can_never_run_is_found_by_check() {
    let queries = [
        "SELECT queue FROM calls WHERE answered = 'x'",
        "SELECT queue FROM calls WHERE answered = $p",
        "SELECT queue FROM calls WHERE handle_ms = 'abc'",
        "SELECT queue FROM calls LIMIT 'x'",
        "SELECT queue FROM calls LIMIT -1",
        "SELECT 1/0 AS v FROM calls",
        "SELECT 9223372036854775807 + 1 AS v FROM calls",
        "SELECT queue FROM calls WHERE note ~ '('",
        "SELECT queue FROM calls WHERE row_number() OVER (ORDER BY queue) = 1",
        "SELECT CAST(day AS BOOLEAN) AS v FROM calls",
        "SELECT date_trunc('dayz', started) AS v FROM calls",
        "SELECT date_trunc(queue, started) AS v FROM calls",
        "SELECT lenght(queue) AS v FROM calls",
    ];
    let actions: Vec<String> = queries
        .iter()
        .enumerate()
        .map(|(number, sql)| {
            let param = if sql.contains("$p") {
                "[params.p]\ntype = \"string\"\ndefault = \"x\"\n"
            } else {
                ""
            };
            format!(
                "name = \"m{number}\"\n{param}[query]\nsql = '''{sql}'''\n[tables.calls]\nuri = \"s3://lake/exports/calls.csv\"\n"
            )
        })
        .collect();
    let actions: Vec<&str> = actions.iter().map(String::as_str).collect();
    let allow = json!([
        { "Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": ["arn:aws:s3:::lake", "arn:aws:s3:::lake/exports/*"] },
    ]);
    let files = [("exports/calls.csv", CALLS)];
    let house = House::furnished(&files, allow, "", &actions, |_| {}).await;
    let inspector = house.inspector().await;
    for (number, sql) in queries.iter().enumerate() {
        let found = Box::pin(inspector.check(&format!("m{number}"), &Map::new())).await;
        let error = match found.map(|found| found.columns) {
            Err(error) | Ok(Some(Err(error))) => error,
            Ok(_) => panic!("{sql}"),
        };
        assert_eq!(error.code().as_str(), "sql.invalid", "{sql}: {error:?}");
    }
}

#[test]
fn no_mistake_is_ours() {
    assert!(!REVIEWED.contains("    internal:"));
    assert!(
        REVIEWED
            .lines()
            .filter(|line| line.starts_with("    "))
            .count()
            >= 200
    );
}
