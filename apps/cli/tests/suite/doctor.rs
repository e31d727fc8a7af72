//! `flowlake doctor` as its users run it, against the embedded stack: each thing is broken once, and its line says what to do.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{
    collections::BTreeSet,
    ffi::OsString,
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::Path,
    process::{Command, Output},
    sync::Arc,
};

use chrono::TimeDelta;
use flowlake_cost_audit::{AuditLog, AuditRecord, AuditSettings};
use flowlake_dev_stack::{
    DevStack, DevStackBuilder, GenesysSettings, IamDocument, Identity, ObjectState, ShiftedClock,
    note_secret,
};
use serde_json::{Value, json};

use crate::{desk::Desk, support::output_of};

const READER: &str = "arn:aws:iam::123456789012:user/reader";
const ROLE: &str = "arn:aws:iam::123456789012:role/reader";
const KEY_ARN: &str = "arn:aws:kms:us-east-1:123456789012:key/0123abcd";

const ACTION: &str = r#"
name = "look-up"
[tables.customers]
uri = "s3://lake/exports/customers.csv"
[query]
sql = "SELECT name, tier FROM customers"
"#;

/// The first line about this.
fn line_of<'a>(findings: &'a [Value], topic: &str) -> &'a Value {
    let mut lines = findings.iter();
    let line = lines.find(|finding| finding["topic"] == topic);
    line.unwrap_or_else(|| panic!("nothing on {topic}: {findings:#?}"))
}

/// A stack and a configuration in one folder.
struct House {
    stack: DevStack,
    folder: tempfile::TempDir,
    variables: Vec<(&'static str, String)>,
}

fn read() -> Value {
    json!({ "Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": ["arn:aws:s3:::lake", "arn:aws:s3:::lake/exports/*"] })
}

fn ask() -> Value {
    json!({ "Effect": "Allow", "Action": ["iam:SimulatePrincipalPolicy", "iam:GetRole", "s3:GetBucketPolicy"], "Resource": "*" })
}

fn policy(statements: &Value) -> Value {
    json!({ "Version": "2012-10-17", "Statement": statements })
}

fn document(arn: &str, statements: &Value) -> IamDocument {
    IamDocument::default()
        .with_identity(Identity::new(arn).with_policy("reading", policy(statements)))
}

fn reader() -> IamDocument {
    document(
        READER,
        &json!([read(), ask(), { "Effect": "Allow", "Action": "ce:GetCostAndUsage", "Resource": "*" }]),
    )
}

impl House {
    async fn new(document: IamDocument) -> Self {
        Self::with(document, |stack| stack).await
    }

    async fn with(
        document: IamDocument,
        change: impl FnOnce(DevStackBuilder) -> DevStackBuilder,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let exports = folder.path().join("buckets/lake/exports");
        std::fs::create_dir_all(&exports).unwrap();
        std::fs::write(exports.join("customers.csv"), "name,tier\nAna,gold\n").unwrap();
        let principal = document.identities[0].arn.clone();
        let builder = DevStack::builder(folder.path().join("buckets")).with_iam(document);
        let stack = change(builder).start().await.unwrap();
        let key = stack.access_key(&principal);
        let house = Self {
            stack,
            folder,
            variables: vec![
                ("AWS_ACCESS_KEY_ID", key.id),
                ("AWS_SECRET_ACCESS_KEY", key.secret),
                ("AWS_REGION", "us-east-1".to_owned()),
                ("GENESYS_SECRET", GenesysSettings::default().client_secret),
            ],
        };
        house.configure("");
        house.action(ACTION);
        house
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn action(&self, text: &str) {
        let folder = self.path().join("actions");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("look-up.toml"), text).unwrap();
    }

    fn genesys(&self) -> String {
        format!(
            "[genesys]\nregion = \"eu-west-1\"\nlogin_url = \"{}\"\nclient_id = \"{}\"\nclient_secret = {{ env = \"GENESYS_SECRET\" }}\n",
            self.stack.genesys_login_url(),
            GenesysSettings::default().client_id
        )
    }

