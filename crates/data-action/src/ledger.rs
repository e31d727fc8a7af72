//! The books: what is set aside before a read, and the one audit record of every attempt, with what it has cost.

mod board;
mod limits;
mod objects;
mod price;
mod ship;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use flowlake_cost_audit::{
    AuditLog, AuditReceipt, AuditRecord, AuditStatus, Budgets, Cost, Error as CostError, ErrorKind,
    OverBudget, audit::Shipper, keyed_hash,
};
use flowlake_genesys_auth::Secret;
use flowlake_profiler::Phase;
use flowlake_s3_stream::MeterSnapshot;
use flowlake_transform::{BoundParams, RunStats};
use futures::future::join_all;

#[cfg(test)]
pub(crate) use self::objects::objects_of_record;
pub(crate) use self::{board::S3Board, price::Pricing, ship::S3Sink};
use self::{limits::ReadSize, objects::Transferred};
use crate::{
    Action, ActionError, Clock, ConfirmSettings, ErrorCode, attempt::Attempt, plan::ReadPlan,
    stores::RequestStores,
};

/// Budgets, prices and the audit log.
#[derive(Debug, Clone)]
pub(crate) struct Ledger {
    pub(crate) audit: AuditLog,
    /// This server's name, which every record has.
    pub(crate) node: Option<String>,
    pub(crate) budgets: Budgets,
    pub(crate) pricing: Arc<Pricing>,
    pub(crate) shipper: Option<Arc<Shipper>>,
    /// Whether a record is shipped before its answer is given.
    pub(crate) ships_first: bool,
    pub(crate) hash_key: Secret,
    pub(crate) clock: Arc<dyn Clock>,
}

/// An attempt whose record was written, or could not be.
#[derive(Debug)]
pub(crate) struct Closed {
    pub(crate) record: AuditRecord,
    pub(crate) written: Result<AuditReceipt, ActionError>,
    /// What was moved.
    pub(crate) moved: MeterSnapshot,
    /// The price of it.
    pub(crate) cost: Option<Cost>,
    pub(crate) warnings: Vec<String>,
    /// Objects at the locations that are no files of the tables.
    pub(crate) files_left_out: u64,
}

impl Ledger {
    /// Parameters as a record names them: sensitive ones as keyed hashes.
    pub(crate) fn params(&self, bound: &BoundParams) -> BTreeMap<String, String> {
        let entries = bound.entries().map(|(name, value, sensitive)| {
            let text = value.to_string();
            let text = if sensitive {
                keyed_hash(self.hash_key.expose().as_bytes(), &text)
            } else {
                text
            };
            (name.to_owned(), text)
        });
        entries.collect()
    }

    /// The estimate of an answer that nothing is read for.
    pub(crate) fn nothing(&self) -> Cost {
        self.pricing.nothing()
    }

    /// Compares a read with its limits and sets its price aside of the budgets, before anything is read, and returns it. A read
    /// without a price is refused or warned of.
    pub(crate) async fn reserve(
        &self,
        attempt: &Attempt,
        action: &Action,
        plan: &ReadPlan,
        confirm: Option<&ConfirmSettings>,
        stores: &RequestStores,
    ) -> Result<Option<Cost>, ActionError> {
        let budgets = &self.budgets;
        let month_bytes = budgets.month_bytes();
        let estimate = self.pricing.estimate(plan, month_bytes);
        let size = ReadSize::of(plan, &self.pricing, estimate.as_ref());
        let limits = &action.definition.limits;
        size.check(limits, confirm)?;
        // What a read of Parquet takes is not known before its footer is.
        let is_limited =
            confirm.is_some() || limits.max_requests.is_some() || limits.max_cost_usd.is_some();
        if is_limited {
            let (limits, confirm) = (limits.clone(), confirm.cloned());
            let pricing = Arc::clone(&self.pricing);
            let mut classes = plan.objects.iter();
            let class = classes.find_map(|object| object.storage_class.clone());
            let admit = move |usage: &[(String, MeterSnapshot)]| {
                let size = ReadSize::so_far(usage, &pricing, class.as_deref(), month_bytes);
                size.check(&limits, confirm.as_ref())
            };
            stores.limit(Box::new(admit));
        }
        let action = action.name();
        let estimate = match estimate {
            Ok(estimate) => estimate,
            Err(reason) => {
                let over = budgets.over_unpriced(action);
                if matches!(over, Some(OverBudget::Refuse)) {
                    return Err(unpriced(&reason));
                }
                let begin = if over.is_some() {
                    "a budget is set, and the read"
                } else {
                    "the read"
                };
                let warning = format!("{begin} cannot be priced: {reason}");
                attempt.draft().warn(warning);
                return Ok(None);
            }
        };
        let reservation = budgets.claim(action, estimate.total_usd).await;
        let reservation = reservation.map_err(|error| match error.kind() {
            ErrorKind::OverBudget => {
                ActionError::from(error).with_retry_after(Some(self.until_tomorrow()))
            }
            _ => error.into(),
        })?;
        let mut draft = attempt.draft();
        for warning in reservation.warnings() {
            draft.warn(warning.clone());
        }
        draft.reservations.push(reservation);
        Ok(Some(estimate))
    }

