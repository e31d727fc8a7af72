//! `flowlake actions` as its users run it: the embedded stack is S3, IAM and Genesys Cloud, and a server answers what the
//! stand-in of Genesys Cloud calls.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{
    collections::{BTreeMap, HashMap},
    io::Write,
    path::Path,
    process::{Command, Output},
};

use flowlake_data_action::{Environment, Pipeline, Project};
use flowlake_dev_stack::{DevStack, Failure, GenesysSettings, IamDocument, Identity, note_secret};
use flowlake_genesys_auth::Secret;
use flowlake_genesys_publish::{DataAction, Reply, Simulator};
use flowlake_server::{Callers, RunningServer, Server};
use serde_json::{Value, json};

const READER: &str = "arn:aws:iam::123456789012:user/reader";
const KEY: &str = "the-servers-key-of-these-tests";

/// Values that templates and JSON could trip over.
const CUSTOMERS: &str = "ani,name,tier,calls,spent\n\
    +12025550142,Ana,gold,3,12.5\n\
    +12025550143,\"Bo \"\"B\"\" \\ $x ${y} #if #end\",,0,\n\
    +12025550144,\"two\nlines 😀\",\"\",7,0.25\n";

const LOOK_UP: &str = r#"
name = "look-up"
description = "Who is calling"
[genesys]
[tables.customers]
uri = "s3://lake/exports/customers.csv"
[params.ani]
type = "phone"
description = "The caller's number"
[limits]
timeout = "5s"
[query]
sql = "SELECT name, tier, calls, spent FROM customers WHERE ani = $ani LIMIT 1"
"#;

const ALL: &str = r#"
name = "all"
[genesys]
[tables.customers]
uri = "s3://lake/exports/customers.csv"
[params.least]
type = "integer"
default = 0
[params.tier]
type = "string"
default = ""
[query]
sql = "SELECT name, tier, calls, spent FROM customers WHERE calls >= $least AND ($tier = '' OR tier = $tier) ORDER BY calls"
"#;

const LISTS: &str = r#"
name = "lists"
[genesys]
shape = "columns"
[tables.customers]
uri = "s3://lake/exports/customers.csv"
[query]
sql = "SELECT coalesce(name, '') AS name, coalesce(tier, 'none') AS tier, coalesce(calls, 0) AS calls FROM customers ORDER BY calls"
"#;

#[derive(Debug)]
struct Variables(HashMap<String, String>);

impl Environment for Variables {
    fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }
}

/// A stack, a project in a folder, and perhaps its server.
struct House {
    stack: DevStack,
    folder: tempfile::TempDir,
    variables: HashMap<String, String>,
    server: Option<RunningServer>,
}

impl House {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut GenesysSettings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let exports = folder.path().join("buckets/lake/exports");
        std::fs::create_dir_all(&exports).unwrap();
        std::fs::write(exports.join("customers.csv"), CUSTOMERS).unwrap();
        let policy = json!({ "Version": "2012-10-17", "Statement": [
            { "Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": ["arn:aws:s3:::lake", "arn:aws:s3:::lake/exports/*"] },
            { "Effect": "Allow", "Action": ["iam:SimulatePrincipalPolicy", "iam:GetRole", "s3:GetBucketPolicy"], "Resource": "*" },
        ] });
        let document = IamDocument::default()
            .with_identity(Identity::new(READER).with_policy("reading", policy));
        note_secret(KEY);
        let mut genesys = GenesysSettings {
            integration_credentials: BTreeMap::from([("apiKey".to_owned(), KEY.to_owned())]),
            ..GenesysSettings::default()
        };
        change(&mut genesys);
        let secret = genesys.client_secret.clone();
        let stack = DevStack::builder(folder.path().join("buckets"))
            .with_iam(document)
            .with_genesys(genesys)
            .start()
            .await
            .unwrap();
        let key = stack.access_key(READER);
        let variables = [
            ("AWS_ACCESS_KEY_ID", key.id),
            ("AWS_SECRET_ACCESS_KEY", key.secret),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
            ("GENESYS_SECRET", secret),
            ("SERVER_KEY", KEY.to_owned()),
        ];
        let house = Self {
            stack,
            folder,
            variables: variables
                .map(|(name, value)| (name.to_owned(), value))
                .into(),
            server: None,
        };
        house.configure("http://127.0.0.1:9");
        for text in [LOOK_UP, ALL, LISTS] {
            house.action(text);
        }
        house
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn action(&self, text: &str) {
        let folder = self.path().join("actions");
        std::fs::create_dir_all(&folder).unwrap();
        let name = text
            .lines()
            .find_map(|line| line.strip_prefix("name = "))
            .unwrap();
        let name = name.trim_matches('"');
        std::fs::write(folder.join(format!("{name}.toml")), text).unwrap();
    }

