//! A server under load: started, watched by what the kernel says of it, and ended.

use std::{
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};

/// Ticks of the kernel's clocks a second.
const TICKS: f64 = 100.0;

/// A server that listens on loopback, ended when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    port: u16,
}

/// Seconds of processor time of a process so far.
#[derive(Debug, Clone, Copy, Default)]
pub struct CpuTime {
    /// Of all its threads.
    pub all: f64,
    /// Of the threads with the name that was asked for.
    pub named: f64,
}

/// A port that is free now.
///
/// # Errors
/// When none is.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}

impl Running {
    /// Starts a command that listens on `port`, and waits until it does.
    ///
    /// # Errors
    /// When it ends, or does not listen within a minute.
    pub fn start(command: &mut Command, port: u16) -> Result<Self> {
        let child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("{command:?} cannot be started"))?;
        let mut running = Self { child, port };
        for _ in 0..600 {
            if TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(running);
            }
            if let Some(status) = running.child.try_wait()? {
                bail!("{command:?} ended with {status}");
            }
            thread::sleep(Duration::from_millis(100));
        }
        bail!("{command:?} does not listen on port {port}")
    }

    /// Where it listens.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Processor time so far, and that of the threads called `name`.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn cpu(&self, name: &str) -> Result<CpuTime> {
        let folder = format!("/proc/{}/task", self.child.id());
        let mut time = CpuTime::default();
        for thread in std::fs::read_dir(folder)? {
            let stat = std::fs::read_to_string(thread?.path().join("stat"))?;
            let (begin, rest) = stat.rsplit_once(')').context("stat has a name in it")?;
            let fields: Vec<&str> = rest.split_whitespace().collect();
            let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
            time.all += ticks / TICKS;
            if begin.ends_with(&format!("({name}")) {
                time.named += ticks / TICKS;
            }
        }
        Ok(time)
    }

    /// The largest resident memory so far, in MiB.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn peak_mib(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        let kib: f64 = kib.context("no VmHWM")?.trim().parse()?;
        Ok(kib / 1024.0)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
