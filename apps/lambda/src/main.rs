//! `flowlake-lambda`: parse, load, answer events until the execution environment ends.

mod api;
mod event;
mod function;

use std::{
    fs,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use clap::Parser;
use flowlake_data_action::{
    ActionError, Environment, ErrorCode, ExecutionEnvironment, LogFilter, LogLines, Pipeline,
    ProcessEnvironment, Project,
};
use lambda_runtime::{LambdaEvent, Runtime, service_fn};
use serde_json::value::RawValue;
use tikv_jemallocator::Jemalloc;
use tokio::signal::unix::{SignalKind, signal};

use crate::function::Function;

/// As in the server: it gives memory back that many threads have taken and freed.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// How long attempts may take to end when the environment does. AWS kills the process 500 ms after SIGTERM.
const GRACE: Duration = Duration::from_millis(300);

/// What AWS Lambda sets for every function, and `lambda_runtime` reads.
const GIVEN: [&str; 4] = [
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_VERSION",
];

/// Answers Genesys Cloud's AWS Lambda data actions with SQL over S3. AWS Lambda starts it, as `bootstrap`.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// flowlake.toml, or the folder that holds it; the function's own folder when left out
    #[arg(long, env = "FLOWLAKE_CONFIG")]
    config: Option<PathBuf>,
    /// Log filter, such as `info` or `flowlake_transform=debug`
    #[arg(long, env = "FLOWLAKE_LOG", default_value = "info")]
    log: LogFilter,
}

fn main() -> ExitCode {
    let started = now();
    let arguments = Arguments::parse();
    // The runtime would log events whole, and they hold personal data.
    let filter = arguments.log.clone().with("lambda_runtime=info");
    filter.start(LogLines::Json);
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start the runtime");
            return ExitCode::from(70);
        }
    };
    match runtime.block_on(serve(arguments, started)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(
                code = error.code().as_str(),
                advice = error.advice(),
                detail = error.log_detail(),
                "{error}"
            );
            ExitCode::from(error.code().exit_code())
        }
    }
}

async fn serve(arguments: Arguments, started: Instant) -> Result<(), ActionError> {
    if let Some(missing) = GIVEN
        .iter()
        .find(|name| ProcessEnvironment.get(name).is_none())
    {
        return Err(ActionError::new(
            ErrorCode::ConfigInvalid,
            format!("{missing} is not set: this program is started by AWS Lambda"),
            "Put it into a function with the runtime provided.al2023, as `bootstrap`; docs/genesys.md says how.",
        ));
    }
    let pipeline = match Box::pin(load(arguments)).await {
        Ok(pipeline) => pipeline,
        Err(error) => {
            // AWS Lambda shows it where an operator looks why the function does not start.
            if let Err(unsent) = api::report_failed_start(&ProcessEnvironment, &error).await {
                tracing::error!(error = %unsent, "the failed start cannot be reported to the runtime API");
            }
            return Err(error);
        }
    };
    tracing::info!(
        actions = pipeline.actions().count(),
        init_ms = started.elapsed().as_millis(),
        "ready for events"
    );
    let function = Function::new(pipeline.clone());
    let handler = service_fn(|event: LambdaEvent<Box<RawValue>>| function.answer(event));
    let mut terminate = signal(SignalKind::terminate())
        .map_err(|error| internal("cannot wait for signals").with_source(error))?;
    let ended = tokio::select! {
        ended = Runtime::new(handler).run() => ended.map_err(|error| {
            internal("the runtime API gives no events any more").with_source(error)
        }),
        _ = terminate.recv() => Ok(()),
    };
    pipeline.close(GRACE).await;
    ended
}

async fn load(arguments: Arguments) -> Result<Pipeline, ActionError> {
    let folder = arguments.config.or_else(|| {
        let root = ProcessEnvironment.get("LAMBDA_TASK_ROOT");
        root.map(PathBuf::from)
    });
    let project = Project::load(&folder.unwrap_or_else(|| PathBuf::from(".")))?;
    let project = project.in_function(&environment()?)?;
    if project.config.telemetry.otlp_endpoint.is_some() {
        tracing::warn!("[telemetry] has no effect here: traces are the server's");
    }
    for (name, error) in &project.broken {
        tracing::warn!(action = %name, code = %error.code(), "an action cannot be read: {error}");
    }
    let broken = project.config.server.start_with_broken_actions;
    Pipeline::builder(project)
        .with_broken_actions(broken)
        .build(&ProcessEnvironment)
        .await
}

/// What this process knows of where it runs.
fn environment() -> Result<ExecutionEnvironment, ActionError> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")
        .map_err(|error| internal("cannot read /proc/self/mountinfo").with_source(error))?;
    let stream = ProcessEnvironment.get("AWS_LAMBDA_LOG_STREAM_NAME");
    Ok(ExecutionEnvironment {
        // Environments of managed instances have no stream of their own.
        name: stream.unwrap_or_else(|| uuid::Uuid::new_v4().to_string()),
        scratch: std::env::temp_dir(),
        mounts,
    })
}

fn internal(what: &str) -> ActionError {
    ActionError::new(ErrorCode::Internal, what, "Report this.")
}

#[expect(
    clippy::disallowed_methods,
    reason = "the start of the process, before there is a clock"
)]
fn now() -> Instant {
    Instant::now()
}