    fn configure(&self, url: &str) {
        let genesys = GenesysSettings::default();
        let text = format!(
            r#"
[server]
listen = "127.0.0.1:0"
keys = [{{ name = "genesys", secret = {{ env = "SERVER_KEY" }} }}]
[aws]
region = "us-east-1"
endpoint_url = "{}"
s3_endpoint_url = "{}"
path_style = true
[policy]
allow = ["s3://lake/exports/*"]
[audit.log]
directory = "audit"
[genesys]
region = "eu-west-1"
login_url = "{}"
api_url = "{}"
client_id = "{}"
client_secret = {{ env = "GENESYS_SECRET" }}
[publish]
url = "{url}"
integration_id = "{}"
"#,
            self.stack.aws_url(),
            self.stack.s3_url(),
            self.stack.genesys_login_url(),
            self.stack.genesys_api_url(),
            genesys.client_id,
            genesys.integration_id,
        );
        std::fs::write(self.path().join("flowlake.toml"), text).unwrap();
    }

    /// Starts the project's server, and makes its address that of the documents.
    async fn serve(&mut self) {
        let mut project = Project::load(self.path()).unwrap();
        let key = self.stack.access_key(READER);
        project.config.aws.credentials = Some(flowlake_aws_access::StaticCredentials::new(
            key.id, key.secret,
        ));
        let settings = project.config.server.clone();
        let variables = Variables(self.variables.clone());
        let callers = Callers::load(&settings, &variables).unwrap();
        let pipeline = Box::pin(Pipeline::builder(project).build(&variables))
            .await
            .unwrap();
        let server = Server::try_new(pipeline, callers, settings).unwrap();
        let server = server.start().await.unwrap();
        self.configure(&format!("http://{}", server.address()));
        self.server = Some(server);
    }

    /// Runs the binary with nothing of this machine's environment.
    async fn run(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_flowlake"));
        command
            .arg("--config")
            .arg(self.path())
            .args(arguments)
            .env_clear()
            .env("HOME", self.path())
            .env("PATH", "/usr/bin:/bin")
            .env("USER", "tester")
            .envs(&self.variables)
            .current_dir(self.path());
        let output = tokio::task::spawn_blocking(move || command.output().unwrap())
            .await
            .unwrap();
        // What the binary printed and logged becomes part of this test's output, which is searched for secrets.
        let mut seen = std::io::stderr();
        seen.write_all(&output.stdout).unwrap();
        seen.write_all(&output.stderr).unwrap();
        output
    }

    /// What it prints, once it has ended with this exit code.
    async fn told(&self, arguments: &[&str], code: i32) -> String {
        let output = self.run(arguments).await;
        let told = String::from_utf8(output.stdout).unwrap();
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(
            output.status.code(),
            Some(code),
            "{arguments:?}\n{told}\n{error}"
        );
        told + &error
    }

    async fn json(&self, arguments: &[&str], code: i32) -> Value {
        let output = self.run(arguments).await;
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}\n{text}");
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    /// The records of publishing.
    async fn records(&self) -> Vec<Value> {
        let folder = self.path().join("audit-publish").display().to_string();
        let arguments = [
            "audit",
            "tail",
            "-n",
            "1000",
            "--directory",
            &folder,
            "--output",
            "jsonl",
        ];
        let output = self.run(&arguments).await;
        let lines = String::from_utf8(output.stdout).unwrap();
        lines.lines().map(record).collect()
    }

    fn published(&self, name: &str) -> Value {
        let all = self.stack.genesys().published_actions();
        let found = all.iter().find(|action| action["name"] == name);
        found.cloned().unwrap_or_default()
    }
}

