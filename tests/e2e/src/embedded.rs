//! The embedded stack: S3, STS and IAM in this process, with three principals.

use std::{fs, path::Path, time::Duration};

use anyhow::{Context, Result};
use flowlake_dev_stack::{
    CostTable, DevStack, Failure, GenesysSettings, IamDocument, Identity, LambdaRuntime,
};
use serde_json::{Value, json};
use thread_priority::{ThreadPriority, ThreadPriorityValue, set_current_thread_priority};
use tokio::runtime::{Builder, Runtime};

use crate::{BUCKET, Keys, Server};

/// The principals by name, with access keys that are searched for in all outputs.
const PRINCIPALS: [(&str, &str, &str); 3] = [
    (
        "reader",
        "AKIAE2ESTACKREADER01",
        "stack-reader-7d40c2aa91e3",
    ),
    (
        "denied",
        "AKIAE2ESTACKDENIED01",
        "stack-denied-b1f6390d57c8",
    ),
    (
        "stranger",
        "AKIAE2ESTACKSTRANGER",
        "stack-stranger-04ce8e17fa62",
    ),
];

/// Where the reader may ship audit records to, in its bucket.
pub const SHIPPED: &str = "audit-archive";

/// A running stack. Dropping it ends it.
#[derive(Debug)]
pub struct EmbeddedStack {
    stack: DevStack,
    // Serves the stack until both go.
    runtime: Runtime,
}

impl EmbeddedStack {
    /// Serves the sub-folders of `root` as buckets.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn start(root: &Path) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .on_thread_start(step_back)
            .enable_all()
            .build()?;
        let mut document = IamDocument::default();
        for (name, id, secret) in PRINCIPALS {
            let policy = json!({ "Version": "2012-10-17", "Statement": statements(name) });
            let identity = Identity::new(format!("arn:aws:iam::123456789012:user/{name}"))
                .with_access_key(id, secret)
                .with_policy("e2e", policy);
            document = document.with_identity(identity);
        }
        // What Cost Explorer says: 0.25 USD a day for S3, for ten years.
        let costs = CostTable::flat(
            "Amazon Simple Storage Service",
            "2026-01-01".parse()?,
            3_652,
            250_000,
        );
        // The integration's credentials hold the key of the server that the tests start.
        let genesys = GenesysSettings {
            integration_credentials: [("apiKey".to_owned(), Server::KEY.to_owned())].into(),
            ..GenesysSettings::default()
        };
        let builder = DevStack::builder(root)
            .with_iam(document)
            .with_costs(costs)
            .with_genesys(genesys);
        let stack = runtime.block_on(builder.start())?;
        Ok(Self { stack, runtime })
    }

    /// The runtime API of a function, which ends with the stack.
    ///
    /// # Errors
    /// When no port can be had.
    pub fn function(&self, arn: &str) -> Result<LambdaRuntime> {
        Ok(self.runtime.block_on(LambdaRuntime::start(arn))?)
    }

    /// Where its S3 is.
    #[must_use]
    pub fn s3_url(&self) -> String {
        self.stack.s3_url().to_string()
    }

    /// Where its STS and IAM are.
    #[must_use]
    pub fn aws_url(&self) -> String {
        self.stack.aws_url().to_string()
    }

    /// How many requests its S3 has had.
    #[must_use]
    pub fn s3_requests(&self) -> u64 {
        self.stack.s3().total()
    }

    /// Makes the next request to its S3 fail, in one of the ways in which S3 does.
    pub fn break_s3(&self, kind: u64) {
        let failure = match kind % 4 {
            0 => Failure::Status(500),
            1 => Failure::RateLimited {
                retry_after_seconds: 0,
            },
            2 => Failure::Disconnect,
            _ => Failure::Slow(Duration::from_millis(200)),
        };
        self.stack.s3().fail_next(1, failure);
    }

    /// A `[genesys]` section for its Genesys Cloud login; the client's secret is put into a file of `folder`.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn genesys_section(&self, folder: &Path) -> Result<String> {
        let settings = GenesysSettings::default();
        // What is in this folder is given in, and no output.
        let private = folder.join("private");
        fs::create_dir_all(&private)?;
        let secret = private.join("genesys-client-secret");
        fs::write(&secret, &settings.client_secret)?;
        Ok(format!(
            "[genesys]\nregion = \"eu-west-1\"\nlogin_url = \"{}\"\nclient_id = \"{}\"\nclient_secret = {{ file = \"{}\" }}\n",
            self.stack.genesys_login_url(),
            settings.client_id,
            secret.display()
        ))
    }

    /// Where its Genesys Cloud is, as the check with the official SDK reads it.
    #[must_use]
    pub fn genesys_endpoints(&self) -> Value {
        let settings = GenesysSettings::default();
        json!({
            "genesys_login_url": self.stack.genesys_login_url(),
            "genesys_api_url": self.stack.genesys_api_url(),
            "genesys_client_id": settings.client_id,
            "genesys_client_secret": settings.client_secret,
            "genesys_integration_id": settings.integration_id,
            "genesys_function_integration_id": settings.function_integration_id,
        })
    }

    /// The bodies of the last requests of one operation of its Platform API, such as
    /// `POST /api/v2/integrations/actions/drafts`, oldest first.
    ///
    /// # Errors
    /// When one is no JSON.
    pub fn genesys_bodies(&self, operation: &str) -> Result<Vec<Value>> {
        let received = self.stack.genesys().api().received(operation);
        let bodies = received.iter();
        bodies
            .map(|request| Ok(serde_json::from_slice(&request.body)?))
            .collect()
    }

    /// How many logins its Genesys Cloud was asked for.
    #[must_use]
    pub fn genesys_logins(&self) -> u64 {
        self.stack.genesys().logins()
    }

    /// The access key of a principal.
    ///
    /// # Errors
    /// When there is none of that name.
    pub fn keys(&self, principal: &str) -> Result<Keys> {
        let known = PRINCIPALS.iter().find(|(name, ..)| *name == principal);
        let (_, id, secret) =
            known.with_context(|| format!("there is no principal {principal}"))?;
        Ok(Keys::new(id, secret))
    }
}

