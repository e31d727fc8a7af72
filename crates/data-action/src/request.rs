//! The request of an attempt: the caller, the action, its parameters and the form of the answer.

use std::{fs::File, sync::Arc, time::Duration};

use flowlake_transform::{RowFormat, json::JsonReader};

use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use crate::{
    Action, ActionError, AttemptObserver, ConfirmSettings, OutputObject, Progress, versions::Tag,
};

/// One request to run an action.
#[derive(Debug, Clone, Default)]
pub struct ActionRequest {
    /// The action's name.
    pub action: String,
    /// The question that is asked in place of a configured action; [`Self::action`] then has no meaning.
    pub question: Option<Arc<Action>>,
    /// Parameter values by name: JSON of the declared type, or a string that reads as it.
    pub params: Map<String, Value>,
    /// Who asks.
    pub caller: Caller,
    /// How the rows are wanted.
    pub output: RowOutput,
    /// Tags of answers that the caller has; `*` is any. Where the answer would have one of them, nothing is read for it. None where
    /// no answer can be kept: it then has no tag.
    pub if_none_match: Option<Vec<String>>,
    /// Whether the answer tells what each step of the query did.
    pub explain: bool,
    /// Why the caller may not do this, where that is known already: the attempt then reads nothing, and is recorded as refused.
    pub denied: Option<ActionError>,
    /// Cancels the attempt; it is then audited as `request.cancelled`.
    pub cancellation: CancellationToken,
    /// How long it took to find out who asks, before the request came here; part of the phase `auth`.
    pub authenticated_in: Duration,
    /// How long it waited for room before it came here; part of the action's time limit.
    pub queued_for: Duration,
    /// How long the caller still waits for the answer, when that is known: the attempt ends no later.
    pub time_left: Option<Duration>,
    /// What it may read without being confirmed; none where nobody is to be asked, or somebody has said yes.
    pub confirm: Option<ConfirmSettings>,
    /// Where the attempt notes how far it has come.
    pub progress: Option<Arc<Progress>>,
    /// Follows how the attempt goes.
    pub observer: Option<Arc<dyn AttemptObserver>>,
}

impl ActionRequest {
    /// Whether the caller has the answer of this tag.
    pub(crate) fn has(&self, tag: Tag) -> bool {
        let sent = self.if_none_match.as_deref().unwrap_or_default();
        if sent.is_empty() {
            return false;
        }
        let tag = tag.to_string();
        sent.iter().any(|sent| *sent == tag || sent == "*")
    }
}

/// How the rows of an answer are wanted.
#[derive(Debug, Clone, Default)]
pub struct RowOutput {
    /// JSON is the answer's `data`; any other format is its `encoded`.
    pub format: RowFormat,
    /// Who reads the answer's `data`.
    pub reader: JsonReader,
    /// An empty file of the caller's that rows are written to as they come, instead of being kept in memory. What is in it is an answer only when the attempt has succeeded: its audit record is written after the rows.
    pub file: Option<Arc<File>>,
    /// The object that the rows are written to with [`Pipeline::upload`](crate::Pipeline::upload) once the attempt has succeeded.
    pub object: Option<OutputObject>,
    /// Makes a report of the files instead of an answer with all rows: it has this many of the first ones, and
    /// [`Answer::inspected`](crate::Answer::inspected). Values that do not fit, and a file that cannot be read to its end, are a part
    /// of the report and no failure. Only for questions about one table.
    pub inspect: Option<usize>,
}

/// Who asks, as far as it is known; all of it goes into the audit record.
#[derive(Debug, Clone, Default)]
pub struct Caller {
    /// The name of the key, or of the operating system's user on the command line.
    pub name: String,
    /// The Genesys Cloud organisation.
    pub organization: Option<String>,
    /// The Genesys Cloud conversation.
    pub conversation_id: Option<String>,
    /// The caller's own identifier of the request.
    pub correlation_id: Option<String>,
    /// The trace that the request belongs to.
    pub trace_id: Option<String>,
    /// The Genesys Cloud user whose work made the request.
    pub user: Option<String>,
}
