//! Objects that a listing found: one question to IAM for many of them.

use std::{collections::BTreeMap, sync::Arc};

use flowlake_aws_access::{
    Access, AccessMode, AccessRequest, DecidedBy, Decision, Effect, ObjectsRequest,
};
use flowlake_dev_stack::{IamDocument, Identity, ObjectState};
use serde_json::{Value, json};

use crate::support::{Bench, ROLE, USER, ask_iam, document, read_exports, statements};

async fn ask(access: &Access, keys: &[String]) -> Arc<Decision> {
    let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
    let request = ObjectsRequest {
        bucket: "lake",
        keys: &keys,
        pattern: "exports/*",
    };
    access.check_objects(&request).await.unwrap().unwrap()
}

fn named(count: usize) -> Vec<String> {
    (0..count).map(|key| format!("exports/{key}.csv")).collect()
}

/// The resources of each simulation so far.
fn resources(bench: &Bench) -> Vec<Vec<String>> {
    let received = bench.stack.aws().received("SimulatePrincipalPolicy");
    let of = |form: BTreeMap<String, String>| {
        let values = form.into_iter();
        let named = values.filter(|(name, _)| name.starts_with("ResourceArns.member."));
        named.map(|(_, resource)| resource).collect()
    };
    received.iter().map(|request| of(request.form())).collect()
}

fn noted(decision: &Decision, text: &str) -> bool {
    decision.notes.iter().any(|note| note.contains(text))
}

#[tokio::test]
async fn a_thousand_of_many_objects_are_asked_about_in_ten_questions_and_once() {
    let bench = Bench::of_user(json!([ask_iam(), read_exports()])).await;
    let access = bench.access(USER, AccessMode::Enforce).await;
    let keys = named(2500);
    let decision = ask(&access, &keys).await;
    assert!(decision.allowed, "{}", decision.reason);
    assert_eq!(decision.resource, "arn:aws:s3:::lake/exports/*");
    assert!(noted(&decision, "1000 of 2500 objects were asked about"));
    assert!(noted(&decision, "kms:Decrypt"), "{:?}", decision.notes);
    let asked = resources(&bench);
    assert_eq!(asked.len(), 10);
    assert!(asked.iter().all(|resources| resources.len() == 100));
    ask(&access, &keys).await;
    assert_eq!(
        resources(&bench).len(),
        10,
        "what is known is not asked again"
    );
    let few = ask(&access, &keys[..3]).await;
    assert!(noted(&few, "each of the 3 objects was asked about"));
    let none = ObjectsRequest {
        bucket: "lake",
        keys: &[],
        pattern: "exports/*",
    };
    assert!(access.check_objects(&none).await.unwrap().is_none());
}

#[tokio::test]
async fn many_who_ask_at_once_about_the_same_objects_ask_once() {
    let bench = Bench::of_user(json!([ask_iam(), read_exports()])).await;
    let access = bench.access(USER, AccessMode::Enforce).await;
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let access = access.clone();
        asking.spawn(async move { ask(&access, &named(250)).await });
    }
    while let Some(decision) = asking.join_next().await {
        assert!(decision.unwrap().allowed);
    }
    assert_eq!(resources(&bench).len(), 3);
}

/// The answers in one question are those that each object gets by itself.
#[tokio::test]
async fn objects_together_are_decided_as_one_by_one() {
    let read = |effect: &str, resource: &str| {
        let resource = format!("arn:aws:s3:::lake/{resource}");
        json!({ "Effect": effect, "Action": "s3:GetObject", "Resource": resource })
    };
    let all = ["exports/a.csv", "exports/hr/a.csv", "exports/pay/a.csv"];
    for (more, effects) in [
        (
            vec![read("Allow", "exports/*")],
            ["allowed", "allowed", "allowed"],
        ),
        (
            vec![read("Allow", "exports/*"), read("Deny", "exports/pay/*")],
            ["allowed", "allowed", "explicit-deny"],
        ),
        (
            vec![
                read("Allow", "exports/?.csv"),
                read("Deny", "exports/pay/*"),
            ],
            ["allowed", "implicit-deny", "explicit-deny"],
        ),
        (vec![], ["implicit-deny", "implicit-deny", "implicit-deny"]),
    ] {
        let mut granted: Vec<Value> = vec![ask_iam()];
        granted.extend(more);
        let bench = Bench::of_user(Value::Array(granted)).await;
        let one_by_one = bench.access(USER, AccessMode::Enforce).await;
        let together = bench.access(USER, AccessMode::Enforce).await;
        let mut worst: Option<Arc<Decision>> = None;
        for (key, effect) in all.iter().zip(effects) {
            let decision = one_by_one
                .check(&AccessRequest::read("lake", *key))
                .await
                .unwrap();
            assert_eq!(decision.effect.to_string(), effect, "{key}");
            if worst
                .as_ref()
                .is_none_or(|worst| decision.is_worse_than(worst))
            {
                worst = Some(decision);
            }
        }
        let worst = worst.unwrap();
        let decision = ask(&together, &all.map(str::to_owned)).await;
        assert_eq!(decision.effect, worst.effect);
        assert_eq!(decision.allowed, worst.allowed);
        if !worst.allowed {
            assert_eq!(decision.resource, worst.resource);
            assert_eq!(decision.matched, worst.matched);
        }
        let expected =
            (worst.effect == Effect::ImplicitDeny).then(|| json!("arn:aws:s3:::lake/exports/*"));
        let policy = decision.policy.as_ref();
        let proposed = policy.map(|policy| policy["Statement"][0]["Resource"].clone());
        assert_eq!(proposed, expected, "the advice is for what was asked for");
    }
}

