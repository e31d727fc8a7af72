//! `flowlake cost report`.

use std::{path::Path, sync::Arc};

use aws_sdk_costexplorer::config::{Builder, Region};
use chrono::Days;
use flowlake_aws_access::load_sdk_config;
use flowlake_cost_audit::{
    ActualCosts, Actuals, ActualsQuery, CostReport, GroupBy, S3_SERVICE, keyed_hash,
};
use flowlake_data_action::{
    ActionError, Clock, Config, Environment, ProcessEnvironment, SystemClock,
};

use super::{
    arguments::{Form, Report},
    render,
};
use crate::{failure::Failure, output};

/// Cost Explorer has one endpoint for all regions, in this one.
const COST_EXPLORER_REGION: &str = "us-east-1";

pub(super) async fn report(config: &Path, arguments: &Report) -> Result<(), Failure> {
    let (_, config) = Config::load(config)?;
    let query = query(arguments);
    let actuals = if arguments.no_actuals {
        None
    } else {
        Some(ask(&config, &query, arguments.refresh).await)
    };
    let answered = actuals.as_ref().and_then(|actuals| actuals.as_ref().ok());
    let report = CostReport::new(
        &config.audit.log.directory,
        (query.start, query.end),
        query.granularity,
        answered.map(AsRef::as_ref),
    )?;
    let failed = actuals.as_ref().and_then(|actuals| actuals.as_ref().err());
    output::print(&match arguments.output {
        Form::Csv => report.to_csv(),
        Form::Json => render::json(&report, answered.map(AsRef::as_ref), failed),
        Form::Text => render::text(&report, &query, answered.map(AsRef::as_ref), failed),
    })?;
    // The estimates are printed and right; that half of the question has no answer still is a failure.
    match actuals {
        Some(Err(error)) => Err(error.into()),
        _ => Ok(()),
    }
}

fn query(arguments: &Report) -> ActualsQuery {
    let tomorrow = SystemClock.now().date_naive() + Days::new(1);
    let end = arguments.until.unwrap_or(tomorrow);
    let start = arguments.from.unwrap_or_else(|| {
        // Thirty days, or fewer at the beginning of the calendar.
        end.checked_sub_days(Days::new(30)).unwrap_or(end)
    });
    let group_by = match arguments.group_by.as_slice() {
        [] => vec![GroupBy::UsageType],
        asked => asked.to_vec(),
    };
    let services = if arguments.all_services {
        Vec::new()
    } else {
        vec![S3_SERVICE.to_owned()]
    };
    ActualsQuery {
        start,
        end,
        granularity: arguments.granularity.into(),
        group_by,
        services,
    }
}

async fn ask(
    config: &Config,
    query: &ActualsQuery,
    refresh: bool,
) -> Result<Arc<ActualCosts>, ActionError> {
    let sdk = load_sdk_config(&config.aws).await?;
    let client = Builder::from(&sdk)
        .region(Region::new(COST_EXPLORER_REGION))
        .build();
    let actuals = Actuals::new(aws_sdk_costexplorer::Client::from_conf(client));
    // An answer is also kept when an old one was not wanted.
    let keep = if refresh {
        actuals.with_keep_since(SystemClock.now())
    } else {
        actuals
    };
    let keep = keep.with_cache_file(config.cost.actuals_cache.clone(), account(config));
    Ok(keep.fetch(query).await?)
}

/// Tells accounts apart, as far as that can be done without asking AWS, and without writing down who it is.
fn account(config: &Config) -> String {
    let aws = &config.aws;
    let role = aws.assume_role.as_ref().map(|role| role.role_arn.clone());
    let variables = ["AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_ROLE_ARN"]
        .map(|name| ProcessEnvironment.get(name));
    let parts = [aws.profile.clone(), role, aws.endpoint_url.clone()];
    let text = format!("{parts:?}{variables:?}");
    keyed_hash(b"flowlake cost report", &text)
}
