//! `--via lambda`: the door without a public address, its roles, and profiles from a running server.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use flowlake_dev_stack::GenesysSettings;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::support::{ALL, House, KEY, LISTS, LOOK_UP, READER};

const ARN: &str = "arn:aws:lambda:eu-central-1:123456789012:function:flowlake:live";
const ORGANIZATION: &str = "4dc7a3fa-1d2b-4a0e-9a52-5f6a1f2d3b4c";

/// A project with both doors.
async fn house() -> House {
    let house = House::new().await;
    with_function(&house);
    house
}

fn with_function(house: &House) {
    let integration = GenesysSettings::default().function_integration_id;
    house.more_config(&format!(
        "[publish.lambda]\nfunction = \"{ARN}\"\nintegration_id = \"{integration}\"\n"
    ));
}

/// Answers one invocation as a local runtime does, and gives what it was sent.
async fn invoked(listener: TcpListener, header: &str, answer: &Value) -> (String, Value) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let mut request = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer).await.unwrap();
        request.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&request);
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            let is_length = name.eq_ignore_ascii_case("content-length");
            is_length.then(|| value.parse::<usize>().unwrap())
        });
        if body.len() < length.unwrap() {
            continue;
        }
        let answer = answer.to_string();
        let length = answer.len();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n{header}\r\n{answer}");
        stream.write_all(answer.as_bytes()).await.unwrap();
        return (head.to_owned(), serde_json::from_str(body).unwrap());
    }
}

#[tokio::test]
async fn a_function_is_invoked_with_action_and_inputs_in_its_event() {
    let house = house().await;
    let document = house
        .json(&["actions", "export", "look-up", "--via", "lambda"], 0)
        .await;
    assert_eq!(document["integrationType"], "aws-lambda-data-actions");
    assert_eq!(
        document["config"]["request"],
        json!({
            "requestUrlTemplate": ARN, "requestType": "POST", "headers": {},
            "requestTemplate": "{\"action\":\"look-up\",\"params\":{\"ani\":\"$esc.jsonString($!{input.ani})\"}}",
        })
    );
    // Contract and outputs do not depend on the door.
    let web = house.json(&["actions", "export", "look-up"], 0).await;
    assert_eq!(web["integrationType"], "custom-rest-actions");
    assert_eq!(document["contract"], web["contract"]);
    assert_eq!(document["config"]["response"], web["config"]["response"]);
    let hcl = house
        .told(
            &[
                "actions", "export", "all", "--via", "lambda", "--format", "hcl",
            ],
            0,
        )
        .await;
    assert!(
        hcl.contains(&format!("request_url_template = \"{ARN}\"")),
        "{hcl}"
    );
    assert!(hcl.contains("$${input.rawRequest}"), "{hcl}");
    let told = house
        .told(
            &[
                "actions", "export", "all", "--via", "lambda", "--format", "openapi",
            ],
            2,
        )
        .await;
    assert!(told.contains("OpenAPI describes the web service"), "{told}");
}

#[tokio::test]
async fn a_door_has_to_be_configured_and_the_only_one_is_taken() {
    let house = House::new().await;
    let told = house
        .told(&["actions", "export", "look-up", "--via", "lambda"], 2)
        .await;
    assert!(told.contains("[publish.lambda] is missing"), "{told}");
    house.configure("");
    let told = house.told(&["actions", "export", "look-up"], 2).await;
    assert!(told.contains("`url` in [publish] is missing"), "{told}");
    with_function(&house);
    let document = house.json(&["actions", "export", "look-up"], 0).await;
    assert_eq!(document["config"]["request"]["requestUrlTemplate"], ARN);

    house.configure("");
    house.more_config("[publish.lambda]\nfunction = \"flowlake\"\n");
    let told = house.told(&["actions", "export", "look-up"], 2).await;
    assert!(told.contains("no address of a function"), "{told}");
}

