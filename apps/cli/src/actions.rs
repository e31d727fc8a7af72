//! `flowlake actions`: SQL actions as Genesys Cloud data actions, from the file to the flow.

mod arguments;
mod compare;
mod diff;
mod document;
mod export;
mod limits;
mod list;
mod live;
mod platform;
mod publish;
mod record;
mod retire;
mod simulate;
mod test;
mod validate;
mod versions;

use std::path::Path;

pub(crate) use self::arguments::ActionsArguments;
use self::arguments::ActionsCommand;
pub(crate) use self::diff::BREAKS;
pub(crate) use self::document::{Fit, fit};
pub(crate) use self::limits::limits;
pub(crate) use self::live::{Live, LiveVersion};
use crate::failure::Failure;

pub(crate) async fn actions(config: &Path, arguments: &ActionsArguments) -> Result<(), Failure> {
    let via = arguments.via.map(Into::into);
    match &arguments.command {
        ActionsCommand::List(arguments) => list::list(config, via, arguments).await,
        ActionsCommand::Validate(arguments) => validate::validate(config, via, arguments).await,
        ActionsCommand::Export(arguments) => export::export(config, via, arguments).await,
        ActionsCommand::Diff(arguments) => diff::diff(config, via, arguments).await,
        ActionsCommand::Publish(arguments) => publish::publish(config, via, arguments).await,
        ActionsCommand::Test(arguments) => test::test(config, via, arguments).await,
        ActionsCommand::Simulate(arguments) => simulate::simulate(config, via, arguments).await,
        ActionsCommand::Retire(arguments) => retire::retire(config, via, arguments).await,
    }
}
