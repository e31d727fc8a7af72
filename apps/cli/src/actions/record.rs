//! The audit records of publishing and retiring.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use flowlake_cost_audit::{
    AuditLog, AuditRecord, AuditSettings, AuditStatus, ErrorKind,
    audit::{self, AuditQuery},
};
use flowlake_data_action::{
    ActionError, Clock, Environment, ProcessEnvironment, Project, SystemClock,
};
use flowlake_genesys_publish::split_version;

use super::document;
use crate::failure::Failure;

/// The audit log, opened before anything is changed: what cannot be recorded is not done.
pub(super) struct Records {
    log: AuditLog,
    directory: PathBuf,
    oauth_client: String,
}

impl Records {
    pub(super) fn open(project: &Project) -> Result<Self, Failure> {
        let audit = &project.config.audit;
        let directory = document::settings(project)?.audit.clone();
        let settings = AuditSettings {
            directory: directory.clone(),
            ..audit.log.clone()
        };
        let mut builder = AuditLog::builder(settings);
        if let Some(key) = audit.sealing_key(&ProcessEnvironment)? {
            builder = builder.with_sealing_key(key);
        }
        let log = builder.open().map_err(|error| {
            let is_locked = error.kind() == ErrorKind::Locked;
            let error = ActionError::from(error);
            if is_locked {
                error.with_advice("Wait until the other `flowlake actions` of this project has ended; `audit` in [publish] names the folder of the log.")
            } else {
                error
            }
        })?;
        let genesys = project.config.genesys.as_ref();
        Ok(Self {
            log,
            directory,
            oauth_client: genesys.map_or_else(String::new, |genesys| genesys.client_id.clone()),
        })
    }

    /// What the last record of a data action says that was not a failure.
    pub(super) fn last(
        &self,
        action: &str,
        data_action: &str,
    ) -> Result<Option<BTreeMap<String, String>>, Failure> {
        let query = AuditQuery {
            action: Some(action.to_owned()),
            status: Some(AuditStatus::Success),
            ..AuditQuery::default()
        };
        let mut last = None;
        for entry in audit::search(&self.directory, query)? {
            let params = entry?.record.params;
            if params.get("data_action").map(String::as_str) == Some(data_action) {
                last = Some(params);
            }
        }
        Ok(last)
    }

    /// Whether a version of the action was ever published or retired from here.
    pub(super) fn know(project: &Project, base: &str) -> Result<bool, Failure> {
        let directory: &Path = &document::settings(project)?.audit;
        if !directory.is_dir() {
            return Ok(false);
        }
        for entry in audit::entries(directory)? {
            let params = entry?.record.params;
            let data_action = params.get("data_action");
            if data_action.is_some_and(|name| split_version(name).0 == base) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Records what was done with an action, or why it was not. Gives the record's id.
    pub(super) async fn append(
        &self,
        action: &str,
        details: &[(&str, &str)],
        outcome: Result<&str, &ActionError>,
    ) -> Result<String, Failure> {
        let user = ProcessEnvironment
            .get("USER")
            .unwrap_or_else(|| "unknown".to_owned());
        let params: BTreeMap<String, String> = details
            .iter()
            .chain([&("oauth_client", self.oauth_client.as_str())])
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let (status, code, message) = match outcome {
            Ok(message) => (AuditStatus::Success, "ok", message),
            Err(error) => (AuditStatus::Failed, error.code().as_str(), error.message()),
        };
        let receipt = self
            .log
            .append(&AuditRecord {
                action: action.to_owned(),
                caller: format!("cli:{user}"),
                code: code.to_owned(),
                message: Some(message.to_owned()),
                params,
                status,
                time: SystemClock.now(),
                ..AuditRecord::default()
            })
            .await
            .map_err(ActionError::from)?;
        Ok(receipt.id)
    }
}