#[tokio::test]
async fn an_address_or_an_integration_that_cannot_be_meant_is_refused_by_every_command() {
    let house = House::new().await;
    let refused = async |line: &str, what: &str| {
        for command in [&["check"][..], &["actions", "list"]] {
            let told = house.told(command, 2).await;
            assert!(told.contains(what) && told.contains(line), "{told}");
        }
    };
    house.configure("http://flowlake.example.com");
    refused("url = ", "http:// at a public address").await;
    house.configure("https://flowlake.example.com/?q#f");
    refused("url = ", "a query or a fragment would be lost").await;
    house.configure("https://flowlake.example.com");
    let integration = GenesysSettings::default().integration_id;
    house.more_config(&format!(
        "[publish.lambda]\nfunction = \"{ARN}\"\nintegration_id = \"{integration}\"\n"
    ));
    refused("integration_id = ", "name one integration").await;
}

#[tokio::test]
async fn a_function_is_published_in_its_own_integration() {
    let house = house().await;
    let published = house
        .json(
            &["actions", "publish", "look-up", "--via", "lambda", "--json"],
            0,
        )
        .await;
    assert_eq!(published[0]["step"], "create");
    let live = house.published("look-up");
    let url = &live["config"]["request"]["requestUrlTemplate"];
    assert_eq!(url, ARN, "{live}");
    house
        .told(&["actions", "diff", "look-up", "--via", "lambda"], 0)
        .await;
    // The web service's integration has none of it.
    let told = house.told(&["actions", "diff", "look-up"], 1).await;
    assert!(told.contains("is not published yet"), "{told}");
    let listed = house
        .json(&["actions", "list", "--via", "lambda", "--json"], 0)
        .await;
    assert_eq!(listed["published"][0]["name"], "look-up");
}

#[tokio::test]
async fn the_simulator_invokes_a_local_runtime() {
    let house = house().await;
    let arguments = [
        "actions",
        "simulate",
        "look-up",
        "--via",
        "lambda",
        "--param",
        "ani=+12025550142",
    ];
    // AWS alone can invoke the function itself.
    let told = house.told(&arguments, 4).await;
    for part in [
        "local runtime",
        "--server URL",
        "--answer FILE",
        "--dry-run",
    ] {
        assert!(told.contains(part), "{told}");
    }
    let told = house
        .told(&[&arguments[..], &["--dry-run"]].concat(), 0)
        .await;
    assert!(told.contains(ARN) && !told.contains(KEY), "{told}");

    let answer =
        json!({ "data": [{ "name": "Ana", "calls": 3 }], "row_count": 1, "truncated": false });
    let failure =
        json!({ "errorType": "s3.no_such_key", "errorMessage": "the object does not exist" });
    for (header, answer, code) in [
        ("", answer, 0),
        ("X-Amz-Function-Error: Unhandled\r\n", failure, 4),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("http://{}", listener.local_addr().unwrap());
        let arguments = [&arguments[..], &["--server", &server, "--json"]].concat();
        let ((head, event), told) = tokio::join!(
            invoked(listener, header, &answer),
            house.json(&arguments, code)
        );
        let line = head.lines().next().unwrap();
        assert_eq!(
            line,
            "POST /2015-03-31/functions/flowlake/invocations HTTP/1.1"
        );
        assert!(!head.contains("Bearer"), "{head}");
        assert_eq!(
            event,
            json!({ "action": "look-up", "params": { "ani": "+12025550142" } })
        );
        if code == 0 {
            let expected = json!({ "found": true, "row_count": 1, "truncated": false, "name": "Ana", "calls": 3 });
            assert_eq!(told["finalResult"], expected);
        } else {
            let why = told["error"]["message"].as_str().unwrap();
            assert!(
                why.contains("the function failed") && why.contains("s3.no_such_key"),
                "{why}"
            );
        }
    }
}

/// What the project's function may do.
fn function_policy(template: &Value) -> Value {
    let role = &template["Resources"]["FunctionRole"]["Properties"];
    role["Policies"][0]["PolicyDocument"].clone()
}

