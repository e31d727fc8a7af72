//! The organisation's limits on data actions, as lines of `flowlake doctor`.

use std::collections::BTreeMap;

use flowlake_data_action::{ActionError, Finding, Project, Topic, Verdict};
use flowlake_genesys_publish::{ErrorKind, Load};
use serde_json::Value;

use super::platform;
use crate::{failure::Failure, profile::ProfileSource};

/// The limit on executions at the same time.
const CONCURRENT: &str = "actions.concurrent.executions.max";
/// Executions a minute that an organisation is allowed unless it asked for more.
const USUAL_RATE_PER_MINUTE: f64 = 900.0;

/// One line on the limits; none for a project that publishes nothing.
pub(crate) async fn limits(
    project: &Project,
    profile: Option<&ProfileSource>,
) -> Result<Vec<Finding>, Failure> {
    let profile = match profile {
        Some(source) => Some(source.read().await?),
        None => None,
    };
    if project.config.publish.is_none() || project.config.genesys.is_none() {
        return Ok(Vec::new());
    }
    let line = match platform::client(project, None) {
        Ok(client) => match client.limits().await {
            Ok(limits) => finding(&limits, profile.as_ref()),
            Err(error) => {
                // Reading the limits is a convenience: a role without that right is no fault.
                let verdict = match error.kind() {
                    ErrorKind::Forbidden => Verdict::Skipped,
                    _ => Verdict::Failed,
                };
                failed(verdict, &platform::action_error(error))
            }
        },
        Err(Failure::Action(error, _)) => failed(Verdict::Failed, &error),
        Err(failure) => return Err(failure),
    };
    Ok(vec![line])
}

fn finding(limits: &BTreeMap<String, u64>, profile: Option<&Value>) -> Finding {
    let Some(concurrent) = limits.get(CONCURRENT).copied() else {
        return line(
            Verdict::Skipped,
            format!("the platform names no {CONCURRENT}"),
        );
    };
    #[expect(clippy::cast_precision_loss, reason = "a limit is a small number")]
    let slots = concurrent as f64;
    let Some(load) = profile.map(load) else {
        return line(
            Verdict::Ok,
            format!(
                "{concurrent} concurrent executions: at {USUAL_RATE_PER_MINUTE} a minute they last for answers of {:.1} s",
                slots * 60.0 / USUAL_RATE_PER_MINUTE
            ),
        );
    };
    let held = load.concurrent_executions();
    let detail = format!(
        "{held:.2} of {concurrent} concurrent executions are held by {:.2} requests/s of {:.0} ms",
        load.requests_per_second, load.mean_ms
    );
    if held <= slots {
        return line(Verdict::Ok, detail);
    }
    Finding {
        fix: Some(format!(
            "Answer faster (smaller files, Parquet, `hot = true`), or have {CONCURRENT} raised."
        )),
        ..line(Verdict::Failed, detail)
    }
}

/// The busier of the last minute and the last hour.
fn load(profile: &Value) -> Load {
    let of = |window: &str| {
        let window = &profile["windows"][window];
        Load {
            requests_per_second: window["requests_per_second"].as_f64().unwrap_or(0.0),
            mean_ms: window["duration"]["mean_ms"].as_f64().unwrap_or(0.0),
        }
    };
    let (minute, hour) = (of("last_minute"), of("last_hour"));
    if minute.concurrent_executions() > hour.concurrent_executions() {
        minute
    } else {
        hour
    }
}

fn failed(verdict: Verdict, error: &ActionError) -> Finding {
    Finding {
        code: (verdict == Verdict::Failed).then(|| error.code()),
        fix: Some(error.advice().to_owned()),
        ..line(verdict, error.message().to_owned())
    }
}

fn line(verdict: Verdict, detail: String) -> Finding {
    Finding {
        topic: Topic::Genesys,
        subject: "limits".to_owned(),
        verdict,
        detail,
        code: None,
        fix: None,
    }
}
