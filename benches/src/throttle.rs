//! A machine's network: all connections through it share a number of bytes a second.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::Result;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Mutex,
    task::JoinHandle,
    time::{Instant, sleep_until},
};

/// Bytes that are passed on at a time.
const PIECE: usize = 64 << 10;

/// A proxy with a bound on the bytes of all answers together. Ended when dropped.
#[derive(Debug)]
pub struct Throttled {
    port: u16,
    brought: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

impl Throttled {
    /// Forwards to `port` on loopback; answers have `rate` bytes a second together.
    ///
    /// # Errors
    /// When no port is free.
    pub async fn start(port: u16, rate: u64) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let own = listener.local_addr()?.port();
        let free_at = Arc::new(Mutex::new(Instant::now()));
        let brought = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&brought);
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let (free_at, counted) = (Arc::clone(&free_at), Arc::clone(&counted));
                tokio::spawn(async move {
                    // A connection that breaks off ends here; its client sees that for itself.
                    let _ = forward(near, port, rate, &free_at, &counted).await;
                });
            }
        });
        Ok(Self {
            port: own,
            brought,
            task,
        })
    }

    /// Where it listens.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Bytes that it brought since the last time that this was asked.
    #[must_use]
    pub fn take_bytes(&self) -> u64 {
        self.brought.swap(0, Relaxed)
    }
}

impl Drop for Throttled {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(
    near: TcpStream,
    port: u16,
    rate: u64,
    free_at: &Mutex<Instant>,
    brought: &AtomicU64,
) -> std::io::Result<()> {
    let far = TcpStream::connect(("127.0.0.1", port)).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let (mut near_reader, mut near_writer) = near.into_split();
    let (mut far_reader, mut far_writer) = far.into_split();
    let requests = async move { tokio::io::copy(&mut near_reader, &mut far_writer).await };
    let answers = async move {
        let mut buffer = vec![0; PIECE];
        loop {
            let length = far_reader.read(&mut buffer).await?;
            if length == 0 {
                return near_writer.shutdown().await;
            }
            // The next piece of any connection goes behind this one.
            let turn = {
                let mut free_at = free_at.lock().await;
                let turn = (*free_at).max(Instant::now());
                *free_at = turn + Duration::from_secs_f64(length as f64 / rate as f64);
                turn
            };
            brought.fetch_add(length as u64, Relaxed);
            sleep_until(turn).await;
            near_writer.write_all(&buffer[..length]).await?;
        }
    };
    tokio::try_join!(requests, answers).map(drop)
}