    /// Prices what was moved, settles the budgets, and writes the record. An answer may leave only when it is durable.
    pub(crate) async fn close(
        &self,
        attempt: &Attempt,
        ended: Result<&RunStats, &ActionError>,
    ) -> Closed {
        let stores = attempt.draft().stores.clone();
        join_all(stores.iter().map(|stores| stores.last_figures())).await;
        let moved = Transferred::by(attempt);
        let month_bytes = self.budgets.month_bytes();
        let cost = self
            .pricing
            .metered(&moved.usage, &moved.objects, month_bytes);
        let (mut record, warnings, files_left_out) = {
            let mut draft = attempt.draft();
            for (column, file) in ended.iter().flat_map(|stats| &stats.unlisted) {
                draft.warn(unlisted(column, file));
            }
            for column in ended.iter().flat_map(|stats| &stats.absent) {
                draft.warn(absent(column));
            }
            let mut record = std::mem::take(&mut draft.record);
            record.http_status = Some(if draft.not_modified { 304 } else { 200 });
            record.decision = draft.decisions.summary();
            record.set_objects(moved.recorded(&draft.wanted));
            (record, draft.warnings().to_vec(), draft.files_left_out)
        };
        let total = moved.total;
        self.settle(attempt, &record.action, cost.as_ref(), total.bytes_received);
        if !warnings.is_empty() {
            record.message = Some(warnings.join("; "));
        }
        record.node.clone_from(&self.node);
        record.bytes_from_disk = total.bytes_from_disk;
        record.bytes_transferred = total.bytes_received;
        record.request_ids.clone_from(&total.request_ids);
        record.cost_usd = cost.as_ref().map(|cost| cost.total_usd);
        let elapsed = attempt.elapsed().as_millis();
        record.duration_ms = u64::try_from(elapsed).unwrap_or(u64::MAX);
        complete(&mut record, ended);
        if attempt.is_background {
            record.http_status = None;
        }
        let written = attempt.phase(Phase::Audit, self.write(&record));
        Closed {
            written: written.await.map_err(ActionError::from),
            record,
            moved: total,
            cost,
            warnings,
            files_left_out,
        }
    }

    /// Records that the rows of an attempt, whose record is written, did not reach the caller.
    pub(crate) async fn undelivered(
        &self,
        of: &AuditRecord,
        error: &ActionError,
    ) -> Result<(), ActionError> {
        let mut record = AuditRecord {
            action: of.action.clone(),
            caller: of.caller.clone(),
            correlation_id: Some(of.id.clone()),
            node: self.node.clone(),
            principal: of.principal.clone(),
            sql: of.sql.clone(),
            time: self.clock.now(),
            ..AuditRecord::default()
        };
        complete(&mut record, Err(error));
        record.message = Some("the rows did not reach the caller".to_owned());
        self.write(&record).await?;
        Ok(())
    }

    /// Makes the record durable: on the disk, and in the bucket too where the disk does not last.
    async fn write(&self, record: &AuditRecord) -> Result<AuditReceipt, CostError> {
        let receipt = self.audit.append(record).await?;
        if let Some(shipper) = self.shipper.as_ref().filter(|_| self.ships_first) {
            self.audit.seal().await?;
            shipper.ship_now().await?;
        }
        Ok(receipt)
    }

    /// Counts what the attempt cost, and gives back what was set aside for it.
    fn settle(&self, attempt: &Attempt, action: &str, cost: Option<&Cost>, bytes: u64) {
        let mut reservations = std::mem::take(&mut attempt.draft().reservations).into_iter();
        let cost = cost.map(|cost| cost.total_usd);
        match reservations.next() {
            Some(first) => {
                // What was read and cannot be priced is counted as what it was thought to cost.
                let cost = cost.unwrap_or_else(|| first.estimate_usd());
                first.settle(cost, bytes);
            }
            None => self.budgets.spend(action, cost.unwrap_or_default(), bytes),
        }
    }

    /// The time until the next day of UTC, when a daily budget begins again and a monthly one may.
    fn until_tomorrow(&self) -> Duration {
        let now = self.clock.now();
        let tomorrow = now.date_naive() + chrono::Days::new(1);
        let midnight = tomorrow.and_time(chrono::NaiveTime::MIN).and_utc();
        (midnight - now).to_std().unwrap_or_default()
    }
}

/// The warning of a column that the SQL cannot see.
fn unlisted(column: &str, file: &str) -> String {
    format!(
        "`{column}` of {file} is no column of its table: none of the records and files that columns are found from has it (raise infer_rows or infer_files, or declare all columns)"
    )
}

/// The warning of a column that is declared and is null everywhere.
fn absent(column: &str) -> String {
    format!("`{column}` is declared under `columns` of its table, and no file that was read has it")
}

/// Writes the outcome into the record.
fn complete(record: &mut AuditRecord, ended: Result<&RunStats, &ActionError>) {
    match ended {
        Ok(stats) => {
            record.status = AuditStatus::Success;
            "ok".clone_into(&mut record.code);
            record.rows = stats.rows_out;
            record.bytes_scanned = stats.bytes_scanned;
            record.skipped_rows = stats.skipped_rows;
            record.nulled_values = stats.nulled_values;
        }
        Err(error) => {
            record.status = AuditStatus::Failed;
            error.code().as_str().clone_into(&mut record.code);
            record.http_status = Some(error.code().http_status());
            // What is wrong with a question is said in its own words, and its constants may be personal data.
            let is_shown = record.sql.is_none() || !is_of_the_question(&record.code);
            record.message = is_shown.then(|| error.message().to_owned());
        }
    }
}

/// Whether a failure is the fault of what was asked, by its code.
fn is_of_the_question(code: &str) -> bool {
    ["sql.", "param.", "internal"]
        .iter()
        .any(|kind| code.starts_with(kind))
}

fn unpriced(reason: &CostError) -> ActionError {
    ActionError::new(
        ErrorCode::BudgetUnpriced,
        format!("a budget is set, and the read cannot be priced: {reason}"),
        "Load a price list with `flowlake cost prices --from FILE`, set the figure in [cost.overrides], or let [budget] only warn.",
    )
}