    fn configure(&self, more: &str) {
        let text = format!(
            "[aws]\nendpoint_url = \"{}\"\ns3_endpoint_url = \"{}\"\npath_style = true\n[policy]\nallow = [\"s3://lake/exports/*\", \"s3://pond/exports/*\"]\n[audit.log]\ndirectory = \"audit\"\n{more}",
            self.stack.aws_url(),
            self.stack.s3_url()
        );
        std::fs::write(self.path().join("flowlake.toml"), text).unwrap();
    }

    fn set(&mut self, name: &'static str, value: impl Into<String>) {
        let value = value.into();
        if name.contains("SECRET") {
            note_secret(&value);
        }
        self.unset(name);
        self.variables.push((name, value));
    }

    fn unset(&mut self, name: &str) {
        self.variables.retain(|(known, _)| *known != name);
    }

    /// Runs `flowlake doctor`.
    async fn run(&self, arguments: &[&str]) -> Output {
        self.flowlake(&[&["doctor"], arguments].concat()).await
    }

    /// Runs the binary with nothing of this machine's environment.
    async fn flowlake(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flowlake"));
        command
            .arg("--config")
            .arg(self.path())
            .args(arguments)
            .env_clear()
            .env("HOME", self.path())
            .env("PATH", "/usr/bin:/bin")
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("FLOWLAKE_LOG", "warn,flowlake=trace")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.path());
        output_of(command).await
    }

    /// The lines as JSON, and the exit code.
    async fn findings(&self, arguments: &[&str]) -> (Vec<Value>, Option<i32>) {
        let output = self.run(&[&["--format", "json"], arguments].concat()).await;
        let text = String::from_utf8(output.stdout).unwrap();
        let report: Value = serde_json::from_str(&text)
            .unwrap_or_else(|_| panic!("{text}\n{}", String::from_utf8_lossy(&output.stderr)));
        let findings = report["findings"].as_array().unwrap().clone();
        let failed = findings
            .iter()
            .any(|finding| finding["verdict"] == "failed");
        assert_eq!(report["healthy"], !failed);
        (findings, output.status.code())
    }

    /// Checks that this line alone is a cross, with this code and a fix that says this.
    async fn assert_failed(&self, topic: &str, code: &str, fix: &str, exit: i32) {
        let (findings, status) = self.findings(&[]).await;
        let failed: Vec<_> = findings
            .iter()
            .filter(|finding| finding["verdict"] == "failed")
            .collect();
        let line = failed.iter().find(|finding| finding["topic"] == topic);
        let line = line.unwrap_or_else(|| panic!("{topic} did not fail: {findings:#?}"));
        assert_eq!(failed.len(), 1, "{failed:#?}");
        assert_eq!(line["code"], code, "{line}");
        assert!(line["fix"].as_str().unwrap().contains(fix), "{line}");
        assert_eq!(status, Some(exit), "{line}");
    }
}

#[tokio::test]
async fn a_healthy_house_has_only_ticks() {
    let house = House::new(reader()).await;
    house.configure(&house.genesys());
    let output = house.run(&[]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.lines().all(|line| line.starts_with('✓')), "{text}");
    for part in [
        "configuration",
        "credentials",
        "clock",
        "principal",
        "region",
        "bucket",
        "action",
        "IAM",
        "Genesys",
        "Cost Explorer",
    ] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    assert!(
        text.contains("s3:GetObject arn:aws:s3:::lake/exports/customers.csv"),
        "{text}"
    );
    assert!(text.lines().count() <= 24, "more than a screen:\n{text}");
}