/// The record on one line of a log.
fn record(line: &str) -> Value {
    let line: Value = serde_json::from_str(line).unwrap();
    match line.get("record") {
        Some(record) => record.clone(),
        None => line,
    }
}

#[tokio::test]
async fn shapes_follow_from_the_sql_and_the_file_and_check_tells_what_does_not_fit() {
    let house = House::new().await;
    let told = house.told(&["check"], 0).await;
    for (action, shape) in [
        ("look-up", "first-row"),
        ("all", "rows"),
        ("lists", "columns"),
    ] {
        let part = told.split(&format!("\n{action}\n")).nth(1).unwrap();
        let line = format!("✓ data action in the shape {shape}");
        assert!(
            part.split("\n\n").next().unwrap().contains(&line),
            "{action}: {told}"
        );
    }
    house.action(
        &ALL.replace("ORDER BY calls", "")
            .replace("SELECT name, tier, calls, spent", "SELECT count(*) AS n"),
    );
    let told = house.told(&["check", "all"], 0).await;
    assert!(told.contains("shape first-row"), "{told}");

    for (sql, why) in [
        ("SELECT count(*) FROM customers", "alias"),
        ("SELECT name AS \\\"orgId\\\" FROM customers", "reserved"),
        (
            "SELECT CAST(calls AS DECIMAL(20, 2)) AS calls FROM customers",
            "cast it to double",
        ),
        (
            "SELECT 1 AS found, name FROM customers LIMIT 1",
            "there twice",
        ),
        ("SELECT [1, 2] AS list FROM customers", "no counterpart"),
    ] {
        let text = LISTS.replace("shape = \"columns\"", "");
        let sql_of_lists = text.lines().last().unwrap();
        let text = text.replace(sql_of_lists, &format!("sql = \"{sql}\""));
        house.action(&text);
        let told = house.told(&["check", "lists"], 2).await;
        assert!(
            told.contains("✗ data action") && told.contains(why),
            "{sql}: {told}"
        );
        // The same without the section is only told.
        house.action(&text.replace("[genesys]", ""));
        let told = house.told(&["check", "lists"], 0).await;
        assert!(
            told.contains("! `lists` cannot be a data action"),
            "{sql}: {told}"
        );
    }
    house.action(&LISTS.replace("coalesce(tier, 'none') AS tier", "tier"));
    let told = house.told(&["actions", "validate", "lists"], 2).await;
    assert!(told.contains("\"tier\" can be null"), "{told}");
}

#[tokio::test]
async fn exports_are_deterministic_and_have_every_form() {
    let house = House::new().await;
    let first = house.told(&["actions", "export", "look-up"], 0).await;
    assert_eq!(
        first,
        house.told(&["actions", "export", "look-up"], 0).await
    );
    let document: Value = serde_json::from_str(&first).unwrap();
    assert_eq!(document["actionType"], "custom");
    assert_eq!(document["config"]["timeoutSeconds"], 6);
    let outputs = &document["contract"]["output"]["successSchema"]["properties"];
    assert_eq!(outputs["found"]["type"], "boolean");
    assert_eq!(outputs["spent"]["type"], "number");
    assert!(
        outputs
            .as_object()
            .unwrap()
            .values()
            .all(|output| output["type"] != "array"),
        "{outputs}"
    );
    assert!(!first.contains(KEY));

    let hcl = house
        .told(&["actions", "export", "look-up", "--format", "hcl"], 0)
        .await;
    assert!(
        hcl.contains("resource \"genesyscloud_integration_action\" \"look_up\""),
        "{hcl}"
    );
    assert!(
        hcl.contains("$${credentials.apiKey}") && !hcl.replace("$${", "").contains("${"),
        "{hcl}"
    );

    let openapi = house
        .told(&["actions", "export", "look-up", "--format", "openapi"], 0)
        .await;
    let openapi: Value = serde_json::from_str(&openapi).unwrap();
    assert_eq!(openapi["openapi"], "3.1.0");
    assert!(openapi["paths"]["/v1/actions/look-up"]["post"].is_object());

    let folder = house.path().join("exported");
    let folder_text = folder.display().to_string();
    house
        .told(&["actions", "export", "--all", "--folder", &folder_text], 0)
        .await;
    for name in ["look-up", "all", "lists"] {
        let text = std::fs::read_to_string(folder.join(format!("{name}.json"))).unwrap();
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["name"], name);
    }
    assert_eq!(
        std::fs::read_to_string(folder.join("look-up.json")).unwrap(),
        first
    );
}

