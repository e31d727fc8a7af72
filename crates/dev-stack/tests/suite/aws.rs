//! STS, IAM and Cost Explorer by the real SDKs.

#![expect(clippy::unwrap_used, reason = "a helper of a test may fail it")]

use std::sync::Arc;

use crate::support::{code, config, s3_client_with};
use aws_sdk_costexplorer::types::{
    DateInterval, Granularity, GroupDefinition, GroupDefinitionType,
};
use aws_sdk_iam::types::{
    ContextEntry, ContextKeyTypeEnum, PolicyEvaluationDecisionType as Decided,
};
use chrono::{NaiveDate, TimeDelta};
use flowlake_dev_stack::{
    AccessKey, CostRow, CostTable, DevStack, Failure, IamDocument, Identity, ShiftedClock,
};
use serde_json::{Value, json};

const ACCOUNT: &str = "123456789012";
const OBJECT: &str = "arn:aws:s3:::lake/exports/x.csv";

fn allow(action: &str, resource: &str) -> Value {
    json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": action, "Resource": resource}]})
}

fn arn(rest: &str) -> String {
    format!("arn:aws:iam::{ACCOUNT}:{rest}")
}

fn document() -> IamDocument {
    IamDocument::single_administrator()
        .with_identity(
            Identity::new(arn("user/ada"))
                .with_policy("Read", allow("s3:GetObject", "arn:aws:s3:::lake/*")),
        )
        .with_identity(
            Identity::new(arn("role/team/data/Reader"))
                .with_policy("Read", allow("s3:GetObject", "arn:aws:s3:::lake/*"))
                .with_tag("team", "data")
                .with_trust(json!({"Version": "2012-10-17", "Statement": [{
                    "Effect": "Allow",
                    "Principal": {"AWS": arn("user/flowlake")},
                    "Action": "sts:AssumeRole",
                    "Condition": {"StringEquals": {"sts:ExternalId": "secret-handshake"}},
                }]})),
        )
        .with_identity(
            Identity::new(arn("user/bounded"))
                .with_policy("All", allow("s3:*", "*"))
                .with_boundary(allow("s3:ListBucket", "*")),
        )
}

async fn stack() -> (tempfile::TempDir, DevStack) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(folder.path().join("lake/exports")).unwrap();
    std::fs::write(folder.path().join("lake/exports/x.csv"), "x").unwrap();
    let stack = DevStack::builder(folder.path())
        .with_iam(document())
        .with_simulation_page(2)
        .start()
        .await
        .unwrap();
    (folder, stack)
}

fn iam(stack: &DevStack, principal: &str) -> aws_sdk_iam::Client {
    aws_sdk_iam::Client::new(&config(
        &stack.aws_url(),
        &stack.access_key(principal),
        None,
    ))
}

fn sts(stack: &DevStack, principal: &str) -> aws_sdk_sts::Client {
    aws_sdk_sts::Client::new(&config(
        &stack.aws_url(),
        &stack.access_key(principal),
        None,
    ))
}

#[tokio::test]
async fn everyone_learns_who_they_are() {
    let (_folder, stack) = stack().await;
    let ada = sts(&stack, "ada")
        .get_caller_identity()
        .send()
        .await
        .unwrap();
    assert_eq!(ada.arn(), Some(arn("user/ada").as_str()));
    assert_eq!(ada.account(), Some(ACCOUNT));
    let role = sts(&stack, "Reader")
        .get_caller_identity()
        .send()
        .await
        .unwrap();
    assert_eq!(
        role.arn(),
        Some("arn:aws:sts::123456789012:assumed-role/Reader/flowlake")
    );
    let mut wrong = stack.access_key("ada");
    wrong.secret = "no".to_owned();
    let client = aws_sdk_sts::Client::new(&config(&stack.aws_url(), &wrong, None));
    let error = client.get_caller_identity().send().await.unwrap_err();
    assert_eq!(code(&error), "SignatureDoesNotMatch");
    let error = sts(&stack, "stranger")
        .get_caller_identity()
        .send()
        .await
        .unwrap_err();
    assert_eq!(code(&error), "InvalidClientTokenId");
    stack.aws().fail_next(
        1,
        Failure::RateLimited {
            retry_after_seconds: 1,
        },
    );
    let error = sts(&stack, "ada")
        .get_caller_identity()
        .send()
        .await
        .unwrap_err();
    assert_eq!(code(&error), "Throttling");
    assert_eq!(stack.aws().count("GetCallerIdentity"), 5);
}

