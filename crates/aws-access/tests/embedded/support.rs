//! A stack with one bucket and one object, and an [`Access`] to ask it with.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use aws_smithy_types::retry::RetryConfig;
use flowlake_aws_access::{
    Access, AccessMode, AccessRequest, AccessSettings, AwsSettings, Clock, Decision, Error,
    StaticCredentials, iam_client, load_sdk_config, s3_client, sts_client,
};
use flowlake_dev_stack::{DevStack, DevStackBuilder, IamDocument, Identity};
use serde_json::{Value, json};

pub(crate) const USER: &str = "arn:aws:iam::123456789012:user/team/reader";
pub(crate) const ROLE: &str = "arn:aws:iam::123456789012:role/service/reader";

#[derive(Debug)]
pub(crate) struct ManualClock(pub(crate) Mutex<Instant>);

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        *self.0.lock().unwrap()
    }
}

pub(crate) struct Bench {
    pub(crate) stack: DevStack,
    pub(crate) clock: Arc<ManualClock>,
    folder: tempfile::TempDir,
}

impl Bench {
    pub(crate) async fn new(document: IamDocument) -> Self {
        Self::with(document, |builder| builder).await
    }

    /// With [`USER`], who has these statements.
    pub(crate) async fn of_user(allowed: Value) -> Self {
        Self::new(document(USER, statements(allowed))).await
    }

    /// Gives [`USER`] these statements in place of all others.
    pub(crate) fn change_user(&self, allowed: Value) {
        let changed = document(USER, statements(allowed));
        self.stack.set_iam(changed).unwrap();
    }

    /// Puts an object into the bucket `lake`.
    pub(crate) fn put(&self, key: &str) {
        std::fs::write(self.folder.path().join("lake").join(key), "a,b\n1,2\n").unwrap();
    }

    /// Asks as [`USER`], with empty caches.
    pub(crate) async fn check_again(
        &self,
        request: &AccessRequest,
    ) -> Result<Arc<Decision>, Error> {
        let access = self.access(USER, AccessMode::Enforce).await;
        access.check(request).await
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "a manual clock has to start somewhere"
    )]
    pub(crate) async fn with(
        document: IamDocument,
        change: impl FnOnce(DevStackBuilder) -> DevStackBuilder,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("lake/exports")).unwrap();
        std::fs::write(folder.path().join("lake/exports/calls.csv"), "a,b\n1,2\n").unwrap();
        let builder = DevStack::builder(folder.path()).with_iam(document);
        Self {
            stack: change(builder).start().await.unwrap(),
            clock: Arc::new(ManualClock(Mutex::new(Instant::now()))),
            folder,
        }
    }

    /// Settings for the stack, signing as `principal`.
    pub(crate) fn settings(&self, principal: &str) -> AwsSettings {
        let key = self.stack.access_key(principal);
        AwsSettings {
            region: Some("us-east-1".to_owned()),
            endpoint_url: Some(self.stack.aws_url().to_string()),
            s3_endpoint_url: Some(self.stack.s3_url().to_string()),
            path_style: true,
            credentials: Some(StaticCredentials::new(key.id, key.secret)),
            ..AwsSettings::default()
        }
    }

    pub(crate) async fn access(&self, principal: &str, mode: AccessMode) -> Access {
        let access = AccessSettings {
            mode,
            ..AccessSettings::default()
        };
        self.access_with(&self.settings(principal), access).await
    }

    pub(crate) async fn access_with(&self, aws: &AwsSettings, access: AccessSettings) -> Access {
        let sdk = load_sdk_config(aws).await.unwrap();
        // The usual number of attempts, without the usual waits between them.
        let retry = RetryConfig::standard().with_initial_backoff(Duration::from_micros(1));
        let sdk = sdk.into_builder().retry_config(retry).build();
        let tags = aws
            .assume_role
            .as_ref()
            .map(|role| role.session_tags.clone());
        Access::builder(
            iam_client(&sdk, aws),
            sts_client(&sdk, aws),
            s3_client(&sdk, aws),
        )
        .with_settings(access)
        .with_session_tags(tags.unwrap_or_default())
        .with_clock(Arc::clone(&self.clock) as Arc<dyn Clock>)
        .build()
        .unwrap()
    }
}

pub(crate) fn statements(statements: Value) -> Value {
    let mut policy = json!({ "Version": "2012-10-17" });
    policy["Statement"] = statements;
    policy
}

/// What a principal needs to ask about itself.
pub(crate) fn ask_iam() -> Value {
    json!({ "Effect": "Allow", "Action": ["iam:SimulatePrincipalPolicy", "iam:GetRole", "s3:GetBucketPolicy"], "Resource": "*" })
}

pub(crate) fn read_exports() -> Value {
    json!({ "Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::lake/exports/*" })
}

pub(crate) fn document(arn: &str, policy: Value) -> IamDocument {
    IamDocument::default().with_identity(Identity::new(arn).with_policy("reading", policy))
}
