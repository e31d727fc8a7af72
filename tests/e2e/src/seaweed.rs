//! SeaweedFS: an S3 server that is not ours and checks signatures.

use std::{fs, path::Path, process::Command, time::Duration};

use anyhow::Result;
use flowlake_dev_stack::note_secret;
use serde_json::{Value, json};

use crate::{Environment, Process, free_ports, http};

/// An access key.
#[derive(Clone)]
pub struct Keys {
    /// The public part.
    pub id: String,
    /// The secret part.
    pub secret: String,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Keys({}, ******)", self.id)
    }
}

impl Keys {
    /// A key of that name.
    #[must_use]
    pub fn new(id: &str, secret: &str) -> Self {
        note_secret(secret);
        Self {
            id: id.to_owned(),
            secret: secret.to_owned(),
        }
    }

    /// As `tool.py` takes and gives it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({ "id": self.id, "secret": self.secret })
    }
}

/// A running server with one identity that may do anything and one that may only read the tests' bucket.
#[derive(Debug)]
pub struct SeaweedFs {
    process: Process,
    url: String,
}

impl SeaweedFs {
    /// Starts master, volume, filer and S3 in one process, on free ports; `reader` may read and list the tests' bucket.
    ///
    /// # Errors
    /// When it does not come up.
    pub fn start(environment: &Environment, folder: &Path, reader: &Keys) -> Result<Self> {
        let data = folder.join("seaweedfs");
        fs::create_dir_all(&data)?;
        // What is in this folder is given in, and no output.
        let private = folder.join("private");
        fs::create_dir_all(&private)?;
        let identities = private.join("identities.json");
        fs::write(&identities, identities_document(reader).to_string())?;
        let ports: [u16; 8] = free_ports()?;
        let [
            master,
            master_grpc,
            volume,
            volume_grpc,
            filer,
            filer_grpc,
            s3,
            s3_grpc,
        ] = ports;
        let mut command = Command::new(environment.tool("weed"));
        command
            .arg("-logtostderr=true")
            .arg("server")
            .arg("-s3")
            .current_dir(&data);
        // It would report to its makers otherwise.
        command.arg("-master.telemetry=false");
        command.args([
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-volume.max=20",
            "-master.volumeSizeLimitMB=256",
        ]);
        command.args(["-s3.port.iceberg=0", "-s3.port.lance=0"]);
        for (flag, port) in [
            ("-master.port", master),
            ("-master.port.grpc", master_grpc),
            ("-volume.port", volume),
            ("-volume.port.grpc", volume_grpc),
            ("-filer.port", filer),
            ("-filer.port.grpc", filer_grpc),
            ("-s3.port", s3),
            ("-s3.port.grpc", s3_grpc),
        ] {
            command.arg(format!("{flag}={port}"));
        }
        for (flag, path) in [
            ("-dir", data.clone()),
            ("-s3.config", identities),
            ("-filer.localSocket", folder.join("filer.sock")),
            ("-s3.localSocket", folder.join("s3.sock")),
        ] {
            command.arg(format!("{flag}={}", path.display()));
        }
        let mut process = Process::start("seaweedfs", folder, &mut command)?;
        let url = format!("http://127.0.0.1:{s3}");
        // Without a key it refuses, which shows that it is up and checks.
        process.wait_until(Duration::from_secs(60), || http::status(&url) == Some(403))?;
        Ok(Self { process, url })
    }

    /// The address of its S3 interface.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The key that may do anything.
    #[must_use]
    pub fn admin() -> Keys {
        Keys::new("AKIAE2EADMIN", "admin-secret-5f1c0b7e")
    }

    /// What it has printed.
    #[must_use]
    pub fn output(&self) -> String {
        self.process.output()
    }
}

fn identities_document(reader: &Keys) -> Value {
    let admin = SeaweedFs::admin();
    let credentials = |keys: &Keys| json!([{ "accessKey": keys.id, "secretKey": keys.secret }]);
    let bucket = crate::BUCKET;
    json!({ "identities": [
        { "name": "admin", "credentials": credentials(&admin), "actions": ["Admin", "Read", "Write", "List"] },
        { "name": "reader", "credentials": credentials(reader), "actions": [format!("Read:{bucket}"), format!("List:{bucket}")] },
    ] })
}
