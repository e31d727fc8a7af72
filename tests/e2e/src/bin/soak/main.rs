//! The server for a long time under everything at once, under more than it can do, or at its start; run by `cargo xtask soak`,
//! `cargo xtask overload` and `cargo xtask start`.
//!
//! `flowlake-soak soak|overload|start PROGRAMS FOLDER SECONDS`

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it reports to the terminal"
)]

mod caller;
mod chart;
mod goals;
mod house;
mod overload;
mod soak;
mod start;

use std::{fs, process::ExitCode, time::Duration};

use anyhow::{Context, Result, bail};

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, what, programs, folder, seconds] = arguments.as_slice() else {
        bail!("flowlake-soak soak|overload|start PROGRAMS FOLDER SECONDS");
    };
    let seconds = seconds.parse().context("SECONDS is no number")?;
    let time = Duration::from_secs(seconds);
    fs::create_dir_all(folder)?;
    // The server is run in its own folder.
    let programs = &fs::canonicalize(programs).with_context(|| format!("no folder {programs}"))?;
    let folder = &fs::canonicalize(folder)?;
    match what.as_str() {
        "soak" => soak::run(programs, folder, time),
        "overload" => overload::run(programs, folder, time),
        "start" => start::run(programs, folder, time),
        _ => bail!("there are soak, overload and start, not {what}"),
    }
}