#[tokio::test]
async fn a_role_is_assumed_used_and_expires() {
    let (folder, stack) = stack().await;
    stack.shutdown().await;
    let clock = ShiftedClock::default();
    let stack = DevStack::builder(folder.path())
        .with_iam(document())
        .with_clock(Arc::new(clock.clone()))
        .start()
        .await
        .unwrap();
    let role = arn("role/team/data/Reader");
    let ask = || {
        sts(&stack, "flowlake")
            .assume_role()
            .role_arn(&role)
            .role_session_name("test")
    };
    let error = ask().send().await.unwrap_err();
    assert_eq!(code(&error), "AccessDenied", "the external id is missing");
    let answer = ask()
        .external_id("secret-handshake")
        .duration_seconds(900)
        .send()
        .await
        .unwrap();
    let given = answer.credentials().unwrap();
    let key = AccessKey {
        id: given.access_key_id().to_owned(),
        secret: given.secret_access_key().to_owned(),
    };
    let token = given.session_token();
    let who = aws_sdk_sts::Client::new(&config(&stack.aws_url(), &key, Some(token)))
        .get_caller_identity()
        .send()
        .await
        .unwrap();
    assert_eq!(
        who.arn(),
        Some("arn:aws:sts::123456789012:assumed-role/Reader/test")
    );
    assert_eq!(who.arn(), answer.assumed_role_user().map(|user| user.arn()));
    let read = |token| {
        s3_client_with(&stack, &key, token)
            .get_object()
            .bucket("lake")
            .key("exports/x.csv")
            .send()
    };
    assert!(read(Some(token)).await.is_ok());
    assert_eq!(code(&read(None).await.unwrap_err()), "InvalidToken");
    clock.advance(TimeDelta::seconds(901));
    assert_eq!(code(&read(Some(token)).await.unwrap_err()), "ExpiredToken");
}

#[tokio::test]
async fn simulation_decides_for_real_and_in_pages() {
    let (_folder, stack) = stack().await;
    let client = iam(&stack, "flowlake");
    let mut pages = client
        .simulate_principal_policy()
        .policy_source_arn(arn("user/ada"))
        .action_names("s3:GetObject")
        .action_names("s3:PutObject")
        .action_names("s3:DeleteObject")
        .resource_arns(OBJECT)
        .into_paginator()
        .send();
    let mut decisions = Vec::new();
    let mut count = 0;
    while let Some(page) = pages.next().await {
        count += 1;
        for result in page.unwrap().evaluation_results() {
            decisions.push((
                result.eval_action_name().to_owned(),
                result.eval_decision().clone(),
            ));
            assert!(result.permissions_boundary_decision_detail().is_none());
        }
    }
    assert_eq!(count, 2);
    assert_eq!(
        decisions,
        [
            ("s3:GetObject".to_owned(), Decided::Allowed),
            ("s3:PutObject".to_owned(), Decided::ImplicitDeny),
            ("s3:DeleteObject".to_owned(), Decided::ImplicitDeny),
        ]
    );
    let bounded = client
        .simulate_principal_policy()
        .policy_source_arn(arn("user/bounded"))
        .action_names("s3:GetObject")
        .resource_arns(OBJECT)
        .send()
        .await
        .unwrap();
    let result = &bounded.evaluation_results()[0];
    assert_eq!(result.eval_decision(), &Decided::ImplicitDeny);
    assert!(
        !result
            .permissions_boundary_decision_detail()
            .unwrap()
            .allowed_by_permissions_boundary()
    );
}

