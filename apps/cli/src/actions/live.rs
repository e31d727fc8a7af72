//! For `flowlake check`: the published versions that an action's file cannot answer as it is.

use flowlake_data_action::{ActionDefinition, ActionError, AnswerColumns, Project};
use flowlake_genesys_publish::{
    Action, Consumers, Misfit, PlatformClient, PlatformSettings, misfits,
};

use super::{
    compare::users,
    document::{inputs, outputs},
    platform,
    versions::answering,
};

/// How long the platform may take: what is published is only compared where that is quick.
const PATIENCE_SECONDS: u64 = 5;

/// What is published of a project.
pub(crate) struct Live {
    client: Option<PlatformClient>,
    published: Option<Vec<Action>>,
    remark: Option<String>,
}

/// A published version that its file cannot answer.
pub(crate) struct LiveVersion {
    pub(crate) name: String,
    pub(crate) misfits: Vec<Misfit>,
    consumers: Option<Consumers>,
}

impl LiveVersion {
    /// How many flows use it.
    pub(crate) fn users(&self) -> String {
        users(self.consumers.as_ref())
    }

    /// Whether it is known that no flow uses it.
    pub(crate) fn is_unused(&self) -> bool {
        let unused = |consumers: &Consumers| consumers.list.is_empty() && consumers.complete;
        self.consumers.as_ref().is_some_and(unused)
    }
}

impl Live {
    /// Asks nothing yet. A project that does not say how it is published has nothing published.
    pub(crate) fn of(project: &Project) -> Self {
        let settings = |settings: &mut PlatformSettings| {
            settings.timeout_seconds = PATIENCE_SECONDS;
            settings.max_waits = 0;
        };
        let client = platform::builder(project, None, PATIENCE_SECONDS, settings);
        Self {
            client: client.ok().and_then(|builder| builder.build().ok()),
            published: None,
            remark: None,
        }
    }

    /// Why the platform was not asked about every action.
    pub(crate) fn remark(&self) -> Option<&str> {
        self.remark.as_deref()
    }

    /// The versions of an action that its file cannot answer.
    pub(crate) async fn misfits(
        &mut self,
        project: &Project,
        definition: &ActionDefinition,
        columns: &AnswerColumns,
    ) -> Vec<LiveVersion> {
        if definition.genesys.is_none() {
            return Vec::new();
        }
        let Some(client) = self.client.clone() else {
            return Vec::new();
        };
        match self.ask(&client, project, definition, columns).await {
            Ok(found) => found,
            Err(error) => {
                self.client = None;
                self.remark = Some(format!("[{}] {}", error.code(), error.message()));
                Vec::new()
            }
        }
    }

    async fn ask(
        &mut self,
        client: &PlatformClient,
        project: &Project,
        definition: &ActionDefinition,
        columns: &AnswerColumns,
    ) -> Result<Vec<LiveVersion>, ActionError> {
        let published = match self.published.take() {
            Some(published) => published,
            None => client.list().await.map_err(platform::action_error)?,
        };
        let published = self.published.insert(published);
        // A column without a counterpart has its own line.
        let Ok(columns) = outputs(definition, columns) else {
            return Ok(Vec::new());
        };
        let mut found = Vec::new();
        for action in published.iter() {
            if answering(project, &action.name) != Some(definition.name.as_str()) {
                continue;
            }
            let live = client.live(&action.id).await;
            let live = live.map_err(platform::action_error)?;
            let misfits = misfits(&live.document, &inputs(definition), &columns);
            if !misfits.is_empty() {
                // Who may not see the uses learns of the misfits all the same.
                let consumers = client.consumers(&action.id, action.secure).await;
                found.push(LiveVersion {
                    name: action.name.clone(),
                    misfits,
                    consumers: consumers.ok(),
                });
            }
        }
        Ok(found)
    }
}
