//! What a search may ask for.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::record::{AuditRecord, AuditStatus};

/// Conditions that a record must all meet; those left out are met by every record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AuditQuery {
    /// Not before this time.
    pub since: Option<DateTime<Utc>>,
    /// Before this time.
    pub until: Option<DateTime<Utc>>,
    /// The attempt's id.
    pub id: Option<String>,
    /// The action.
    pub action: Option<String>,
    /// Who asked.
    pub caller: Option<String>,
    /// The AWS principal.
    pub principal: Option<String>,
    /// The Genesys organisation.
    pub organization: Option<String>,
    /// The Genesys conversation.
    pub conversation_id: Option<String>,
    /// The caller's own id.
    pub correlation_id: Option<String>,
    /// The server that wrote the record.
    pub node: Option<String>,
    /// A bucket that was read.
    pub bucket: Option<String>,
    /// How a key that was read begins. Of a record of more than a thousand objects only those that it lists are looked at.
    pub key_prefix: Option<String>,
    /// How it ended.
    pub status: Option<AuditStatus>,
    /// The outcome's code.
    pub code: Option<String>,
    /// An AWS request id.
    pub request_id: Option<String>,
    /// The most records that are given.
    pub limit: Option<usize>,
}

impl AuditQuery {
    /// Whether `record` meets every condition.
    #[must_use]
    pub fn matches(&self, record: &AuditRecord) -> bool {
        let same =
            |asked: &Option<String>, found: &str| asked.as_ref().is_none_or(|asked| asked == found);
        let maybe =
            |asked: &Option<String>, found: &Option<String>| asked.is_none() || asked == found;
        self.since.is_none_or(|since| record.time >= since)
            && self.until.is_none_or(|until| record.time < until)
            && same(&self.id, &record.id)
            && same(&self.action, &record.action)
            && same(&self.caller, &record.caller)
            && same(&self.code, &record.code)
            && maybe(&self.principal, &record.principal)
            && maybe(&self.organization, &record.organization)
            && maybe(&self.conversation_id, &record.conversation_id)
            && maybe(&self.correlation_id, &record.correlation_id)
            && maybe(&self.node, &record.node)
            && self.status.is_none_or(|status| record.status == status)
            && self
                .request_id
                .as_ref()
                .is_none_or(|id| record.request_ids.contains(id))
            && self.matches_object(record)
    }

    /// Bucket and key must be those of the same object.
    fn matches_object(&self, record: &AuditRecord) -> bool {
        if self.bucket.is_none() && self.key_prefix.is_none() {
            return true;
        }
        record.objects.iter().any(|object| {
            self.bucket
                .as_ref()
                .is_none_or(|bucket| *bucket == object.bucket)
                && self
                    .key_prefix
                    .as_ref()
                    .is_none_or(|prefix| object.key.starts_with(prefix.as_str()))
        })
    }
}
