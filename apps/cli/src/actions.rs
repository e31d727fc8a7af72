//! `flowlake actions`: SQL actions as Genesys Cloud data actions, from the file to the flow.

mod arguments;
mod diff;
mod document;
mod export;
mod limits;
mod list;
mod platform;
mod publish;
mod record;
mod retire;
mod simulate;
mod test;
mod validate;

use std::path::Path;

pub(crate) use self::arguments::ActionsCommand;
pub(crate) use self::document::{Fit, fit};
pub(crate) use self::limits::limits;
use crate::failure::Failure;

pub(crate) async fn actions(config: &Path, command: &ActionsCommand) -> Result<(), Failure> {
    match command {
        ActionsCommand::List(arguments) => list::list(config, arguments).await,
        ActionsCommand::Validate(arguments) => validate::validate(config, arguments).await,
        ActionsCommand::Export(arguments) => export::export(config, arguments).await,
        ActionsCommand::Diff(arguments) => diff::diff(config, arguments).await,
        ActionsCommand::Publish(arguments) => publish::publish(config, arguments).await,
        ActionsCommand::Test(arguments) => test::test(config, arguments).await,
        ActionsCommand::Simulate(arguments) => simulate::simulate(config, arguments).await,
        ActionsCommand::Retire(arguments) => retire::retire(config, arguments).await,
    }
}
