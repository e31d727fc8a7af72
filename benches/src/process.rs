//! A whole process, measured by what the kernel says of it when it has ended.

use std::{
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, ensure};

/// What one run of a process took.
#[derive(Debug, Clone)]
pub struct Measured {
    /// Wall-clock seconds, start included.
    pub seconds: f64,
    /// Seconds of processor time, user and system.
    pub cpu_seconds: f64,
    /// Largest resident memory in MiB.
    pub peak_mib: f64,
    /// What it printed.
    pub output: String,
}

/// Seconds of processor time of a process so far, threads that have ended included.
///
/// # Errors
/// When the process is gone.
pub fn cpu_seconds(process: u32) -> Result<f64> {
    /// Of the kernel's clocks, in a second.
    const TICKS: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"))?;
    let (_, rest) = stat.rsplit_once(')').context("stat has a name in it")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    Ok((fields[11].parse::<f64>()? + fields[12].parse::<f64>()?) / TICKS)
}

/// Runs a command to its end, under GNU time.
///
/// # Errors
/// When it cannot be started, fails, or GNU time is not installed (on Debian: `apt-get install time`).
pub fn measure(command: &Command) -> Result<Measured> {
    let figures = tempfile::NamedTempFile::new()?;
    let mut timed = Command::new("/usr/bin/time");
    timed
        .args(["--format", "%U %S %M", "--output"])
        .arg(figures.path())
        .arg(command.get_program())
        .args(command.get_args())
        .stderr(Stdio::inherit());
    for (name, value) in command.get_envs() {
        if let Some(value) = value {
            timed.env(name, value);
        }
    }
    let began = Instant::now();
    let output = timed
        .output()
        .context("GNU time cannot be started; on Debian: apt-get install time")?;
    let seconds = began.elapsed().as_secs_f64();
    ensure!(
        output.status.success(),
        "{command:?} failed: {}",
        output.status
    );
    let text = std::fs::read_to_string(figures.path())?;
    let figures: Vec<f64> = text
        .split_whitespace()
        .map(str::parse)
        .collect::<Result<_, _>>()
        .with_context(|| format!("GNU time said {text:?}"))?;
    ensure!(figures.len() == 3, "GNU time said {text:?}");
    Ok(Measured {
        seconds,
        cpu_seconds: figures[0] + figures[1],
        peak_mib: figures[2] / 1024.0,
        output: String::from_utf8(output.stdout)?,
    })
}
