//! The accept loop under every stand-in.

use std::error::Error as StdError;
use std::net::SocketAddr;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::service::Service;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::error::{Error, ErrorKind};

/// A free loopback port, bound.
pub(crate) async fn bind() -> Result<(TcpListener, SocketAddr), Error> {
    let failed = |source| {
        Error::new(ErrorKind::Network, "no loopback port could be bound").with_source(source)
    };
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// Serves until `stop` turns true or its sender is gone, then closes every connection.
pub(crate) async fn serve<S, B>(listener: TcpListener, service: S, mut stop: watch::Receiver<bool>)
where
    S: Service<Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
    S::Future: Send + 'static,
    S::Error: Into<Box<dyn StdError + Send + Sync>>,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn StdError + Send + Sync>>,
{
    let mut connections = JoinSet::new();
    let mut stopped = std::pin::pin!(async move {
        let _ = stop.wait_for(|stopped| *stopped).await;
    });
    loop {
        tokio::select! {
            () = &mut stopped => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => {
                let Ok((socket, _)) = accepted else {
                    // Most likely no file handle was left: give the others time to end.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                };
                // Small answers must not wait for the next packet.
                let _ = socket.set_nodelay(true);
                let service = service.clone();
                connections.spawn(async move {
                    let served = Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(socket), service)
                        .await;
                    if let Err(error) = served {
                        tracing::debug!(error, "a connection ended early");
                    }
                });
            }
        }
    }
    connections.shutdown().await;
}
