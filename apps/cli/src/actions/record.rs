//! The audit records of publishing and retiring.

use std::collections::BTreeMap;

use flowlake_cost_audit::{AuditLog, AuditRecord, AuditSettings, AuditStatus};
use flowlake_data_action::{
    ActionError, Clock, Environment, ProcessEnvironment, Project, SystemClock,
};

use super::document;
use crate::failure::Failure;

/// The audit log, opened before anything is changed: what cannot be recorded is not done.
pub(super) struct Records {
    log: AuditLog,
}

impl Records {
    pub(super) fn open(project: &Project) -> Result<Self, Failure> {
        let audit = &project.config.audit;
        let settings = AuditSettings {
            directory: document::settings(project)?.audit.clone(),
            ..audit.log.clone()
        };
        let mut builder = AuditLog::builder(settings);
        if let Some(key) = audit.sealing_key(&ProcessEnvironment)? {
            builder = builder.with_sealing_key(key);
        }
        let log = builder.open().map_err(ActionError::from)?;
        Ok(Self { log })
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
