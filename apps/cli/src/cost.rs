//! `flowlake cost`: what reads have cost, and the prices behind the estimates.

mod arguments;
mod prices;
mod render;
mod report;

use std::path::Path;

pub(crate) use self::arguments::CostCommand;
use crate::failure::Failure;

pub(crate) async fn cost(config: &Path, command: &CostCommand) -> Result<(), Failure> {
    match command {
        CostCommand::Report(arguments) => report::report(config, arguments).await,
        CostCommand::Prices(arguments) => prices::prices(config, arguments),
    }
}
