//! `flowlake-server`: parse, load, listen, stop on SIGTERM or Ctrl-C.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use flowlake_data_action::{
    ActionError, LogFilter, LogLines, Pipeline, ProcessEnvironment, Project,
};
use flowlake_server::{
    Callers, ConfigFiles, RunningServer, Server, ServerError, ServiceState, Telemetry, handed_over,
    scan_runtime,
};
use tikv_jemallocator::Jemalloc;
use tokio::{
    runtime::{Handle, Runtime},
    signal::unix::{Signal, SignalKind, signal},
};

/// It gives memory back that many threads have taken and freed, as its settings in `.cargo/config.toml` say; the system's
/// allocator keeps it.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// Answers Genesys Cloud data actions with SQL over S3.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// flowlake.toml, or the folder that holds it
    #[arg(long, env = "FLOWLAKE_CONFIG", default_value = ".")]
    config: PathBuf,
    /// Address and port to listen on; overrides `listen` in [server]
    #[arg(long)]
    listen: Option<String>,
    /// Address and port of what operators look at; overrides `admin` in [server]
    #[arg(long)]
    admin: Option<String>,
    /// The name of this server among several, for audit records and the folder of its log; overrides `node` in [audit]
    #[arg(long, env = "FLOWLAKE_NODE")]
    node: Option<String>,
    /// Log filter, such as `info` or `flowlake_server=debug`
    #[arg(long, env = "FLOWLAKE_LOG", default_value = "info")]
    log: LogFilter,
}

#[derive(Debug)]
enum Failure {
    Action(Box<ActionError>),
    Server(ServerError),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    arguments.log.start(LogLines::Json);
    let runtimes = Runtime::new().and_then(|runtime| Ok((runtime, scan_runtime()?)));
    let (runtime, scans) = match runtimes {
        Ok(runtimes) => runtimes,
        Err(error) => {
            tracing::error!(%error, "cannot start the runtime");
            return ExitCode::from(70);
        }
    };
    let served = runtime.block_on(serve(arguments, scans.handle()));
    // What was read for nobody is not waited for.
    scans.shutdown_background();
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Action(error)) => {
            tracing::error!(
                code = error.code().as_str(),
                advice = error.advice(),
                detail = error.log_detail(),
                "{error}"
            );
            ExitCode::from(error.code().exit_code())
        }
        Err(Failure::Server(error)) => {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::error!(cause, "{error}");
            ExitCode::from(6)
        }
    }
}

async fn serve(arguments: Arguments, scans: &Handle) -> Result<(), Failure> {
    let mut files = ConfigFiles::new(&arguments.config);
    let project = load(&arguments)?;
    let settings = project.config.server.clone();
    files.watch(settings.files());
    let reload_every = settings.reload_every;
    let documents = project.documents.clone();
    let located = |error| documents.locate(error);
    let callers = Callers::load(&settings, &ProcessEnvironment).map_err(located)?;
    let telemetry = Telemetry::start(&project.config.telemetry, &ProcessEnvironment);
    let telemetry = telemetry.map_err(located)?;
    for (name, error) in &project.broken {
        tracing::warn!(action = %name, code = %error.code(), "an action cannot be read: {error}");
    }
    let pipeline = Pipeline::builder(project)
        .with_broken_actions(settings.start_with_broken_actions)
        .with_scans_on(scans.clone())
        .build(&ProcessEnvironment)
        .await?;
    let server = Server::try_new(pipeline, callers, settings)
        .map_err(located)?
        .with_telemetry(telemetry.clone())
        .with_listener(handed_over()?)
        .start()
        .await
        .map_err(
            |error| match arguments.listen.as_ref().or(arguments.admin.as_ref()) {
                // The address may not be that of the file.
                Some(_) => error,
                None => documents.locate(error),
            },
        )?;
    // Before the server reports that it is ready: a signal without a handler would end the process at once.
    let signals = Signals::listen()?;
    announce(&server);
    ServiceState::Ready.tell(&ProcessEnvironment);
    run(&server, &arguments, &mut files, reload_every, signals).await;
    ServiceState::Stopping.tell(&ProcessEnvironment);
    tracing::info!("stopping: running requests may finish");
    let stopped = server.stop().await;
    telemetry.stop().await;
    stopped?;
    tracing::info!("stopped");
    Ok(())
}

#[expect(
    clippy::print_stdout,
    reason = "all of standard output: where the server listens, for scripts that chose port 0"
)]
fn announce(server: &RunningServer) {
    println!("listening on {}://{}", server.scheme(), server.address());
    if let Some(admin) = server.admin_address() {
        println!("operators: http://{admin}/");
    }
}

fn load(arguments: &Arguments) -> Result<Project, ActionError> {
    let mut project = Project::load(&arguments.config)?;
    if let Some(listen) = &arguments.listen {
        project.config.server.listen.clone_from(listen);
    }
    if let Some(admin) = &arguments.admin {
        project.config.server.admin = Some(admin.clone());
    }
    if let Some(node) = &arguments.node {
        project.config.audit.node = Some(node.clone());
    }
    Ok(project)
}

/// The signals that the process waits for, from when this is made.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn listen() -> Result<Self, Failure> {
        let on = |kind| signal(kind).map_err(|error| Failure::Action(Box::new(internal(error))));
        Ok(Self {
            terminate: on(SignalKind::terminate())?,
            interrupt: on(SignalKind::interrupt())?,
            hang_up: on(SignalKind::hangup())?,
        })
    }
}

/// Waits for a signal to stop. SIGHUP reloads the certificate and the configuration, and so does a change of its files.
async fn run(
    server: &RunningServer,
    arguments: &Arguments,
    files: &mut ConfigFiles,
    reload_every: Duration,
    mut signals: Signals,
) {
    loop {
        tokio::select! {
            _ = signals.terminate.recv() => return,
            _ = signals.interrupt.recv() => return,
            _ = signals.hang_up.recv() => {
                if let Err(error) = server.reload_certificate() {
                    tracing::error!(code = error.code().as_str(), advice = error.advice(), "{error}");
                }
            }
            () = tokio::time::sleep(reload_every), if !reload_every.is_zero() => {
                if !files.look() {
                    continue;
                }
            }
        }
        files.taken();
        let project = load(arguments);
        if let Ok(project) = &project {
            files.watch(project.config.server.files());
        }
        // A failure is logged and counted there, and the server goes on.
        let _ = server.reload(project, &ProcessEnvironment);
    }
}

fn internal(error: std::io::Error) -> ActionError {
    ActionError::new(
        flowlake_data_action::ErrorCode::Internal,
        "cannot wait for signals",
        "Report this.",
    )
    .with_source(error)
}

impl From<ActionError> for Failure {
    fn from(error: ActionError) -> Self {
        Self::Action(Box::new(error))
    }
}

impl From<ServerError> for Failure {
    fn from(error: ServerError) -> Self {
        Self::Server(error)
    }
}