/// As IAM answers since 2026 (API reference of `EvaluationResult`): one result for each action, its resources inside.
#[tokio::test]
async fn many_resources_are_one_result_with_a_decision_for_each() {
    let (_folder, stack) = stack().await;
    let denied = json!({"Version": "2012-10-17", "Statement": [
        {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::lake/exports/no/*"},
    ]});
    let others = [
        "arn:aws:s3:::lake/exports/no/x",
        "arn:aws:s3:::lake/payroll/x",
    ];
    let answer = iam(&stack, "flowlake")
        .simulate_principal_policy()
        .policy_source_arn(arn("user/ada"))
        .action_names("s3:GetObject")
        .resource_arns(OBJECT)
        .resource_arns(others[0])
        .resource_arns(others[1])
        .resource_policy(denied.to_string())
        .send()
        .await
        .unwrap();
    let [result] = answer.evaluation_results() else {
        panic!("{answer:?}");
    };
    assert_eq!(
        result.eval_decision(),
        &Decided::ExplicitDeny,
        "the strictest"
    );
    assert_eq!(result.matched_statements().len(), 1);
    let template = "arn:${Partition}:s3:::${BucketName}/${KeyName}";
    assert_eq!(result.eval_resource_name(), Some(template));
    let each = result.resource_specific_results().iter();
    let each: Vec<_> = each
        .map(|found| {
            (
                found.eval_resource_name(),
                found.eval_resource_decision().clone(),
            )
        })
        .collect();
    assert_eq!(each[0], (OBJECT, Decided::Allowed));
    assert_eq!(each[1], (others[0], Decided::ExplicitDeny));
    assert_eq!(each[2].0, others[1]);
    assert_ne!(each[2].1, Decided::ExplicitDeny);
}

#[tokio::test]
async fn resource_policies_and_context_keys_count() {
    let (_folder, stack) = stack().await;
    let policy = json!({"Version": "2012-10-17", "Statement": [
        {"Sid": "TlsOnly", "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*",
         "Condition": {"Bool": {"aws:SecureTransport": "false"}}},
        {"Effect": "Allow", "Principal": {"AWS": arn("user/ada")}, "Action": "s3:DeleteObject", "Resource": "*"},
    ]})
    .to_string();
    let client = iam(&stack, "flowlake");
    let ask = |action: &str, secure: Option<&str>| {
        let entry = secure.map(|secure| {
            ContextEntry::builder()
                .context_key_name("aws:SecureTransport")
                .context_key_type(ContextKeyTypeEnum::Boolean)
                .context_key_values(secure)
                .build()
        });
        client
            .simulate_principal_policy()
            .policy_source_arn(arn("user/ada"))
            .action_names(action)
            .resource_arns(OBJECT)
            .resource_policy(&policy)
            .set_context_entries(entry.map(|entry| vec![entry]))
            .send()
    };
    let decided = |answer: &aws_sdk_iam::operation::simulate_principal_policy::SimulatePrincipalPolicyOutput| {
        answer.evaluation_results()[0].eval_decision().clone()
    };
    let plain = ask("s3:GetObject", Some("false")).await.unwrap();
    assert_eq!(decided(&plain), Decided::ExplicitDeny);
    let statement = &plain.evaluation_results()[0].matched_statements()[0];
    assert_eq!(statement.source_policy_id(), Some("ResourcePolicy"));
    assert_eq!(
        decided(&ask("s3:GetObject", Some("true")).await.unwrap()),
        Decided::Allowed
    );
    assert_eq!(
        decided(&ask("s3:DeleteObject", Some("true")).await.unwrap()),
        Decided::Allowed
    );
    let unsaid = ask("s3:GetObject", None).await.unwrap();
    assert_eq!(
        unsaid.evaluation_results()[0].missing_context_values(),
        ["aws:SecureTransport"]
    );
}

#[tokio::test]
async fn what_aws_refuses_is_refused() {
    let (_folder, stack) = stack().await;
    let ask = |principal: &str, source: String| {
        iam(&stack, principal)
            .simulate_principal_policy()
            .policy_source_arn(source)
            .action_names("s3:GetObject")
            .resource_arns(OBJECT)
    };
    let error = ask(
        "flowlake",
        "arn:aws:sts::123456789012:assumed-role/Reader/x".to_owned(),
    )
    .send()
    .await
    .unwrap_err();
    assert_eq!(code(&error), "InvalidInput");
    let error = ask("flowlake", arn("user/none")).send().await.unwrap_err();
    assert_eq!(code(&error), "NoSuchEntity");
    let error = ask("ada", arn("user/ada")).send().await.unwrap_err();
    assert_eq!(code(&error), "AccessDenied");
    let role = arn("role/team/data/Reader");
    let policy = allow("s3:GetObject", "*").to_string();
    let error = ask("flowlake", role.clone())
        .resource_policy(&policy)
        .send()
        .await
        .unwrap_err();
    assert_eq!(code(&error), "InvalidInput", "a role needs a CallerArn");
    let error = ask("flowlake", role.clone())
        .resource_policy(&policy)
        .caller_arn(&role)
        .send()
        .await
        .unwrap_err();
    assert_eq!(code(&error), "InvalidInput", "which must be a user's");
    let found = iam(&stack, "flowlake")
        .get_role()
        .role_name("Reader")
        .send()
        .await
        .unwrap();
    assert_eq!(found.role().unwrap().arn(), role);
    assert_eq!(found.role().unwrap().path(), "/team/data/");
    let error = iam(&stack, "flowlake")
        .get_role()
        .role_name("None")
        .send()
        .await
        .unwrap_err();
    assert_eq!(code(&error), "NoSuchEntity");
    let error = iam(&stack, "ada")
        .get_role()
        .role_name("Reader")
        .send()
        .await
        .unwrap_err();
    assert_eq!(code(&error), "AccessDenied");
}

#[tokio::test]
async fn costs_come_by_period_group_and_page() {
    let folder = tempfile::tempdir().unwrap();
    let row = |day: &str, service: &str, micro_usd| CostRow {
        day: day.parse::<NaiveDate>().unwrap(),
        service: service.to_owned(),
        usage_type: "Requests-Tier2".to_owned(),
        micro_usd,
        micro_quantity: 2_000_000,
        unit: "Requests".to_owned(),
    };
    let stack = DevStack::builder(folder.path())
        .with_iam(document())
        .with_costs(CostTable {
            rows: vec![
                row("2026-10-30", "S3", 1_500_000),
                row("2026-11-02", "S3", 250_000),
                row("2026-11-02", "KMS", 1),
                row("2026-11-20", "S3", 9_000_000),
            ],
            periods_per_page: Some(1),
        })
        .start()
        .await
        .unwrap();
    let key = stack.access_key("flowlake");
    let client = aws_sdk_costexplorer::Client::new(&config(&stack.aws_url(), &key, None));
    let ask = |token: Option<String>| {
        client
            .get_cost_and_usage()
            .time_period(
                DateInterval::builder()
                    .start("2026-10-20")
                    .end("2026-11-20")
                    .build()
                    .unwrap(),
            )
            .granularity(Granularity::Monthly)
            .metrics("UnblendedCost")
            .group_by(
                GroupDefinition::builder()
                    .r#type(GroupDefinitionType::Dimension)
                    .key("SERVICE")
                    .build(),
            )
            .set_next_page_token(token)
            .send()
    };
    let first = ask(None).await.unwrap();
    assert_eq!(first.results_by_time().len(), 1);
    let second = ask(first.next_page_token().map(str::to_owned))
        .await
        .unwrap();
    assert_eq!(second.next_page_token(), None);
    let groups = second.results_by_time()[0].groups();
    assert_eq!(groups[0].keys(), ["KMS"]);
    let amount = |index: usize| {
        groups[index].metrics().unwrap()["UnblendedCost"]
            .amount()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        (amount(0), amount(1)),
        ("0.000001".to_owned(), "0.250000".to_owned())
    );
    let denied = aws_sdk_costexplorer::Client::new(&config(
        &stack.aws_url(),
        &stack.access_key("ada"),
        None,
    ))
    .get_cost_and_usage()
    .time_period(
        DateInterval::builder()
            .start("2026-10-20")
            .end("2026-11-20")
            .build()
            .unwrap(),
    )
    .granularity(Granularity::Daily)
    .metrics("UnblendedCost")
    .send()
    .await
    .unwrap_err();
    assert_eq!(code(&denied), "AccessDeniedException");
}

#[tokio::test]
async fn trust_and_permission_are_both_needed() {
    let trusts = |principal: Value| {
        json!({"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": "sts:AssumeRole"}]})
    };
    let theirs = "arn:aws:iam::210987654321:role/Theirs";
    let everything = || allow("*", "*");
    let document = IamDocument::default()
        .with_identity(Identity::new(arn("user/able")).with_policy("All", everything()))
        .with_identity(Identity::new(arn("user/bare")))
        .with_identity(
            Identity::new(arn("role/ByName")).with_trust(trusts(json!(arn("user/bare")))),
        )
        .with_identity(Identity::new(arn("role/ByAccount")).with_trust(trusts(json!(ACCOUNT))))
        .with_identity(
            Identity::new(arn("role/Untrusting")).with_trust(trusts(json!("999999999999"))),
        )
        .with_identity(
            Identity::new(theirs).with_trust(trusts(json!([ACCOUNT, arn("user/bare")]))),
        );
    let folder = tempfile::tempdir().unwrap();
    let stack = DevStack::builder(folder.path())
        .with_iam(document)
        .start()
        .await
        .unwrap();
    for (caller, role, expected) in [
        ("bare", arn("role/ByName"), true),
        ("bare", arn("role/ByAccount"), false),
        ("bare", theirs.to_owned(), false),
        ("able", arn("role/ByName"), false),
        ("able", arn("role/ByAccount"), true),
        ("able", arn("role/Untrusting"), false),
        ("able", theirs.to_owned(), true),
        ("able", arn("role/Missing"), false),
    ] {
        let outcome = sts(&stack, caller)
            .assume_role()
            .role_arn(&role)
            .role_session_name("test")
            .send()
            .await;
        assert_eq!(outcome.is_ok(), expected, "{caller} {role}");
    }
}

#[tokio::test]
async fn a_session_policy_only_narrows() {
    let (_folder, stack) = stack().await;
    let role = arn("role/team/data/Reader");
    let narrow = allow("s3:GetObject", "arn:aws:s3:::lake/other/*").to_string();
    let answer = sts(&stack, "flowlake")
        .assume_role()
        .role_arn(&role)
        .role_session_name("narrow")
        .external_id("secret-handshake")
        .policy(narrow)
        .send()
        .await
        .unwrap();
    let given = answer.credentials().unwrap();
    let key = AccessKey {
        id: given.access_key_id().to_owned(),
        secret: given.secret_access_key().to_owned(),
    };
    let error = s3_client_with(&stack, &key, Some(given.session_token()))
        .get_object()
        .bucket("lake")
        .key("exports/x.csv")
        .send()
        .await
        .unwrap_err();
    assert_eq!(code(&error), "AccessDenied");
}

#[tokio::test]
async fn the_matched_statement_is_placed_in_its_text() {
    let (_folder, stack) = stack().await;
    let policy = "{\"Version\": \"2012-10-17\",\n \"Statement\": [\n  {\"Effect\": \"Allow\", \"Principal\": \"*\", \"Action\": \"s3:ListBucket\", \"Resource\": \"*\"},\n  {\"Effect\": \"Deny\", \"Principal\": \"*\", \"Action\": \"s3:*\", \"Resource\": \"*\"}]}";
    let answer = iam(&stack, "flowlake")
        .simulate_principal_policy()
        .policy_source_arn(arn("user/ada"))
        .action_names("s3:GetObject")
        .resource_arns(OBJECT)
        .resource_policy(policy)
        .send()
        .await
        .unwrap();
    let statement = &answer.evaluation_results()[0].matched_statements()[0];
    let start = statement.start_position().unwrap();
    assert_eq!((start.line(), start.column()), (4, 2));
}
