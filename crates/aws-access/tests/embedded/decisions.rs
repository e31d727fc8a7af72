//! Identity, modes and the cache of decisions.

use std::time::Duration;

use flowlake_aws_access::{AccessMode, AccessRequest, Effect, ErrorKind, PrincipalKind};
use serde_json::json;

use crate::support::{Bench, ROLE, USER, ask_iam, document, read_exports, statements};

#[tokio::test]
async fn a_user_is_allowed_what_its_policy_allows_and_nothing_else() {
    let bench = Bench::new(document(
        USER,
        statements(json!([ask_iam(), read_exports()])),
    ))
    .await;
    let access = bench.access(USER, AccessMode::Enforce).await;
    let identity = access.identity().await.unwrap();
    assert_eq!(
        (identity.kind, identity.arn.as_str()),
        (PrincipalKind::User, USER)
    );

    let decision = access
        .check(&AccessRequest::read("lake", "exports/calls.csv"))
        .await
        .unwrap();
    assert!(decision.allowed);
    assert_eq!(decision.effect, Effect::Allowed);
    assert_eq!(decision.matched.len(), 1);

    let decision = access
        .check(&AccessRequest::read("lake", "payroll/salaries.csv"))
        .await
        .unwrap();
    assert!(!decision.allowed);
    assert_eq!(decision.effect, Effect::ImplicitDeny);
    let policy = decision.policy.as_ref().unwrap();
    assert_eq!(
        policy["Statement"][0]["Resource"],
        "arn:aws:s3:::lake/payroll/salaries.csv"
    );
    assert!(decision.advice.as_ref().unwrap().contains("s3:GetObject"));
}

#[tokio::test]
async fn a_bucket_policy_that_denies_wins_over_the_users_allow() {
    let deny = statements(
        json!([{ "Effect": "Deny", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::lake/exports/*" }]),
    );
    let bench = Bench::new(
        document(USER, statements(json!([ask_iam(), read_exports()])))
            .with_bucket_policy("lake", deny),
    )
    .await;
    let decision = bench
        .access(USER, AccessMode::Enforce)
        .await
        .check(&AccessRequest::read("lake", "exports/calls.csv"))
        .await
        .unwrap();
    assert_eq!(decision.effect, Effect::ExplicitDeny);
    assert!(decision.policy.is_none(), "no Allow outweighs a Deny");
}

#[tokio::test]
async fn a_session_is_simulated_as_its_role_with_its_path() {
    let bench = Bench::new(document(
        ROLE,
        statements(json!([ask_iam(), read_exports()])),
    ))
    .await;
    let access = bench.access(ROLE, AccessMode::Enforce).await;
    let identity = access.identity().await.unwrap();
    assert_eq!(identity.kind, PrincipalKind::AssumedRole);
    assert_eq!(identity.policy_source_arn.as_deref(), Some(ROLE));
    assert!(
        access
            .check(&AccessRequest::read("lake", "exports/calls.csv"))
            .await
            .unwrap()
            .allowed
    );
}

#[tokio::test]
async fn without_the_right_to_simulate_enforce_refuses_advise_goes_on_and_probe_asks_s3() {
    let bench = Bench::new(document(USER, statements(json!([read_exports()])))).await;
    let request = AccessRequest::read("lake", "exports/calls.csv");
    let error = bench
        .access(USER, AccessMode::Enforce)
        .await
        .check(&request)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SimulationDenied);

    let advised = bench
        .access(USER, AccessMode::Advise)
        .await
        .check(&request)
        .await
        .unwrap();
    assert!(advised.allowed && advised.advisory);

    let probe = bench.access(USER, AccessMode::Probe).await;
    assert!(probe.check(&request).await.unwrap().allowed);
    assert!(
        !probe
            .check(&AccessRequest::read("lake", "payroll/salaries.csv"))
            .await
            .unwrap()
            .allowed
    );
}

#[tokio::test]
async fn a_decision_is_kept_for_its_ttl_and_asked_once_by_many() {
    let bench = Bench::new(document(
        USER,
        statements(json!([ask_iam(), read_exports()])),
    ))
    .await;
    let access = bench.access(USER, AccessMode::Enforce).await;
    let request = AccessRequest::read("lake", "exports/calls.csv");
    let (a, b, c) = tokio::join!(
        access.check(&request),
        access.check(&request),
        access.check(&request)
    );
    assert!(a.unwrap().allowed && b.unwrap().allowed && c.unwrap().allowed);
    assert_eq!(bench.stack.aws().count("SimulatePrincipalPolicy"), 1);

    bench
        .stack
        .set_iam(document(USER, statements(json!([ask_iam()]))))
        .unwrap();
    *bench.clock.0.lock().unwrap() += Duration::from_secs(299);
    assert!(access.check(&request).await.unwrap().allowed);
    *bench.clock.0.lock().unwrap() += Duration::from_secs(2);
    assert!(!access.check(&request).await.unwrap().allowed);
    assert_eq!(bench.stack.aws().count("SimulatePrincipalPolicy"), 2);
}

#[tokio::test]
async fn unknown_credentials_are_named() {
    let bench = Bench::new(document(USER, statements(json!([ask_iam()])))).await;
    let error = bench
        .access("nobody", AccessMode::Enforce)
        .await
        .identity()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Credentials);
}
