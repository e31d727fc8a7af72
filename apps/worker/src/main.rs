//! `flowlake-worker`: parse, load, listen, stop on SIGTERM or Ctrl-C.

use std::{io, path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use flowlake_data_action::{
    ActionError, Config, ErrorCode, LogFilter, LogLines, ProcessEnvironment, WorkerIdentity, worker,
};
use tikv_jemallocator::Jemalloc;
use tokio::{
    net::TcpListener,
    runtime::Runtime,
    signal::unix::{SignalKind, signal},
    sync::Notify,
};

/// As in the server: it gives memory back that many threads have taken and freed.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

/// How long running parts of queries may take to end when the worker is to stop.
const GRACE: Duration = Duration::from_secs(60);

/// Reads files for queries of other flowlake programs.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// flowlake.toml, or the folder that holds it
    #[arg(long, env = "FLOWLAKE_CONFIG", default_value = ".")]
    config: PathBuf,
    /// Address and port to listen on
    #[arg(long, env = "FLOWLAKE_LISTEN", default_value = "127.0.0.1:7400")]
    listen: String,
    /// The certificate of this worker, as PEM; goes with `tls_ca` in `[cluster]`
    #[arg(long, value_name = "FILE", requires = "key")]
    certificate: Option<PathBuf>,
    /// The key of the certificate, as PEM
    #[arg(long, value_name = "FILE", requires = "certificate")]
    key: Option<PathBuf>,
    /// Log filter, such as `info` or `flowlake_transform=debug`
    #[arg(long, env = "FLOWLAKE_LOG", default_value = "info")]
    log: LogFilter,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    arguments.log.start(LogLines::Json);
    let runtime = match Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "cannot start the runtime");
            return ExitCode::from(70);
        }
    };
    match runtime.block_on(serve(&arguments)) {
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

async fn serve(arguments: &Arguments) -> Result<(), ActionError> {
    let (_folder, config) = Config::load(&arguments.config)?;
    let identity = match (&arguments.certificate, &arguments.key) {
        (Some(certificate), Some(key)) => Some(WorkerIdentity { certificate, key }),
        _ => None,
    };
    let worker = Box::pin(worker(&config, identity, &ProcessEnvironment)).await?;
    let listener = TcpListener::bind(&arguments.listen).await;
    let listener = listener.map_err(|error| unusable(&arguments.listen, error))?;
    let address = listener.local_addr();
    let address = address.map_err(|error| unusable(&arguments.listen, error))?;
    if worker.tls.is_none() && !address.ip().is_loopback() {
        return Err(ActionError::new(
            ErrorCode::ConfigInvalid,
            format!("without TLS, a worker does not listen on {address}"),
            "Set `tls_ca` in [cluster] and give --certificate and --key, or listen on 127.0.0.1.",
        ));
    }
    // Before anybody hears that it is ready: a signal that nobody waits for ends the process.
    let failed = |error| internal("cannot wait for signals", error);
    let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
    announce(address);
    let stopping = Notify::new();
    let stopped = worker.serve(listener, stopping.notified());
    tokio::pin!(stopped);
    tokio::select! {
        ended = &mut stopped => return Ok(ended?),
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping: what is being read may be finished");
    stopping.notify_one();
    match tokio::time::timeout(GRACE, stopped).await {
        Ok(ended) => Ok(ended?),
        Err(_elapsed) => Ok(()),
    }
}

#[expect(
    clippy::print_stdout,
    reason = "all of standard output: where the worker listens, for scripts that chose port 0"
)]
fn announce(address: std::net::SocketAddr) {
    println!("flowlake-worker listens on {address}");
    tracing::info!(%address, "ready");
}

fn unusable(listen: &str, error: io::Error) -> ActionError {
    ActionError::new(
        ErrorCode::ConfigInvalid,
        format!("cannot listen on {listen}: {}", error.kind()),
        "Choose a free port and an address of this machine.",
    )
    .with_source(error)
}

fn internal(what: &str, error: io::Error) -> ActionError {
    ActionError::new(ErrorCode::Internal, what, "Report this.").with_source(error)
}
