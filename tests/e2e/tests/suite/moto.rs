//! STS and S3 as moto understands them, with moto's own policy evaluator deciding who may read.

use anyhow::{Result, ensure};
use flowlake_e2e::{BUCKET, Environment, Keys, Moto, Project, ProjectSettings};
use serde_json::json;

const ROWS: u64 = 10_000;

fn project(
    environment: &Environment,
    folder: &std::path::Path,
    moto: &Moto,
    mode: &'static str,
    keys: Keys,
) -> Result<Project> {
    let settings = ProjectSettings {
        access_mode: mode,
        ..ProjectSettings::new(moto.url(), moto.url(), keys)
    };
    Project::create(environment, folder, &settings)
}

#[test]
fn moto_decides_who_may_read() -> Result<()> {
    let environment = Environment::load()?;
    let folder = environment.folder("moto")?;
    let python = environment.python();
    let csv = environment.shared_file(&format!("conversation_metrics-{ROWS}.csv"), |path| {
        python
            .call("generate", &json!({ "path": path, "rows": ROWS }))
            .map(drop)
    })?;
    let moto = Moto::start(&environment, &folder)?;
    let object = "exports/2026-01-31/conversation_metrics.csv";
    let setup = json!({ "id": "setup", "secret": "setup" });
    python.call("put", &json!({ "endpoint": moto.url(), "keys": setup, "bucket": BUCKET, "objects": { object: csv } }))?;
    let arn = format!("arn:aws:s3:::{BUCKET}");
    let may_read = json!([
        { "Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": [arn.clone(), format!("{arn}/exports/*")] },
    ]);
    let denied_explicitly = json!([
        { "Effect": "Allow", "Action": "s3:*", "Resource": "*" },
        { "Effect": "Deny", "Action": "s3:GetObject", "Resource": format!("{arn}/exports/*") },
    ]);
    let reader = moto.user("reader", &may_read)?;
    let denied = moto.user("denied", &denied_explicitly)?;
    let stranger = moto.user("stranger", &json!([]))?;
    moto.enforce()?;

    let arguments = ["run", "queue-summary", "--format", "json"];
    let allowed = project(
        &environment,
        &folder.join("reader"),
        &moto,
        "probe",
        reader.clone(),
    )?;
    let finished = allowed.run(&arguments)?;
    ensure!(finished.status.success(), "{}", finished.stderr);
    ensure!(
        finished.json()?["data"]
            .as_array()
            .is_some_and(|rows| !rows.is_empty()),
        "{}",
        finished.stdout
    );
    let records = allowed.audit_records()?;
    ensure!(records.len() == 1, "{records:?}");
    ensure!(
        records[0].to_string().contains("user/reader"),
        "the record does not name the principal: {}",
        records[0]
    );

    for (name, keys) in [("denied", denied), ("stranger", stranger)] {
        let refused = project(&environment, &folder.join(name), &moto, "probe", keys)?;
        let finished = refused.run(&arguments)?;
        ensure!(
            finished.status.code() == Some(3),
            "{name}: {}\n{}",
            finished.status,
            finished.stderr
        );
        ensure!(
            !finished.stdout.contains("queue_name"),
            "{name} got data: {}",
            finished.stdout
        );
        ensure!(
            refused.audit_records()?.len() == 1,
            "{name}: {:?}",
            refused.audit_records()?
        );
    }

    // moto has no SimulatePrincipalPolicy: where IAM has to be asked and cannot be, nothing is read.
    let unanswered = project(
        &environment,
        &folder.join("enforce"),
        &moto,
        "enforce",
        reader.clone(),
    )?;
    let finished = unanswered.run(&arguments)?;
    ensure!(
        !finished.status.success(),
        "read without an answer from IAM: {}",
        finished.stdout
    );
    ensure!(
        !finished.stdout.contains("queue_name"),
        "{}",
        finished.stdout
    );

    // A key with the wrong secret fails at the first signature.
    let wrong = Keys::new(&reader.id, "not-the-secret-of-this-key");
    let forged = project(&environment, &folder.join("forged"), &moto, "probe", wrong)?;
    let finished = forged.run(&arguments)?;
    ensure!(
        !finished.status.success(),
        "a forged key was accepted: {}",
        finished.stdout
    );
    Ok(())
}