#[tokio::test]
async fn the_timeout_is_the_actions_own_or_three_times_the_p99() {
    let house = House::new().await;
    let profile = house.path().join("profile.json");
    for (count, p99_ms, expected) in [
        (0, 0.0, 6),
        (100, 200.0, 3),
        (100, 1300.0, 4),
        (100, 9000.0, 6),
    ] {
        let text = json!({ "actions": { "look-up": { "windows": { "since_start": { "duration": { "count": count, "p99_ms": p99_ms } } } } } });
        std::fs::write(&profile, text.to_string()).unwrap();
        let path = profile.display().to_string();
        let document = house
            .json(&["actions", "export", "look-up", "--profile", &path], 0)
            .await;
        assert_eq!(document["config"]["timeoutSeconds"], expected, "{p99_ms}");
    }
    std::fs::write(&profile, "{}").unwrap();
    let path = profile.display().to_string();
    house
        .told(&["actions", "export", "look-up", "--profile", &path], 2)
        .await;
}

#[tokio::test]
async fn publishing_is_in_place_while_the_contract_stays_and_beside_it_when_it_changes() {
    let house = House::new().await;
    let told = house
        .told(&["actions", "publish", "look-up", "--dry-run"], 0)
        .await;
    assert!(told.contains("is not published yet"), "{told}");
    assert_eq!(house.stack.genesys().published_actions().len(), 0);
    assert!(!house.path().join("audit-publish").exists());

    let created = &house
        .json(&["actions", "publish", "look-up", "--json"], 0)
        .await[0];
    assert_eq!(created["step"], "create");
    let id = created["id"].as_str().unwrap().to_owned();
    // Nothing changed: nothing is done, and nothing is recorded.
    let again = &house
        .json(&["actions", "publish", "look-up", "--json"], 0)
        .await[0];
    assert_eq!(
        (&again["step"], &again["id"]),
        (&json!("nothing"), &Value::Null)
    );
    house.told(&["actions", "diff", "look-up"], 0).await;
    assert_eq!(house.records().await.len(), 1);

    // Another timeout and another description: in place, under the same id.
    house.action(
        &LOOK_UP
            .replace("5s", "7s")
            .replace("The caller's number", "In E.164"),
    );
    let told = house.told(&["actions", "diff", "look-up"], 1).await;
    assert!(told.contains("config.timeoutSeconds: 6 -> 8"), "{told}");
    let updated = &house
        .json(&["actions", "publish", "look-up", "--json"], 0)
        .await[0];
    assert_eq!(
        (&updated["step"], &updated["id"]),
        (&json!("update"), &json!(id))
    );

    // A new column: a new version beside the old one, whose flow is listed once.
    house.stack.genesys().use_action(&id, "Main menu", 130);
    house.action(&LOOK_UP.replace("SELECT name,", "SELECT ani, name,"));
    let told = house.told(&["actions", "diff", "look-up"], 1).await;
    assert!(
        told.contains("contract contract.output.ani: nothing -> "),
        "{told}"
    );
    let second = &house
        .json(&["actions", "publish", "look-up", "--json"], 0)
        .await[0];
    assert_eq!(
        (&second["step"], &second["name"]),
        (&json!("new-version"), &json!("look-up@2"))
    );
    assert_ne!(second["id"], json!(id));
    assert_eq!(second["still_used"][0]["name"], "look-up");
    assert_eq!(second["still_used"][0]["by"].as_array().unwrap().len(), 1);
    assert!(house.published("look-up").is_object() && house.published("look-up@2").is_object());

    // A column that goes away breaks flows.
    house.action(&LOOK_UP.replace("SELECT name,", "SELECT ani,"));
    let told = house.told(&["actions", "diff", "look-up"], 7).await;
    assert!(told.contains("breaking contract.output.name"), "{told}");
    assert!(told.contains("look-up@3 comes beside the old"), "{told}");

    let records = house.records().await;
    let operations: Vec<_> = records
        .iter()
        .map(|record| record["params"]["operation"].as_str().unwrap())
        .collect();
    assert_eq!(operations, ["publish", "publish", "publish"]);
    for record in &records {
        assert_eq!(
            (&record["caller"], &record["code"]),
            (&json!("cli:tester"), &json!("ok"))
        );
        for hash in ["sql_sha256", "contract_sha256"] {
            assert_eq!(
                record["params"][hash].as_str().unwrap().len(),
                64,
                "{record}"
            );
        }
    }
    assert_eq!(
        records[0]["params"]["sql_sha256"],
        records[1]["params"]["sql_sha256"]
    );
    assert_ne!(
        records[1]["params"]["contract_sha256"],
        records[2]["params"]["contract_sha256"]
    );
    let audit = house.path().join("audit-publish").display().to_string();
    house
        .told(&["audit", "verify", "--directory", &audit], 0)
        .await;
}

