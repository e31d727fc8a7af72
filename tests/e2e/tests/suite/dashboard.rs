//! The dashboard, and the page to try the interface, in a real browser.

mod needs_chromium {
    use std::{fs, path::Path, process::Command};

    use anyhow::{Result, ensure};
    use flowlake_e2e::{Server, Setting};
    use serde_json::json;

    const HOT: &str = "hot = true\nindex = [\"agent_id\"]\n";

    #[test]
    fn every_figure_is_what_the_api_says() -> Result<()> {
        let setting = Setting::start("dashboard", 2_000)?;
        let project = setting.examples("reader", "[budget.total]\ndaily_usd = \"1.5\"\n")?;
        // One of the actions looks up in memory.
        let file = project.folder().join("actions/agent-scorecard.toml");
        let action = fs::read_to_string(&file)?;
        fs::write(file, format!("{HOT}{action}"))?;
        let server = project.serve()?;
        for number in 0..30 {
            let agent = format!("agent-{:04}", number % 10);
            let answer = server.call("agent-scorecard", &json!({ "agent_id": agent }))?;
            ensure!(answer.status == 200, "{}", answer.body);
        }
        ensure!(server.call("queue-summary", &json!({}))?.status == 200);
        ensure!(
            server
                .call("agent-scorecard", &json!({ "agent": 1 }))?
                .status
                == 400
        );
        run(
            "dashboard.cjs",
            &[
                &format!("{}/", server.operators_url()),
                &format!("{}/v1/actions/agent-scorecard", server.url()),
                Server::KEY,
            ],
            &setting.folder,
        )
    }

    #[test]
    fn an_action_is_tried_on_the_page() -> Result<()> {
        let setting = Setting::start("try-page", 2_000)?;
        let project = setting.examples("reader", "")?;
        let server = project.serve()?;
        let page = format!("{}/try", server.url());
        run("try.cjs", &[&page, Server::KEY], &setting.folder)
    }

    /// Runs a script of `node/` with the browser.
    fn run(script: &str, arguments: &[&str], folder: &Path) -> Result<()> {
        let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("node");
        let output = Command::new("node")
            .arg(scripts.join(script))
            .arg("chromium")
            .args(arguments)
            .arg(folder)
            .output()?;
        ensure!(
            output.status.success(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(())
    }
}
