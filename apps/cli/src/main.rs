//! `flowlake`: parse the command line, run one command, map its end to an exit code.

mod access;
mod actions;
mod answering;
mod arguments;
mod audit;
mod check;
mod colour;
mod cost;
mod demo;
mod destination;
mod doctor;
mod excerpt;
mod explain;
mod failure;
mod format;
mod grid;
mod init;
mod inspect;
mod interrupt;
mod output;
mod panics;
mod parameter;
mod profile;
mod progress;
mod reference;
mod run;
mod shell;
mod shell_help;
mod spreadsheet;
mod sql;
mod state;
mod terminal;
mod test;
mod text;
mod watch;

use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use flowlake_data_action::{ActionError, ErrorCode, LogLines, ProcessEnvironment};
use tikv_jemallocator::Jemalloc;

use crate::{
    arguments::{Arguments, Command},
    colour::Colour,
    failure::Failure,
    terminal::Terminal,
};

/// Returns memory to the system that many threads allocated and freed (settings in `.cargo/config.toml`); the system's allocator
/// keeps it.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return unparsed(&error),
    };
    Terminal::set(&arguments.voice, &ProcessEnvironment);
    let mut filter = arguments.log.clone();
    if arguments.voice.verbose {
        filter = filter.with("flowlake_s3_stream=debug");
    }
    let colours = Terminal::get().stderr != Colour::NONE;
    filter.start(LogLines::Text { colours });
    let result = panics::caught(|| {
        let runtime = tokio::runtime::Runtime::new().map_err(Failure::from)?;
        let result = runtime.block_on(execute(&arguments));
        // What still runs has nobody who waits for it.
        runtime.shutdown_background();
        result
    });
    match result.unwrap_or_else(|panicked| Err(panicked.into())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(arguments.json),
    }
}

/// Help and versions are printed; what cannot be understood is an error as any other, as JSON too.
fn unparsed(error: &clap::Error) -> ExitCode {
    let is_usage = error.use_stderr();
    if !is_usage || !std::env::args_os().any(|argument| argument == "--json") {
        error.exit();
    }
    let text = error.render().to_string();
    let said = text.lines().next().unwrap_or_default();
    let said = said.strip_prefix("error: ").unwrap_or(said);
    let advice = "`flowlake --help`, and that of a command, shows what can be typed.";
    let error = ActionError::new(ErrorCode::ConfigInvalid, said, advice);
    Failure::from(error).report(true)
}

async fn execute(arguments: &Arguments) -> Result<(), Failure> {
    match &arguments.command {
        Command::Run(run) => Box::pin(run::run(&arguments.config, run)).await,
        Command::Sql(sql) => Box::pin(sql::sql(&arguments.config, sql)).await,
        Command::Shell(shell) => Box::pin(shell::shell(&arguments.config, shell)).await,
        Command::Test(test) => Box::pin(test::test(&arguments.config, test)).await,
        Command::Inspect(inspect) => {
            Box::pin(inspect::inspect(&arguments.config, arguments.json, inspect)).await
        }
        Command::Explain(explain) => Box::pin(explain::explain(&arguments.config, explain)).await,
        Command::Check(check) => Box::pin(check::check(&arguments.config, check)).await,
        Command::Doctor(doctor) => Box::pin(doctor::doctor(&arguments.config, doctor)).await,
        Command::Actions(actions) => Box::pin(actions::actions(&arguments.config, actions)).await,
        Command::Access(command) => access::access(&arguments.config, command),
        Command::Audit(command) => audit::audit(&arguments.config, command).await,
        Command::Cost(command) => Box::pin(cost::cost(&arguments.config, command)).await,
        Command::Profile(profile) => Box::pin(profile::profile(&arguments.config, profile)).await,
        Command::Init(init) => Box::pin(init::init(&arguments.config, init)).await,
        Command::Demo(demo) => Box::pin(demo::demo(demo)).await,
        Command::Completions(completions) => {
            shell_help::completions(completions, Arguments::command())
        }
        Command::Man(man) => shell_help::man(man, Arguments::command()),
        Command::Schema(schema) => shell_help::schema(schema),
    }
}