#[tokio::test]
async fn an_old_version_is_removed_when_it_is_known_that_no_flow_uses_it() {
    let house = House::new().await;
    let first = &house
        .json(&["actions", "publish", "look-up", "--json"], 0)
        .await[0];
    let id = first["id"].as_str().unwrap().to_owned();
    house.stack.genesys().use_action(&id, "Main menu", 2);
    house.action(&LOOK_UP.replace("SELECT name,", "SELECT ani, name,"));
    house.told(&["actions", "publish", "look-up"], 0).await;

    let told = house.told(&["actions", "retire", "look-up"], 4).await;
    assert!(
        told.contains("Main menu") && told.contains("genesys.in_use"),
        "{told}"
    );
    house.stack.genesys().release_action(&id);
    house.stack.genesys().rebuild_tracking(true);
    let told = house.told(&["actions", "retire", "look-up"], 4).await;
    assert!(told.contains("dependency tracking is incomplete"), "{told}");
    house.stack.genesys().rebuild_tracking(false);
    let told = house
        .told(&["actions", "retire", "look-up", "--dry-run"], 0)
        .await;
    assert!(told.contains("would be removed"), "{told}");
    assert!(house.published("look-up").is_object());
    house.told(&["actions", "retire", "look-up"], 0).await;
    assert!(house.published("look-up").is_null() && house.published("look-up@2").is_object());
    let told = house.told(&["actions", "retire", "look-up"], 0).await;
    assert!(told.contains("there is no old version"), "{told}");

    let records = house.records().await;
    assert_eq!(records.len(), 3);
    assert_eq!(records[2]["params"]["operation"], "retire");
    assert_eq!(records[2]["params"]["data_action_id"], json!(id));
}

#[tokio::test]
async fn a_permission_that_is_missing_is_named() {
    for (permission, command, is_recorded) in [
        ("integrations:action:view", vec!["actions", "list"], false),
        (
            "integrations:action:add",
            vec!["actions", "publish", "look-up"],
            true,
        ),
    ] {
        let house = House::with(|genesys| {
            genesys.permissions.remove(permission);
        })
        .await;
        let told = house.told(&command, 3).await;
        assert!(
            told.contains("genesys.forbidden")
                && told.contains(&format!("has the permission {permission}")),
            "{told}"
        );
        if is_recorded {
            assert_eq!(house.records().await[0]["code"], "genesys.forbidden");
        }
    }
}

#[tokio::test]
async fn an_integration_that_is_unknown_and_a_limit_that_is_waited_out() {
    let house = House::new().await;
    let api = house.stack.genesys().api();
    api.fail_next(
        2,
        Failure::RateLimited {
            retry_after_seconds: 0,
        },
    );
    house.told(&["actions", "publish", "look-up"], 0).await;
    api.fail_next(
        1,
        Failure::RateLimited {
            retry_after_seconds: 3600,
        },
    );
    let told = house.told(&["actions", "list"], 6).await;
    assert!(told.contains("genesys.rate_limited"), "{told}");
    let config = house.path().join("flowlake.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text.replace(
        &GenesysSettings::default().integration_id,
        "00000000-0000-4000-8000-000000000bad",
    );
    std::fs::write(&config, text).unwrap();
    let told = house.told(&["actions", "publish", "look-up"], 4).await;
    assert!(told.contains("genesys.rejected"), "{told}");
}

