//! What the tests of the pipeline share.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

pub(crate) mod lake;
pub(crate) mod parquet;

use std::{collections::HashMap, path::Path, sync::Arc};

use flowlake_aws_access::StaticCredentials;
use flowlake_data_action::{
    ActionError, ActionRequest, Answer, Caller, Clock, Config, Environment, ErrorCode, Inspector,
    Pipeline, Project, SystemClock,
};
use flowlake_dev_stack::{DevStack, GenesysSettings, IamDocument, Identity};
use flowlake_transform::TableInfo;
use serde_json::{Value, json};

pub(crate) const READER: &str = "arn:aws:iam::123456789012:user/reader";
/// A signing key of the tests.
pub(crate) const SEAL_KEY: &str =
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
pub(crate) const CALLER: &str = "+12025550142";

#[derive(Debug)]
pub(crate) struct Variables(pub HashMap<String, String>);

impl Environment for Variables {
    fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).cloned()
    }
}

/// A project on the embedded stack, and the pipeline that runs it.
pub(crate) struct House {
    pub(crate) stack: DevStack,
    pub(crate) folder: tempfile::TempDir,
    pub(crate) pipeline: Pipeline,
}

const CONFIG: &str = r#"
[policy]
allow = ["s3://lake/exports/*"]
[audit.log]
directory = "audit"
[genesys]
region = "eu-west-1"
client_id = "x"
client_secret = { env = "SECRET" }
"#;

pub(crate) const LOOK_UP: &str = include_str!("look-up.toml");

impl House {
    pub(crate) async fn build(more_actions: &[&str]) -> Self {
        Self::build_with("", more_actions).await
    }

