//! A process that is ended when its owner goes, however that happens.

use std::{
    fs::{self, File},
    io::Write,
    net::{Ipv4Addr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

/// Runs `command` to its end with this as its input, and gives what it printed.
///
/// # Errors
/// When it cannot be started or fails; with what it printed as errors.
pub fn piped(command: &mut Command, input: &str) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start {name}"))?;
    let mut stdin = child.stdin.take().context("the program has no input")?;
    stdin.write_all(input.as_bytes())?;
    drop(stdin);
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "{name}: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// A started program, with its output in a file. Dropping it ends it, by its process id.
#[derive(Debug)]
pub struct Process {
    child: Child,
    name: String,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with both of its outputs in `NAME.log` of `folder`.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub fn start(name: &str, folder: &Path, command: &mut Command) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        Ok(Self {
            child,
            name: name.to_owned(),
            log,
        })
    }

    /// Waits until `is_ready` says yes.
    ///
    /// # Errors
    /// When the process ends before that, or `limit` is over; with what it printed.
    pub fn wait_until(
        &mut self,
        limit: Duration,
        mut is_ready: impl FnMut() -> bool,
    ) -> Result<()> {
        let started = now();
        while !is_ready() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended with {status}:\n{}", self.name, self.output());
            }
            ensure!(
                started.elapsed() < limit,
                "{} was not ready after {limit:?}:\n{}",
                self.name,
                self.output()
            );
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// The largest resident memory the process has had so far, in KiB.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn peak_memory_kib(&self) -> Result<u64> {
        peak_memory_kib(self.child.id())
            .with_context(|| format!("{} has ended:\n{}", self.name, self.output()))
    }

    /// The resident memory of the process now, in KiB.
    ///
    /// # Errors
    /// When the process has ended.
    pub fn resident_memory_kib(&self) -> Result<u64> {
        memory_kib(self.child.id(), "VmRSS:")
            .with_context(|| format!("{} has ended:\n{}", self.name, self.output()))
    }

    /// Waits for the process to end by itself.
    ///
    /// # Errors
    /// When it has not ended after `limit`.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let started = now();
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            ensure!(
                started.elapsed() < limit,
                "{} still runs after {limit:?}:\n{}",
                self.name,
                self.output()
            );
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// Asks the process to end, as a service manager does, and waits until it has.
    ///
    /// # Errors
    /// When it has not ended after `limit`.
    pub fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        let id = self.child.id().to_string();
        let sent = Command::new("sh")
            .args(["-c", "kill -TERM \"$1\"", "sh", &id])
            .status()?;
        ensure!(sent.success(), "{} cannot be signalled", self.name);
        self.wait(limit)
    }

    /// What the process has printed so far.
    #[must_use]
    pub fn output(&self) -> String {
        fs::read(&self.log)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Errors mean that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The largest resident memory that a running process had: `VmHWM`, pages of its own program included.
pub(crate) fn peak_memory_kib(id: u32) -> Option<u64> {
    memory_kib(id, "VmHWM:")
}

/// The resident memory that a running process has taken for itself, without the pages of files.
pub(crate) fn own_memory_kib(id: u32) -> Option<u64> {
    Some(memory_kib(id, "RssAnon:")? + memory_kib(id, "RssShmem:")?)
}

fn memory_kib(id: u32, name: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Free ports of loopback. Another program may take one before it is used; then the server says so in its log.
///
/// # Errors
/// When the machine has none.
pub fn free_ports<const COUNT: usize>() -> Result<[u16; COUNT]> {
    let mut listeners = Vec::with_capacity(COUNT);
    let mut ports = [0; COUNT];
    for port in &mut ports {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        *port = listener.local_addr()?.port();
        // Held until all are known, so that no port is given twice.
        listeners.push(listener);
    }
    Ok(ports)
}

/// The present moment, from which a duration is measured.
#[expect(
    clippy::disallowed_methods,
    reason = "how long a real process takes is real time"
)]
pub(crate) fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests {
    use std::{env, panic};

    use super::*;

    fn sleeper(name: &str) -> Process {
        let mut command = Command::new("sleep");
        Process::start(name, &env::temp_dir(), command.arg("100")).unwrap()
    }

    fn runs(id: u32) -> bool {
        Path::new(&format!("/proc/{id}")).exists()
    }

    #[test]
    fn a_process_ends_with_its_owner_also_on_panic() {
        let process = sleeper("flowlake-e2e-dropped");
        let id = process.child.id();
        assert!(runs(id) && process.peak_memory_kib().unwrap() > 0);
        let owner = panic::AssertUnwindSafe(move || {
            let _process = process;
            panic!("a test that fails while its server runs");
        });
        assert!(panic::catch_unwind(owner).is_err());
        assert!(!runs(id));
    }

    #[test]
    fn a_process_that_ends_early_is_reported_with_its_output() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo no such setting; exit 3"]);
        let mut process =
            Process::start("flowlake-e2e-early", &env::temp_dir(), &mut command).unwrap();
        let error = process
            .wait_until(Duration::from_secs(10), || false)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("no such setting") && error.contains('3'),
            "{error}"
        );
    }

    #[test]
    fn sigterm_is_sent_and_waited_for() {
        let mut process = sleeper("flowlake-e2e-terminated");
        let status = process.terminate(Duration::from_secs(10)).unwrap();
        assert_eq!(
            std::os::unix::process::ExitStatusExt::signal(&status),
            Some(15)
        );
    }
}
