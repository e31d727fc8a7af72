//! What a uri of an action means to the policy, to IAM, to S3 and to the rows: the same objects.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use crate::support::House;
use flowlake_data_action::{ActionRequest, DoctorOptions, ErrorCode};
use serde_json::{Map, Value, json};

/// An action `t` that counts the rows of its table.
fn counting(uri: &str) -> String {
    format!(
        "name = \"t\"\n[tables.t]\nuri = \"s3://lake/{uri}\"\n[query]\nsql = \"SELECT count(*) AS n FROM t\"\n"
    )
}

/// Files of one row each.
fn files<'a>(keys: &[&'a str]) -> Vec<(&'a str, &'static str)> {
    keys.iter().map(|&key| (key, "a,b\n1,x\n")).collect()
}

/// The right to list below `prefix` and to read `objects`, and nothing else.
fn least(prefix: &str, objects: &str) -> Value {
    json!([
        { "Effect": "Allow", "Action": "s3:ListBucket", "Resource": "arn:aws:s3:::lake", "Condition": { "StringLike": { "s3:prefix": prefix } } },
        { "Effect": "Allow", "Action": "s3:GetObject", "Resource": format!("arn:aws:s3:::lake/{objects}") },
    ])
}

async fn house(keys: &[&str], iam: Value, allow: &str, deny: &[&str], uri: &str) -> House {
    let action = counting(uri);
    House::furnished(&files(keys), iam, "", &[&action], |config| {
        config.policy.allow = vec![
            allow.to_owned(),
            "s3://lake/exports/customers.csv".to_owned(),
        ];
        config.policy.deny = deny.iter().map(|&pattern| pattern.to_owned()).collect();
    })
    .await
}

/// The prefixes that S3 was asked to list.
fn listed(house: &House) -> Vec<String> {
    let requests = house.stack.s3().received("ListObjectsV2");
    let prefix = |request: &flowlake_dev_stack::ReceivedRequest| {
        let found = request.query.iter().find(|(name, _)| name == "prefix");
        found.map(|(_, prefix)| prefix.clone()).unwrap_or_default()
    };
    requests.iter().map(prefix).collect()
}

/// The prefixes that IAM was asked about.
fn asked(house: &House) -> Vec<String> {
    let questions = house.stack.aws().received("SimulatePrincipalPolicy");
    let prefix = |question: &flowlake_dev_stack::ReceivedRequest| {
        let form = question.form();
        let name = form.iter().find(|(_, value)| *value == "s3:prefix")?.0;
        let value = name.replace("ContextKeyName", "ContextKeyValues.member.1");
        form.get(&value).cloned()
    };
    questions.iter().filter_map(prefix).collect()
}

async fn refusal(house: &House) -> (ErrorCode, String) {
    let request = ActionRequest {
        action: "t".to_owned(),
        ..ActionRequest::default()
    };
    let error = house.pipeline.run(request).await.unwrap_err().error;
    (error.code(), error.advice().to_owned())
}

#[tokio::test]
async fn a_prefix_is_read_with_the_least_rights_and_touches_nothing_beside_it() {
    let house = house(
        &["calls/a.csv", "calls/x/b.csv", "calls-private/c.csv"],
        least("calls/*", "calls/*"),
        "s3://lake/calls/*",
        &[],
        "calls/",
    )
    .await;
    let answer = house.run("t", json!({})).await.unwrap();
    assert_eq!(answer["data"][0]["n"], 2);
    assert_eq!(listed(&house), ["calls/"]);
    assert_eq!(asked(&house), ["calls/"]);
    assert!(!answer.to_string().contains("calls-private"));
}

#[tokio::test]
async fn a_glob_reads_what_it_matches_with_the_least_rights() {
    let house = house(
        &[
            "exports/part-0.csv",
            "exports/part-a=b.csv",
            "exports/team=hr/part-0.csv",
        ],
        least("exports/part-*", "exports/part-*"),
        "s3://lake/exports/part-*",
        &["s3://lake/exports/team=hr/*"],
        "exports/part-*.csv",
    )
    .await;
    let answer = house.run("t", json!({})).await.unwrap();
    assert_eq!(answer["data"][0]["n"], 2);
    assert_eq!(listed(&house), ["exports/part-"]);
    assert_eq!(asked(&house), ["exports/part-"]);
    assert!(!house.audit()[0].contains("team=hr"));
}

