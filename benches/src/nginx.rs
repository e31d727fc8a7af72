//! nginx over a folder: it answers path-style GET and HEAD as S3 does, ranges and `If-Match` included, and ignores signatures.
//! To STS's `GetCallerIdentity`, it answers with a user.

use std::{
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, bail};

/// Who asks, as STS says it.
pub(crate) const IDENTITY: &str = "<GetCallerIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\
    <GetCallerIdentityResult><Arn>arn:aws:iam::123456789012:user/bench</Arn><UserId>AIDABENCH</UserId>\
    <Account>123456789012</Account></GetCallerIdentityResult></GetCallerIdentityResponse>";

/// Bytes a second of a connection as slow as one to S3, of which AWS says that it brings 85 to 90 MB ("Performance guidelines for
/// Amazon S3").
pub const SLOW_CONNECTION: u64 = 88_000_000;

/// A running nginx, ended when dropped.
#[derive(Debug)]
pub struct Nginx {
    child: Child,
    port: u16,
    slow_port: u16,
    _folder: tempfile::TempDir,
}

impl Nginx {
    /// Serves `root`, whose folders are buckets, on two free ports of loopback: as fast as it can, and with slow connections.
    ///
    /// # Errors
    /// When nginx is not installed (on Debian: `apt-get install nginx-light`) or does not start.
    pub fn start(root: &Path) -> Result<Self> {
        let free = [
            TcpListener::bind("127.0.0.1:0")?,
            TcpListener::bind("127.0.0.1:0")?,
        ];
        let (port, slow_port) = (free[0].local_addr()?.port(), free[1].local_addr()?.port());
        drop(free);
        let folder = tempfile::tempdir()?;
        let here = folder.path().display();
        let config = format!(
            // Started as root, it would give its workers to a user who may not see the folder; started as another, it warns.
            "user root; worker_processes 1; daemon off; pid {here}/pid; error_log {here}/error.log;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; sendfile on; sendfile_max_chunk 2m; tcp_nopush on; keepalive_requests 1000000;\n\
             client_body_temp_path {here}/1; proxy_temp_path {here}/2; fastcgi_temp_path {here}/3; uwsgi_temp_path {here}/4;\n\
             scgi_temp_path {here}/5; types {{ text/csv csv; }} default_type application/octet-stream; root {};\n\
             server {{ listen 127.0.0.1:{port};\n\
             location = / {{ default_type text/xml; return 200 '{IDENTITY}'; }} }}\n\
             server {{ listen 127.0.0.1:{slow_port}; limit_rate {SLOW_CONNECTION}; }} }}\n",
            root.display()
        );
        let file = folder.path().join("nginx.conf");
        std::fs::write(&file, config)?;
        let child = Command::new("nginx")
            .arg("-c")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("nginx cannot be started; on Debian: apt-get install nginx-light")?;
        let mut nginx = Self {
            child,
            port,
            slow_port,
            _folder: folder,
        };
        for _ in 0..100 {
            if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                return Ok(nginx);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        nginx.child.kill()?;
        bail!("nginx did not listen on port {port}")
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Where each connection brings [`SLOW_CONNECTION`].
    #[must_use]
    pub fn slow_port(&self) -> u16 {
        self.slow_port
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master ends its workers when it is asked to, and only then.
        let asked = Command::new("kill")
            .arg(self.child.id().to_string())
            .status();
        if asked.is_err() {
            let _ = self.child.kill();
        }
        let _ = self.child.wait();
    }
}
