//! What is refused before anything is done, and what `init` begins with.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{path::Path, process::Command};

#[test]
fn a_log_filter_that_cannot_be_read_is_an_error() {
    let output = Command::new(env!("CARGO_BIN_EXE_flowlake"))
        .args(["--log", "flowlake=loud", "check"])
        .output()
        .expect("the binary is built with the test");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("flowlake=loud"), "{said}");
}

/// The name of the program, and not that of its package.
#[test]
fn the_version_is_that_of_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let (code, said) = flowlake(folder.path(), &["--version"]);
    assert_eq!(code, Some(0));
    assert_eq!(said, format!("flowlake {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn what_cannot_be_understood_is_json_for_scripts() {
    let folder = tempfile::tempdir().unwrap();
    let (code, said) = flowlake(
        folder.path(),
        &["--json", "sql", "SELECT 1", "--format", "xml"],
    );
    assert_eq!(code, Some(2), "{said}");
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["error"]["code"], "config.invalid");
    let message = said["error"]["message"].as_str().unwrap();
    assert!(message.contains("'xml' for '--format"), "{message}");
    let (code, said) = flowlake(folder.path(), &["--json", "sql", "--help"]);
    assert!(code == Some(0) && said.contains("Usage:"), "{said}");
}

/// Without AWS: neither credentials nor the address that gives them to machines of AWS.
fn flowlake(folder: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_flowlake"))
        .args(arguments)
        .current_dir(folder)
        .env_clear()
        .env("HOME", folder)
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .output()
        .unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

#[test]
fn the_first_check_after_init_asks_for_aws_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let (code, said) = flowlake(folder.path(), &["init", "mine"]);
    assert_eq!(code, Some(0), "{said}");
    let config = std::fs::read_to_string(folder.path().join("mine/flowlake.toml")).unwrap();
    assert!(
        config.contains("# [confirm]") && !config.contains("# #"),
        "{config}"
    );
    // Exactly what it says, since an action's parameters are not known to it.
    let (_, next) = said.trim_end().rsplit_once("flowlake ").unwrap();
    let next: Vec<_> = next.split(' ').collect();
    let (code, said) = flowlake(folder.path(), &next);
    assert_eq!(code, Some(3), "{said}");
    assert!(said.contains("aws.credentials"), "{said}");
    assert!(!said.contains("GENESYS"), "{said}");
}

#[test]
fn completions_and_manual_pages_have_every_command() {
    let folder = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let (code, script) = flowlake(folder.path(), &["completions", shell]);
        assert_eq!(code, Some(0), "{script}");
        for word in ["inspect", "sample", "simulate"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    let (code, page) = flowlake(folder.path(), &["man"]);
    assert_eq!(code, Some(0), "{page}");
    assert!(
        page.starts_with(".ie") && page.contains("flowlake\\-inspect(1)"),
        "{page}"
    );
    let (_, page) = flowlake(folder.path(), &["man", "audit", "tail"]);
    assert!(page.contains(".TH flowlake-audit-tail 1"), "{page}");
    let (code, said) = flowlake(folder.path(), &["man", "audits"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("no command `audits`") && said.contains("audit"),
        "{said}"
    );
    let (code, said) = flowlake(folder.path(), &["man", "--to", "man1"]);
    assert_eq!((code, said.as_str()), (Some(0), ""));
    assert!(
        folder
            .path()
            .join("man1/flowlake-actions-simulate.1")
            .exists()
    );
}

#[test]
fn init_says_that_it_overwrites_nothing() {
    let folder = tempfile::tempdir().unwrap();
    flowlake(folder.path(), &["init", "mine"]);
    let (code, said) = flowlake(folder.path(), &["init", "mine"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("mine/flowlake.toml is there already"),
        "{said}"
    );
}

#[test]
fn a_cost_report_without_credentials_says_so_in_words() {
    let folder = tempfile::tempdir().unwrap();
    flowlake(folder.path(), &["init", "mine"]);
    let (code, said) = flowlake(folder.path(), &["--config", "mine", "cost", "report"]);
    assert_eq!(code, Some(6), "{said}");
    assert!(said.contains("credentials"), "{said}");
    assert!(!said.contains("DispatchFailure"), "{said}");
}

#[test]
fn an_error_of_a_file_shows_its_line_and_what_was_meant() {
    let folder = tempfile::tempdir().unwrap();
    flowlake(folder.path(), &["init", "mine"]);
    let config = folder.path().join("mine/flowlake.toml");
    let sound = std::fs::read_to_string(&config).unwrap();
    let ask = ["--config", "mine", "check"];
    for (more, wrong, said) in [
        (
            "[acess]\nmode = \"probe\"\n",
            1,
            [
                "unknown field `acess` in the file",
                "[acess]\n",
                "^^^^^\n",
                "Did you mean `access`?",
            ],
        ),
        (
            "[cache]\nmemory = true\n",
            2,
            [
                "`cache.memory`: ",
                "memory = true\n",
                "^^^^\n",
                "Correct the file",
            ],
        ),
    ] {
        std::fs::write(&config, format!("{sound}\n{more}")).unwrap();
        let (code, told) = flowlake(folder.path(), &ask);
        assert_eq!(code, Some(2), "{told}");
        for part in said {
            assert!(told.contains(part), "{part:?}: {told}");
        }
        assert!(told.contains("--> mine/flowlake.toml:"), "{told}");
        let (_, told) = flowlake(folder.path(), &[["--json"].as_slice(), &ask].concat());
        let told = told.lines().last().unwrap();
        let error: serde_json::Value = serde_json::from_str(told).unwrap();
        assert_eq!(error["error"]["file"], "mine/flowlake.toml");
        let line = sound.lines().count() + 1 + wrong;
        assert_eq!(error["error"]["line"], line);
    }
}

#[test]
fn an_error_of_an_actions_sql_shows_the_line_of_its_file() {
    let folder = tempfile::tempdir().unwrap();
    flowlake(folder.path(), &["init", "mine"]);
    let action = "name = \"wrong\"\n[tables.t]\nuri = \"s3://lake/t.csv\"\n[query]\nsql = \"\"\"\nSELECT a,\n  b FORM t\nWHERE c = 1\"\"\"\n";
    std::fs::write(folder.path().join("mine/actions/wrong.toml"), action).unwrap();
    let (code, told) = flowlake(folder.path(), &["--config", "mine", "check", "wrong"]);
    assert_eq!(code, Some(2), "{told}");
    assert!(
        told.contains("--> mine/actions/wrong.toml:7:10\n") && told.contains("7 |   b FORM t\n"),
        "{told}"
    );
    let (_, told) = flowlake(folder.path(), &["--config", "mine", "run", "wrong"]);
    assert!(
        told.contains("--> mine/actions/wrong.toml:7:10\n"),
        "{told}"
    );
    let ask = ["--json", "--config", "mine", "run", "wrong"];
    let (_, told) = flowlake(folder.path(), &ask);
    let error: serde_json::Value = serde_json::from_str(told.trim()).unwrap();
    assert_eq!(error["error"]["file"], "mine/actions/wrong.toml");
    assert_eq!(
        (&error["error"]["line"], &error["error"]["column"]),
        (&7.into(), &10.into())
    );
}