/// IAM is asked about each object that a listing found, and not about the prefix as a whole.
#[tokio::test]
async fn an_object_that_iam_denies_is_named_before_anything_is_read() {
    let mut iam = least("exports/*", "exports/*");
    iam.as_array_mut().unwrap().push(json!(
        { "Effect": "Deny", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::lake/exports/hr/*" }
    ));
    let keys = ["exports/a.csv", "exports/hr/b.csv", "exports/z.csv"];
    let house = house(&keys, iam, "s3://lake/exports/*", &[], "exports/").await;
    let (code, _) = refusal(&house).await;
    assert_eq!(code, ErrorCode::AccessDenied);
    assert_eq!(house.stack.s3().count("GetObject"), 0);
    let record: Value = serde_json::from_str(&house.audit()[0]).unwrap();
    let decision = record["record"]["decision"].as_str().unwrap();
    let denied = "explicit-deny: s3:GetObject on arn:aws:s3:::lake/exports/hr/b.csv by ";
    assert!(decision.starts_with(denied), "{decision}");
    // A look tells what it has not asked about.
    let check = house.inspector().await;
    let check = check.check("t", &Map::new()).await.unwrap();
    let table = &check.tables.unwrap()[0];
    assert!(table.error.is_some());
    assert_eq!(table.decisions.len(), 2, "the listing and the objects");
}

/// What is not known before an object is read is not asked about, and both who looks and who reads can see it.
#[tokio::test]
async fn a_look_says_that_keys_of_listed_objects_are_not_asked_about() {
    let house = house(
        &["exports/a.csv"],
        least("exports/*", "exports/*"),
        "s3://lake/exports/*",
        &[],
        "exports/",
    )
    .await;
    let inspector = house.inspector().await;
    let found = inspector.diagnose(&DoctorOptions::default()).await;
    let lines = found.findings.iter();
    let mut lines = lines.filter(|line| line.subject == "s3:GetObject arn:aws:s3:::lake/exports/*");
    let line = lines.next().unwrap();
    assert!(line.detail.contains("kms:Decrypt"), "{line:?}");
    assert!(line.detail.contains("s3:GetObjectVersion"), "{line:?}");
}

/// Keys that no path can name are left out; the answer, its record and a look say how many.
#[tokio::test]
async fn objects_that_cannot_be_read_are_counted() {
    let house = house(
        &["exports/a.csv"],
        least("exports/*", "exports/*"),
        "s3://lake/exports/*",
        &[],
        "exports/",
    )
    .await;
    house.stack.list_key("lake", "exports//b.csv", 9);
    house.stack.list_key("lake", "exports/x/", 0);
    house.stack.list_key("lake", "exports/_SUCCESS", 0);
    house.stack.list_key("lake", "exports/.part-0.csv.crc", 12);
    house.stack.list_key("lake", "exports/empty.csv", 0);
    let answer = house.run("t", json!({})).await.unwrap();
    assert_eq!(answer["data"][0]["n"], 1);
    assert_eq!(answer["files_left_out"], 4);
    let expected = "1 objects at s3://lake/exports/ are left out: ";
    let warning = answer["cost_tracking"]["warnings"][0].as_str().unwrap();
    assert!(warning.starts_with(expected), "{warning}");
    assert!(house.audit()[0].contains(expected));
    let inspector = house.inspector().await;
    let check = inspector.check("t", &Map::new()).await.unwrap();
    let table = &check.tables.unwrap()[0];
    assert_eq!(table.warning.as_deref(), Some(warning));
    assert_eq!(
        table.left_out.to_string(),
        "2 by a name that begins with `_` or `.`, 1 without a byte, 1 whose keys cannot be read"
    );
}

#[tokio::test]
async fn more_files_than_a_table_may_have_are_refused_before_any_is_read() {
    let action = format!("{}\n", counting("calls/")).replace("[query]", "max_files = 2\n[query]");
    let keys = ["calls/a.csv", "calls/b.csv", "calls/c.csv"];
    let iam = least("calls/*", "calls/*");
    let house = House::furnished(&files(&keys), iam, "", &[&action], |config| {
        config.policy.allow.push("s3://lake/calls/*".to_owned());
    })
    .await;
    let (code, advice) = refusal(&house).await;
    assert_eq!(code, ErrorCode::LimitScan);
    assert!(advice.contains("`max_files`"), "{advice}");
    assert_eq!(house.stack.s3().count("GetObject"), 0);
}

#[tokio::test]
async fn a_glob_is_allowed_by_the_pattern_that_it_is() {
    let house = house(
        &["exports/a.csv", "exports/b.csv", "exports/c.json"],
        least("exports/*", "exports/*"),
        "s3://lake/exports/*.csv",
        &[],
        "exports/*.csv",
    )
    .await;
    let answer = house.run("t", json!({})).await.unwrap();
    assert_eq!(answer["data"][0]["n"], 2);
}

#[tokio::test]
async fn a_deny_reaches_what_it_names_and_not_a_folder_whose_name_begins_alike() {
    let deny = ["s3://lake/exports/payroll/*"];
    for (uri, allowed) in [("exports/pay/", true), ("exports/", false)] {
        let house = house(
            &["exports/pay/a.csv", "exports/payroll/b.csv"],
            least("exports/*", "exports/*"),
            "s3://lake/exports/*",
            &deny,
            uri,
        )
        .await;
        match house.run("t", json!({})).await {
            Ok(answer) => assert!(allowed && answer["data"][0]["n"] == 1, "{uri}: {answer}"),
            Err((code, message)) => {
                assert!(
                    !allowed && code == ErrorCode::PolicyDenied,
                    "{uri}: {message}"
                );
            }
        }
    }
}

#[tokio::test]
async fn no_advice_is_wider_than_the_prefix() {
    let keys = ["calls/a.csv", "calls-private/c.csv"];
    let (other, calls) = ("s3://lake/other/*", "s3://lake/calls/*");
    for (iam, allow, expected) in [
        (least("calls/*", "calls/*"), other, ErrorCode::PolicyDenied),
        (least("x/*", "calls/*"), calls, ErrorCode::AccessDenied),
        (least("calls/*", "x/*"), calls, ErrorCode::AccessDenied),
    ] {
        let house = house(&keys, iam, allow, &[], "calls/").await;
        let (code, advice) = refusal(&house).await;
        assert_eq!(code, expected, "{advice}");
        assert!(advice.contains("calls/*"), "{advice}");
        assert!(
            !advice.contains("calls*") && !advice.contains("lake/*"),
            "{advice}"
        );
    }
}
