//! What reads cost by the price table, before and after.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use flowlake_cost_audit::{Cost, Destination, Error as CostError, PriceTable, Usage};
use flowlake_s3_stream::{MeterSnapshot, ObjectMetadata, S3StreamSettings};
use rust_decimal::Decimal;

use crate::{find::FoundObject, plan::ReadPlan};

/// The prices of this process: of its region, and of where its bytes go.
#[derive(Debug)]
pub(crate) struct Pricing {
    pub(crate) prices: PriceTable,
    pub(crate) region: String,
    pub(crate) destination: Destination,
    pub(crate) free_allowance: bool,
    /// How S3 is read: in how many GETs.
    pub(crate) s3: S3StreamSettings,
}

impl Pricing {
    /// The price of an answer that nothing was read for.
    pub(super) fn nothing(&self) -> Cost {
        Cost {
            total_usd: Decimal::ZERO,
            lines: Vec::new(),
            prices_as_of: self.prices.as_of(),
        }
    }

    /// Requests that reading an object whole takes at most: a HEAD if it was not listed, a GET to find its columns, and as many
    /// as it is read with.
    pub(super) fn requests(&self, object: &FoundObject) -> u64 {
        self.s3.gets(object.size) + 1 + u64::from(object.is_headed)
    }

    /// What reading the objects whole would cost at most: a HEAD for each that was not listed, all their bytes, in as many GETs
    /// as they are read with, and one GET more for each object to find its columns.
    ///
    /// # Errors
    /// The figure that the table does not have.
    pub(crate) fn estimate(&self, plan: &ReadPlan, month_bytes: u64) -> Result<Cost, CostError> {
        self.estimate_of(plan, |size| size, month_bytes)
    }

    /// The price where of each object as many bytes are read as `bytes_of` says of its size.
    fn estimate_of(
        &self,
        plan: &ReadPlan,
        bytes_of: impl Fn(u64) -> u64,
        month_bytes: u64,
    ) -> Result<Cost, CostError> {
        // One usage for each storage class: an estimate of many objects is as short as that of one.
        let mut classes: BTreeMap<Option<&str>, Usage> = BTreeMap::new();
        for object in &plan.objects {
            let usage = classes
                .entry(object.storage_class.as_deref())
                .or_insert_with(|| Usage {
                    storage_class: object.storage_class.clone(),
                    ..self.no_usage(month_bytes)
                });
            let bytes = bytes_of(object.size);
            usage.get_requests += self.s3.gets(bytes) + 1;
            usage.head_requests += u64::from(object.is_headed);
            usage.bytes += bytes;
        }
        let lists = (plan.list_requests > 0).then(|| Usage {
            list_requests: plan.list_requests,
            ..self.no_usage(month_bytes)
        });
        self.price(classes.into_values().chain(lists))
    }

    /// What reading a part of the objects would cost, of which each gives its share.
    ///
    /// # Errors
    /// The figure that the table does not have.
    pub(crate) fn estimate_part(
        &self,
        plan: &ReadPlan,
        bytes: u64,
        month_bytes: u64,
    ) -> Result<Cost, CostError> {
        let total: u64 = plan.objects.iter().map(|object| object.size).sum();
        let share = |size: u64| {
            let share = u128::from(size) * u128::from(bytes) / u128::from(total.max(1));
            u64::try_from(share).unwrap_or(u64::MAX)
        };
        self.estimate_of(plan, share, month_bytes)
    }

    /// Cost of reading objects of the plan in this many GETs of this many bytes, with the HEADs of finding them: an upper bound where their
    /// storage classes differ.
    ///
    /// # Errors
    /// The figure that the table does not have.
    pub(crate) fn estimate_reads(
        &self,
        plan: &ReadPlan,
        requests: u64,
        bytes: u64,
        month_bytes: u64,
    ) -> Result<Cost, CostError> {
        let classes = plan.objects.iter().map(|object| &object.storage_class);
        let classes: BTreeSet<_> = classes.collect();
        let costs = classes.into_iter().map(|class| {
            let headed = plan.objects.iter().filter(|object| object.is_headed);
            self.price(std::iter::once(Usage {
                storage_class: class.clone(),
                get_requests: requests,
                head_requests: headed.count() as u64,
                bytes,
                ..self.no_usage(month_bytes)
            }))
        });
        let costs = costs.collect::<Result<Vec<_>, _>>()?.into_iter();
        let most = costs.max_by_key(|cost| cost.total_usd);
        Ok(most.unwrap_or_else(|| self.nothing()))
    }

    /// What the requests and bytes that the meters saw cost, bucket by bucket.
    ///
    /// A meter counts per bucket, not per object: a bucket's bytes are priced at the storage class of the first object read
    /// from it that names one, which is exact unless one action mixes classes in one bucket.
    pub(super) fn metered(
        &self,
        usage: &[(String, MeterSnapshot)],
        objects: &[(String, Arc<ObjectMetadata>)],
        month_bytes: u64,
    ) -> Option<Cost> {
        let class_of = |bucket: &str| {
            let mut classes = objects
                .iter()
                .filter(|(owner, _)| owner == bucket)
                .filter_map(|(_, object)| object.storage_class.clone());
            classes.next()
        };
        self.of_meters(usage, class_of, month_bytes)
            .inspect_err(|error| tracing::debug!(%error, "a read cannot be priced"))
            .ok()
    }

    /// What the requests and bytes of the meters cost, where `class_of` says the storage class of a bucket's objects.
    ///
    /// # Errors
    /// The figure that the table does not have.
    pub(super) fn of_meters(
        &self,
        usage: &[(String, MeterSnapshot)],
        class_of: impl Fn(&str) -> Option<String>,
        month_bytes: u64,
    ) -> Result<Cost, CostError> {
        self.price(usage.iter().map(|(bucket, meter)| Usage {
            storage_class: class_of(bucket),
            get_requests: meter.get_requests,
            head_requests: meter.head_requests,
            list_requests: meter.list_requests,
            bytes: meter.bytes_received,
            ..self.no_usage(month_bytes)
        }))
    }

    fn no_usage(&self, month_bytes: u64) -> Usage {
        Usage {
            region: self.region.clone(),
            destination: self.destination.clone(),
            month_to_date_bytes: month_bytes,
            free_allowance: self.free_allowance,
            ..Usage::default()
        }
    }

    /// The price of all usages; none at all when the table has no figure for one of them, since a part would read as the whole.
    fn price(&self, usages: impl Iterator<Item = Usage>) -> Result<Cost, CostError> {
        let mut earlier_bytes = 0;
        let costs = usages
            .map(|mut usage| {
                usage.month_to_date_bytes += earlier_bytes;
                earlier_bytes += usage.bytes;
                self.prices.estimate(&usage)
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(costs.into_iter().fold(self.nothing(), |mut total, cost| {
            total.total_usd += cost.total_usd;
            total.lines.extend(cost.lines);
            total
        }))
    }
}
