//! A pipeline with another configuration, in place of a running one.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::{
    ActionError, Change, Documents, Pipeline, Project, ReadPolicy,
    builder::{all_of, budget_settings, check_actions},
    ledger::Ledger,
    pipeline::Parts,
    services::Services,
};

impl Pipeline {
    /// The same pipeline with the actions, the policy and the budgets of `project`. It shares the audit log, what was spent, the
    /// profile, the connections to S3 and the tables in memory of actions that did not change. All else of `project` takes
    /// effect at the next start only; [`Self::changes`] tells which keys that are.
    ///
    /// This one goes on as it is: attempts that it runs keep its actions, policy and budgets.
    ///
    /// # Errors
    /// `config.invalid` and `sql.*` for what the project says, as when a pipeline is built; with `broken_actions`, an action that
    /// cannot be read stops none of the others.
    pub fn reloaded(&self, project: Project, broken_actions: bool) -> Result<Self, ActionError> {
        let documents = project.documents.clone();
        self.with_project(project, broken_actions)
            .map_err(|error| documents.locate(error))
    }

    fn with_project(&self, project: Project, broken_actions: bool) -> Result<Self, ActionError> {
        let old = &*self.parts;
        let Project {
            config,
            actions: definitions,
            mut broken,
            documents,
            ..
        } = project;
        let known = |name: &str| {
            let same = old.documents.same_action(&documents, name);
            let action = old.services.actions.get(name).filter(|_| same);
            action.map(Arc::clone)
        };
        let actions = check_actions(definitions, &mut broken, known);
        if !broken_actions && let Some(error) = all_of(&broken) {
            return Err(error);
        }
        for client in &config.server.clients {
            client.check(&actions, &broken, old.services.clock.now())?;
        }
        let budget = budget_settings(config.budget, &actions, &broken)?;
        let budgets = old
            .ledger
            .budgets
            .with_settings(budget, &old.audit_directory)?;
        let services = Arc::new(Services {
            actions,
            broken,
            policy: ReadPolicy::try_new(&config.policy)?,
            access: old.services.access.clone(),
            s3: Arc::clone(&old.services.s3),
            engine: old.services.engine.clone(),
            workers: old.services.workers.clone(),
            genesys: old.services.genesys.clone(),
            clock: Arc::clone(&old.services.clock),
        });
        let ledger = Arc::new(Ledger {
            budgets,
            ..Ledger::clone(&old.ledger)
        });
        Ok(Self::new(Parts {
            reader: old.reader.with_services(&services, &ledger),
            services,
            ledger,
            reporter: Arc::clone(&old.reporter),
            documents: documents.in_effect(&old.documents),
            audit_directory: old.audit_directory.clone(),
            is_beside: old.is_beside,
            running: old.running.clone(),
            scans: old.scans.clone(),
            stop: CancellationToken::clone(&old.stop),
        }))
    }

    /// Gives up what only this pipeline needs, once `successor` has taken its place: the tables in memory of actions that are
    /// gone or have changed.
    pub fn retire(&self, successor: &Self) {
        let kept = &successor.parts.services.actions;
        for (name, action) in &self.parts.services.actions {
            let is_kept = kept.get(name).is_some_and(|new| Arc::ptr_eq(new, action));
            if !is_kept {
                self.parts.reader.forget(action);
            }
        }
    }

    /// What a reload with `project` would change.
    #[must_use]
    pub fn changes(&self, project: &Project) -> Vec<Change> {
        self.parts.documents.changes(&project.documents)
    }

    /// The files in effect.
    #[must_use]
    pub fn documents(&self) -> &Documents {
        &self.parts.documents
    }
}
