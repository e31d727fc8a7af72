//! Metadata, estimate, SQL and encoding: from allowed locations to rows.

use std::sync::Arc;

use flowlake_cost_audit::{Cost, Usage};
use flowlake_profiler::Phase;
use flowlake_s3_stream::{MeterSnapshot, ObjectMetadata};
use flowlake_transform::{BoundParams, RunStats, TableLocation, json::JsonRows};
use futures::StreamExt;
use rust_decimal::Decimal;
use serde_json::value::RawValue;

use super::{Shared, attempt::Attempt};
use crate::{Action, ActionError, stores::RequestStores};

/// The rows of a successful attempt and what reading them took.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) data: Box<RawValue>,
    pub(crate) columns: Vec<String>,
    pub(crate) stats: RunStats,
    pub(crate) estimate: Option<Cost>,
    pub(crate) metadata: Vec<Arc<ObjectMetadata>>,
}

impl Attempt<'_> {
    pub(super) async fn execute(
        &self,
        action: &Action,
        bound: &BoundParams,
        locations: &[TableLocation],
        stores: &Arc<RequestStores>,
    ) -> Result<Outcome, ActionError> {
        let metadata = self
            .trace
            .phase(Phase::Metadata, self.metadata(locations, stores))
            .await?;
        self.trace
            .phase(Phase::Access, self.check_objects(locations, &metadata))
            .await?;
        let estimate = self.shared.estimate_before(&metadata);
        let (data, columns, stats) = self.rows(action, bound, stores).await?;
        let objects = stores
            .objects()
            .into_iter()
            .map(|(_, metadata)| metadata)
            .collect();
        Ok(Outcome {
            data,
            columns,
            stats,
            estimate,
            metadata: objects,
        })
    }

    /// HEAD of every object that is named exactly; what a prefix holds becomes known by listing, while it is read.
    async fn metadata(
        &self,
        locations: &[TableLocation],
        stores: &RequestStores,
    ) -> Result<Vec<Arc<ObjectMetadata>>, ActionError> {
        let mut all = Vec::with_capacity(locations.len());
        for location in locations.iter().filter(|location| location.exact) {
            all.push(
                stores
                    .view(&location.store_url)?
                    .metadata(&location.path)
                    .await?,
            );
        }
        Ok(all)
    }

    /// Runs the SQL and encodes batches as they come; only the encoded rows are kept.
    async fn rows(
        &self,
        action: &Action,
        bound: &BoundParams,
        stores: &Arc<RequestStores>,
    ) -> Result<(Box<RawValue>, Vec<String>, RunStats), ActionError> {
        let scan = async {
            let mut stream = self
                .shared
                .engine
                .run(&action.prepared, bound, stores.as_ref())
                .await?;
            let columns = stream
                .schema()
                .fields()
                .iter()
                .map(|field| field.name().clone())
                .collect();
            let mut rows = JsonRows::new();
            while let Some(batch) = stream.next().await {
                rows.push(&batch?)?;
            }
            Ok::<_, ActionError>((rows, columns, stream.stats()))
        };
        let (rows, columns, stats) = self.trace.phase(Phase::Scan, scan).await?;
        let data = self
            .trace
            .phase(Phase::Encode, async { rows.finish() })
            .await?;
        Ok((data, columns, stats))
    }
}

impl Shared {
    /// What reading the objects whole would cost: one GET each, and all their bytes.
    fn estimate_before(&self, objects: &[Arc<ObjectMetadata>]) -> Option<Cost> {
        let usages = objects.iter().map(|object| Usage {
            storage_class: object.storage_class.clone(),
            get_requests: 1,
            head_requests: 1,
            bytes: object.size,
            ..self.no_usage()
        });
        self.price(usages)
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
    }

    fn no_usage(&self) -> Usage {
        Usage {
            region: self.region.clone(),
            destination: self.destination.clone(),
            ..Usage::default()
        }
    }

    /// The price of all usages; `None` when the table has no figure for one of them, since a part would read as the whole.
    fn price(&self, usages: impl Iterator<Item = Usage>) -> Option<Cost> {
        let nothing = Cost {
            total_usd: Decimal::ZERO,
            lines: Vec::new(),
            prices_as_of: self.prices.as_of(),
        };
        let costs = usages
            .map(|usage| self.prices.estimate(&usage))
            .collect::<Result<Vec<_>, _>>();
        let costs = costs
            .inspect_err(|error| tracing::debug!(%error, "a read cannot be priced"))
            .ok()?;
        Some(costs.into_iter().fold(nothing, |mut total, cost| {
            total.total_usd += cost.total_usd;
            total.lines.extend(cost.lines);
            total
        }))
    }
}
