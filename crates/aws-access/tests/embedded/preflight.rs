//! What is asked before a read, field by field on the wire, and what the decision tells.
//!
//! The stand-ins hold every request against AWS's service models, so a wrong name, type or enumeration fails any test here.

use std::collections::BTreeMap;

use flowlake_aws_access::{
    AccessMode, AccessRequest, AccessSettings, BucketSettings, DecidedBy, Decision, Effect,
    ErrorKind,
};
use flowlake_dev_stack::{Failure, IamDocument, Identity, ObjectState};
use serde_json::json;

use crate::support::{Bench, ROLE, USER, ask_iam, document, read_exports, statements};

const KEY_ARN: &str = "arn:aws:kms:us-east-1:123456789012:key/0123abcd";

fn object() -> AccessRequest {
    AccessRequest::read("lake", "exports/calls.csv")
}

/// The context entries of the last simulation: name to type and value.
fn context(bench: &Bench) -> BTreeMap<String, (String, String)> {
    let form = form(bench);
    (1..)
        .map_while(|index| {
            let field = |name: &str| {
                form.get(&format!("ContextEntries.member.{index}.{name}"))
                    .cloned()
            };
            let value = (
                field("ContextKeyType")?,
                field("ContextKeyValues.member.1")?,
            );
            Some((field("ContextKeyName")?, value))
        })
        .collect()
}

fn form(bench: &Bench) -> BTreeMap<String, String> {
    bench
        .stack
        .aws()
        .received("SimulatePrincipalPolicy")
        .pop()
        .unwrap()
        .form()
}

fn assert_noted(decision: &Decision, text: &str) {
    let notes = &decision.notes;
    assert!(notes.iter().any(|note| note.contains(text)), "{notes:?}");
}

#[tokio::test]
async fn a_users_bucket_policy_goes_along_with_the_caller_and_the_known_context() {
    let tls = json!({ "Sid": "OnlyTls", "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*",
        "Condition": { "Bool": { "aws:SecureTransport": "false" } } });
    let user = document(USER, statements(json!([ask_iam(), read_exports()])));
    let bench = Bench::new(user.with_bucket_policy("lake", statements(json!([tls])))).await;
    let access = bench.access(USER, AccessMode::Enforce).await;
    assert!(access.check(&object()).await.unwrap().allowed);
    let sent = form(&bench);
    assert_eq!(sent["PolicySourceArn"], USER);
    assert_eq!(sent["CallerArn"], USER);
    assert!(sent["ResourcePolicy"].contains("OnlyTls"));
    assert_eq!(sent["ActionNames.member.1"], "s3:GetObject");
    assert_eq!(
        sent["ResourceArns.member.1"],
        "arn:aws:s3:::lake/exports/calls.csv"
    );
    assert!(
        !sent.keys().any(|name| name.starts_with("PolicyInputList")),
        "nothing is added to the question"
    );
    let context = context(&bench);
    for (key, kind, value) in [
        ("aws:SecureTransport", "boolean", "true"),
        ("aws:PrincipalArn", "string", USER),
        ("aws:PrincipalAccount", "string", "123456789012"),
        ("aws:username", "string", "reader"),
        ("aws:RequestedRegion", "string", "us-east-1"),
        ("s3:authType", "string", "REST-HEADER"),
    ] {
        assert_eq!(context[key], (kind.to_owned(), value.to_owned()), "{key}");
    }
}

