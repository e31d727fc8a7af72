//! `data/policy-cases.json`, each case asked through the crate and then tried on S3. The end-to-end tests put the same table to
//! evaluators of others.

use std::collections::BTreeMap;

use flowlake_aws_access::{
    AccessMode, AccessRequest, AccessSettings, BucketSettings, DecidedBy, Decision, ErrorKind,
};
use flowlake_dev_stack::{Group, IamDocument, Identity, ObjectState};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::support::{Bench, ROLE, USER, ask_iam, statements};

const SSO_ROLE: &str = "arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_Reader_0123456789abcdef";
const KEY: &str = "exports/calls.csv";

#[derive(Deserialize)]
struct Table {
    cases: Vec<Case>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    name: String,
    #[serde(default = "user")]
    principal: String,
    #[serde(default = "get_object")]
    action: String,
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    identity: Vec<Value>,
    #[serde(default)]
    group: Vec<Value>,
    boundary: Option<Vec<Value>>,
    #[serde(default)]
    scps: Vec<Vec<Value>>,
    bucket: Option<Vec<Value>>,
    owner: Option<String>,
    #[serde(default)]
    tags: BTreeMap<String, String>,
    #[serde(default)]
    object_tags: BTreeMap<String, String>,
    /// What IAM's simulation says.
    expect: String,
    /// What S3 does, when that is something else.
    real: Option<String>,
    /// Keys that the decision must name as missing.
    #[serde(default)]
    missing: Vec<String>,
    /// Why moto cannot answer.
    #[expect(dead_code, reason = "for the end-to-end tests")]
    moto: Option<String>,
    /// Why the other evaluator of the end-to-end tests cannot answer.
    #[expect(dead_code, reason = "for the end-to-end tests")]
    judge: Option<String>,
}

fn user() -> String {
    "user".to_owned()
}

fn get_object() -> String {
    "s3:GetObject".to_owned()
}

impl Case {
    fn arn(&self) -> &'static str {
        match self.principal.as_str() {
            "user" => USER,
            "role" => ROLE,
            "sso" => SSO_ROLE,
            "root" => "arn:aws:iam::123456789012:root",
            "federated" => "arn:aws:sts::123456789012:federated-user/bob",
            other => panic!("no such principal: {other}"),
        }
    }

    /// The case as the embedded IAM's state. Asking is allowed everywhere, so that it never decides.
    fn document(&self) -> IamDocument {
        let with_asking = |policy: &[Value]| {
            let all = policy.iter().cloned().chain([ask_iam()]);
            statements(all.collect())
        };
        let mut identity = Identity::new(self.arn())
            .with_policy("case", statements(json!(self.identity)))
            .with_policy("asking", statements(json!([ask_iam()])));
        identity.tags.clone_from(&self.tags);
        if let Some(boundary) = &self.boundary {
            identity = identity.with_boundary(with_asking(boundary));
        }
        let mut document = IamDocument::default();
        if !self.group.is_empty() {
            identity.groups.push("readers".to_owned());
            let policies = [("case".to_owned(), statements(json!(self.group)))];
            document.groups.insert(
                "readers".to_owned(),
                Group {
                    policies: policies.into(),
                },
            );
        }
        document = document.with_identity(identity);
        for (index, policy) in self.scps.iter().enumerate() {
            document = document
                .with_service_control_policy(&format!("level-{index}"), with_asking(policy));
        }
        if let Some(bucket) = &self.bucket {
            document = document.with_bucket_policy("lake", statements(json!(bucket)));
        }
        match &self.owner {
            Some(owner) => document.with_bucket_owner("lake", owner),
            None => document,
        }
    }

    fn request(&self) -> AccessRequest {
        match self.action.as_str() {
            "s3:GetObject" => AccessRequest::read("lake", KEY),
            "s3:ListBucket" => AccessRequest::list("lake", &self.prefix),
            other => panic!("no such action: {other}"),
        }
    }

    /// What only the owner of a bucket in another account can tell.
    fn settings(&self, mode: AccessMode) -> AccessSettings {
        let bucket = self.owner.as_ref().map(|owner| BucketSettings {
            owner: Some(owner.clone()),
            policy: self
                .bucket
                .as_ref()
                .map(|policy| statements(json!(policy)).to_string()),
        });
        AccessSettings {
            mode,
            buckets: bucket
                .map(|settings| ("lake".to_owned(), settings))
                .into_iter()
                .collect(),
            ..AccessSettings::default()
        }
    }

    async fn ask(&self, bench: &Bench, mode: AccessMode) -> Result<Decision, ErrorKind> {
        bench.stack.set_iam(self.document()).unwrap();
        let tags = self.object_tags.clone();
        bench.stack.set_object_state(
            "lake",
            KEY,
            ObjectState {
                tags,
                ..ObjectState::default()
            },
        );
        let access = bench
            .access_with(&bench.settings(self.arn()), self.settings(mode))
            .await;
        let decision = access.check(&self.request()).await;
        decision
            .map(|decision| Decision::clone(&decision))
            .map_err(|error| error.kind())
    }
}

