//! Actual costs from AWS: Cost Explorer's `GetCostAndUsage`.
//!
//! Every page of it costs 0.01 USD, so answers are cached; a failure is an error and never a zero.

mod cache;
mod query;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_costexplorer::Client;
use aws_sdk_costexplorer::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_costexplorer::types::{
    DateInterval, Dimension, DimensionValues, Expression, Granularity as AwsGranularity,
    GroupDefinition, GroupDefinitionType, MetricValue, ResultByTime,
};
use chrono::{DateTime, NaiveDate, Utc};
use rust_decimal::Decimal;
use tokio::sync::Mutex;

use crate::clock::{Clock, SystemClock};
use crate::error::{Error, ErrorKind};
use crate::report::{ActualCosts, ActualGroup, ActualPeriod, Granularity};
use cache::CacheFile;

pub use query::{ActualsQuery, GroupBy, S3_SERVICE};

const METRIC: &str = "UnblendedCost";

/// Asks Cost Explorer and caches the answers.
#[derive(Debug)]
pub struct Actuals {
    client: Client,
    clock: Arc<dyn Clock>,
    keep: Duration,
    /// Answers from before are not returned.
    keep_since: DateTime<Utc>,
    /// Held while asking, so that two callers do not pay twice for one answer.
    cache: Mutex<HashMap<ActualsQuery, Arc<ActualCosts>>>,
    file: Option<CacheFile>,
}

impl Actuals {
    /// Asks through `client`, and keeps an answer for six hours: AWS itself renews the figures about three times a day.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            client,
            clock: Arc::new(SystemClock),
            keep: Duration::from_hours(6),
            keep_since: DateTime::UNIX_EPOCH,
            cache: Mutex::default(),
            file: None,
        }
    }

    /// Keeps answers in a file too, so that the next process need not pay for them again.
    ///
    /// `scope` says whose figures they are, such as the AWS profile: answers of another scope are not returned.
    /// A file that cannot be read or written is ignored and logged.
    #[must_use]
    pub fn with_cache_file(mut self, path: PathBuf, scope: impl Into<String>) -> Self {
        self.file = Some(CacheFile::new(path, scope.into()));
        self
    }

    /// Another clock than the machine's.
    #[must_use]
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Keeps answers for another time.
    #[must_use]
    pub fn with_keep(mut self, keep: Duration) -> Self {
        self.keep = keep;
        self
    }

    /// Returns no answer from before `since`.
    #[must_use]
    pub fn with_keep_since(mut self, since: DateTime<Utc>) -> Self {
        self.keep_since = since;
        self
    }

    /// What the periods of `query` cost.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidSetting`] for an empty time or more than two groups, [`ErrorKind::CostExplorer`] when AWS refuses, fails or answers in a way that gives no exact sum.
    pub async fn fetch(&self, query: &ActualsQuery) -> Result<Arc<ActualCosts>, Error> {
        if query.start >= query.end {
            return Err(Error::new(
                ErrorKind::InvalidSetting,
                "the end of the time must lie after its start, it is not part of it",
            ));
        }
        if query.group_by.len() > 2 {
            return Err(Error::new(
                ErrorKind::InvalidSetting,
                "Cost Explorer groups by at most two things",
            ));
        }
        let mut cache = self.cache.lock().await;
        let now = self.clock.now();
        let is_fresh = |costs: &ActualCosts| {
            age(costs, now) < self.keep && costs.fetched_at >= self.keep_since
        };
        cache.retain(|_, costs| is_fresh(costs));
        if let Some(costs) = cache.get(query) {
            return Ok(Arc::clone(costs));
        }
        let kept = self.file.as_ref().and_then(|file| file.find(query));
        let costs = match kept.filter(is_fresh) {
            Some(costs) => Arc::new(costs),
            None => {
                let costs = Arc::new(self.ask(query, now).await?);
                if let Some(file) = &self.file {
                    file.keep(query, &costs, is_fresh);
                }
                costs
            }
        };
        cache.insert(query.clone(), Arc::clone(&costs));
        Ok(costs)
    }

    async fn ask(&self, query: &ActualsQuery, now: DateTime<Utc>) -> Result<ActualCosts, Error> {
        let mut pages = 0;
        let mut tokens = HashSet::new();
        let mut periods: BTreeMap<(String, String), ActualPeriod> = BTreeMap::new();
        let mut token = None;
        loop {
            let page = self
                .request(query)?
                .set_next_page_token(token)
                .send()
                .await
                .map_err(|error| refused(&error).with_source(error))?;
            pages += 1;
            for row in page.results_by_time() {
                add(&mut periods, row)?;
            }
            token = page.next_page_token.filter(|token| !token.is_empty());
            match &token {
                None => break,
                Some(again) if !tokens.insert(again.clone()) => {
                    return Err(failed("Cost Explorer gave the same page token twice"));
                }
                Some(_) => {}
            }
        }
        let periods: Vec<ActualPeriod> = periods.into_values().collect();
        Ok(ActualCosts {
            total_usd: periods
                .iter()
                .map(|period| period.usd)
                .sum::<Decimal>()
                .normalize(),
            estimated: periods.iter().any(|period| period.estimated),
            periods,
            pages,
            fetched_at: now,
        })
    }

    fn request(
        &self,
        query: &ActualsQuery,
    ) -> Result<
        aws_sdk_costexplorer::operation::get_cost_and_usage::builders::GetCostAndUsageFluentBuilder,
        Error,
    > {
        let interval = DateInterval::builder()
            .start(query.start.to_string())
            .end(query.end.to_string())
            .build()
            .map_err(|error| failed("cannot state the time").with_source(error))?;
        let granularity = match query.granularity {
            Granularity::Daily => AwsGranularity::Daily,
            Granularity::Monthly => AwsGranularity::Monthly,
        };
        let groups: Vec<GroupDefinition> = query.group_by.iter().map(group).collect();
        let filter = (!query.services.is_empty()).then(|| {
            let services = DimensionValues::builder()
                .key(Dimension::Service)
                .set_values(Some(query.services.clone()));
            Expression::builder().dimensions(services.build()).build()
        });
        Ok(self
            .client
            .get_cost_and_usage()
            .time_period(interval)
            .granularity(granularity)
            .metrics(METRIC)
            .set_group_by((!groups.is_empty()).then_some(groups))
            .set_filter(filter))
    }
}

