//! The third step: the rows. From memory where the action's tables are there, otherwise by a plan that is paid for: into memory
//! for a hot action, or straight through the engine.

mod answer_cache;
mod cold;
mod hot;
mod inspected;
mod question_key;
mod reload;
mod rows;
mod single_flight;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use flowlake_transform::{HotQueryStatus, HotStatus, HotTables, RunStats, Transform};
use tokio_util::task::TaskTracker;

pub use self::inspected::{Inspected, KeyColumn, ScanPrice};
pub(crate) use self::{answer_cache::AnswerCacheStatus, cold::rows, rows::Answered};
use self::{
    answer_cache::{AnswerCache, CacheKey, CachedAnswer},
    hot::HotReader,
};
use crate::{
    Action, ActionError, ActionRequest, CacheServed, CacheSettings,
    admit::Admitted,
    attempt::Attempt,
    ledger::Ledger,
    plan::{ReadPlan, plan},
    services::Services,
    stores::RequestStores,
    workers,
};

/// Reads what was admitted.
#[derive(Debug)]
pub(crate) struct Reader {
    services: Arc<Services>,
    ledger: Arc<Ledger>,
    hot: HotReader,
    answer_cache: Arc<AnswerCache>,
}

impl Reader {
    /// `running` counts the reloads of hot tables.
    pub(crate) fn new(
        services: &Arc<Services>,
        ledger: &Arc<Ledger>,
        tables: HotTables,
        cache: &CacheSettings,
        running: TaskTracker,
    ) -> Self {
        Self {
            services: Arc::clone(services),
            ledger: Arc::clone(ledger),
            answer_cache: Arc::new(AnswerCache::new(cache, Arc::clone(&services.clock))),
            hot: HotReader::new(services, ledger, tables, running),
        }
    }

    /// The same tables in memory, read for other actions or with another policy.
    pub(crate) fn with_services(&self, services: &Arc<Services>, ledger: &Arc<Ledger>) -> Self {
        Self {
            services: Arc::clone(services),
            ledger: Arc::clone(ledger),
            // The key covers the action's text: answers of a changed action are not found.
            answer_cache: Arc::clone(&self.answer_cache),
            hot: self.hot.with_services(services, ledger),
        }
    }

    /// Drops the hot tables of an action that no longer exists.
    pub(crate) fn forget(&self, action: &Action) {
        if let Some(query) = &action.hot {
            self.hot.tables().forget(query);
        }
    }

    /// The tables in memory of each action.
    pub(crate) fn hot_by_action(&self) -> BTreeMap<String, HotQueryStatus> {
        self.hot.tables().status_by_query()
    }

    /// The most bytes that tables in memory may take.
    pub(crate) fn hot_limit_bytes(&self) -> u64 {
        self.hot.tables().settings().memory.as_u64()
    }

    pub(crate) fn hot_status(&self) -> HotStatus {
        self.hot.status()
    }

    /// Attempts since the start that were given the answer of another.
    pub(crate) fn shared_answers(&self) -> u64 {
        self.hot.shared_answers()
    }

    /// The state of the answer cache.
    pub(crate) fn answer_cache_status(&self) -> AnswerCacheStatus {
        self.answer_cache.status()
    }

    pub(crate) async fn read(
        &self,
        attempt: &Attempt,
        admitted: &Admitted,
        request: &ActionRequest,
    ) -> Result<Answered, ActionError> {
        if let Some(tables) = self.hot.resident(attempt, admitted).await? {
            let nothing = Some(self.ledger.nothing());
            return self
                .hot
                .answer(attempt, admitted, request, &tables, nothing)
                .await;
        }
        // Boxed, so that the future of an answer from memory does not reserve space for the state of a cold read.
        let stores = attempt.open_stores(&self.services.s3);
        if let Some(progress) = &request.progress {
            progress.reads_from(&stores);
        }
        let read = Box::pin(self.read_planned(attempt, admitted, request, &stores)).await;
        if read.is_err() {
            stores.forget().await;
        }
        read
    }