async fn table() -> (Vec<Case>, Bench) {
    let table: Table = serde_json::from_str(include_str!("../data/policy-cases.json")).unwrap();
    assert!(table.cases.len() >= 60, "{} cases", table.cases.len());
    (table.cases, Bench::new(IamDocument::default()).await)
}

#[tokio::test]
async fn the_simulation_decides_each_case() {
    let (cases, bench) = table().await;
    let mut wrong = Vec::new();
    for case in &cases {
        let mut expected = &case.expect;
        let told = match case.ask(&bench, AccessMode::Enforce).await {
            Ok(decision) => {
                let missing = |key: &&String| !decision.missing_context_keys.contains(key);
                if let Some(key) = case.missing.iter().find(missing) {
                    wrong.push(format!("{}: {key} is not reported missing", case.name));
                }
                assert_eq!(decision.allowed, decision.advice.is_none(), "{}", case.name);
                // What the simulation leaves to S3, S3 decides as it does in the end.
                if decision.decided_by == DecidedBy::S3 {
                    expected = case.real.as_ref().unwrap_or(expected);
                }
                decision.effect.to_string()
            }
            Err(ErrorKind::UnsupportedPrincipal) => "unsupported".to_owned(),
            Err(kind) => format!("{kind:?}"),
        };
        if told != *expected {
            wrong.push(format!("{}: {told}, not {expected}", case.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn s3_does_what_each_case_says() {
    let (cases, bench) = table().await;
    let mut wrong = Vec::new();
    for case in &cases {
        let expected = case.real.as_ref().unwrap_or(&case.expect) == "allowed";
        let decision = case.ask(&bench, AccessMode::Probe).await.unwrap();
        if decision.allowed != expected {
            wrong.push(format!("{}: {}", case.name, decision.reason));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[tokio::test]
async fn the_policy_to_paste_allows_what_was_denied() {
    let (cases, bench) = table().await;
    let mut pasted = 0;
    for case in &cases {
        let Ok(decision) = case.ask(&bench, AccessMode::Enforce).await else {
            continue;
        };
        let Some(policy) = decision.policy else {
            let is_helpless = decision.allowed
                || decision.effect.to_string() == "explicit-deny"
                || decision.boundary == Some(false)
                || decision.organizations == Some(false);
            assert!(is_helpless, "{} has no policy to paste", case.name);
            continue;
        };
        assert!(
            decision.advice.unwrap().contains(&policy.to_string()),
            "{}",
            case.name
        );
        let statement = policy["Statement"][0].clone();
        let mut fixed = case.clone();
        if statement.get("Principal").is_some() {
            fixed.bucket.get_or_insert_default().push(statement);
        } else {
            fixed.identity.push(statement);
        }
        let decision = fixed.ask(&bench, AccessMode::Enforce).await.unwrap();
        // Across accounts there are two doors: after the first is open, the advice is for the second.
        let is_halfway = case.owner.is_some() && decision.policy.is_some();
        assert!(
            decision.allowed || is_halfway,
            "{}: {}",
            case.name,
            decision.reason
        );
        pasted += 1;
    }
    assert!(pasted >= 15, "only {pasted} policies were tried");
}