/// What it serves would be on other machines: it takes the processors that the programs leave. It works without, too.
fn step_back() {
    if let Ok(value) = ThreadPriorityValue::try_from(25_u8) {
        let _ = set_current_thread_priority(ThreadPriority::Crossplatform(value));
    }
}

/// What a principal may do; everybody here may ask IAM, as the documentation tells operators to set up.
fn statements(principal: &str) -> Value {
    let arn = format!("arn:aws:s3:::{BUCKET}");
    let may_ask = json!({
        "Effect": "Allow",
        "Action": ["iam:SimulatePrincipalPolicy", "iam:GetUser", "iam:GetRole"],
        "Resource": "*",
    });
    let may_read = json!({
        "Effect": "Allow",
        "Action": ["s3:GetObject", "s3:ListBucket", "s3:GetBucketPolicy"],
        "Resource": [arn, format!("{arn}/*")],
    });
    let may_not_read = json!({
        "Sid": "NoExports",
        "Effect": "Deny",
        "Action": "s3:GetObject",
        "Resource": format!("{arn}/exports/*"),
    });
    let may_ask_costs = json!({
        "Effect": "Allow",
        "Action": "ce:GetCostAndUsage",
        "Resource": "*",
    });
    let may_ship = json!({
        "Effect": "Allow",
        "Action": "s3:PutObject",
        "Resource": format!("{arn}/{SHIPPED}/*"),
    });
    match principal {
        "reader" => json!([may_ask, may_read, may_ship, may_ask_costs]),
        "denied" => json!([may_ask, may_read, may_not_read]),
        _ => json!([may_ask]),
    }
}