#[tokio::test]
async fn the_statement_that_decided_is_named() {
    let deny = json!({ "Sid": "NoReaders", "Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::lake/exports/*" });
    let other = json!({ "Sid": "Else", "Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::lake/public/*" });
    let user = document(USER, statements(json!([ask_iam(), read_exports()])));
    let bench = Bench::new(user.with_bucket_policy("lake", statements(json!([other, deny])))).await;
    let access = bench.access(USER, AccessMode::Enforce).await;
    let decision = access.check(&object()).await.unwrap();
    assert_eq!(decision.effect, Effect::ExplicitDeny);
    assert_eq!(decision.matched[0].policy, "the bucket policy");
    assert_eq!(
        decision.matched[0].sid.as_deref(),
        Some("NoReaders"),
        "{:?}",
        decision.matched
    );
    assert!(
        decision
            .reason
            .contains("statement `NoReaders` of the bucket policy"),
        "{}",
        decision.reason
    );

    bench.change_user(json!([ask_iam(), read_exports()]));
    let access = bench.access(USER, AccessMode::Enforce).await;
    let decision = access.check(&object()).await.unwrap();
    assert_eq!(decision.matched[0].policy, "reading");
    assert!(decision.matched[0].position.is_some());
    assert!(decision.reason.contains("line"), "{}", decision.reason);
}

#[tokio::test]
async fn a_roles_bucket_policy_stays_out_and_the_decision_says_so() {
    let deny = json!({ "Sid": "NoReaders", "Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": "*" });
    let role = document(ROLE, statements(json!([ask_iam(), read_exports()])));
    let bench = Bench::new(role.with_bucket_policy("lake", statements(json!([deny])))).await;
    let access = bench.access(ROLE, AccessMode::Enforce).await;
    let decision = access.check(&object()).await.unwrap();
    assert!(decision.allowed);
    let notes = decision.notes.join("; ");
    assert!(
        notes.contains("IAM does not simulate bucket policies for roles"),
        "{notes}"
    );
    assert!(notes.contains("`NoReaders`"), "{notes}");
    let sent = form(&bench);
    assert!(!sent.contains_key("ResourcePolicy") && !sent.contains_key("CallerArn"));
    assert_eq!(context(&bench)["aws:PrincipalArn"].1, ROLE);
}

#[tokio::test]
async fn what_only_the_bucket_policy_allows_a_role_is_decided_by_s3() {
    let allow = json!({ "Effect": "Allow", "Principal": { "AWS": ROLE }, "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": ["arn:aws:s3:::lake", "arn:aws:s3:::lake/exports/*"] });
    let role = document(ROLE, statements(json!([ask_iam()])));
    let bench = Bench::new(role.with_bucket_policy("lake", statements(json!([allow])))).await;
    let access = bench.access(ROLE, AccessMode::Enforce).await;
    for request in [object(), AccessRequest::list("lake", "exports/")] {
        let decision = access.check(&request).await.unwrap();
        assert!(decision.allowed, "{}", decision.reason);
        assert_eq!(decision.decided_by, DecidedBy::S3);
        assert!(decision.reason.contains("S3 itself allowed it"));
        assert!(decision.advice.is_none());
    }
    assert_eq!(bench.stack.s3().count("GetObject"), 1);
    // Decided once, for as long as any decision.
    access.check(&object()).await.unwrap();
    assert_eq!(bench.stack.s3().count("GetObject"), 1);

    let refused = AccessRequest::read("lake", "payroll/salaries.csv");
    let decision = access.check(&refused).await.unwrap();
    assert!(!decision.allowed);
    assert_eq!(decision.decided_by, DecidedBy::S3);
    let advice = decision.advice.as_deref().unwrap();
    assert!(
        advice.contains(ROLE) && advice.contains("the bucket policy of lake"),
        "{advice}"
    );

    // Without a bucket policy there is nothing that was not seen.
    let role = document(ROLE, statements(json!([ask_iam()])));
    let bench = Bench::new(role).await;
    let access = bench.access(ROLE, AccessMode::Enforce).await;
    let decision = access.check(&object()).await.unwrap();
    assert!(!decision.allowed);
    assert_eq!(decision.decided_by, DecidedBy::Simulation);
    assert_eq!(bench.stack.s3().count("HeadObject"), 0);
}

