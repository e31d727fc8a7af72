//! `flowlake init`: a commented configuration and a first action, from the examples or over files that somebody has.

mod from;
mod made_up;

use std::{
    fs,
    io::{ErrorKind, Write},
    path::Path,
};

use flowlake_data_action::{
    ActionError, CONFIG_FILE, ErrorCode, FunctionRoles, Pipeline, ProcessEnvironment, Project,
    TEST_SUFFIX,
};
use flowlake_genesys_auth::Region;
use uuid::Uuid;

use self::from::FirstProject;
use crate::{
    arguments::Init,
    demo::EXAMPLE_CONFIG,
    failure::Failure,
    inspect::{Inspect, look},
    output,
};

const FIRST_ACTION: &str =
    include_str!("../../../examples/contact-centre/actions/agent-scorecard.toml");

const FIRST_TESTS: &str =
    include_str!("../../../examples/contact-centre/actions/agent-scorecard.test.toml");

/// What is no part of a project: audit logs, answers of Cost Explorer, pieces of objects.
const IGNORED: &str = "/audit*/\n/cost-explorer-cache.json\n/object-cache/\n";

/// The AWS account that the AWS Lambda data actions of Genesys Cloud come from, in all regions but those below.
const GENESYS_ACCOUNT: &str = "765628985471";
/// That of the region for the government of the United States.
const FEDRAMP: (&str, &str) = ("us-east-2", "325654371633");
/// A region of a cloud of its own.
const SOVEREIGN: &str = "eusc-";

pub(crate) async fn init(config: &Path, arguments: &Init) -> Result<(), Failure> {
    match (arguments.organization, &arguments.from) {
        (Some(organization), _) => roles(config, arguments, organization).await,
        (None, Some(uri)) => files_over(config, arguments, uri).await,
        (None, None) => files(arguments),
    }
}

/// The roles of the project's function.
async fn roles(config: &Path, arguments: &Init, organization: Uuid) -> Result<(), Failure> {
    let project = Project::load(config)?;
    let publish = project.config.publish.as_ref();
    let function = publish.and_then(|publish| publish.lambda.as_ref());
    let function = function.ok_or_else(|| {
        ActionError::new(
            ErrorCode::ConfigInvalid,
            "[publish.lambda] is not configured",
            "Add it with the address of the `function`: the roles have its account and its name.",
        )
    })?;
    let trusted_account = match &arguments.genesys_account {
        Some(account) => account.clone(),
        None => genesys_account(&project)?.to_owned(),
    };
    let roles = FunctionRoles {
        function: function.function.clone(),
        trusted_account,
        organization: organization.to_string(),
    };
    let config = project.config.clone();
    let inspector = Pipeline::builder(project)
        .inspect(&ProcessEnvironment)
        .await?;
    if let Some((name, error)) = inspector.broken().next() {
        return Err(error.clone().in_action(name).into());
    }
    let template = roles.template(&config, &inspector)?;
    output::print(&format!("{template:#}\n"))?;
    output::note(
        "objects that a KMS key encrypts need kms:Decrypt on that key too; a function with an EFS file system needs the managed policy AWSLambdaVPCAccessExecutionRole",
    );
    Ok(())
}

fn genesys_account(project: &Project) -> Result<&'static str, ActionError> {
    let unknown = |what: String| {
        ActionError::new(
            ErrorCode::ConfigInvalid,
            what,
            "Name the account with --genesys-account; Genesys Cloud's page on IAM resources for AWS Lambda has it.",
        )
    };
    let genesys = project.config.genesys.as_ref().ok_or_else(|| {
        unknown(
            "the AWS account of Genesys Cloud follows from `region` in [genesys], which is missing"
                .to_owned(),
        )
    })?;
    let region: Region = genesys.region.parse()?;
    match region.aws_region() {
        region if region == FEDRAMP.0 => Ok(FEDRAMP.1),
        region if region.starts_with(SOVEREIGN) => Err(unknown(format!(
            "the AWS account of Genesys Cloud in {region} is not known"
        ))),
        _ => Ok(GENESYS_ACCOUNT),
    }
}

