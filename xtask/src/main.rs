#![doc = include_str!("../README.md")]
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a chore reports to the terminal"
)]

mod api;
mod archive;
mod bench;
mod check;
mod ci;
mod deb;
mod deny;
mod differential;
mod dist;
mod e2e;
mod nightly;
mod outside;
mod release;
mod sbom;
mod secrets;
mod soak;
mod test;
mod tidy;
mod wheel;
mod workspace;

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// The project's chores. CI runs `cargo xtask ci` and nothing else, so everything it finds can be found here.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Chore {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Api(api::Api),
    Bench(bench::Bench),
    Check(check::Check),
    Ci(ci::Ci),
    Deb(deb::Deb),
    Deny(deny::Deny),
    Differential(differential::Differential),
    Dist(dist::Dist),
    E2e(e2e::E2e),
    Nightly(nightly::Nightly),
    Overload(soak::Overload),
    Release(release::Release),
    Sbom(sbom::Sbom),
    Soak(soak::Soak),
    Start(soak::Start),
    Test(test::Test),
    Tidy(tidy::Tidy),
    Wheel(wheel::Wheel),
}

fn main() -> ExitCode {
    match run(&Chore::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> Result<()> {
    let workspace = Workspace::load()?;
    match command {
        Command::Api(chore) => chore.run(&workspace),
        Command::Bench(chore) => chore.run(&workspace),
        Command::Check(chore) => chore.run(&workspace),
        Command::Ci(chore) => chore.run(&workspace),
        Command::Deb(chore) => chore.run(&workspace),
        Command::Deny(chore) => chore.run(&workspace),
        Command::Differential(chore) => chore.run(&workspace),
        Command::Dist(chore) => chore.run(&workspace).map(drop),
        Command::E2e(chore) => chore.run(&workspace),
        Command::Nightly(chore) => chore.run(&workspace),
        Command::Overload(chore) => chore.run(&workspace),
        Command::Release(chore) => chore.run(&workspace),
        Command::Sbom(chore) => chore.run(&workspace),
        Command::Soak(chore) => chore.run(&workspace),
        Command::Start(chore) => chore.run(&workspace),
        Command::Test(chore) => chore.run(&workspace),
        Command::Tidy(chore) => chore.run(&workspace),
        Command::Wheel(chore) => chore.run(&workspace),
    }
}