#[tokio::test]
async fn a_bucket_of_another_account_is_reported_and_its_owner_sent() {
    let bucket = statements(
        json!([{ "Effect": "Allow", "Principal": { "AWS": USER }, "Action": "s3:*", "Resource": ["arn:aws:s3:::lake", "arn:aws:s3:::lake/*"] }]),
    );
    let elsewhere = document(USER, statements(json!([ask_iam(), read_exports()])))
        .with_bucket_policy("lake", bucket.clone())
        .with_bucket_owner("lake", "222222222222");
    let bench = Bench::new(elsewhere).await;
    // S3 answers 405: nothing but this account's side can be simulated.
    let access = bench.access(USER, AccessMode::Enforce).await;
    let decision = access.check(&object()).await.unwrap();
    assert!(decision.allowed && decision.sides.is_none());
    let notes = decision.notes.join("; ");
    assert!(
        notes.contains("another account") && notes.contains("only this side"),
        "{notes}"
    );
    assert!(!form(&bench).contains_key("ResourcePolicy"));

    let told = BucketSettings {
        owner: Some("222222222222".to_owned()),
        policy: Some(bucket.to_string()),
    };
    let settings = AccessSettings {
        buckets: [("lake".to_owned(), told)].into(),
        ..AccessSettings::default()
    };
    let access = bench.access_with(&bench.settings(USER), settings).await;
    let decision = access.check(&object()).await.unwrap();
    let sides = decision.sides.unwrap();
    assert_eq!(
        (sides.identity, sides.resource),
        (Effect::Allowed, Effect::Allowed)
    );
    assert_eq!(
        form(&bench)["ResourceOwner"],
        "arn:aws:iam::222222222222:root"
    );
    assert_eq!(context(&bench)["s3:ResourceAccount"].1, "222222222222");
}

#[tokio::test]
async fn a_version_and_a_prefix_have_actions_and_context_of_their_own() {
    let version = json!({ "Effect": "Allow", "Action": "s3:GetObjectVersion", "Resource": "*", "Condition": { "StringEquals": { "s3:VersionId": "v7" } } });
    let list = json!({ "Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*", "Condition": { "StringLike": { "s3:prefix": "exports/*" } } });
    let bench = Bench::of_user(json!([ask_iam(), version, list])).await;
    let access = bench.access(USER, AccessMode::Enforce).await;
    for (request, allowed) in [
        (
            AccessRequest::read_version("lake", "exports/calls.csv", "v7"),
            true,
        ),
        (
            AccessRequest::read_version("lake", "exports/calls.csv", "v8"),
            false,
        ),
        (AccessRequest::list("lake", "exports/"), true),
        (AccessRequest::list("lake", "payroll/"), false),
    ] {
        let decision = access.check(&request).await.unwrap();
        assert_eq!(decision.allowed, allowed, "{}", decision.reason);
    }
    let decision = access
        .check(&AccessRequest::list("lake", "payroll/"))
        .await
        .unwrap();
    let policy = decision.policy.as_ref().unwrap();
    assert_eq!(
        policy["Statement"][0]["Condition"]["StringLike"]["s3:prefix"],
        "payroll/*"
    );
}