fn files(arguments: &Init) -> Result<(), Failure> {
    let folder = &arguments.folder;
    let actions = folder.join("actions");
    fs::create_dir_all(&actions)?;
    write_new(&folder.join(CONFIG_FILE), &first_config())?;
    write_new(&actions.join("agent-scorecard.toml"), FIRST_ACTION)?;
    write_new(&actions.join("agent-scorecard.test.toml"), FIRST_TESTS)?;
    ignore_records(folder)?;
    output::print(&format!(
        "Wrote {0}/{CONFIG_FILE}, {0}/actions/agent-scorecard.toml and {0}/actions/agent-scorecard.test.toml.\nTest the action without AWS: flowlake{1} test\nBegin with a file of yours instead: flowlake init FOLDER --from s3://BUCKET/KEY\nOr set your bucket in the first two, then: flowlake{1} check --param agent_id=agent-0042\n",
        folder.display(),
        option(folder),
    ))?;
    Ok(())
}

/// A project over files, whose action works at once.
async fn files_over(config: &Path, arguments: &Init, uri: &str) -> Result<(), Failure> {
    let folder = &arguments.folder;
    // Before anything is read: nothing is overwritten.
    let config_file = folder.join(CONFIG_FILE);
    if config_file.exists() {
        return Err(is_there(&config_file));
    }
    let inspect = Inspect {
        sample: arguments.sample,
        yes: arguments.yes,
        ..Inspect::of(uri, &arguments.options)
    };
    let looked = Box::pin(look(config, &inspect)).await?;
    let project = FirstProject::of(&looked, &first_config())?;
    let actions = folder.join("actions");
    fs::create_dir_all(&actions)?;
    let action = actions.join(format!("{}.toml", project.name));
    write_new(&config_file, &project.config)?;
    write_new(&action, &project.action)?;
    ignore_records(folder)?;
    let mut written = format!("{} and {}", config_file.display(), action.display());
    let option = option(folder);
    let mut then = format!(
        "flowlake{option} check\n      flowlake{option} run {}",
        project.call
    );
    if let Some(tests) = &project.tests {
        let file = actions.join(format!("{}{TEST_SUFFIX}", project.name));
        write_new(&file, tests)?;
        written = format!(
            "{}, {} and {}",
            config_file.display(),
            action.display(),
            file.display()
        );
        then += &format!("\n      flowlake{option} test");
    }
    output::print(&format!("Wrote {written}.\nThen: {then}\n"))?;
    if project.tests.is_none() {
        output::note(
            "no test file was made: docs/testing.md says how rows of such files are given",
        );
    }
    looked.remarks();
    if looked.inspected.problems.count > 0 {
        output::note(&format!(
            "{} values or rows do not fit: `flowlake inspect` shows where",
            looked.inspected.problems.count
        ));
    }
    Ok(())
}

/// What commands over the folder need.
fn option(folder: &Path) -> String {
    match folder == Path::new(".") {
        true => String::new(),
        false => format!(" --config {}", folder.display()),
    }
}

fn is_there(path: &Path) -> Failure {
    ActionError::new(
        ErrorCode::ConfigInvalid,
        format!("{} is there already", path.display()),
        "Name another folder, or move the file away: nothing is overwritten.",
    )
    .into()
}

/// The example without its Genesys Cloud organisation: the first action needs none, and its secret would be asked for.
fn first_config() -> String {
    let mut is_genesys = false;
    let lines = EXAMPLE_CONFIG.lines().map(|line| {
        if line.starts_with('[') {
            is_genesys = line.starts_with("[genesys]");
        }
        if is_genesys && !line.is_empty() && !line.starts_with('#') {
            format!("# {line}\n")
        } else {
            format!("{line}\n")
        }
    });
    lines.collect()
}

/// Keeps what flowlake writes beside the configuration out of a repository, unless somebody has decided what is.
fn ignore_records(folder: &Path) -> Result<(), Failure> {
    let file = folder.join(".gitignore");
    match file.exists() {
        true => Ok(()),
        false => write_new(&file, IGNORED),
    }
}

/// Writes a file that does not exist yet: what somebody wrote is never overwritten.
fn write_new(path: &Path, text: &str) -> Result<(), Failure> {
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(path)
        .map_err(|error| {
            if error.kind() == ErrorKind::AlreadyExists {
                return is_there(path);
            }
            let what = format!("cannot write {}: {error}", path.display());
            std::io::Error::new(error.kind(), what).into()
        })?;
    Ok(file.write_all(text.as_bytes())?)
}