    async fn read_planned(
        &self,
        attempt: &Attempt,
        admitted: &Admitted,
        request: &ActionRequest,
        stores: &Arc<RequestStores>,
    ) -> Result<Answered, ActionError> {
        let Admitted {
            action,
            bound,
            locations,
        } = admitted;
        let mut plan = plan(&self.services, attempt, &action.prepared, locations, stores).await?;
        if let Some(progress) = &request.progress {
            progress.planned(plan.size());
        }
        let tag = std::mem::take(&mut plan.versions).tag(&action.fingerprint, bound);
        let public = tag.filter(|_| action.is_repeatable && request.if_none_match.is_some());
        if public.is_some_and(|tag| request.has(tag)) {
            attempt.draft().not_modified = true;
            let nothing = self.ledger.nothing();
            return Ok(Answered::not_modified(stores.objects(), nothing)?.with_tag(public));
        }
        let answered = match (action.definition.cache, tag) {
            (Some(fresh_for), Some(tag)) if request.output.file.is_none() && !request.explain => {
                let question = CacheKey::new(tag, &request.output);
                self.read_cached(
                    attempt,
                    admitted,
                    request,
                    &plan,
                    stores,
                    (question, fresh_for),
                )
                .await?
            }
            _ => {
                self.read_files(attempt, admitted, request, &plan, stores)
                    .await?
            }
        };
        Ok(answered.with_tag(public))
    }

    /// Returns a cached answer, or waits for the same read of another attempt, or reads.
    async fn read_cached(
        &self,
        attempt: &Attempt,
        admitted: &Admitted,
        request: &ActionRequest,
        plan: &ReadPlan,
        stores: &Arc<RequestStores>,
        (question, fresh_for): (CacheKey, Duration),
    ) -> Result<Answered, ActionError> {
        let mut estimate = Some(self.ledger.nothing());
        let work = Box::pin(async {
            let since = self.services.clock.instant();
            let read = self
                .read_files(attempt, admitted, request, plan, stores)
                .await?;
            estimate = read.estimate;
            Ok(CachedAnswer {
                rows: read.rows,
                objects: stores.objects(),
                since,
            })
        });
        let (answer, served) = self.answer_cache.answer(question, fresh_for, work).await?;
        let CachedAnswer {
            mut rows, objects, ..
        } = Arc::unwrap_or_clone(answer);
        if !matches!(served, CacheServed::Miss { .. }) {
            attempt.draft().hot.clone_from(&objects);
            // The engine did this work for another attempt.
            rows.stats = RunStats {
                rows_scanned: 0,
                bytes_scanned: 0,
                spilled_bytes: 0,
                ..rows.stats
            };
        }
        Ok(Answered {
            cache: Some(served),
            ..Answered::cold(rows, objects, estimate)
        })
    }

    async fn read_files(
        &self,
        attempt: &Attempt,
        admitted: &Admitted,
        request: &ActionRequest,
        plan: &ReadPlan,
        stores: &Arc<RequestStores>,
    ) -> Result<Answered, ActionError> {
        let confirm = request.confirm.as_ref();
        let estimate = self
            .ledger
            .reserve(attempt, &admitted.action, plan, confirm, stores)
            .await?;
        let loaded = self.hot.load(attempt, admitted, &plan.files, stores);
        if let Some(tables) = loaded.await? {
            return self
                .hot
                .answer(attempt, admitted, request, &tables, estimate)
                .await;
        }
        let engine = &self.services.engine;
        // An inspection reports the places of malformed values, which workers do not return: it runs on this machine.
        let chosen = match request.output.inspect {
            Some(_) => None,
            None => self
                .services
                .workers
                .engine(engine, &admitted.action, plan.size().bytes)?,
        };
        let rows = async |engine: &Transform| {
            let stores = stores.as_ref();
            cold::rows(engine, attempt, admitted, &plan.files, stores, request).await
        };
        let mut rows = match (rows(chosen.as_ref().unwrap_or(engine)).await, &chosen) {
            (Err(error), Some(divided)) if workers::has_divided_files(&error) => {
                rows(&workers::with_whole_files(divided)).await?
            }
            (rows, _) => rows?,
        };
        if chosen.is_some() {
            stores.read_by_workers(&plan.files);
        }
        if let Some(inspected) = &mut rows.inspected {
            let scans = inspected::scans(
                engine,
                &self.ledger,
                admitted,
                plan,
                stores,
                &inspected.table,
                attempt.started_at,
            );
            inspected.scans = scans.await?;
        }
        Ok(Answered::cold(rows, stores.objects(), estimate))
    }
}