const FOLDER: &str = r#"
name = "folder"
[tables.customers]
uri = "s3://lake/exports/{day}/cust*.csv"
[params.day]
type = "date"
default = "2026-01-01"
[query]
sql = "SELECT count(*) AS n FROM customers"
"#;

#[tokio::test]
async fn the_printed_roles_are_what_the_function_needs_and_no_more() {
    let house = house().await;
    house.action(FOLDER);
    let arguments = ["init", "--lambda", "--organization", ORGANIZATION];
    let output = house.run(&arguments).await;
    assert!(output.status.success(), "{output:?}");
    let template: Value = serde_json::from_slice(&output.stdout).unwrap();
    let genesys = &template["Resources"]["GenesysRole"]["Properties"];
    let trust = &genesys["AssumeRolePolicyDocument"]["Statement"][0];
    assert_eq!(trust["Principal"]["AWS"], "arn:aws:iam::765628985471:root");
    assert_eq!(
        trust["Condition"],
        json!({ "StringEquals": { "sts:ExternalId": ORGANIZATION } })
    );
    let invoke = &genesys["Policies"][0]["PolicyDocument"]["Statement"][0];
    assert_eq!(
        (&invoke["Action"], &invoke["Resource"]),
        (&json!("lambda:InvokeFunction"), &json!(ARN))
    );
    let own = &template["Resources"]["FunctionRole"]["Properties"];
    let trust = &own["AssumeRolePolicyDocument"]["Statement"][0];
    assert_eq!(
        trust["Principal"],
        json!({ "Service": "lambda.amazonaws.com" })
    );

    // A principal with exactly this policy can run every action, and none of its statements can be left out.
    let text = function_policy(&template).to_string();
    let text = text.replace("arn:aws:iam::123456789012:role/flowlake-execution", READER);
    let policy: Value = serde_json::from_str(&text).unwrap();
    let statements = policy["Statement"].as_array().unwrap();
    let needed: Vec<&str> = statements
        .iter()
        .map(|statement| statement["Sid"].as_str().unwrap())
        .filter(|sid| *sid != "WriteLogs")
        .collect();
    assert_eq!(
        needed,
        ["ReadTables", "ListTables0", "AskIam", "ReadBucketPolicies"]
    );
    assert_eq!(
        statements[1]["Resource"],
        json!([
            "arn:aws:s3:::lake/exports/*/cust*.csv",
            "arn:aws:s3:::lake/exports/customers.csv"
        ])
    );
    assert_eq!(
        statements[2]["Condition"],
        json!({ "StringLike": { "s3:prefix": ["exports/*/cust"] } })
    );
    assert_eq!(runs(&policy).await, [0, 0, 0, 0]);
    for (left_out, expected) in [("ReadTables", [3, 3, 3, 3]), ("ListTables0", [0, 0, 0, 3])] {
        let rest = statements
            .iter()
            .filter(|statement| statement["Sid"] != left_out);
        let rest = json!({ "Version": "2012-10-17", "Statement": rest.collect::<Vec<_>>() });
        assert_eq!(runs(&rest).await, expected, "without {left_out}");
    }
}

/// The exit codes of all actions for a principal with this policy.
async fn runs(policy: &Value) -> [i32; 4] {
    let house = House::build(policy, |_| {}).await;
    house.action(FOLDER);
    house.lay("2026-01-01/customers.csv", b"name\nAna\n");
    let mut codes = [0; 4];
    for (code, arguments) in codes.iter_mut().zip([
        &["look-up", "--param", "ani=+12025550142"][..],
        &["all"],
        &["lists"],
        &["folder"],
    ]) {
        let output = house.run(&[&["run"], arguments].concat()).await;
        *code = output.status.code().unwrap();
    }
    codes
}

