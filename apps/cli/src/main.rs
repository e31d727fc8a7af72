//! `flowlake`: parse the command line, run one command, map its end to an exit code.

mod access;
mod actions;
mod arguments;
mod audit;
mod check;
mod colour;
mod cost;
mod demo;
mod destination;
mod doctor;
mod explain;
mod failure;
mod format;
mod grid;
mod init;
mod output;
mod parameter;
mod profile;
mod run;
mod sql;
mod test;
mod text;

use std::process::ExitCode;

use clap::Parser;
use tikv_jemallocator::Jemalloc;
use tracing_subscriber::EnvFilter;

use crate::{
    arguments::{Arguments, Command},
    failure::Failure,
};

/// It gives memory back that many threads have taken and freed, as its settings in `.cargo/config.toml` say; the system's
/// allocator keeps it.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt()
        .with_env_filter(
            EnvFilter::try_new(&arguments.log).expect("the filter was checked when it was read"),
        )
        .with_writer(std::io::stderr)
        .init();
    let result = tokio::runtime::Runtime::new()
        .map_err(Failure::from)
        .and_then(|runtime| runtime.block_on(execute(&arguments)));
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(arguments.json),
    }
}

async fn execute(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::Run(run) => Box::pin(run::run(&arguments.config, run)).await,
        Command::Sql(sql) => Box::pin(sql::sql(&arguments.config, sql)).await,
        Command::Test(test) => Box::pin(test::test(&arguments.config, test)).await,
        Command::Explain(explain) => Box::pin(explain::explain(&arguments.config, explain)).await,
        Command::Check(check) => Box::pin(check::check(&arguments.config, check)).await,
        Command::Doctor(doctor) => Box::pin(doctor::doctor(&arguments.config, doctor)).await,
        Command::Actions(actions) => Box::pin(actions::actions(&arguments.config, actions)).await,
        Command::Access(command) => access::access(&arguments.config, command),
        Command::Audit(command) => audit::audit(&arguments.config, command).await,
        Command::Cost(command) => Box::pin(cost::cost(&arguments.config, command)).await,
        Command::Init(init) => Box::pin(init::init(&arguments.config, init)).await,
        Command::Demo(demo) => Box::pin(demo::demo(demo)).await,
    }
}
