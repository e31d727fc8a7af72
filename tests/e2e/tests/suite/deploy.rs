//! The files of `deploy/`, as the tools of those who take them read them.

use std::{fs, path::Path, process::Command};

use anyhow::{Result, ensure};
use flowlake_e2e::Environment;
use serde_json::{Value, json};

/// Whether a tool finds nothing wrong with a text; and what it says.
fn passes(program: &Path, folder: &Path, name: &str, text: &str) -> Result<(bool, String)> {
    let file = folder.join(name);
    fs::write(&file, text)?;
    let output = Command::new(program).arg(&file).output()?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    Ok((output.status.success(), said))
}

fn deployed(name: &str) -> Result<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy");
    Ok(fs::read_to_string(folder.join(name))?)
}

#[test]
fn the_manifests_are_those_of_kubernetes() -> Result<()> {
    let environment = Environment::load()?;
    let (tool, work) = (
        environment.tool("kubernetes-validate"),
        environment.folder("deploy-kubernetes")?,
    );
    let wrongs = [
        (
            "kubernetes.yaml",
            [
                ("replicas: 1", "replicas: one"),
                ("containerPort: 8080", "containerPort: https"),
                ("policyTypes: [Ingress]", "policyTypes: Ingress"),
            ],
        ),
        (
            "kubernetes-workers.yaml",
            [
                ("replicas: 3", "replicas: three"),
                ("tcpSocket: { port: worker }", "tcpSocket: worker"),
                ("maxSkew: 1", "maxSkew: one"),
            ],
        ),
    ];
    for (name, wrongs) in wrongs {
        let text = deployed(name)?;
        let (is_valid, said) = passes(&tool, &work, name, &text)?;
        let resources = text.lines().filter(|line| line.starts_with("kind: "));
        let resources = resources.count();
        ensure!(
            is_valid && said.matches(" passed ").count() == resources,
            "{said}"
        );
        for (right, wrong) in wrongs {
            ensure!(text.contains(right), "{name} has no {right}");
            let text = text.replacen(right, wrong, 1);
            let (is_valid, said) = passes(&tool, &work, "wrong.yaml", &text)?;
            ensure!(!is_valid, "{wrong} passes: {said}");
        }
    }
    Ok(())
}

#[test]
fn the_task_of_ecs_is_one_that_aws_takes() -> Result<()> {
    let environment = Environment::load()?;
    let text = deployed("ecs-worker.json")?;
    let wrong_with = |text: &str| {
        let task: Value = serde_json::from_str(text)?;
        environment
            .python()
            .call("ecs_task", &json!({ "task": task }))
    };
    ensure!(wrong_with(&text)? == "", "{}", wrong_with(&text)?);
    for (right, wrong) in [
        ("\"essential\": true", "\"essential\": \"yes\""),
        ("\"containerPort\": 7400", "\"port\": 7400"),
    ] {
        ensure!(text.contains(right), "there is no {right}");
        ensure!(
            wrong_with(&text.replacen(right, wrong, 1))? != "",
            "{wrong} passes"
        );
    }
    Ok(())
}

#[test]
fn the_image_is_made_as_hadolint_wants_it() -> Result<()> {
    let environment = Environment::load()?;
    let (tool, work) = (
        environment.tool("hadolint"),
        environment.folder("deploy-image")?,
    );
    for name in ["Dockerfile", "Dockerfile.worker"] {
        let text = deployed(name)?;
        let (is_clean, said) = passes(&tool, &work, name, &text)?;
        ensure!(is_clean, "{said}");
        let wrong = text.replacen(":nonroot", "", 1);
        let (is_clean, said) = passes(&tool, &work, "Dockerfile.wrong", &wrong)?;
        ensure!(!is_clean && said.contains("DL3006"), "{said}");
        // No shell, so no command that needs one.
        ensure!(
            !text.contains("\nRUN ") && text.contains("\nENTRYPOINT ["),
            "{text}"
        );
    }
    Ok(())
}

#[test]
fn the_unit_lets_the_program_do_what_it_does() -> Result<()> {
    let unit = deployed("flowlake-server.service")?;
    // Threads of scans lower their priority; a call that the filter does not have ends the process.
    let filters: Vec<_> = unit
        .lines()
        .filter_map(|line| line.strip_prefix("SystemCallFilter="))
        .collect();
    let denied = filters
        .iter()
        .position(|calls| calls.contains("@resources"));
    let allowed = filters
        .iter()
        .position(|calls| calls.contains("setpriority") && calls.contains("sched_setscheduler"));
    ensure!(denied < allowed, "{filters:?}");
    Ok(())
}