#[tokio::test]
async fn looking_works_beside_a_server_and_leaves_nothing_behind() {
    let house = House::new(reader()).await;
    house.configure(
        "[audit.ship]\nuri = \"s3://lake/archive\"\n[transform]\nspill_directory = \"spill\"\n",
    );
    let (audit, spill) = (house.path().join("audit"), house.path().join("spill"));
    let looks = [&["doctor"][..], &["check"], &["explain", "look-up"]];
    for arguments in looks {
        let output = house.flowlake(arguments).await;
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
        assert!(!audit.exists() && !spill.exists(), "{arguments:?}");
    }
    // As a server has it open.
    let settings = AuditSettings {
        directory: audit.clone(),
        ..AuditSettings::default()
    };
    let log = AuditLog::open(settings).unwrap();
    log.append(&AuditRecord::default()).await.unwrap();
    let before = files(&audit);
    for arguments in looks {
        let output = house.flowlake(arguments).await;
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {output:?}");
        assert_eq!(files(&audit), before, "{arguments:?}");
    }
    drop(log);
}

/// The names of a folder's files.
fn files(folder: &Path) -> BTreeSet<OsString> {
    let entries = std::fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name()).collect()
}

#[tokio::test]
async fn a_cross_has_its_fix_below_it() {
    let house = House::new(document(READER, &json!([ask()]))).await;
    let output = house.run(&[]).await;
    let text = String::from_utf8(output.stdout).unwrap();
    let cross = text.lines().position(|line| line.starts_with('✗')).unwrap();
    let fix = text.lines().nth(cross + 1).unwrap();
    assert!(
        fix.starts_with("    [access.denied] Attach this policy to"),
        "{text}"
    );
    assert_eq!(output.status.code(), Some(3));
}

#[tokio::test]
async fn a_configuration_that_cannot_be_read() {
    let house = House::new(reader()).await;
    house.configure("[polisy]\n");
    house
        .assert_failed("configuration", "config.invalid", "", 2)
        .await;
}

#[tokio::test]
async fn credentials_that_aws_does_not_accept() {
    let mut house = House::new(reader()).await;
    house.set("AWS_SECRET_ACCESS_KEY", "not-the-secret-of-this-key");
    house
        .assert_failed("credentials", "aws.credentials", "credentials", 3)
        .await;
    let (findings, _) = house.findings(&[]).await;
    let action = line_of(&findings, "action");
    assert_eq!(
        action["verdict"], "skipped",
        "what needs credentials is not tried without"
    );
}

#[tokio::test]
async fn no_credentials_at_all() {
    let mut house = House::new(reader()).await;
    house.unset("AWS_ACCESS_KEY_ID");
    house.unset("AWS_SECRET_ACCESS_KEY");
    house
        .assert_failed("credentials", "aws.credentials", "AWS_PROFILE", 3)
        .await;
}

#[tokio::test]
async fn the_first_check_says_what_can_be_done_without_credentials() {
    let desk = Desk::new();
    desk.asked(&["init", "mine"], 0).await;
    let output = desk.run(&["--config", "mine", "check"]).await;
    assert_eq!(output.status.code(), Some(3));
    let told = String::from_utf8(output.stdout).unwrap();
    for part in [
        "[aws.credentials]",
        "aws sso login",
        "flowlake test runs actions without AWS",
    ] {
        assert!(told.contains(part), "{told}");
    }
    desk.asked(&["--config", "mine", "test"], 0).await;
}

#[tokio::test]
async fn a_clock_that_is_off() {
    let clock = ShiftedClock::default();
    clock.advance(TimeDelta::seconds(120));
    let house = House::with(reader(), |stack| stack.with_clock(Arc::new(clock))).await;
    house
        .assert_failed("clock", "aws.credentials", "NTP", 3)
        .await;
    let (findings, _) = house.findings(&[]).await;
    let line = line_of(&findings, "clock");
    assert!(
        line["detail"].as_str().unwrap().contains("behind"),
        "{line}"
    );
}