#[tokio::test]
async fn roles_follow_from_the_configuration() {
    let house = house().await;
    for action in [LOOK_UP, ALL, LISTS] {
        house.action(action);
    }
    house.more_config("[audit.ship]\nuri = \"s3://archive/flowlake\"\nbefore_answer = true\n[access]\nmode = \"probe\"\n");
    let arguments = ["init", "--lambda", "--organization", ORGANIZATION];
    let output = house.run(&arguments).await;
    let template: Value = serde_json::from_slice(&output.stdout).unwrap();
    let policy = function_policy(&template);
    let statements = policy["Statement"].as_array().unwrap();
    let of = |sid: &str| statements.iter().find(|statement| statement["Sid"] == sid);
    assert_eq!(
        of("ShipAuditRecords").unwrap()["Resource"],
        "arn:aws:s3:::archive/flowlake/*"
    );
    assert!(of("AskIam").is_none(), "{policy}");

    let config = house.path().join("flowlake.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let assumed = "assume_role = { role_arn = \"arn:aws:iam::222222222222:role/reader\" }";
    std::fs::write(
        &config,
        text.replacen("[aws]\n", &format!("[aws]\n{assumed}\n"), 1),
    )
    .unwrap();
    let output = house.run(&arguments).await;
    let template: Value = serde_json::from_slice(&output.stdout).unwrap();
    let policy = function_policy(&template).to_string();
    assert!(
        policy.contains("sts:AssumeRole") && !policy.contains("s3:GetObject"),
        "{policy}"
    );
    let reader = &template["Resources"]["ReaderPolicy"]["Properties"]["PolicyDocument"];
    assert!(
        reader.to_string().contains("exports/customers.csv"),
        "{reader}"
    );

    for (region, account) in [("us-east-2", "325654371633"), ("eusc-de-east-1", "")] {
        let text = text.replace("region = \"eu-west-1\"", &format!("region = \"{region}\""));
        std::fs::write(&config, text).unwrap();
        let output = house.run(&arguments).await;
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        if account.is_empty() {
            assert_eq!(output.status.code(), Some(2), "{told}");
            let own = [&arguments[..], &["--genesys-account", "111122223333"]].concat();
            assert!(
                house
                    .told(&own, 0)
                    .await
                    .contains("arn:aws:iam::111122223333:root")
            );
        } else {
            assert!(
                told.contains(&format!("arn:aws:iam::{account}:root")),
                "{told}"
            );
        }
    }
    // Not without an organisation, and not without a function.
    house.told(&["init", "--lambda"], 2).await;
    house.configure("https://flowlake.example.com");
    let told = house.told(&arguments, 2).await;
    assert!(
        told.contains("[publish.lambda] is not configured"),
        "{told}"
    );
}

#[tokio::test]
async fn a_profile_is_asked_of_the_running_server() {
    let mut house = House::new().await;
    house.serve().await;
    let address = house.server.as_ref().unwrap().admin_address().unwrap();
    let server = format!("http://{address}");
    let ani = "ani=+12025550142";
    house
        .told(&["actions", "simulate", "look-up", "--param", ani], 0)
        .await;
    // One request has no p99.
    for profile in [server.clone(), format!("{server}/v1/profiler")] {
        let told = house
            .told(&["actions", "export", "look-up", "--profile", &profile], 0)
            .await;
        assert!(
            told.contains("the profile has 1 requests of `look-up`"),
            "{told}"
        );
        assert!(told.contains("\"timeoutSeconds\": 6"), "{told}");
    }
    let found = house
        .json(&["doctor", "--format", "json", "--profile", &server], 0)
        .await;
    let lines = found["findings"].as_array().unwrap();
    let limits = lines
        .iter()
        .find(|line| line["subject"] == "limits")
        .unwrap();
    let detail = limits["detail"].as_str().unwrap();
    assert!(
        detail.contains("of 15 concurrent executions are held"),
        "{detail}"
    );

    for (profile, why) in [
        (format!("{server}/nothing"), "404"),
        (format!("{server}/livez"), "no member `actions`"),
        ("http://127.0.0.1:9".to_owned(), "cannot be read"),
    ] {
        let told = house
            .told(&["actions", "export", "look-up", "--profile", &profile], 2)
            .await;
        assert!(
            told.contains(why) && told.contains("config.invalid"),
            "{told}"
        );
    }
}