#[tokio::test]
async fn all_pages_are_listed() {
    let house = House::with(|genesys| genesys.requests_per_minute = 10_000).await;
    let config = house.path().join("flowlake.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let text = text.replace(
        "[publish]",
        "token = { requests_per_minute = 10_000 }\n[publish]",
    );
    std::fs::write(&config, text).unwrap();
    for number in 0..120 {
        house.action(&LOOK_UP.replace("\"look-up\"", &format!("\"look-up-{number}\"")));
    }
    house.told(&["actions", "publish", "--all"], 0).await;
    let listed = house.json(&["actions", "list", "--json"], 0).await;
    assert_eq!(listed["published"].as_array().unwrap().len(), 123);
    assert_eq!(listed["not_published"], json!([]));
}

/// The rows that the SQL gives, as `flowlake run` prints them.
async fn rows(house: &House, action: &str, params: &[&str]) -> Vec<Value> {
    let rows = house
        .run(&[&["run", action, "--format", "ndjson"], params].concat())
        .await;
    let text = String::from_utf8(rows.stdout).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn without_nulls(row: &Value) -> Value {
    let members = row.as_object().unwrap().clone().into_iter();
    Value::Object(members.filter(|(_, value)| !value.is_null()).collect())
}

#[tokio::test]
async fn what_a_flow_sees_is_what_the_sql_gives_here_and_on_the_platform() {
    let mut house = House::new().await;
    house.serve().await;
    house.told(&["actions", "publish", "--all"], 0).await;
    // The CLI's own runs write another log than the server's.
    let config = house.path().join("flowlake.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(
        &config,
        text.replace("directory = \"audit\"", "directory = \"audit-cli\""),
    )
    .unwrap();

    for ani in [
        "+12025550142",
        "+12025550143",
        "+12025550144",
        "+12025550199",
    ] {
        let param = format!("ani={ani}");
        let rows = rows(&house, "look-up", &["--param", &param]).await;
        let mut expected = rows.first().map_or_else(|| json!({}), without_nulls);
        expected["found"] = json!(!rows.is_empty());
        expected["row_count"] = json!(rows.len());
        expected["truncated"] = json!(false);
        let simulated = house
            .json(
                &[
                    "actions", "simulate", "look-up", "--param", &param, "--json",
                ],
                0,
            )
            .await;
        assert_eq!(simulated["finalResult"], expected);
        let tested = house
            .json(
                &["actions", "test", "look-up", "--param", &param, "--json"],
                0,
            )
            .await;
        assert_eq!(tested["result"], expected);
    }
    for params in [
        &[][..],
        &["--param", "least=1"],
        &["--param", "least=99"],
        &["--param", "tier=gold"],
        &["--param", "tier=say \"hi\" \\ $x"],
    ] {
        let rows = rows(&house, "all", params).await;
        let expected = json!({
            "rows": rows.iter().map(without_nulls).collect::<Vec<_>>(),
            "row_count": rows.len(), "truncated": false,
        });
        let simulated = house
            .json(
                &[&["actions", "simulate", "all", "--json"], params].concat(),
                0,
            )
            .await;
        assert_eq!(simulated["finalResult"], expected, "{params:?}");
        let tested = house
            .json(&[&["actions", "test", "all", "--json"], params].concat(), 0)
            .await;
        assert_eq!(tested["result"], expected, "{params:?}");
    }
    let rows = rows(&house, "lists", &[]).await;
    let column = |name: &str| rows.iter().map(|row| row[name].clone()).collect::<Vec<_>>();
    let simulated = house
        .json(&["actions", "simulate", "lists", "--json"], 0)
        .await;
    assert_eq!(
        simulated["finalResult"],
        json!({ "row_count": 3, "truncated": false, "name": column("name"), "tier": column("tier"), "calls": column("calls") })
    );
    let told = house.told(&["actions", "simulate", "all"], 0).await;
    assert!(
        told.contains("  rows.name = [") && told.contains("Bearer ******"),
        "{told}"
    );
    assert!(!told.contains(KEY));
}

#[tokio::test]
async fn the_platforms_headers_are_recorded_and_its_limits_are_held() {
    let mut house = House::new().await;
    house.serve().await;
    house
        .told(
            &[
                "actions",
                "simulate",
                "look-up",
                "--param",
                "ani=+12025550142",
            ],
            0,
        )
        .await;
    let audit = house.path().join("audit").display().to_string();
    let tail = house
        .run(&["audit", "tail", "--directory", &audit, "--output", "jsonl"])
        .await;
    let tail = String::from_utf8(tail.stdout).unwrap();
    let record = record(tail.lines().last().unwrap());
    assert_eq!(
        record["organization"], "00000000-0000-0000-0000-000000000000",
        "{record}"
    );
    assert_eq!(record["correlation_id"].as_str().unwrap().len(), 36);

    // An integer that a flow would round is refused by the server.
    let customers = house.path().join("buckets/lake/exports/customers.csv");
    std::fs::write(
        &customers,
        "ani,name,tier,calls,spent\n+12025550142,Ana,gold,9007199254740993,1\n",
    )
    .unwrap();
    let told = house
        .told(
            &[
                "actions",
                "simulate",
                "look-up",
                "--param",
                "ani=+12025550142",
            ],
            4,
        )
        .await;
    assert!(told.contains("output.unsafe_integer"), "{told}");
    let told = house.told(&["actions", "simulate", "look-up"], 4).await;
    assert!(
        told.contains("the required input \\\"ani\\\" is missing"),
        "{told}"
    );
    house
        .told(&["actions", "simulate", "look-up", "--param", "who=1"], 2)
        .await;
    let told = house
        .told(
            &[
                "actions",
                "simulate",
                "look-up",
                "--param",
                "ani=+12025550142",
                "--dry-run",
            ],
            0,
        )
        .await;
    assert!(
        told.contains("/v1/actions/look-up?envelope=data-action"),
        "{told}"
    );
}

#[tokio::test]
async fn doctor_reads_the_organisations_limits() {
    let house = House::new().await;
    let profile = house.path().join("profile.json");
    let path = profile.display().to_string();
    let limits = async |arguments: &[&str], code: i32| {
        let found = house
            .json(&[&["doctor", "--format", "json"], arguments].concat(), code)
            .await;
        let lines = found["findings"].as_array().unwrap().clone();
        lines
            .into_iter()
            .find(|line| line["subject"] == "limits")
            .unwrap()
    };
    let line = limits(&[], 0).await;
    assert!(
        line["detail"]
            .as_str()
            .unwrap()
            .contains("15 concurrent executions: at 900 a minute"),
        "{line}"
    );
    for (rate, mean_ms, told, code) in [
        (10.0, 120.0, "1.20 of 15 concurrent executions", 0),
        (20.0, 1500.0, "30.00 of 15", 2),
    ] {
        let window = json!({ "requests_per_second": rate, "duration": { "mean_ms": mean_ms } });
        let text = json!({ "actions": {}, "windows": { "last_minute": window, "last_hour": {} } });
        std::fs::write(&profile, text.to_string()).unwrap();
        let line = limits(&["--profile", &path], code).await;
        assert!(line["detail"].as_str().unwrap().contains(told), "{line}");
    }
    let house = House::with(|genesys| {
        genesys.permissions.remove("limits:organization:view");
    })
    .await;
    let told = house.told(&["doctor"], 0).await;
    assert!(told.contains("limits:organization:view"), "{told}");
}

/// Texts that JSON, templates, SQL or URLs could trip over.
const PIECES: [&str; 16] = [
    "a",
    "Zoë",
    "\"",
    "\\",
    "\n",
    "\t",
    "$",
    "${input.x}",
    "$!{y}",
    "#if(1)",
    "#end",
    "😀",
    "'",
    "{}",
    "[0]",
    "&=?+%20",
];

/// A small generator: the same numbers in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn text(&mut self) -> String {
        let pieces = self.below(5);
        (0..pieces)
            .map(|_| PIECES[usize::try_from(self.below(16)).unwrap()])
            .collect()
    }
}

