//! What a release consists of beside the crates: archives, package, wheel, bills of materials and checksums.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use xshell::cmd;

use crate::{
    archive, deb,
    dist::Dist,
    sbom, wheel,
    workspace::{self, Workspace},
};

/// Builds everything into target/artifacts.
pub(super) fn build(workspace: &Workspace) -> Result<()> {
    let shell = &workspace.shell;
    let programs = Dist::auditable().run(workspace)?;
    let folder = workspace.target().join("artifacts");
    shell.remove_path(&folder)?;
    shell.create_dir(&folder)?;
    let archive = workspace::step("archive", || pack(workspace, &programs, &folder))?;
    println!("{}", archive.display());
    for bill in sbom::write(workspace)? {
        shell.copy_file(bill, &folder)?;
    }
    shell.copy_file(deb::package(workspace, deb::Programs::Dist)?, &folder)?;
    shell.copy_file(wheel::build(workspace, "dist")?, &folder)?;
    workspace::step("checksums", || {
        let mut names = shell.read_dir(&folder)?;
        names.sort();
        let names: Vec<_> = names.iter().filter_map(|path| path.file_name()).collect();
        let _folder = shell.push_dir(&folder);
        let sums = cmd!(shell, "sha256sum {names...}").quiet().read()?;
        shell.write_file("SHA256SUMS", sums + "\n")?;
        Ok(())
    })
}

/// The programs with licence and first page, as one archive, which is the same for the same programs.
fn pack(workspace: &Workspace, programs: &Path, folder: &Path) -> Result<PathBuf> {
    let shell = &workspace.shell;
    let mut files = crate::dist::PROGRAMS.to_vec();
    let contents = folder.join("contents");
    shell.create_dir(&contents)?;
    for program in &files {
        shell.copy_file(programs.join(program), &contents)?;
    }
    for page in ["LICENSE", "README.md"] {
        shell.copy_file(workspace.root().join(page), &contents)?;
        files.push(page);
    }
    let members = workspace.members();
    let cli = members
        .iter()
        .find(|package| package.name == "flowlake-cli");
    let version = &cli.context("the workspace has flowlake-cli")?.version;
    let name = format!("flowlake-{version}-{}", host(workspace)?);
    let packed = archive::pack(shell, &contents, &name, &files)?;
    let archive = folder.join(packed.file_name().context("it has a name")?);
    shell.copy_file(&packed, &archive)?;
    shell.remove_path(&contents)?;
    Ok(archive)
}

/// The target that the programs are built for.
fn host(workspace: &Workspace) -> Result<String> {
    let version = cmd!(workspace.shell, "rustc --version --verbose")
        .quiet()
        .read()?;
    let mut lines = version.lines();
    let host = lines.find_map(|line| line.strip_prefix("host: "));
    Ok(host.context("rustc names its host")?.to_owned())
}