#[tokio::test]
async fn a_principal_that_cannot_be_simulated() {
    let house = House::new(document("arn:aws:iam::123456789012:root", &json!([]))).await;
    let (findings, status) = house.findings(&[]).await;
    let line = line_of(&findings, "principal");
    assert_eq!(
        (line["verdict"].as_str(), line["code"].as_str()),
        (Some("failed"), Some("access.denied"))
    );
    assert!(line["fix"].as_str().unwrap().contains("probe"), "{line}");
    assert_eq!(status, Some(3));
}

#[tokio::test]
async fn no_region() {
    let mut house = House::new(reader()).await;
    house.unset("AWS_REGION");
    let (findings, status) = house.findings(&[]).await;
    let line = line_of(&findings, "region");
    assert_eq!(
        (line["verdict"].as_str(), line["code"].as_str()),
        (Some("failed"), Some("config.invalid"))
    );
    assert!(
        line["fix"].as_str().unwrap().contains("AWS_REGION"),
        "{line}"
    );
    assert_ne!(status, Some(0));
}

#[tokio::test]
async fn a_bucket_that_is_not_there_or_elsewhere() {
    let may_read = json!([ask(), { "Effect": "Allow", "Action": "s3:*", "Resource": "*" }]);
    let house = House::new(document(READER, &may_read)).await;
    house.action(&ACTION.replace("s3://lake/", "s3://pond/"));
    let (findings, status) = house.findings(&[]).await;
    let line = line_of(&findings, "bucket");
    assert_eq!(
        (line["verdict"].as_str(), line["code"].as_str()),
        (Some("failed"), Some("s3.no_such_bucket"))
    );
    assert!(line["fix"].as_str().unwrap().contains("`uri`"), "{line}");
    assert_eq!(status, Some(4));

    house.action(ACTION);
    let mut elsewhere = document(READER, &may_read);
    elsewhere
        .buckets
        .entry("lake".to_owned())
        .or_default()
        .region = Some("eu-west-1".to_owned());
    house.stack.set_iam(elsewhere).unwrap();
    let (findings, _) = house.findings(&[]).await;
    let line = line_of(&findings, "bucket");
    assert_eq!(
        (line["verdict"].as_str(), line["code"].as_str()),
        (Some("failed"), Some("s3.wrong_region")),
        "{line}"
    );
    assert!(
        line["fix"].as_str().unwrap().contains("eu-west-1"),
        "{line}"
    );
}

#[tokio::test]
async fn a_read_that_iam_denies() {
    let house = House::new(document(READER, &json!([ask()]))).await;
    house
        .assert_failed("iam", "access.denied", "\"Action\":\"s3:GetObject\"", 3)
        .await;
    let deny =
        json!([read(), ask(), { "Effect": "Deny", "Action": "s3:GetObject", "Resource": "*" }]);
    house.stack.set_iam(document(READER, &deny)).unwrap();
    house
        .assert_failed("iam", "access.denied", "Remove or narrow the Deny", 3)
        .await;
}

#[tokio::test]
async fn iam_that_may_not_be_asked() {
    let house = House::new(document(READER, &json!([read()]))).await;
    house
        .assert_failed("action", "access.denied", "iam:SimulatePrincipalPolicy", 3)
        .await;
}

#[tokio::test]
async fn an_object_that_is_not_there() {
    let house = House::new(reader()).await;
    house.action(&ACTION.replace("customers.csv", "nobody.csv"));
    house.assert_failed("action", "s3.no_such_key", "", 4).await;
}

#[tokio::test]
async fn sql_that_does_not_fit_the_file() {
    let house = House::new(reader()).await;
    house.action(&ACTION.replace("name, tier", "name, colour"));
    house
        .assert_failed("action", "sql.unknown_column", "", 4)
        .await;
}

