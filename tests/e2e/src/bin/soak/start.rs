//! How long the server takes from its start until it listens, with many actions.

use std::{fs, path::Path, time::Duration};

use anyhow::Result;
use flowlake_e2e::BUCKET;

use crate::{
    caller::{now, percentile},
    goals::Goals,
    house::House,
};

const ACTIONS: u32 = 200;
/// The longest that a start may take, at the median.
const WITHIN_MS: f64 = 300.0;

pub(crate) fn run(programs: &Path, folder: &Path, time: Duration) -> Result<()> {
    let house = House::build(programs, &folder.join("work"), 1, "")?;
    let actions = house.project.folder().join("actions");
    let there = u32::try_from(fs::read_dir(&actions)?.count())?;
    for number in there..ACTIONS {
        let hot = if number % 4 == 0 { "hot = true\n" } else { "" };
        let text = format!(
            "name = \"action-{number}\"\n{hot}[tables.calls]\nuri = \"s3://{BUCKET}/exports/calls.csv\"\n[params.queue]\ntype = \"string\"\npattern = \"queue-[0-9]+\"\n[params.longest]\ntype = \"integer\"\ndefault = {number}\n[query]\nsql = \"\"\"\nSELECT queue, count(*) AS calls, sum(seconds) AS total, max(CASE WHEN seconds > $longest THEN 1 ELSE 0 END) AS long\nFROM calls WHERE queue = $queue GROUP BY queue HAVING count(*) > {number} ORDER BY total DESC LIMIT 10\n\"\"\"\n"
        );
        fs::write(actions.join(format!("action-{number}.toml")), text)?;
    }
    let until = now() + time;
    let mut took = Vec::new();
    while took.len() < 3 || now() < until {
        took.push(house.project.time_to_listen()?);
    }
    let starts = took.len();
    let (median, slowest) = (percentile(&mut took, 0.5), percentile(&mut took, 1.0));
    let mut goals = Goals::default();
    goals.check(
        &format!("a start with {ACTIONS} actions takes less than {WITHIN_MS} ms"),
        median < WITHIN_MS,
        &format!("{median:.0} ms at the median of {starts} starts, {slowest:.0} ms at most"),
    );
    goals.end()
}