#[tokio::test]
async fn an_encrypted_object_needs_its_key() {
    let decrypt = |effect| json!({ "Effect": effect, "Action": "kms:Decrypt", "Resource": KEY_ARN, "Condition": { "StringEquals": { "kms:ViaService": "s3.us-east-1.amazonaws.com" } } });
    let request = AccessRequest::decrypt("lake", "exports/calls.csv", KEY_ARN);
    let bench = Bench::of_user(json!([ask_iam(), read_exports(), decrypt("Allow")])).await;
    let state = ObjectState {
        kms_key_arn: Some(KEY_ARN.to_owned()),
        ..ObjectState::default()
    };
    bench
        .stack
        .set_object_state("lake", "exports/calls.csv", state);
    let decision = bench.check_again(&request).await.unwrap();
    assert!(decision.allowed, "{}", decision.reason);
    assert_eq!(form(&bench)["ResourceArns.member.1"], KEY_ARN);
    assert_noted(&decision, "key's own policy");

    // Nothing of the principal's allows it: the key's own policy still may, so S3 is asked for one byte.
    bench.change_user(json!([ask_iam(), read_exports()]));
    let gets = bench.stack.s3().count("GetObject");
    let decision = bench.check_again(&request).await.unwrap();
    assert!(!decision.allowed);
    assert_eq!(bench.stack.s3().count("GetObject"), gets + 1);
    assert_eq!(
        decision.policy.as_ref().unwrap()["Statement"][0]["Action"],
        "kms:Decrypt"
    );
    assert_noted(&decision, "KMS key");

    // A deny is final.
    bench.change_user(json!([ask_iam(), read_exports(), decrypt("Deny")]));
    let gets = bench.stack.s3().count("GetObject");
    let decision = bench.check_again(&request).await.unwrap();
    assert_eq!(decision.effect, Effect::ExplicitDeny);
    assert_eq!(bench.stack.s3().count("GetObject"), gets);
}

#[tokio::test]
async fn object_tags_are_read_only_when_a_policy_asks_for_them() {
    let bench = Bench::of_user(json!([ask_iam(), read_exports()])).await;
    assert!(bench.check_again(&object()).await.unwrap().allowed);
    assert_eq!(bench.stack.s3().count("GetObjectTagging"), 0);
    let tagged = json!({ "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", "Condition": { "StringEquals": { "s3:ExistingObjectTag/class": "public" } } });
    let may_tag = json!({ "Effect": "Allow", "Action": "s3:GetObjectTagging", "Resource": "*" });
    bench.change_user(json!([ask_iam(), tagged, may_tag]));
    let state = ObjectState {
        tags: [("class".to_owned(), "public".to_owned())].into(),
        ..ObjectState::default()
    };
    bench
        .stack
        .set_object_state("lake", "exports/calls.csv", state);
    assert!(bench.check_again(&object()).await.unwrap().allowed);
    assert_eq!(context(&bench)["s3:ExistingObjectTag/class"].1, "public");

    bench.change_user(json!([ask_iam(), tagged]));
    let decision = bench.check_again(&object()).await.unwrap();
    assert!(!decision.allowed);
    assert_noted(&decision, "could not be read");
    assert_eq!(
        decision.missing_context_keys,
        ["s3:ExistingObjectTag/class"]
    );
}

#[tokio::test]
async fn a_users_tags_are_read_only_when_a_policy_asks_for_them() {
    let bench = Bench::of_user(json!([ask_iam(), read_exports()])).await;
    assert!(bench.check_again(&object()).await.unwrap().allowed);
    assert_eq!(bench.stack.aws().count("ListUserTags"), 0);

    let of_team = json!({ "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*", "Condition": { "StringEquals": { "aws:PrincipalTag/team": "lake" } } });
    let may_ask = json!({ "Effect": "Allow", "Action": "iam:ListUserTags", "Resource": USER });
    for (team, allowed) in [("lake", true), ("payroll", false)] {
        let policy = statements(json!([ask_iam(), of_team, may_ask]));
        let user = Identity::new(USER).with_policy("reading", policy);
        let tagged = IamDocument::default().with_identity(user.with_tag("team", team));
        bench.stack.set_iam(tagged).unwrap();
        let decision = bench.check_again(&object()).await.unwrap();
        assert_eq!(decision.allowed, allowed, "{}", decision.reason);
        assert!(decision.missing_context_keys.is_empty());
        assert_eq!(context(&bench)["aws:PrincipalTag/team"].1, team);
    }
    let asked = bench.stack.aws().received("ListUserTags").pop().unwrap();
    assert_eq!(asked.form()["UserName"], "reader");

    bench.change_user(json!([ask_iam(), of_team]));
    let decision = bench.check_again(&object()).await.unwrap();
    assert!(!decision.allowed);
    assert_noted(
        &decision,
        "the user's tags, for which a policy asks, could not be read",
    );
    assert_eq!(decision.missing_context_keys, ["aws:PrincipalTag/team"]);
}