#[tokio::test]
async fn a_key_that_may_not_be_used() {
    let house = House::new(reader()).await;
    let state = ObjectState {
        kms_key_arn: Some(KEY_ARN.to_owned()),
        ..ObjectState::default()
    };
    house
        .stack
        .set_object_state("lake", "exports/customers.csv", state);
    house
        .assert_failed("kms", "s3.kms_denied", "kms:Decrypt", 3)
        .await;
    let may =
        json!([read(), ask(), { "Effect": "Allow", "Action": "kms:Decrypt", "Resource": KEY_ARN }]);
    house.stack.set_iam(document(READER, &may)).unwrap();
    let (findings, status) = house.findings(&[]).await;
    let line = line_of(&findings, "kms");
    assert_eq!(
        (line["verdict"].as_str(), status),
        (Some("ok"), Some(0)),
        "{findings:#?}"
    );
}

#[tokio::test]
async fn a_login_that_genesys_refuses_or_that_is_not_configured() {
    let mut house = House::new(reader()).await;
    house.configure(&house.genesys());
    house.set("GENESYS_SECRET", "not-the-clients-secret");
    house
        .assert_failed("genesys", "genesys.credentials", "[genesys]", 3)
        .await;
    let (findings, _) = house.findings(&[]).await;
    let line = line_of(&findings, "genesys");
    assert!(
        line["detail"]
            .as_str()
            .unwrap()
            .contains("the secret is wrong"),
        "{line}"
    );
    assert!(!line.to_string().contains("not-the-clients-secret"));

    house.configure("");
    house.action(&format!("genesys_token = true\n{ACTION}"));
    house
        .assert_failed("genesys", "config.invalid", "Add [genesys]", 2)
        .await;
}

#[tokio::test]
async fn cost_explorer_is_reported_and_fails_only_where_it_is_needed() {
    let house = House::new(document(READER, &json!([read(), ask()]))).await;
    let (findings, status) = house.findings(&[]).await;
    let line = line_of(&findings, "cost-explorer");
    assert_eq!(
        (line["verdict"].as_str(), status),
        (Some("skipped"), Some(0)),
        "{line}"
    );
    assert_eq!(
        house.stack.aws().count("GetCostAndUsage"),
        0,
        "asking is charged for"
    );
    let (findings, status) = house.findings(&["--cost-explorer"]).await;
    let line = line_of(&findings, "cost-explorer");
    assert_eq!(
        (line["verdict"].as_str(), status),
        (Some("failed"), Some(3)),
        "{line}"
    );
    assert!(
        line["fix"].as_str().unwrap().contains("ce:GetCostAndUsage"),
        "{line}"
    );
}

/// Answers every request of one connection after another by its path, until the test ends.
fn serve(answer: impl Fn(&str) -> String + Send + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let mut lines = BufReader::new(socket.try_clone().unwrap()).lines();
            let first = lines.next().unwrap().unwrap();
            while lines
                .next()
                .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
            {}
            let body = answer(first.split(' ').nth(1).unwrap());
            let head = "HTTP/1.1 200 OK\r\nx-aws-ec2-metadata-token-ttl-seconds: 21600\r\nconnection: close\r\ncontent-type: application/json\r\n";
            write!(socket, "{head}content-length: {}\r\n\r\n{body}", body.len()).unwrap();
        }
    });
    format!("http://{address}")
}

