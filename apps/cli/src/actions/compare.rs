//! What is published of an action beside what would be: the version that is changed or created, and the other versions that
//! the same file answers.

use flowlake_data_action::ActionError;
use flowlake_genesys_publish::{
    Change, Consumer, Consumers, Effect, LiveAction, Misfit, OtherVersion, Plan, PlatformClient,
    Step, misfits,
};
use serde_json::{Value, json};

use super::{
    document::{Documents, Drafted},
    platform::action_error,
    versions::until,
};

/// One action.
#[derive(Debug)]
pub(super) struct Comparison {
    pub(super) plan: Plan,
    /// What differs from what is live.
    pub(super) changes: Vec<Change>,
    pub(super) others: Vec<Other>,
}

/// Another published version that the same file answers.
#[derive(Debug)]
pub(super) struct Other {
    pub(super) version: OtherVersion,
    /// Why its flows fail with the file as it is.
    pub(super) misfits: Vec<Misfit>,
    /// What uses it, where that matters.
    pub(super) consumers: Option<Consumers>,
}

impl Comparison {
    /// Asks the platform.
    pub(super) async fn of(
        client: &PlatformClient,
        documents: &Documents,
        name: &str,
        drafted: &Drafted,
    ) -> Result<Self, ActionError> {
        let until = until(&documents.project, name);
        let plan = client.plan(&drafted.document, until).await;
        let mut plan = plan.map_err(|error| action_error(error).in_action(name))?;
        let changes = match &plan.live {
            Some(live) => client.changes(live, &plan.document),
            None => Vec::new(),
        };
        let mut others = Vec::new();
        for version in std::mem::take(&mut plan.others) {
            let misfits = misfits(&version.live.document, &drafted.inputs, &drafted.columns);
            let consumers = if plan.step == Step::NewVersion || !misfits.is_empty() {
                Some(consumers(client, &version.live).await?)
            } else {
                None
            };
            others.push(Other {
                version,
                misfits,
                consumers,
            });
        }
        Ok(Self {
            plan,
            changes,
            others,
        })
    }

    /// Whether a flow has to be changed to take the new version.
    pub(super) fn is_breaking(&self) -> bool {
        let breaks = |change: &Change| change.effect == Effect::Breaking;
        self.plan.step != Step::Nothing && self.changes.iter().any(breaks)
    }

    /// Whether flows fail with the file as it is.
    pub(super) fn fails_flows(&self) -> bool {
        self.others.iter().any(Other::fails_flows)
    }

    /// Whether publishing would change anything, or a version is there that nothing answers.
    pub(super) fn differs(&self) -> bool {
        let differs =
            |other: &Other| !(other.version.changes.is_empty() && other.misfits.is_empty());
        self.plan.step != Step::Nothing || self.others.iter().any(differs)
    }

    /// The versions whose flows publishing would leave failing.
    pub(super) fn broken(&self) -> impl Iterator<Item = &Other> {
        let others = self.others.iter();
        others.filter(|other| {
            let is_touched =
                self.plan.step == Step::NewVersion || !other.version.changes.is_empty();
            is_touched && other.fails_flows()
        })
    }

    /// For people.
    pub(super) fn lines(&self, name: &str) -> String {
        let wanted = &self.plan.document.name;
        let what = match self.plan.step {
            Step::Create => "is not published yet".to_owned(),
            Step::Nothing => format!("{wanted} is as it is published"),
            Step::Update => format!("{wanted} changes in place"),
            _ => format!("its contract changes: {wanted} comes beside the old"),
        };
        let mut lines = format!("{name}: {what}\n{}", change_lines(&self.changes));
        if let Some(draft) = &self.plan.foreign_draft {
            lines += &format!("  somebody else is at work on it: the draft {}\n", draft.id);
            lines += &change_lines(&draft.changes);
        }
        for other in &self.others {
            let version = other.name();
            if !other.version.changes.is_empty() {
                lines += &format!("  {version} changes in place\n");
                lines += &change_lines(&other.version.changes);
            }
            if let Some(consumers) = &other.consumers {
                if !consumers.list.is_empty() {
                    lines += &format!("  {version} is still used by:\n");
                    for user in &consumers.list {
                        lines += &format!("    {} {} ({})\n", user.kind, user.name, user.id);
                    }
                }
                if !consumers.complete {
                    lines += &format!(
                        "  {version} may have other users: Architect's dependency tracking is incomplete\n"
                    );
                }
            }
            if !other.misfits.is_empty() {
                lines += &format!(
                    "  {version} cannot be answered with this file ({}):\n",
                    other.users()
                );
                for misfit in &other.misfits {
                    lines += &format!("    {misfit}\n");
                }
            }
        }
        lines
    }

    /// For programs.
    pub(super) fn json(&self, name: &str) -> Value {
        let still_used = self.others.iter().filter_map(|other| {
            let used_by: &[Consumer] = &other.consumers.as_ref()?.list;
            (!used_by.is_empty()).then(|| json!({ "name": other.name(), "by": used_by }))
        });
        let others = self.others.iter().map(|other| {
            json!({
                "name": other.name(), "id": other.version.live.id, "changes": other.version.changes,
                "misfits": other.misfits, "fails_flows": other.fails_flows(),
            })
        });
        let foreign_draft = self.plan.foreign_draft.as_ref();
        json!({
            "action": name, "step": self.plan.step, "name": self.plan.document.name, "changes": self.changes,
            "still_used": still_used.collect::<Vec<_>>(), "others": others.collect::<Vec<_>>(),
            "foreign_draft": foreign_draft.map(|draft| json!({ "id": draft.id, "changes": draft.changes })),
        })
    }
}

impl Other {
    pub(super) fn name(&self) -> &str {
        &self.version.live.document.name
    }

    fn fails_flows(&self) -> bool {
        let may_be_used = |consumers: &Consumers| !consumers.list.is_empty() || !consumers.complete;
        !self.misfits.is_empty() && self.consumers.as_ref().is_none_or(may_be_used)
    }

    pub(super) fn users(&self) -> String {
        users(self.consumers.as_ref())
    }
}

/// How many flows use a version.
pub(super) fn users(consumers: Option<&Consumers>) -> String {
    match consumers.map(|consumers| (consumers.list.len(), consumers.complete)) {
        Some((0, true)) => "no flow uses it".to_owned(),
        Some((1, true)) => "1 flow uses it".to_owned(),
        Some((count, true)) => format!("{count} flows use it"),
        Some((count, false)) => format!("{count} flows use it, perhaps more"),
        None => "which flows use it is not known".to_owned(),
    }
}

/// What uses a published version.
pub(super) async fn consumers(
    client: &PlatformClient,
    live: &LiveAction,
) -> Result<Consumers, ActionError> {
    let consumers = client.consumers(&live.id, live.document.secure).await;
    consumers.map_err(action_error)
}

fn change_lines(changes: &[Change]) -> String {
    let mut lines = String::new();
    for change in changes {
        let effect = match change.effect {
            Effect::Breaking => "breaking ",
            Effect::NewVersion => "contract ",
            _ => "         ",
        };
        let side = |value: &Option<Value>| {
            value
                .as_ref()
                .map_or("nothing".to_owned(), Value::to_string)
        };
        lines += &format!(
            "  {effect}{}: {} -> {}\n",
            change.path,
            side(&change.live),
            side(&change.wanted)
        );
    }
    lines
}