#[tokio::test]
async fn objects_that_only_the_bucket_policy_allows_are_tried_once() {
    let allow = json!({ "Effect": "Allow", "Principal": { "AWS": ROLE }, "Action": "s3:GetObject", "Resource": "arn:aws:s3:::lake/exports/*" });
    let role = document(ROLE, statements(json!([ask_iam()])));
    let bench = Bench::new(role.with_bucket_policy("lake", statements(json!([allow])))).await;
    let access = bench.access(ROLE, AccessMode::Enforce).await;
    let mut keys = named(150);
    keys.insert(0, "exports/calls.csv".to_owned());
    for _ in 0..2 {
        let decision = ask(&access, &keys).await;
        assert!(decision.allowed, "{}", decision.reason);
        assert_eq!(decision.decided_by, DecidedBy::WhenRead);
        assert_eq!(bench.stack.s3().count("GetObject"), 1);
        assert_eq!(resources(&bench).len(), 2);
    }
    let refused = bench.access(ROLE, AccessMode::Enforce).await;
    let keys = ["payroll/a.csv", "payroll/b.csv"];
    let request = ObjectsRequest {
        bucket: "lake",
        keys: &keys,
        pattern: "payroll/*",
    };
    let decision = refused.check_objects(&request).await.unwrap().unwrap();
    assert!(!decision.allowed);
    assert_eq!(decision.decided_by, DecidedBy::S3);
    let advice = decision.advice.as_deref().unwrap();
    assert!(
        advice.contains("payroll/*") && advice.contains("bucket policy"),
        "{advice}"
    );
}

#[tokio::test]
async fn tags_are_read_of_few_objects_and_s3_decides_on_the_others() {
    let tagged = json!({ "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", "Condition": { "StringEquals": { "s3:ExistingObjectTag/class": "public" } } });
    let may_tag = json!({ "Effect": "Allow", "Action": "s3:GetObjectTagging", "Resource": "*" });
    let bench = Bench::of_user(json!([ask_iam(), tagged, may_tag])).await;
    let keys = named(30);
    for key in &keys {
        let state = ObjectState {
            tags: [("class".to_owned(), "public".to_owned())].into(),
            ..ObjectState::default()
        };
        bench.put(key);
        bench.stack.set_object_state("lake", key, state);
    }
    let access = bench.access(USER, AccessMode::Enforce).await;
    let decision = ask(&access, &keys).await;
    assert!(decision.allowed, "{}", decision.reason);
    assert_eq!(decision.decided_by, DecidedBy::WhenRead);
    assert_eq!(bench.stack.s3().count("GetObjectTagging"), 20);
    let state = ObjectState::default();
    bench.stack.set_object_state("lake", &keys[3], state);
    let access = bench.access(USER, AccessMode::Enforce).await;
    let decision = ask(&access, &keys).await;
    assert!(!decision.allowed);
    assert!(
        decision.resource.ends_with("exports/3.csv"),
        "{}",
        decision.resource
    );
}

/// The tags of the user are those of all objects: they are read once for each question.
#[tokio::test]
async fn the_users_tags_are_read_once_for_many_objects() {
    let of_team = json!({ "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", "Condition": { "StringEquals": { "aws:PrincipalTag/team": "data" } } });
    let may_tag = json!({ "Effect": "Allow", "Action": "iam:ListUserTags", "Resource": "*" });
    let policy = statements(json!([ask_iam(), of_team, may_tag]));
    let reader = Identity::new(USER)
        .with_policy("reading", policy)
        .with_tag("team", "data");
    let bench = Bench::new(IamDocument::default().with_identity(reader)).await;
    let access = bench.access(USER, AccessMode::Enforce).await;
    let decision = ask(&access, &named(60)).await;
    assert!(decision.allowed, "{}", decision.reason);
    assert_eq!(decision.decided_by, DecidedBy::Simulation);
    assert_eq!(bench.stack.aws().count("ListUserTags"), 1);
    assert_eq!(
        resources(&bench).len(),
        2,
        "without the tags, and with them"
    );
}

#[tokio::test]
async fn without_simulation_objects_of_a_listing_are_left_to_s3() {
    let bench = Bench::of_user(json!([read_exports()])).await;
    let probe = bench.access(USER, AccessMode::Probe).await;
    let decision = ask(&probe, &named(3)).await;
    assert!(decision.allowed);
    assert_eq!(decision.decided_by, DecidedBy::WhenRead);
    assert_eq!(bench.stack.s3().count("HeadObject"), 0);
    let advise = bench.access(USER, AccessMode::Advise).await;
    let decision = ask(&advise, &named(3)).await;
    assert!(decision.allowed && decision.advisory);
}