fn age(costs: &ActualCosts, now: DateTime<Utc>) -> Duration {
    (now - costs.fetched_at).to_std().unwrap_or_default()
}

fn group(by: &GroupBy) -> GroupDefinition {
    let (kind, key) = match by {
        GroupBy::Service => (GroupDefinitionType::Dimension, "SERVICE"),
        GroupBy::UsageType => (GroupDefinitionType::Dimension, "USAGE_TYPE"),
        GroupBy::Region => (GroupDefinitionType::Dimension, "REGION"),
        GroupBy::Tag(tag) => (GroupDefinitionType::Tag, tag.as_str()),
    };
    GroupDefinition::builder().r#type(kind).key(key).build()
}

/// Adds a row; a period that several pages share is one period.
fn add(
    periods: &mut BTreeMap<(String, String), ActualPeriod>,
    row: &ResultByTime,
) -> Result<(), Error> {
    let interval = row
        .time_period()
        .ok_or_else(|| failed("Cost Explorer gave a row without its time"))?;
    let day = |text: &str| {
        text.get(..10)
            .and_then(|day| day.parse::<NaiveDate>().ok())
            .ok_or_else(|| failed(format!("Cost Explorer gave the day `{text}`")))
    };
    let key = (interval.start().to_owned(), interval.end().to_owned());
    if !periods.contains_key(&key) {
        let period = ActualPeriod {
            start: day(&key.0)?,
            end: day(&key.1)?,
            usd: Decimal::ZERO,
            estimated: false,
            groups: Vec::new(),
        };
        periods.insert(key.clone(), period);
    }
    let period = periods
        .get_mut(&key)
        .expect("the period was inserted above");
    period.estimated |= row.estimated();
    if row.groups().is_empty() {
        // Without groups the sum is in the total; a row of no groups and no total is a period that cost nothing.
        if let Some(total) = row.total().and_then(|total| total.get(METRIC)) {
            period.usd = (period.usd + amount(total)?).normalize();
        }
    }
    for found in row.groups() {
        let metric = found
            .metrics()
            .and_then(|metrics| metrics.get(METRIC))
            .ok_or_else(|| failed(format!("Cost Explorer gave a group without {METRIC}")))?;
        let usd = amount(metric)?;
        period.usd = (period.usd + usd).normalize();
        period.groups.push(ActualGroup {
            keys: found.keys().to_vec(),
            usd,
        });
    }
    Ok(())
}

fn amount(metric: &MetricValue) -> Result<Decimal, Error> {
    let unit = metric.unit().unwrap_or("USD");
    if unit != "USD" {
        return Err(failed(format!(
            "Cost Explorer answers in {unit}, only USD can be compared"
        )));
    }
    let text = metric.amount().unwrap_or_default();
    text.parse()
        .or_else(|_| Decimal::from_scientific(text))
        .map(|usd: Decimal| usd.normalize())
        .map_err(|_| failed(format!("Cost Explorer gave the amount `{text}`")))
}

/// AWS's own words, in one sentence; the rest is in the source.
fn refused<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> Error {
    let (Some(code), text) = (error.code(), error.message()) else {
        return failed("Cost Explorer could not be reached, or gave no answer that can be read");
    };
    let text: String = text
        .unwrap_or_default()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    failed(if text.is_empty() {
        format!("Cost Explorer refuses ({code})")
    } else {
        format!("Cost Explorer refuses ({code}): {text}")
    })
}

fn failed(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::CostExplorer, message)
}
