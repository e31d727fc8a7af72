//! The interface as others read it: a validator of OpenAPI, a tester that makes requests out of the document, a client of the Model
//! Context Protocol.

use std::process::Command;

use anyhow::{Result, ensure};
use flowlake_e2e::{BUCKET, EmbeddedStack, Environment, Project, ProjectSettings, Server};
use serde_json::{Value, json};

/// What a response must be, whatever the request was. `Allow` is left aside: a path takes GET also where a parameter that the action
/// needs does not belong into an address, and the document leaves such a GET out.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance";

struct Setting {
    environment: Environment,
    project: Project,
    server: Server,
    // Ended when the setting goes.
    _stack: EmbeddedStack,
}

impl Setting {
    fn start(test: &str) -> Result<Self> {
        let environment = Environment::load()?;
        let folder = environment.folder(test)?;
        let root = folder.join("buckets");
        let day = root.join(BUCKET).join("exports").join("2026-01-31");
        std::fs::create_dir_all(&day)?;
        let csv = day.join("conversation_metrics.csv");
        let arguments = json!({ "path": csv, "rows": 1000 });
        environment.python().call("generate", &arguments)?;
        let stack = EmbeddedStack::start(&root)?;
        let settings = ProjectSettings::new(stack.aws_url(), stack.s3_url(), stack.keys("reader")?);
        let project = Project::create(&environment, &folder.join("project"), &settings)?;
        Ok(Self {
            server: project.serve()?,
            environment,
            project,
            _stack: stack,
        })
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.server.url())
    }
}

#[test]
fn requests_made_from_the_document_get_what_it_says() -> Result<()> {
    let setting = Setting::start("interface-openapi")?;
    let url = setting.url("/openapi.json");
    let arguments = json!({ "url": url, "key": Server::KEY });
    let document = setting.environment.python().call("openapi", &arguments)?;
    let paths = document["paths"]
        .as_object()
        .map_or(0, serde_json::Map::len);
    ensure!(paths == 10, "{document}");
    let mut tester = Command::new(setting.environment.tool("schemathesis"));
    tester
        .args(["run", &url, "--checks", CHECKS])
        .args([
            "--phases",
            "examples,coverage,fuzzing",
            "--max-examples",
            "10",
            "--seed",
            "26",
        ])
        .arg("--header")
        .arg(format!("Authorization: Bearer {}", Server::KEY))
        .args(["--no-color", "--warnings", "off"])
        // It writes what it finds into the folder that it runs in.
        .current_dir(setting.project.folder());
    let output = tester.output()?;
    let said = String::from_utf8_lossy(&output.stdout);
    ensure!(output.status.success(), "{said}");
    ensure!(setting.server.get("/readyz")?.status == 200, "{said}");
    // It has met the actions, and each attempt has its record.
    let records = setting.project.audit_records()?;
    ensure!(records.len() > 100, "{} records\n{said}", records.len());
    Ok(())
}

#[test]
fn a_client_of_mcp_lists_and_calls_the_actions() -> Result<()> {
    let setting = Setting::start("interface-mcp")?;
    let calls = json!([
        ["queue-summary", {}],
        ["queue-summary", { "date": "2026-02-30" }],
        ["outside-policy", {}],
    ]);
    let arguments = json!({ "url": setting.url("/mcp"), "key": Server::KEY, "calls": calls });
    let told = setting.environment.python().call("mcp", &arguments)?;
    let listed = setting.server.get("/v1/actions")?.json()?;
    let names: Vec<&Value> = listed["actions"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|action| &action["name"])
        .collect();
    ensure!(json!(names) == told["tools"], "{told}");
    let asked = setting.server.call("queue-summary", &json!({}))?.json()?;
    let results = &told["results"];
    ensure!(results[0]["is_error"] == false, "{told}");
    ensure!(results[0]["content"]["data"] == asked["data"], "{told}");
    for (result, code) in [
        (&results[1], "param.invalid"),
        (&results[2], "policy.denied"),
    ] {
        ensure!(result["is_error"] == true, "{told}");
        ensure!(result["content"]["error"]["code"] == code, "{told}");
    }
    // Three calls of tools, and one over HTTP.
    ensure!(setting.project.audit_records()?.len() == 4);
    Ok(())
}
