//! What a read will cost, what it has cost, and what the budgets say to it.

use std::{collections::BTreeMap, sync::Arc};

use flowlake_cost_audit::{Cost, Error as CostError, OverBudget, Usage};
use flowlake_s3_stream::{MeterSnapshot, ObjectMetadata};
use rust_decimal::Decimal;

use super::{Shared, attempt::Attempt, trace::Trace};
use crate::{Action, ActionError, ErrorCode, plan::ReadPlan};

impl Attempt<'_> {
    /// Sets the estimate aside of the budgets, before anything is read. A read without a price is told as such.
    pub(super) fn reserve(
        &self,
        action: &Action,
        estimate: Result<&Cost, &CostError>,
    ) -> Result<(), ActionError> {
        let budgets = &self.shared.budgets;
        let estimate = match estimate {
            Ok(estimate) => estimate,
            Err(reason) => {
                let over = budgets.over_unpriced(action.name());
                if matches!(over, Some(OverBudget::Refuse)) {
                    return Err(unpriced(reason));
                }
                let begin = if over.is_some() {
                    "a budget is set, and the read"
                } else {
                    "the read"
                };
                let warning = format!("{begin} cannot be priced: {reason}");
                self.trace.state().warnings.push(warning);
                return Ok(());
            }
        };
        let reservation = budgets
            .reserve(action.name(), estimate.total_usd)
            .map_err(|error| {
                ActionError::from(error).with_retry_after(Some(self.shared.until_tomorrow()))
            })?;
        let mut state = self.trace.state();
        state
            .warnings
            .extend(reservation.warnings().iter().cloned());
        state.reservations.push(reservation);
        Ok(())
    }
}

impl Shared {
    /// What reading the objects whole would cost: a HEAD for each, all their bytes, in as many GETs as they are read with, and
    /// one GET more for each object to find its columns. Nothing is planned for what is in memory.
    ///
    /// # Errors
    /// The figure that the table does not have.
    pub(super) fn estimate_before(&self, plan: Option<&ReadPlan>) -> Result<Cost, CostError> {
        let settings = self.s3.settings();
        // One usage for each storage class: an estimate of many objects is as short as that of one.
        let mut classes: BTreeMap<Option<&str>, Usage> = BTreeMap::new();
        for object in plan.iter().flat_map(|plan| &plan.objects) {
            let usage = classes
                .entry(object.storage_class.as_deref())
                .or_insert_with(|| Usage {
                    storage_class: object.storage_class.clone(),
                    ..self.no_usage()
                });
            usage.get_requests += settings.gets(object.size) + 1;
            usage.head_requests += 1;
            usage.bytes += object.size;
        }
        let list_requests = plan.map_or(0, |plan| plan.list_requests);
        let lists = (list_requests > 0).then(|| Usage {
            list_requests,
            ..self.no_usage()
        });
        self.price(classes.into_values().chain(lists))
    }

    /// What the requests and bytes that the meters saw cost, bucket by bucket.
    ///
    /// A meter counts per bucket, not per object: a bucket's bytes are priced at the storage class of the first object read
    /// from it that names one, which is exact unless one action mixes classes in one bucket.
    pub(super) fn cost_after(
        &self,
        usage: &[(String, MeterSnapshot)],
        objects: &[(String, Arc<ObjectMetadata>)],
    ) -> Option<Cost> {
        let class_of = |bucket: &str| {
            let mut classes = objects
                .iter()
                .filter(|(owner, _)| owner == bucket)
                .filter_map(|(_, object)| object.storage_class.clone());
            classes.next()
        };
        let usages = usage.iter().map(|(bucket, meter)| Usage {
            storage_class: class_of(bucket),
            get_requests: meter.get_requests,
            head_requests: meter.head_requests,
            list_requests: meter.list_requests,
            bytes: meter.bytes_received,
            ..self.no_usage()
        });
        self.price(usages)
            .inspect_err(|error| tracing::debug!(%error, "a read cannot be priced"))
            .ok()
    }

    /// Counts what the attempt cost, and gives back what was set aside for it.
    pub(super) fn settle(&self, trace: &Trace, action: &str, cost: Option<&Cost>, bytes: u64) {
        let mut reservations = std::mem::take(&mut trace.state().reservations).into_iter();
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

    fn no_usage(&self) -> Usage {
        Usage {
            region: self.region.clone(),
            destination: self.destination.clone(),
            month_to_date_bytes: self.budgets.month_bytes(),
            free_allowance: self.free_allowance,
            ..Usage::default()
        }
    }

    /// The price of all usages; none at all when the table has no figure for one of them, since a part would read as the whole.
    fn price(&self, usages: impl Iterator<Item = Usage>) -> Result<Cost, CostError> {
        let nothing = Cost {
            total_usd: Decimal::ZERO,
            lines: Vec::new(),
            prices_as_of: self.prices.as_of(),
        };
        let mut earlier_bytes = 0;
        let costs = usages
            .map(|mut usage| {
                usage.month_to_date_bytes += earlier_bytes;
                earlier_bytes += usage.bytes;
                self.prices.estimate(&usage)
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(costs.into_iter().fold(nothing, |mut total, cost| {
            total.total_usd += cost.total_usd;
            total.lines.extend(cost.lines);
            total
        }))
    }

    /// The time until the next day of UTC, when a daily budget begins anew and a monthly one may.
    fn until_tomorrow(&self) -> std::time::Duration {
        let now = self.clock.now();
        let tomorrow = now.date_naive() + chrono::Days::new(1);
        let midnight = tomorrow.and_time(chrono::NaiveTime::MIN).and_utc();
        (midnight - now).to_std().unwrap_or_default()
    }
}

fn unpriced(reason: &CostError) -> ActionError {
    ActionError::new(
        ErrorCode::BudgetUnpriced,
        format!("a budget is set, and the read cannot be priced: {reason}"),
        "Load a price list with `flowlake cost prices --from FILE`, set the figure in [cost.overrides], or let [budget] only warn.",
    )
}