/// The principal's line, after the fixed keys are gone and these variables are set.
async fn principal_with(house: &mut House, variables: &[(&'static str, String)]) -> String {
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        house.unset(name);
    }
    for (name, value) in variables {
        house.set(name, value.clone());
    }
    let (findings, status) = house.findings(&[]).await;
    assert_eq!(status, Some(0), "{findings:#?}");
    let line = line_of(&findings, "principal");
    line["detail"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn credentials_of_a_container_and_of_an_instance() {
    let mut house = House::new(document(ROLE, &json!([read(), ask()]))).await;
    let key = house.stack.access_key(ROLE);
    let credentials = json!({
        "Code": "Success", "Type": "AWS-HMAC", "LastUpdated": "2026-01-01T00:00:00Z",
        "AccessKeyId": key.id, "SecretAccessKey": key.secret, "Token": "a-session-token",
        "Expiration": "2099-01-01T00:00:00Z",
    })
    .to_string();
    let container = serve({
        let credentials = credentials.clone();
        move |_| credentials.clone()
    });
    let variables = [(
        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
        format!("{container}/role"),
    )];
    assert_eq!(
        principal_with(&mut house, &variables).await,
        format!("role {ROLE}")
    );

    house.unset("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    let instance = serve(move |path| match path {
        "/latest/api/token" => "a-metadata-token".to_owned(),
        path if path.ends_with("/security-credentials/") => "reader".to_owned(),
        _ => credentials.clone(),
    });
    let variables = [
        ("AWS_EC2_METADATA_DISABLED", "false".to_owned()),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", instance),
    ];
    assert_eq!(
        principal_with(&mut house, &variables).await,
        format!("role {ROLE}")
    );
}

#[tokio::test]
async fn credentials_of_a_web_identity() {
    let trust = policy(&json!([{
        "Effect": "Allow",
        "Principal": { "Federated": "arn:aws:iam::123456789012:oidc-provider/dev-stack" },
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": { "StringEquals": { "dev-stack:sub": "pod" } },
    }]));
    let role = Identity::new(ROLE)
        .with_policy("reading", policy(&json!([read(), ask()])))
        .with_trust(trust);
    let mut house = House::new(IamDocument::default().with_identity(role)).await;
    let token = house.path().join("token");
    std::fs::write(&token, "pod@dev-stack").unwrap();
    let variables = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", token.display().to_string()),
        ("AWS_ROLE_ARN", ROLE.to_owned()),
        ("AWS_ROLE_SESSION_NAME", "pod-7".to_owned()),
        ("AWS_ENDPOINT_URL", house.stack.aws_url().to_string()),
    ];
    assert_eq!(
        principal_with(&mut house, &variables).await,
        format!("role {ROLE}")
    );
    let sent = house
        .stack
        .aws()
        .received("AssumeRoleWithWebIdentity")
        .pop()
        .unwrap()
        .form();
    assert_eq!(sent["RoleSessionName"], "pod-7");
}

#[tokio::test]
async fn credentials_of_identity_center() {
    const SSO_ROLE: &str = "arn:aws:iam::123456789012:role/aws-reserved/sso.amazonaws.com/eu-west-1/AWSReservedSSO_Reader_0123456789abcdef";
    let mut house = House::new(document(SSO_ROLE, &json!([read(), ask()]))).await;
    let key = house.stack.access_key(SSO_ROLE);
    let portal = serve(move |path| {
        assert!(
            path.contains("role_name=Reader") && path.contains("account_id=123456789012"),
            "{path}"
        );
        json!({ "roleCredentials": {
            "accessKeyId": key.id, "secretAccessKey": key.secret,
            "sessionToken": "a-session-token", "expiration": 4_070_908_800_000_i64,
        } })
        .to_string()
    });
    let folder = house.path().join(".aws");
    let cache = folder.join("sso/cache");
    std::fs::create_dir_all(&cache).unwrap();
    std::fs::write(
        folder.join("config"),
        "[profile portal]\nsso_start_url = https://example.awsapps.com/start\nsso_region = us-east-1\nsso_account_id = 123456789012\nsso_role_name = Reader\n",
    )
    .unwrap();
    // What `aws sso login` leaves behind: the file is named by the SHA-1 of the start address.
    let token = json!({ "accessToken": "a-portal-token", "expiresAt": "2099-01-01T00:00:00Z", "region": "us-east-1", "startUrl": "https://example.awsapps.com/start" });
    std::fs::write(
        cache.join("e8be5486177c5b5392bd9aa76563515b29358e6e.json"),
        token.to_string(),
    )
    .unwrap();
    let variables = [
        ("AWS_PROFILE", "portal".to_owned()),
        ("AWS_ENDPOINT_URL_SSO", portal),
    ];
    assert_eq!(
        principal_with(&mut house, &variables).await,
        format!("Identity Center role {SSO_ROLE}")
    );
}
