//! What publishing a document would do, and publishing it.

use serde_json::json;

use crate::client::PlatformClient;
use crate::diff::{Change, Effect, category_change, diff, draft_diff, same_contract};
use crate::document::DataAction;
use crate::error::{Error, ErrorKind};
use crate::model::{Action, Draft, LiveAction, OtherVersion, Plan, Published, Step};
use crate::version::{split_version, versioned};

impl PlatformClient {
    /// What [`Self::publish`] would have to do for this document. Its name may have a version: the document then takes
    /// the place of that version and those after it. Another source may have a later version, from which on it ends.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidDocument`]; [`ErrorKind::ContractChanged`] when the new version would be one of the other
    /// source; and those of [`Self::find`].
    pub async fn plan(&self, action: &DataAction, until: Option<u32>) -> Result<Plan, Error> {
        action.validate()?;
        let (base, first) = split_version(&action.name);
        let mut versions = Vec::new();
        for version in self.versions(base).await? {
            let (_, number) = split_version(&version.name);
            if number >= first && until.is_none_or(|until| number < until) {
                versions.push(self.live(&version.id).await?);
            }
        }
        let same = |live: &LiveAction| same_contract(&live.document, action);
        let mut document = action.clone();
        let (live, step) = match (versions.iter().rposition(same), versions.last()) {
            (Some(index), _) => {
                let live = versions.remove(index);
                document.name.clone_from(&live.document.name);
                // Its titles and descriptions belong to the contract, which stays as it is.
                document.contract = live.document.contract.clone();
                let differs = !self.changes(&live, &document).is_empty();
                let step = if differs { Step::Update } else { Step::Nothing };
                (Some(live), step)
            }
            (None, Some(newest)) => {
                let (_, number) = split_version(&newest.document.name);
                if until.is_some_and(|until| number + 1 >= until) {
                    return Err(Error::new(
                        ErrorKind::ContractChanged,
                        format!(
                            "the contract of {:?} is published and can never change, and {:?} has a source of its own",
                            newest.document.name,
                            versioned(base, number + 1)
                        ),
                    ));
                }
                document.name = versioned(base, number + 1);
                (Some(newest.clone()), Step::NewVersion)
            }
            (None, None) => (None, Step::Create),
        };
        let others = versions.into_iter().map(|live| {
            let document = live.document.calling(&document);
            OtherVersion {
                changes: self.changes(&live, &document),
                document,
                live,
            }
        });
        let others = others.collect();
        let foreign_draft = match step {
            Step::Nothing => None,
            Step::Update => self.draft(live.as_ref(), &document).await?,
            _ => self.draft(None, &document).await?,
        };
        Ok(Plan {
            live,
            document,
            step,
            others,
            foreign_draft: foreign_draft.filter(|draft| !draft.changes.is_empty()),
        })
    }

    /// What publishing a document in place of what is live changes.
    #[must_use]
    pub fn changes(&self, live: &LiveAction, document: &DataAction) -> Vec<Change> {
        let mut changes = diff(&live.document, document);
        changes.extend(category_change(&live.category, &self.settings().category));
        changes
    }

    /// The draft that publishing would use.
    async fn draft(
        &self,
        live: Option<&LiveAction>,
        wanted: &DataAction,
    ) -> Result<Option<Draft>, Error> {
        let found = match live {
            Some(live) => match self.get_draft(&live.id).await {
                Err(error) if error.kind() == ErrorKind::NotFound => None,
                draft => Some(draft?),
            },
            None => self.find_draft(&wanted.name).await?,
        };
        let Some(found) = found else {
            return Ok(None);
        };
        let changes = match self.whole(&[found.id.as_str(), "draft"]).await {
            Ok(draft) => {
                let lost = |wanted: &DataAction, category: &str| {
                    let mut changes = draft_diff(&draft.document, wanted);
                    changes.extend(category_change(&draft.category, category));
                    changes
                };
                let is_untouched =
                    live.is_some_and(|live| lost(&live.document, &live.category).is_empty());
                if is_untouched {
                    Vec::new()
                } else {
                    lost(wanted, &self.settings().category)
                }
            }
            // None of ours lacks a part.
            Err(error) if error.kind() == ErrorKind::InvalidResponse => vec![Change {
                path: "draft".to_owned(),
                live: Some(json!("incomplete")),
                wanted: Some(json!("whole")),
                effect: Effect::InPlace,
            }],
            Err(error) => return Err(outrun(error)),
        };
        Ok(Some(Draft {
            id: found.id,
            version: found.version,
            changes,
        }))
    }