const GENERATED: &str = r#"
[genesys]
shape = "SHAPE"
[tables.notes]
uri = "s3://lake/exports/notes.ndjson"
[params.author]
type = "string"
[params.least]
type = "integer"
default = 0
[query]
sql = "SELECT COLUMNS FROM notes WHERE author = $author AND stars >= $least ORDER BY id"
"#;

#[tokio::test]
async fn generated_inputs_over_generated_rows_as_a_first_row() {
    Box::pin(generated_inputs("first-row", 25)).await;
}

#[tokio::test]
async fn generated_inputs_over_generated_rows_as_columns() {
    Box::pin(generated_inputs("columns", 26)).await;
}

#[tokio::test]
async fn generated_inputs_over_generated_rows_as_rows() {
    Box::pin(generated_inputs("rows", 27)).await;
}

/// 350 inputs, so more than a thousand with all shapes: what a flow sees is what the SQL gives.
async fn generated_inputs(shape: &str, seed: u64) {
    let mut house = House::new().await;
    let mut random = Random(seed);
    let mut authors: Vec<String> = (0..40).map(|_| random.text()).collect();
    let mut lines = String::new();
    for id in 0..400_u64 {
        let author = &authors[usize::try_from(random.below(40)).unwrap()];
        let text = match random.below(4) {
            0 => Value::Null,
            1 => json!(""),
            _ => json!(random.text()),
        };
        let score = match random.below(3) {
            0 => Value::Null,
            _ => json!(f64::from(u32::try_from(random.below(1000)).unwrap()) / 8.0),
        };
        lines += &format!(
            "{}\n",
            json!({ "id": id, "author": author, "text": text, "stars": random.below(5), "score": score, "kept": random.below(2) == 0 })
        );
    }
    std::fs::write(
        house.path().join("buckets/lake/exports/notes.ndjson"),
        lines,
    )
    .unwrap();
    authors.push("nobody".to_owned());
    let columns = match shape {
        "columns" => {
            "coalesce(id, 0) AS id, coalesce(text, '') AS text, coalesce(score, 0.0) AS score, coalesce(kept, false) AS kept"
        }
        _ => "id, text, stars, score, kept",
    };
    let text = GENERATED
        .replace("SHAPE", shape)
        .replace("COLUMNS", columns);
    // From memory, since the requests are many and the engine is not optimised here.
    house.action(&format!("name = \"notes-{shape}\"\nhot = true\n{text}"));
    house.serve().await;
    let exported = house
        .told(&["actions", "export", &format!("notes-{shape}")], 0)
        .await;
    let document = DataAction::from_json(&exported).unwrap();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let simulator = Simulator::default()
        .with_http_client(http.clone())
        .with_credential("apiKey", Secret::new(KEY.to_owned()));
    for _ in 0..350 {
        let author = &authors[usize::try_from(random.below(41)).unwrap()];
        let mut input = json!({ "author": author });
        if random.below(2) == 0 {
            input["least"] = json!(random.below(6));
        }
        let address = house.server.as_ref().unwrap().address();
        let url = format!("http://{address}/v1/actions/notes-{shape}?envelope=rows");
        let request = http.post(url).bearer_auth(KEY).body(input.to_string());
        let rows: Vec<Value> =
            serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap();
        let expected = match shape {
            "first-row" => {
                let mut row = rows.first().map_or_else(|| json!({}), without_nulls);
                row["found"] = json!(!rows.is_empty());
                row
            }
            "columns" => ["id", "text", "score", "kept"]
                .map(|name| {
                    let list: Vec<_> = rows.iter().map(|row| row[name].clone()).collect();
                    (name.to_owned(), json!(list))
                })
                .into_iter()
                .collect::<serde_json::Map<_, _>>()
                .into(),
            _ => json!({ "rows": rows.iter().map(without_nulls).collect::<Vec<_>>() }),
        };
        let simulated = simulator.run(&document, &input, &Reply::Call).await;
        assert!(simulated.success, "{input}: {simulated:#?}");
        assert_eq!(simulated.unresolved, Vec::<String>::new());
        let mut seen = simulated.final_result.unwrap();
        let members = seen.as_object_mut().unwrap();
        assert_eq!(members.shift_remove("row_count"), Some(json!(rows.len())));
        assert_eq!(members.shift_remove("truncated"), Some(json!(false)));
        assert_eq!(seen, expected, "{shape} {input}");
    }
}
