//! `cargo xtask deb`: the package for Debian, installed and started.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use xshell::cmd;

use crate::{
    dist::Dist,
    workspace::{self, Workspace},
};

/// The version that everybody runs.
const VERSION: &str = "3.8.0";

/// Where a package that was installed keeps its configuration.
const CONFIG: &str = "etc/flowlake/flowlake.toml";

/// Builds the package of `flowlake` and `flowlake-server`, installs it into target/deb/root, and starts the server from there.
#[derive(Debug, Args)]
pub(crate) struct Deb {
    /// Which programs are packed: those that are shipped, or those of `cargo build`, to test the package alone.
    #[arg(long, value_enum, default_value_t = Programs::Dist)]
    programs: Programs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Programs {
    Dist,
    Dev,
}

impl Deb {
    pub(crate) fn run(&self, workspace: &Workspace) -> Result<()> {
        if self.programs == Programs::Dist {
            Dist::default().run(workspace)?;
        }
        package(workspace, self.programs).map(drop)
    }
}

/// Builds and tests the package, of programs that `dist` has built, and returns its path.
pub(crate) fn package(workspace: &Workspace, programs: Programs) -> Result<PathBuf> {
    let shell = &workspace.shell;
    let cargo_deb = workspace::step("install cargo-deb", || workspace.tool("cargo-deb", VERSION))?;
    let how: &[&str] = match programs {
        Programs::Dist => &["--profile", "dist"],
        Programs::Dev => {
            let programs = ["--bin", "flowlake", "--bin", "flowlake-server"];
            workspace::command(
                "programs",
                cmd!(shell, "cargo build --locked {programs...}"),
            )?;
            // They are large, and packed for this test alone.
            &["--profile", "dev", "--fast"]
        }
    };
    let folder = workspace.target().join("deb");
    shell.remove_path(&folder)?;
    shell.create_dir(&folder)?;
    let package = folder.join("flowlake.deb");
    workspace::command(
        "package",
        cmd!(
            shell,
            "{cargo_deb} --package flowlake-server {how...} --no-build --no-strip --locked --output {package}"
        ),
    )?;
    let root = folder.join("root");
    workspace::step("installed", || install(workspace, &package, &root))?;
    workspace::step("started", || start(&root, &folder.join("etc")))?;
    Ok(package)
}

/// Installs into a folder, by dpkg itself; what the package depends on is on this machine and not in that folder.
fn install(workspace: &Workspace, package: &Path, root: &Path) -> Result<()> {
    let shell = &workspace.shell;
    let database = root.join("var/lib/dpkg");
    for folder in ["info", "updates", "triggers"] {
        shell.create_dir(database.join(folder))?;
    }
    shell.write_file(database.join("status"), "")?;
    cmd!(
        shell,
        "dpkg --root={root} --force-not-root --force-depends --force-script-chrootless --force-bad-path --install {package}"
    )
    .ignore_stdout()
    .run()
    .context("dpkg is needed; it is part of Debian")?;
    for file in [
        "usr/bin/flowlake",
        "usr/bin/flowlake-server",
        "usr/lib/systemd/system/flowlake-server.service",
        "usr/share/doc/flowlake/copyright",
        CONFIG,
    ] {
        ensure!(root.join(file).is_file(), "the package has no {file}");
    }
    Ok(())
}

/// Starts the installed server with its own configuration, but for the folders of this machine that it names.
fn start(root: &Path, config: &Path) -> Result<()> {
    let text = fs::read_to_string(root.join(CONFIG))?;
    let ours = text
        .replace("/var/lib/flowlake/audit", "audit")
        .replace("/var/cache/flowlake", "spill")
        .replace("127.0.0.1:9090", "127.0.0.1:0");
    fs::create_dir_all(config.join("actions"))?;
    fs::write(config.join("flowlake.toml"), ours)?;
    let mut server = Command::new(root.join("usr/bin/flowlake-server"))
        .args(["--listen", "127.0.0.1:0", "--config"])
        .arg(config)
        .env("FLOWLAKE_KEY", "a-key-for-this-start-alone")
        .stdout(Stdio::piped())
        .spawn()?;
    let answered = ask(&mut server);
    let stopped = Command::new("kill").arg(server.id().to_string()).status()?;
    let ended = server.wait()?;
    answered?;
    ensure!(
        stopped.success() && ended.success(),
        "it ended with {ended}"
    );
    Ok(())
}

/// Asks the server that has just been started whether it lives.
fn ask(server: &mut Child) -> Result<()> {
    let said = server.stdout.take().context("its output")?;
    let mut line = String::new();
    BufReader::new(said).read_line(&mut line)?;
    let address = line.trim().strip_prefix("listening on http://");
    let address = address.with_context(|| format!("it says {line:?}"))?;
    let mut stream = TcpStream::connect(address)?;
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200 "), "it answers {answer}");
    Ok(())
}
