//! The SQL cases of `transform` as action files, answered by the pipeline.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{path::Path, sync::Arc, time::Instant};

use chrono::{DateTime, Utc};
use flowlake_cases::{Answered, Asks, Suite};
use flowlake_data_action::{Action, ActionDefinition, Clock, SystemClock};
use serde_json::{Map, Value, json};

use crate::support::House;

/// The day of the case files, in real time otherwise.
#[derive(Debug)]
struct DayOfCases;

impl Clock for DayOfCases {
    fn now(&self) -> DateTime<Utc> {
        "2026-01-02T03:04:05Z".parse().unwrap()
    }

    fn instant(&self) -> Instant {
        SystemClock.instant()
    }
}

#[tokio::test]
async fn action_files_are_answered_as_the_cases_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../transform/tests/cases");
    let suite = Suite::load(&folder, "lake", "exports/").await.unwrap();
    let mut wrong = Vec::new();
    let mut loaded = Vec::new();
    for case in &suite.cases {
        // What can be seen in the file alone is reported when it is loaded.
        let action =
            ActionDefinition::parse("action.toml".as_ref(), &case.toml).and_then(Action::try_new);
        match action {
            Ok(_) => loaded.push(case),
            Err(error) => {
                let told = (error.code().as_str(), error.message());
                let difference = case.difference(Err(told));
                wrong.extend(difference.map(|difference| format!("{}: {difference}", case.name)));
            }
        }
    }
    let files: Vec<_> = suite
        .files
        .iter()
        .map(|(key, content)| (key.as_str(), content.as_slice()))
        .collect();
    let actions: Vec<_> = loaded.iter().map(|case| case.toml.as_str()).collect();
    let may = json!([{ "Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*" }]);
    let house = House::at(Arc::new(DayOfCases), &files, may, "", &actions, |_| {}).await;
    let inspector = house.inspector().await;
    for case in &loaded {
        let difference = if matches!(case.asks, Asks::Columns(_)) {
            let found = inspector.check(&case.name, &Map::new()).await.unwrap();
            let found = found.columns.unwrap().unwrap().columns.into_iter();
            let found: Vec<_> = found
                .map(|column| (column.name, column.data_type))
                .collect();
            case.difference_of_columns(&found)
        } else {
            let values = Value::Object(case.values.clone());
            match house.ask(&case.name, values).await {
                Ok(answer) => {
                    let answer = serde_json::to_string(&answer).unwrap();
                    case.difference(Ok(&Answered::parse(&answer).unwrap()))
                }
                Err((code, message)) => case.difference(Err((code.as_str(), &message))),
            }
        };
        wrong.extend(difference.map(|difference| format!("{}: {difference}", case.name)));
    }
    assert!(
        wrong.is_empty(),
        "{} of {}:\n{}",
        wrong.len(),
        suite.cases.len(),
        wrong.join("\n")
    );
    assert!(
        loaded.len() >= 250,
        "{} of {} are loaded",
        loaded.len(),
        suite.cases.len()
    );
}