#[tokio::test]
async fn throttling_is_retried_and_lasting_throttling_is_named() {
    let bench = Bench::of_user(json!([ask_iam(), read_exports()])).await;
    let throttled = || Failure::Code {
        status: 400,
        code: "Throttling".to_owned(),
    };
    bench
        .stack
        .aws()
        .fail_next_of("SimulatePrincipalPolicy", 2, throttled());
    let access = bench.access(USER, AccessMode::Enforce).await;
    assert!(access.check(&object()).await.unwrap().allowed);
    assert_eq!(bench.stack.aws().count("SimulatePrincipalPolicy"), 3);
    bench
        .stack
        .aws()
        .fail_next_of("SimulatePrincipalPolicy", 3, throttled());
    let error = bench.check_again(&object()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Throttled);
}

#[tokio::test]
async fn what_was_decided_without_the_bucket_policy_is_not_kept() {
    let bench = Bench::of_user(json!([ask_iam(), read_exports()])).await;
    let access = bench.access(USER, AccessMode::Enforce).await;
    bench
        .stack
        .s3()
        .fail_next_of("GetBucketPolicy", 3, Failure::Disconnect);
    let decision = access.check(&object()).await.unwrap();
    assert_noted(&decision, "did not answer");
    let decision = access.check(&object()).await.unwrap();
    assert!(decision.notes.is_empty(), "{:?}", decision.notes);
    assert_eq!(bench.stack.aws().count("SimulatePrincipalPolicy"), 2);
}

#[tokio::test]
async fn a_role_without_the_right_to_get_itself_is_taken_without_a_path_except_identity_centers() {
    let pathless = "arn:aws:iam::123456789012:role/reader";
    let simulate =
        json!({ "Effect": "Allow", "Action": "iam:SimulatePrincipalPolicy", "Resource": "*" });
    let bench = Bench::new(document(
        pathless,
        statements(json!([simulate, read_exports()])),
    ))
    .await;
    let access = bench.access(pathless, AccessMode::Enforce).await;
    assert_eq!(
        access
            .identity()
            .await
            .unwrap()
            .policy_source_arn
            .as_deref(),
        Some(pathless)
    );
    let sso =
        "arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/AWSReservedSSO_Reader_0123";
    bench
        .stack
        .set_iam(document(sso, statements(json!([simulate]))))
        .unwrap();
    let error = bench
        .access(sso, AccessMode::Enforce)
        .await
        .identity()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnsupportedPrincipal);
    // A failure of IAM is no reason to guess.
    bench
        .stack
        .set_iam(document(pathless, statements(json!([ask_iam()]))))
        .unwrap();
    bench
        .stack
        .aws()
        .fail_next_of("GetRole", 3, Failure::Status(500));
    let error = bench
        .access(pathless, AccessMode::Enforce)
        .await
        .identity()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn wrong_settings_of_a_bucket_are_refused() {
    let bench = Bench::new(IamDocument::default().with_identity(Identity::new(USER))).await;
    let aws = bench.settings(USER);
    let sdk = flowlake_aws_access::load_sdk_config(&aws).await.unwrap();
    for (owner, policy) in [(Some("12345"), None), (None, Some("{"))] {
        let told = BucketSettings {
            owner: owner.map(str::to_owned),
            policy: policy.map(str::to_owned),
        };
        let built = flowlake_aws_access::Access::builder(
            flowlake_aws_access::iam_client(&sdk, &aws),
            flowlake_aws_access::sts_client(&sdk, &aws),
            flowlake_aws_access::s3_client(&sdk, &aws),
        )
        .with_settings(AccessSettings {
            buckets: [("lake".to_owned(), told)].into(),
            ..AccessSettings::default()
        })
        .build();
        assert_eq!(built.unwrap_err().kind(), ErrorKind::InvalidSetting);
    }
}
