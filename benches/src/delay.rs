//! A server that is far away: every request waits before it goes on to the near one.

use std::time::Duration;

use anyhow::Result;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
};

/// A proxy that adds a latency to each request, and takes nothing of the bandwidth. Ended when dropped.
#[derive(Debug)]
pub struct Delayed {
    port: u16,
    task: JoinHandle<()>,
}

impl Delayed {
    /// Forwards to `port` on loopback, `delay` later.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(port: u16, delay: Duration) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let own = listener.local_addr()?.port();
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(async move {
                    // A connection that breaks off ends here; its client sees that for itself.
                    let _ = forward(near, port, delay).await;
                });
            }
        });
        Ok(Self { port: own, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Delayed {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(near: TcpStream, port: u16, delay: Duration) -> std::io::Result<()> {
    let far = TcpStream::connect(("127.0.0.1", port)).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let (mut near_reader, mut near_writer) = near.into_split();
    let (mut far_reader, mut far_writer) = far.into_split();
    let requests = async move {
        let mut buffer = vec![0; 64 << 10];
        loop {
            // A request of these benchmarks is one segment.
            let length = near_reader.read(&mut buffer).await?;
            if length == 0 {
                return far_writer.shutdown().await;
            }
            tokio::time::sleep(delay).await;
            far_writer.write_all(&buffer[..length]).await?;
        }
    };
    let answers = async move {
        let mut buffer = vec![0; 1 << 20];
        loop {
            let length = far_reader.read(&mut buffer).await?;
            if length == 0 {
                return near_writer.shutdown().await;
            }
            near_writer.write_all(&buffer[..length]).await?;
        }
    };
    tokio::try_join!(requests, answers).map(drop)
}