    /// With more sections of the configuration.
    pub(crate) async fn build_with(more_config: &str, more_actions: &[&str]) -> Self {
        let customers = format!("ani,name,tier\n{CALLER},Ana,gold\n+12025550143,Bo,silver\n");
        let statements = json!([
            { "Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": ["arn:aws:s3:::lake", "arn:aws:s3:::lake/exports/*"] },
            { "Effect": "Allow", "Action": ["s3:PutObject", "s3:GetObject"], "Resource": "arn:aws:s3:::lake/archive/*" },
            { "Effect": "Deny", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::lake/exports/denied.csv" },
        ]);
        let files = [("exports/customers.csv", customers.as_str())];
        Self::furnished(&files, statements, more_config, more_actions, |_| {}).await
    }

    /// With these files in the bucket `lake`, these statements of IAM for the reader, and changes of the configuration.
    pub(crate) async fn furnished<C: AsRef<[u8]>>(
        files: &[(&str, C)],
        statements: Value,
        more_config: &str,
        more_actions: &[&str],
        change: impl Fn(&mut Config),
    ) -> Self {
        let clock = Arc::new(SystemClock);
        Self::at(clock, files, statements, more_config, more_actions, change).await
    }

    /// [`House::furnished`] at the time of a clock.
    pub(crate) async fn at<C: AsRef<[u8]>>(
        clock: Arc<dyn Clock>,
        files: &[(&str, C)],
        statements: Value,
        more_config: &str,
        more_actions: &[&str],
        change: impl Fn(&mut Config),
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lake = folder.path().join("lake-root/lake");
        for folder in ["exports", "payroll"] {
            std::fs::create_dir_all(lake.join(folder)).unwrap();
        }
        for (key, content) in files {
            let path = lake.join(key);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        let document = rights(statements);
        let genesys = GenesysSettings::default();
        let stack = DevStack::builder(folder.path().join("lake-root"))
            .with_iam(document)
            .with_genesys(genesys.clone())
            .start()
            .await
            .unwrap();
        let mut project = project(folder.path(), &stack, more_config, more_actions);
        change(&mut project.config);
        let builder = Pipeline::builder(project).with_clock(clock);
        let pipeline = Box::pin(builder.build(&variables())).await.unwrap();
        Self {
            stack,
            folder,
            pipeline,
        }
    }

    /// Another pipeline of the same project and stack, as another server with this name runs it.
    pub(crate) async fn node(&self, name: &str) -> Result<Pipeline, ActionError> {
        let mut project = Project::load(self.folder.path()).unwrap();
        connect(&mut project, &self.stack);
        project.config.audit.node = Some(name.to_owned());
        Box::pin(Pipeline::builder(project).build(&variables())).await
    }

    /// Gives the reader these statements in place of all others.
    pub(crate) fn change_rights(&self, statements: Value) {
        self.stack.set_iam(rights(statements)).unwrap();
    }

    /// A look at the same project, while the pipeline runs.
    pub(crate) async fn inspector(&self) -> Inspector {
        let mut project = Project::load(self.folder.path()).unwrap();
        connect(&mut project, &self.stack);
        let builder = Pipeline::builder(project);
        Box::pin(builder.inspect(&variables())).await.unwrap()
    }

    pub(crate) async fn run(
        &self,
        action: &str,
        params: Value,
    ) -> Result<Value, (ErrorCode, String)> {
        let answer = self.ask(action, params).await?;
        Ok(serde_json::to_value(answer).unwrap())
    }

    pub(crate) async fn ask(
        &self,
        action: &str,
        params: Value,
    ) -> Result<Answer, (ErrorCode, String)> {
        let request = ActionRequest {
            action: action.to_owned(),
            params: params.as_object().unwrap().clone(),
            caller: Caller {
                name: "tests".to_owned(),
                ..Caller::default()
            },
            if_none_match: Some(Vec::new()),
            ..ActionRequest::default()
        };
        self.pipeline.run(request).await.map_err(|failure| {
            assert!(failure.audit_id.is_some());
            assert!(
                failure.error.advice().ends_with(['.', '?', '}']),
                "{}",
                failure.error.advice()
            );
            (failure.error.code(), failure.error.message().to_owned())
        })
    }

    /// Every record, as text.
    pub(crate) fn audit(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for entry in std::fs::read_dir(self.folder.path().join("audit")).unwrap() {
            let path = entry.unwrap().path();
            if path
                .extension()
                .is_some_and(|extension| extension == "jsonl" || extension == "ndjson")
            {
                lines.extend(
                    std::fs::read_to_string(path)
                        .unwrap()
                        .lines()
                        .map(str::to_owned),
                );
            }
        }
        lines
    }
}

/// The reader with these statements, who may also ask IAM.
fn rights(mut statements: Value) -> IamDocument {
    statements.as_array_mut().unwrap().push(json!(
        { "Effect": "Allow", "Action": ["iam:SimulatePrincipalPolicy", "iam:GetRole", "s3:GetBucketPolicy"], "Resource": "*" }
    ));
    let policy = json!({ "Version": "2012-10-17", "Statement": statements });
    IamDocument::default().with_identity(Identity::new(READER).with_policy("reading", policy))
}

pub(crate) fn project(
    folder: &Path,
    stack: &DevStack,
    more_config: &str,
    more_actions: &[&str],
) -> Project {
    std::fs::create_dir_all(folder.join("actions")).unwrap();
    std::fs::write(
        folder.join("flowlake.toml"),
        format!("{CONFIG}{more_config}"),
    )
    .unwrap();
    for (number, action) in [LOOK_UP].iter().chain(more_actions).enumerate() {
        std::fs::write(folder.join(format!("actions/{number}.toml")), action).unwrap();
    }
    let mut project = Project::load(folder).unwrap();
    connect(&mut project, stack);
    project
}

/// Points the project at the stack.
fn connect(project: &mut Project, stack: &DevStack) {
    let key = stack.access_key(READER);
    project.config.aws.region = Some("us-east-1".to_owned());
    project.config.aws.endpoint_url = Some(stack.aws_url().to_string());
    project.config.aws.s3_endpoint_url = Some(stack.s3_url().to_string());
    project.config.aws.path_style = true;
    project.config.aws.credentials = Some(StaticCredentials::new(key.id, key.secret));
    let genesys = project.config.genesys.as_mut().unwrap();
    genesys.client_id = GenesysSettings::default().client_id;
    genesys.login_url = Some(stack.genesys_login_url().to_string());
}

/// The secrets that the configuration names.
pub(crate) fn variables() -> Variables {
    let secrets = [
        ("SECRET", GenesysSettings::default().client_secret),
        ("SEAL_KEY", SEAL_KEY.to_owned()),
        ("NO_KEY", "not-hexadecimal".to_owned()),
    ];
    Variables(secrets.map(|(name, value)| (name.to_owned(), value)).into())
}

/// What `check` of an action finds in its first table.
pub(crate) async fn detected(inspector: &Inspector, action: &str) -> TableInfo {
    let found = Box::pin(inspector.check(action, &serde_json::Map::new())).await;
    let mut tables = found.unwrap().tables.unwrap();
    tables.swap_remove(0).detected.unwrap()
}
