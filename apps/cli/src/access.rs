//! `flowlake access`: what the clients of the server may do, and why.

mod arguments;

use std::path::Path;

use flowlake_data_action::{ActionError, ClientSettings, ErrorCode, Project};

pub(crate) use self::arguments::AccessCommand;
use crate::{failure::Failure, output};

pub(crate) fn access(config: &Path, command: &AccessCommand) -> Result<(), Failure> {
    let AccessCommand::Explain(arguments) = command;
    let project = Project::load(config)?;
    let client = client(&project, &arguments.client)?;
    let action = project.actions.get(&arguments.action).ok_or_else(|| {
        ActionError::new(
            ErrorCode::ActionUnknown,
            format!("no action is named `{}`", arguments.action),
            "`flowlake check` lists the actions.",
        )
    })?;
    output::print(&client.explain(action)?)?;
    Ok(())
}

fn client(project: &Project, name: &str) -> Result<ClientSettings, ActionError> {
    let server = &project.config.server;
    let by_key = server.keys.iter().find(|key| key.name == name);
    let client = server.clients.iter().find(|client| client.name == name);
    client
        .cloned()
        .or_else(|| by_key.map(|key| ClientSettings::unbound(&key.name)))
        .ok_or_else(|| {
            ActionError::new(
                ErrorCode::ConfigInvalid,
                format!("no client is named `{name}`"),
                "Use the `name` of one in [[server.clients]] or [[server.keys]].",
            )
        })
}
