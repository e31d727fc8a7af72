//! Limits of a read that are known before its first byte: what it takes and costs, by the objects that were found.

use bytesize::ByteSize;
use flowlake_cost_audit::{Cost, Error as CostError};
use flowlake_s3_stream::MeterSnapshot;
use rust_decimal::Decimal;

use super::Pricing;
use crate::{ActionError, ActionLimits, ConfirmSettings, ErrorCode, plan::ReadPlan};

/// What a read takes of S3, whole objects read.
#[derive(Debug)]
pub(super) struct ReadSize {
    requests: u64,
    bytes: u64,
    /// None, with the reason, where the price list has no figure.
    cost_usd: Result<Decimal, String>,
}

impl ReadSize {
    pub(super) fn of(
        plan: &ReadPlan,
        pricing: &Pricing,
        estimate: Result<&Cost, &CostError>,
    ) -> Self {
        let objects = plan.objects.iter();
        Self {
            requests: plan.list_requests
                + objects
                    .clone()
                    .map(|object| pricing.requests(object))
                    .sum::<u64>(),
            bytes: objects.map(|object| object.size).sum(),
            cost_usd: estimate
                .map(|cost| cost.total_usd)
                .map_err(ToString::to_string),
        }
    }

    /// What a read has taken so far, with the request that is about to be sent. Requests that were sent again are not counted.
    pub(super) fn so_far(
        usage: &[(String, MeterSnapshot)],
        pricing: &Pricing,
        class: Option<&str>,
        month_bytes: u64,
    ) -> Self {
        let requests = usage.iter().map(|(_, moved)| {
            let sent = moved.get_requests + moved.head_requests + moved.list_requests;
            sent.saturating_sub(moved.retries)
        });
        Self {
            requests: requests.sum(),
            bytes: usage.iter().map(|(_, moved)| moved.bytes_received).sum(),
            cost_usd: pricing
                .of_meters(usage, |_| class.map(str::to_owned), month_bytes)
                .map(|cost| cost.total_usd)
                .map_err(|error| error.to_string()),
        }
    }

    /// Compares it with the limits of its action, and with what needs no confirmation.
    pub(super) fn check(
        &self,
        limits: &ActionLimits,
        confirm: Option<&ConfirmSettings>,
    ) -> Result<(), ActionError> {
        if let Some(most) = limits.max_requests.filter(|most| self.requests > *most) {
            return Err(ActionError::new(
                ErrorCode::LimitRequests,
                format!(
                    "the read takes {} requests to S3, and {most} are allowed",
                    self.requests
                ),
                "Read fewer or larger objects, or raise `max_requests` in [limits].",
            ));
        }
        if let Some(most) = limits.max_cost_usd {
            self.check_cost(most)?;
        }
        match confirm {
            Some(confirm) if self.needs_confirmation(confirm) => Err(self.unconfirmed(confirm)),
            _ => Ok(()),
        }
    }

    fn check_cost(&self, most: Decimal) -> Result<(), ActionError> {
        let (message, advice) = match &self.cost_usd {
            Ok(cost) if *cost <= most => return Ok(()),
            Ok(cost) => (
                format!(
                    "the read costs about {} USD, and {most} USD are allowed",
                    cost.normalize()
                ),
                "Read less (a narrower uri, Parquet), or raise `max_cost_usd` in [limits].",
            ),
            Err(reason) => (
                format!("the read may cost {most} USD, and what it costs is not known: {reason}"),
                "Load a price list with `flowlake cost prices --from FILE`, or set the figure in [cost.overrides].",
            ),
        };
        Err(ActionError::new(ErrorCode::LimitCost, message, advice))
    }

    fn needs_confirmation(&self, confirm: &ConfirmSettings) -> bool {
        self.requests > confirm.above_requests
            || self.bytes > confirm.above_bytes.as_u64()
            || matches!(&self.cost_usd, Ok(cost) if *cost > confirm.above_usd)
    }

    fn unconfirmed(&self, confirm: &ConfirmSettings) -> ActionError {
        let cost = match &self.cost_usd {
            Ok(cost) => format!("about {} USD", cost.normalize()),
            Err(_) => "a price that is not known".to_owned(),
        };
        ActionError::new(
            ErrorCode::LimitUnconfirmed,
            format!(
                "the read takes {} requests to S3 and at most {}, for {cost}; [confirm] lets {} requests, {} and {} USD through",
                self.requests,
                ByteSize(self.bytes).display().si(),
                confirm.above_requests,
                confirm.above_bytes.display().si(),
                confirm.above_usd,
            ),
            "Say --yes to read it, or read less.",
        )
    }
}
