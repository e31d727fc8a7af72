//! From a loaded project to a running pipeline.

use std::{collections::BTreeMap, sync::Arc};

use flowlake_aws_access::{Access, iam_client, load_sdk_config, s3_client, sts_client};
use flowlake_cost_audit::{AuditLog, Destination, PriceTable};
use flowlake_genesys_auth::{Region, Secret, TokenSource};
use flowlake_profiler::Profiler;
use flowlake_transform::Transform;
use url::Url;
use uuid::Uuid;

use super::{Pipeline, Shared};
use crate::{
    Action, ActionError, Clock, CostSettings, Environment, ErrorCode, GenesysSettings, Project,
    ReadPolicy, SystemClock, stores::S3,
};

/// Builds a [`Pipeline`]; see [`Pipeline::builder`].
#[derive(Debug)]
pub struct PipelineBuilder {
    project: Project,
    clock: Arc<dyn Clock>,
}

impl Pipeline {
    /// Starts from a loaded project.
    #[must_use]
    pub fn builder(project: Project) -> PipelineBuilder {
        PipelineBuilder {
            project,
            clock: Arc::new(SystemClock),
        }
    }
}

impl PipelineBuilder {
    /// Takes the time from `clock`.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Checks everything that can be checked without asking AWS or Genesys, and opens the audit log.
    ///
    /// Secrets are read through `environment`.
    ///
    /// # Errors
    /// `config.invalid` and `sql.*` for what the project says; `audit.unavailable` when the log cannot be opened.
    pub async fn build(self, environment: &dyn Environment) -> Result<Pipeline, ActionError> {
        let Project {
            config, actions, ..
        } = self.project;
        let actions = actions
            .into_iter()
            .map(|(name, definition)| Ok((name, Arc::new(Action::try_new(definition)?))))
            .collect::<Result<BTreeMap<_, _>, ActionError>>()?;
        let sdk = load_sdk_config(&config.aws).await?;
        let s3 = s3_client(&sdk, &config.aws);
        let access = Access::builder(
            iam_client(&sdk, &config.aws),
            sts_client(&sdk, &config.aws),
            s3.clone(),
        )
        .with_settings(config.access.clone())
        .with_session_tags(config.aws.session_tags())
        .build()?;
        let hash_key = match &config.audit.hash_key {
            Some(source) => source.read(environment)?,
            None => Secret::new(Uuid::new_v4().to_string()),
        };
        let region = sdk
            .region()
            .map_or_else(|| "us-east-1".to_owned(), ToString::to_string);
        Ok(Pipeline {
            shared: Arc::new(Shared {
                actions,
                policy: ReadPolicy::try_new(&config.policy)?,
                access,
                s3: Arc::new(S3::new(s3, config.s3.clone())),
                engine: Transform::builder()
                    .with_settings(config.transform.clone())
                    .build()?,
                prices: PriceTable::builtin(),
                region,
                destination: destination(&config.cost),
                audit: AuditLog::open(config.audit.log.clone())?,
                hash_key,
                profiler: Arc::new(Profiler::new(config.profiler.clone())),
                genesys: config
                    .genesys
                    .as_ref()
                    .map(|settings| token_source(settings, environment))
                    .transpose()?,
                clock: self.clock,
            }),
        })
    }
}

fn destination(settings: &CostSettings) -> Destination {
    match settings.destination.as_str() {
        "internet" => Destination::Internet,
        "same-region" => Destination::SameRegion,
        region => Destination::Region(region.to_owned()),
    }
}

fn token_source(
    settings: &GenesysSettings,
    environment: &dyn Environment,
) -> Result<TokenSource, ActionError> {
    let login_url = match &settings.login_url {
        Some(text) => Url::parse(text).map_err(|error| {
            ActionError::new(
                ErrorCode::ConfigInvalid,
                format!("login_url in [genesys] is not a URL: {error}"),
                "Leave it out to use the region's own.",
            )
        })?,
        None => settings.region.parse::<Region>()?.login_url(),
    };
    let secret = settings.client_secret.read(environment)?;
    Ok(
        TokenSource::builder(settings.client_id.clone(), secret, login_url)
            .with_settings(settings.token.clone())
            .build()?,
    )
}
