//! The decision table.

use serde_json::{Value, json};

use super::*;

const ADA: &str = "arn:aws:iam::111111111111:user/ada";
const ROLE: &str = "arn:aws:iam::111111111111:role/team/Reader";
const SESSION: &str = "arn:aws:sts::111111111111:assumed-role/Reader/s";
const ROOT: &str = "arn:aws:iam::111111111111:root";
const OBJECT: &str = "arn:aws:s3:::lake/exports/x.csv";

/// One case; what is left out is absent.
#[derive(Default)]
struct Case {
    caller: Option<&'static str>,
    identity: Option<Value>,
    boundary: Option<Value>,
    session: Option<Value>,
    organization: Vec<Value>,
    resource: Option<Value>,
    other_account: bool,
    context: Context,
    action: &'static str,
}

fn policy(source_type: &'static str, statements: &Value) -> Policy {
    let document = json!({ "Version": "2012-10-17", "Statement": statements });
    Policy::parse(source_type, source_type, &document).unwrap()
}

fn outcome(case: &Case) -> Outcome {
    let one =
        |source_type, value: &Option<Value>| value.as_ref().map(|value| policy(source_type, value));
    let caller = case.caller.unwrap_or(ADA);
    let identity: Vec<Policy> = one("user", &case.identity).into_iter().collect();
    let boundary = one("none", &case.boundary).map(|policy| vec![policy]);
    let session = one("none", &case.session);
    let organization: Vec<Policy> = case
        .organization
        .iter()
        .map(|value| policy("none", value))
        .collect();
    let resource = one("resource", &case.resource);
    evaluate(&Evaluation {
        action: if case.action.is_empty() {
            "s3:GetObject"
        } else {
            case.action
        },
        resource: OBJECT,
        context: &case.context,
        caller: (caller != "anonymous").then_some(caller),
        role: (caller == SESSION).then_some(ROLE),
        identity: &identity,
        boundary: boundary.as_deref(),
        session: session.as_ref(),
        organization: &organization,
        resource_policy: resource.as_ref(),
        resource_owner: case.other_account.then_some("222222222222"),
    })
}

fn check(name: &str, case: &Case, expected: Decision) {
    assert_eq!(outcome(case).decision, expected, "{name}");
}

