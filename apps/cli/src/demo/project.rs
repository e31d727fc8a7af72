//! The demo's configuration: the example project, pointed at the embedded stack.

use std::{fs, path::Path, time::Duration};

use flowlake_aws_access::StaticCredentials;
use flowlake_data_action::{CONFIG_FILE, Environment, Project};
use flowlake_dev_stack::{AccessKey, DevStack, GenesysSettings};

use crate::failure::Failure;

/// The example configuration, which `init` writes too.
pub(crate) const EXAMPLE_CONFIG: &str =
    include_str!("../../../../examples/contact-centre/flowlake.toml");

/// The key of the demo's server. It opens a server on loopback over made-up data, and nothing else.
pub(crate) const SERVER_KEY: &str = "the-key-of-the-demo";

/// The time limit of every action, instead of that of its file.
const TIME_LIMIT: Duration = Duration::from_mins(2);

const ACTIONS: [(&str, &str); 5] = [
    (
        "agent-scorecard",
        include_str!("../../../../examples/contact-centre/actions/agent-scorecard.toml"),
    ),
    (
        "caller-profile",
        include_str!("../../../../examples/contact-centre/actions/caller-profile.toml"),
    ),
    (
        "queue-summary",
        include_str!("../../../../examples/contact-centre/actions/queue-summary.toml"),
    ),
    (
        "recent-conversations",
        include_str!("../../../../examples/contact-centre/actions/recent-conversations.toml"),
    ),
    (
        "wrapup-codes",
        include_str!("../../../../examples/contact-centre/actions/wrapup-codes.toml"),
    ),
];

/// An action whose file the demo's principal is denied, to show how that looks.
const PAYROLL: &str = r#"
name = "payroll"
description = "What nobody in the contact centre may read"
[tables.salaries]
uri = "s3://genesys-data-lake/exports/payroll/salaries.csv"
[query]
sql = "SELECT * FROM salaries"
"#;

/// The secrets that the example configuration asks the environment for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DemoEnvironment;

impl Environment for DemoEnvironment {
    fn get(&self, name: &str) -> Option<String> {
        match name {
            "FLOWLAKE_SERVER_KEY" => Some(SERVER_KEY.to_owned()),
            "GENESYS_CLIENT_SECRET" => Some(GenesysSettings::default().client_secret),
            _ => None,
        }
    }
}

/// Writes the example project into `folder`, loads it, and points it at the stack.
pub(crate) fn demo_project(
    folder: &Path,
    stack: &DevStack,
    key: &AccessKey,
) -> Result<Project, Failure> {
    let actions = folder.join("actions");
    fs::create_dir_all(&actions)?;
    fs::write(folder.join(CONFIG_FILE), EXAMPLE_CONFIG)?;
    for (name, text) in ACTIONS.into_iter().chain([("payroll", PAYROLL)]) {
        fs::write(actions.join(format!("{name}.toml")), text)?;
    }
    let mut project = Project::load(folder)?;
    // The demo is to end also where it is built to compile quickly and something else takes the processors.
    for action in project.actions.values_mut() {
        action.limits.timeout = TIME_LIMIT;
    }
    let aws = &mut project.config.aws;
    aws.endpoint_url = Some(stack.aws_url().to_string());
    aws.s3_endpoint_url = Some(stack.s3_url().to_string());
    aws.path_style = true;
    aws.credentials = Some(StaticCredentials::new(key.id.clone(), key.secret.clone()));
    if let Some(genesys) = &mut project.config.genesys {
        genesys.client_id = GenesysSettings::default().client_id;
        genesys.login_url = Some(stack.genesys_login_url().to_string());
    }
    Ok(project)
}
