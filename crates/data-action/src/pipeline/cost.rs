//! What a read will cost, what it has cost, and what the budgets say to it.

use std::sync::Arc;

use flowlake_cost_audit::{Cost, Error as CostError, OverBudget, Usage};
use flowlake_s3_stream::{MeterSnapshot, ObjectMetadata};
use flowlake_transform::TableLocation;
use futures::TryStreamExt;
use object_store::{ObjectStore, path::Path};
use rust_decimal::Decimal;

use super::{Shared, attempt::Attempt, trace::Trace};
use crate::{Action, ActionError, ErrorCode, stores::RequestStores};

/// Keys of one page of `ListObjectsV2`.
const KEYS_PER_LIST: u64 = 1000;

/// What an attempt is going to read, as far as metadata tells.
#[derive(Debug, Default)]
pub(super) struct ReadPlan {
    objects: Vec<PlannedObject>,
    /// LIST requests, those of the plan itself and those of the read.
    list_requests: u64,
}

#[derive(Debug)]
struct PlannedObject {
    size: u64,
    storage_class: Option<String>,
    /// HEAD requests that it takes to know it.
    head_requests: u64,
}

impl Attempt<'_> {
    /// HEAD of every object that is named exactly, and a listing of every prefix.
    pub(super) async fn plan(
        &self,
        locations: &[TableLocation],
        stores: &RequestStores,
    ) -> Result<ReadPlan, ActionError> {
        let mut plan = ReadPlan::default();
        for TableLocation { location, .. } in locations {
            let view = stores.view(location.bucket())?;
            if let Some(path) = location.path() {
                let found = view.metadata(path).await?;
                plan.objects.push(PlannedObject {
                    size: found.size,
                    storage_class: found.storage_class.clone(),
                    head_requests: 1,
                });
                continue;
            }
            // Parsed, not converted: a conversion percent-encodes some characters, and would list another folder.
            let prefix =
                Path::parse(location.folder()).map_err(|error| listing_failed(error.into()))?;
            let listed: Vec<_> = view
                .list(Some(&prefix))
                .try_collect()
                .await
                .map_err(listing_failed)?;
            plan.list_requests += 2 * (listed.len() as u64 / KEYS_PER_LIST + 1);
            let objects = listed
                .iter()
                .filter(|found| location.covers(found.location.as_ref()));
            plan.objects.extend(objects.map(|found| PlannedObject {
                size: found.size,
                // A listing does not tell it; the price after the read knows.
                storage_class: None,
                head_requests: 1,
            }));
        }
        Ok(plan)
    }

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
    /// What reading the objects whole would cost: all their bytes, in as many GETs as they are read with, and one GET more for
    /// each object to find its columns.
    ///
    /// # Errors
    /// The figure that the table does not have.
    pub(super) fn estimate_before(&self, plan: &ReadPlan) -> Result<Cost, CostError> {
        let settings = self.s3.settings();
        let objects = plan.objects.iter().map(|object| Usage {
            storage_class: object.storage_class.clone(),
            get_requests: settings.gets(object.size) + 1,
            head_requests: object.head_requests,
            bytes: object.size,
            ..self.no_usage()
        });
        let lists = (plan.list_requests > 0).then(|| Usage {
            list_requests: plan.list_requests,
            ..self.no_usage()
        });
        self.price(objects.chain(lists))
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

fn listing_failed(error: object_store::Error) -> ActionError {
    ActionError::from_chain(&error).unwrap_or_else(|| {
        ActionError::new(
            ErrorCode::S3Unavailable,
            "the objects under a location cannot be listed",
            "Check that S3 can be reached; `flowlake check` tries it.",
        )
        .with_source(error)
    })
}

fn unpriced(reason: &CostError) -> ActionError {
    ActionError::new(
        ErrorCode::BudgetUnpriced,
        format!("a budget is set, and the read cannot be priced: {reason}"),
        "Load a price list with `flowlake cost prices --from FILE`, set the figure in [cost.overrides], or let [budget] only warn.",
    )
}