    /// Publishes an action under its name: a new one, or the next version of the one that is
    /// there. A draft left over from an attempt that failed is used. When an answer does not arrive, what is live
    /// is looked at.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ContractChanged`] when the published action has another contract,
    /// [`ErrorKind::ForeignDraft`] when somebody else is at work on it, [`ErrorKind::Rejected`] with the platform's
    /// words when its validation fails, [`ErrorKind::Unclear`] when it is not known whether it is live, and those of
    /// the steps.
    pub async fn publish(&self, action: &DataAction) -> Result<Published, Error> {
        action.validate()?;
        let live = match self.find(&action.name).await? {
            Some(found) => Some(self.live(&found.id).await?),
            None => None,
        };
        let mut action = action.clone();
        if let Some(live) = &live {
            if !same_contract(&live.document, &action) {
                return Err(Error::new(
                    ErrorKind::ContractChanged,
                    format!(
                        "the contract of the published action {:?} differs and can never change, \
                         publish under another name",
                        action.name
                    ),
                ));
            }
            action.contract = live.document.contract.clone();
        }
        let draft = self.filled_draft(live.as_ref(), &action).await?;
        let validation = self.validate_draft(&draft.id).await.map_err(outrun)?;
        if !validation.valid {
            return Err(Error::new(
                ErrorKind::Rejected,
                format!(
                    "the platform finds fault with the draft, which is kept: {}",
                    validation.errors.join("; ")
                ),
            ));
        }
        let published = match self.publish_draft(&draft.id, draft.version).await {
            Ok(published) => (published.id, published.version),
            Err(error) if error.hides_outcome() => match self.live(&draft.id).await {
                Ok(now) if self.changes(&now, &action).is_empty() => (now.id, now.version),
                Ok(_) => return Err(error),
                // It was never published.
                Err(found) if found.kind() == ErrorKind::NotFound => return Err(error),
                Err(_) => return Err(Error::unclear("published", error)),
            },
            Err(error) => return Err(outrun(error)),
        };
        let twins = match live {
            Some(_) => Vec::new(),
            None => self.twins(&action.name, &published.0).await,
        };
        Ok(Published {
            id: published.0,
            version: published.1,
            created: live.is_none(),
            twins,
        })
    }

    /// Other published actions of the name. The action is published, whether they can be listed or not.
    async fn twins(&self, name: &str, id: &str) -> Vec<String> {
        let found = self.equally_named(&[], name).await.unwrap_or_default();
        let ids = found.into_iter().map(|action| action.id);
        ids.filter(|twin| twin != id).collect()
    }

    /// A draft with this document in it.
    async fn filled_draft(
        &self,
        live: Option<&LiveAction>,
        action: &DataAction,
    ) -> Result<Action, Error> {
        let left = self.draft(live, action).await?;
        if let Some(left) = &left
            && !left.changes.is_empty()
            && !self.settings().overwrite_drafts
        {
            let paths: Vec<&str> = left
                .changes
                .iter()
                .map(|change| change.path.as_str())
                .collect();
            return Err(Error::new(
                ErrorKind::ForeignDraft,
                format!(
                    "somebody else is at work on {:?}: its draft {} differs in {}",
                    action.name,
                    left.id,
                    paths.join(", ")
                ),
            ));
        }
        let (id, version) = match (left, live) {
            (Some(left), _) => (left.id, left.version),
            (None, Some(live)) => {
                let draft = self.open_draft(&live.id).await?;
                (draft.id, draft.version)
            }
            (None, None) => return self.create_draft(action).await,
        };
        self.update_draft(&id, version, action)
            .await
            .map_err(outrun)
    }
}

/// A draft that is gone while it is used was published or discarded by somebody else.
fn outrun(error: Error) -> Error {
    if error.kind() != ErrorKind::NotFound {
        return error;
    }
    Error::new(
        ErrorKind::Conflict,
        "somebody else published or discarded the draft meanwhile",
    )
    .with_source(error)
}