fn allow() -> Option<Value> {
    Some(json!({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::lake/*"}))
}

fn deny() -> Option<Value> {
    Some(json!({"Effect": "Deny", "Action": "s3:*", "Resource": "*"}))
}

fn other() -> Option<Value> {
    Some(json!({"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}))
}

fn grant(principal: Value) -> Option<Value> {
    let mut statement = json!({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"});
    statement["Principal"] = principal;
    Some(statement)
}

use Decision::{Allowed, ExplicitDeny, ImplicitDeny};

#[test]
fn identity_policies() {
    let with = |identity: Value| Case {
        identity: Some(identity),
        ..Case::default()
    };
    check("nothing", &Case::default(), ImplicitDeny);
    check(
        "allow",
        &Case {
            identity: allow(),
            ..Case::default()
        },
        Allowed,
    );
    check(
        "deny",
        &Case {
            identity: deny(),
            ..Case::default()
        },
        ExplicitDeny,
    );
    check(
        "deny beats allow",
        &with(json!([allow(), deny()])),
        ExplicitDeny,
    );
    check(
        "another action",
        &Case {
            identity: other(),
            ..Case::default()
        },
        ImplicitDeny,
    );
    for (name, statement, expected) in [
        (
            "any case",
            json!({"Effect": "Allow", "Action": "S3:getobject", "Resource": "*"}),
            Allowed,
        ),
        (
            "star",
            json!({"Effect": "Allow", "Action": "*", "Resource": "*"}),
            Allowed,
        ),
        (
            "question mark",
            json!({"Effect": "Allow", "Action": "s3:?etObject", "Resource": "*"}),
            Allowed,
        ),
        (
            "bucket alone",
            json!({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::lake"}),
            ImplicitDeny,
        ),
        (
            "resource case",
            json!({"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::LAKE/*"}),
            ImplicitDeny,
        ),
        (
            "not action, other",
            json!({"Effect": "Allow", "NotAction": "s3:Put*", "Resource": "*"}),
            Allowed,
        ),
        (
            "not action, this",
            json!({"Effect": "Allow", "NotAction": "s3:Get*", "Resource": "*"}),
            ImplicitDeny,
        ),
        (
            "not resource, other",
            json!({"Effect": "Allow", "Action": "s3:*", "NotResource": "arn:aws:s3:::secret/*"}),
            Allowed,
        ),
        (
            "not resource, this",
            json!({"Effect": "Allow", "Action": "s3:*", "NotResource": "arn:aws:s3:::lake/*"}),
            ImplicitDeny,
        ),
        (
            "deny not resource",
            json!([allow(), {"Effect": "Deny", "Action": "s3:*", "NotResource": "arn:aws:s3:::lake/exports/*"}]),
            Allowed,
        ),
    ] {
        check(name, &with(statement), expected);
    }
}

#[test]
fn conditions_and_variables() {
    let tls = json!([allow(), {"Effect": "Deny", "Action": "*", "Resource": "*",
        "Condition": {"Bool": {"aws:SecureTransport": "false"}}}]);
    let with = |identity: &Value, context: Context| Case {
        identity: Some(identity.clone()),
        context,
        ..Case::default()
    };
    let secure = |value: &str| Context::default().with("aws:SecureTransport", [value]);
    check("tls", &with(&tls, secure("true")), Allowed);
    check("no tls", &with(&tls, secure("false")), ExplicitDeny);
    let unsaid = outcome(&with(&tls, Context::default()));
    assert_eq!(unsaid.decision, Allowed);
    assert!(unsaid.missing.contains("aws:SecureTransport"));
    let both = json!({"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {
        "StringEquals": {"aws:PrincipalTag/team": "data"}, "IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}});
    let tag = Context::default().with("aws:PrincipalTag/team", ["data"]);
    check(
        "one of two conditions",
        &with(&both, tag.clone()),
        ImplicitDeny,
    );
    let all = tag.with("aws:SourceIp", ["203.0.113.4"]);
    check("both conditions", &with(&both, all), Allowed);
    let home = json!({"Effect": "Allow", "Action": "*", "Resource": "arn:aws:s3:::lake/${aws:username}/*"});
    let named = |name: &str| Context::default().with("aws:username", [name]);
    check("variable", &with(&home, named("exports")), Allowed);
    check(
        "another's variable",
        &with(&home, named("bob")),
        ImplicitDeny,
    );
    check(
        "a star as a value is no pattern",
        &with(&home, named("*")),
        ImplicitDeny,
    );
    let unsaid = outcome(&with(&home, Context::default()));
    assert_eq!((unsaid.decision, unsaid.missing.len()), (ImplicitDeny, 1));
}

#[test]
fn boundaries_sessions_and_organisations() {
    let bounded = |boundary| Case {
        identity: allow(),
        boundary,
        ..Case::default()
    };
    check("boundary allows", &bounded(allow()), Allowed);
    check("boundary is silent", &bounded(other()), ImplicitDeny);
    check("boundary denies", &bounded(deny()), ExplicitDeny);
    check(
        "boundary grants nothing",
        &Case {
            boundary: allow(),
            ..Case::default()
        },
        ImplicitDeny,
    );
    assert_eq!(outcome(&bounded(other())).allowed_by_boundary, Some(false));
    let session = |session| Case {
        caller: Some(SESSION),
        identity: allow(),
        session,
        ..Case::default()
    };
    check("session allows", &session(allow()), Allowed);
    check("session is silent", &session(other()), ImplicitDeny);
    check("session denies", &session(deny()), ExplicitDeny);
    let member = |organization: Vec<Value>| Case {
        identity: allow(),
        organization,
        ..Case::default()
    };
    let everything = json!({"Effect": "Allow", "Action": "*", "Resource": "*"});
    check("scp allows", &member(vec![everything.clone()]), Allowed);
    check(
        "scp is silent",
        &member(vec![other().unwrap()]),
        ImplicitDeny,
    );
    check(
        "scp denies",
        &member(vec![json!([everything.clone(), deny()])]),
        ExplicitDeny,
    );
    check(
        "each scp must allow",
        &member(vec![everything.clone(), other().unwrap()]),
        ImplicitDeny,
    );
    let silent = outcome(&member(vec![other().unwrap()]));
    assert_eq!(silent.allowed_by_organization, Some(false));
    assert_eq!(
        outcome(&member(vec![everything])).allowed_by_organization,
        Some(true)
    );
    check(
        "root needs no policy",
        &Case {
            caller: Some(ROOT),
            ..Case::default()
        },
        Allowed,
    );
    check(
        "root is bound by the organisation",
        &Case {
            caller: Some(ROOT),
            organization: vec![other().unwrap()],
            ..Case::default()
        },
        ImplicitDeny,
    );
}

#[test]
fn resource_policies_within_an_account() {
    let with = |principal: Value| Case {
        resource: grant(principal),
        ..Case::default()
    };
    check("names the user", &with(json!({"AWS": ADA})), Allowed);
    check(
        "names another",
        &with(json!({"AWS": "arn:aws:iam::111111111111:user/bob"})),
        ImplicitDeny,
    );
    check("everyone", &with(json!("*")), Allowed);
    check("everyone by AWS", &with(json!({"AWS": "*"})), Allowed);
    check(
        "the account delegates only",
        &with(json!({"AWS": "111111111111"})),
        ImplicitDeny,
    );
    check(
        "the root delegates only",
        &with(json!({"AWS": ROOT})),
        ImplicitDeny,
    );
    check(
        "a service is nobody here",
        &with(json!({"Service": "ec2.amazonaws.com"})),
        ImplicitDeny,
    );
    let bounded = Case {
        boundary: other(),
        ..with(json!({"AWS": ADA}))
    };
    check(
        "a silent boundary does not stop a user named",
        &bounded,
        Allowed,
    );
    let session = |principal: Value| Case {
        caller: Some(SESSION),
        boundary: other(),
        resource: grant(principal),
        ..Case::default()
    };
    check(
        "a silent boundary stops a role named",
        &session(json!({"AWS": ROLE})),
        ImplicitDeny,
    );
    check(
        "but not a session named",
        &session(json!({"AWS": SESSION})),
        Allowed,
    );
    let role = Case {
        boundary: None,
        ..session(json!({"AWS": ROLE}))
    };
    check("a role named", &role, Allowed);
    let denied = |principal: Value| Case {
        identity: allow(),
        resource: Some(
            json!({"Effect": "Deny", "NotPrincipal": principal, "Action": "*", "Resource": "*"}),
        ),
        ..Case::default()
    };
    check(
        "all but another",
        &denied(json!({"AWS": "arn:aws:iam::111111111111:user/bob"})),
        ExplicitDeny,
    );
    check(
        "all but the caller",
        &denied(json!({"AWS": [ADA, ROOT]})),
        Allowed,
    );
    let anonymous = |principal| Case {
        caller: Some("anonymous"),
        ..with(principal)
    };
    check("anonymous and public", &anonymous(json!("*")), Allowed);
    check(
        "anonymous and not public",
        &anonymous(json!({"AWS": ADA})),
        ImplicitDeny,
    );
}

#[test]
fn across_accounts_both_sides_must_allow() {
    let case = |identity, resource| Case {
        identity,
        resource,
        other_account: true,
        ..Case::default()
    };
    check("identity alone", &case(allow(), None), ImplicitDeny);
    check(
        "resource alone",
        &case(None, grant(json!({"AWS": ADA}))),
        ImplicitDeny,
    );
    check(
        "both by name",
        &case(allow(), grant(json!({"AWS": ADA}))),
        Allowed,
    );
    check(
        "both by account",
        &case(allow(), grant(json!({"AWS": "111111111111"}))),
        Allowed,
    );
    check(
        "public is not enough",
        &case(None, grant(json!("*"))),
        ImplicitDeny,
    );
    check(
        "their deny",
        &case(
            allow(),
            Some(json!({"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"})),
        ),
        ExplicitDeny,
    );
    let sides = outcome(&case(allow(), None)).sides;
    assert_eq!(sides, Some((Allowed, ImplicitDeny)));
}
