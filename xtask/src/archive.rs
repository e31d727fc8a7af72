//! Archives that are the same, byte for byte, for the same files.

use std::path::{Path, PathBuf};

use anyhow::Result;
use xshell::{Shell, cmd};

/// Packs files of a folder as `FOLDER/NAME.tar.gz`: sorted, of nobody, without times.
pub(crate) fn pack(shell: &Shell, folder: &Path, name: &str, files: &[&str]) -> Result<PathBuf> {
    let tar = folder.join(format!("{name}.tar"));
    let prefix = format!("--transform=s,^,{name}/,");
    cmd!(
        shell,
        "tar --create --format=ustar --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=u+rwX,go+rX,go-w {prefix} --file={tar} --directory={folder} {files...}"
    )
    .quiet()
    .run()?;
    // Without the name and the time that gzip would write into its header.
    cmd!(shell, "gzip --no-name --best --force {tar}")
        .quiet()
        .run()?;
    Ok(folder.join(format!("{name}.tar.gz")))
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::PermissionsExt, time::Duration};

    use super::*;

    #[test]
    fn the_same_files_make_the_same_archive() {
        let folder = tempfile::tempdir().unwrap();
        let shell = Shell::new().unwrap();
        let write = |mode: u32, age: u64| {
            for name in ["b", "a"] {
                let path = folder.path().join(name);
                fs::write(&path, name).unwrap();
                fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
                let time = std::time::UNIX_EPOCH + Duration::from_secs(age);
                fs::File::options()
                    .append(true)
                    .open(&path)
                    .unwrap()
                    .set_modified(time)
                    .unwrap();
            }
        };
        write(0o755, 1_000_000);
        let packed = |files: &[&str]| {
            let archive = pack(&shell, folder.path(), "flowlake-1", files).unwrap();
            fs::read(archive).unwrap()
        };
        let first = packed(&["a", "b"]);
        write(0o775, 2_000_000);
        assert_eq!(packed(&["a", "b"]), first);
        fs::write(folder.path().join("a"), "other").unwrap();
        assert_ne!(packed(&["a", "b"]), first);
    }
}
