//! What a folder's configuration says: paths belong to the file, figures have to make sense, nothing is left out in silence.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{fs, path::Path};

use flowlake_data_action::{ActionError, Environment, ErrorCode, Excerpt, Pipeline, Project};

#[derive(Debug)]
struct NoVariables;

impl Environment for NoVariables {
    fn get(&self, _name: &str) -> Option<String> {
        None
    }
}

fn write(folder: &Path, config: &str) {
    fs::write(folder.join("flowlake.toml"), config).unwrap();
}

#[test]
fn every_path_is_relative_to_the_file_that_names_it() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["key", "hash", "seal", "genesys"] {
        fs::write(folder.path().join(name), format!("{name}-secret\n")).unwrap();
    }
    write(
        folder.path(),
        r#"
[[server.keys]]
name = "flows"
secret = { file = "key" }
[audit.log]
directory = "log"
[audit.hash_key]
file = "hash"
[audit.seal_key]
file = "seal"
[transform]
spill_directory = "spill"
[genesys]
region = "eu-west-1"
client_id = "x"
client_secret = { file = "genesys" }
"#,
    );
    let config = Project::load(folder.path()).unwrap().config;
    assert_eq!(config.audit.log.directory, folder.path().join("log"));
    assert_eq!(
        config.transform.spill_directory,
        Some(folder.path().join("spill"))
    );
    let (hash, seal) = (config.audit.hash_key, config.audit.seal_key);
    for (name, source) in [
        ("key", &config.server.keys[0].secret),
        ("hash", hash.as_ref().unwrap()),
        ("seal", seal.as_ref().unwrap()),
        ("genesys", &config.genesys.as_ref().unwrap().client_secret),
    ] {
        let secret = source.read(&NoVariables).unwrap();
        assert_eq!(secret.expose(), format!("{name}-secret"));
    }
    // An absolute one stays what it is.
    write(
        folder.path(),
        "[transform]\nspill_directory = \"/var/spill\"\n",
    );
    let config = Project::load(folder.path()).unwrap().config;
    let spill = config.transform.spill_directory.unwrap();
    assert_eq!(spill, Path::new("/var/spill"));
}

#[test]
fn figures_out_of_range_are_refused_with_their_key() {
    let folder = tempfile::tempdir().unwrap();
    let genesys = "[genesys]\nregion = \"eu-west-1\"\nclient_id = \"x\"\nclient_secret = { env = \"X\" }\n[genesys.token]\n";
    let ship = "[audit.ship]\nuri = \"s3://a/b\"\n";
    for (config, key) in [
        (
            "[server]\nmax_concurrent_requests = 0\n".to_owned(),
            "max_concurrent_requests",
        ),
        // More than a semaphore has permits.
        (
            "[server]\nmax_concurrent_requests = 9223372036854775807\n".to_owned(),
            "max_concurrent_requests",
        ),
        (
            "[server]\nmax_body_bytes = 0\n".to_owned(),
            "max_body_bytes",
        ),
        (
            "[server]\nmax_batch_requests = 0\n".to_owned(),
            "max_batch_requests",
        ),
        (
            "[server]\nshutdown_grace_seconds = 9223372036854775807\n".to_owned(),
            "shutdown_grace_seconds",
        ),
        (format!("{ship}check_every = \"0s\"\n"), "check_every"),
        (
            format!("{ship}longest_wait = \"9999days\"\n"),
            "longest_wait",
        ),
        (
            format!("{genesys}wait_seconds = 9223372036854775807\n"),
            "wait_seconds",
        ),
        (
            format!("{genesys}request_timeout_seconds = 0\n"),
            "request_timeout_seconds",
        ),
        (
            format!("{genesys}requests_per_minute = 0\n"),
            "requests_per_minute",
        ),
    ] {
        write(folder.path(), &config);
        let error = Project::load(folder.path()).unwrap_err();
        assert_eq!(error.code(), ErrorCode::ConfigInvalid, "{config}");
        assert!(error.message().contains(key), "{error}");
    }
}

const ACTION: &str =
    "name = \"calls\"\n[tables.t]\nuri = \"s3://lake/t.csv\"\n[query]\nsql = \"SELECT * FROM t\"\n";

/// The first error of a project of one file and one action, as `flowlake check` and the server find it.
async fn error_of(folder: &Path, config: &str, action: &str) -> ActionError {
    write(folder, config);
    let actions = folder.join("actions");
    fs::create_dir_all(&actions).unwrap();
    fs::write(actions.join("calls.toml"), action).unwrap();
    let project = match Project::load(folder) {
        Ok(project) => project,
        Err(error) => return error,
    };
    if let Some(error) = project.broken.values().next() {
        return error.clone();
    }
    let pipeline = Pipeline::builder(project);
    Box::pin(pipeline.build(&NoVariables)).await.unwrap_err()
}

#[tokio::test]
async fn a_setting_that_cannot_be_meant_is_shown_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let aws = "[aws]\nregion = \"eu-west-1\"\n";
    for (config, place, marked) in [
        ("[server]\nlisten = \"nope\"\n", "2:10", "\"nope\""),
        (
            "[server]\nadmin = \"127.0.0.1:http\"\n",
            "2:9",
            "\"127.0.0.1:http\"",
        ),
        ("[server]\nidle_timeout = \"0s\"\n", "2:16", "\"0s\""),
        (
            "[[server.clients]]\nname = \"a\"\nrate = { per_minute = 0, burst = 1 }\n",
            "3:23",
            "0",
        ),
        (
            "[[server.clients]]\nname = \"a\"\nactions = [\"calls\", \"cals\"]\n",
            "3:21",
            "\"cals\"",
        ),
        (
            "[policy]\nallow = [\"s3://a/*\", \"lake\"]\n",
            "2:22",
            "\"lake\"",
        ),
        ("[policy]\nallow = []\nwrite = [\"x\"]\n", "3:10", "\"x\""),
        ("[budget.actions.cals]\ndaily_usd = 1\n", "1:17", "cals"),
    ] {
        let config = format!("{config}{aws}");
        let error = error_of(folder.path(), &config, ACTION).await;
        assert_eq!(error.code(), ErrorCode::ConfigInvalid, "{error}");
        let file = folder.path().join("flowlake.toml");
        let begin = format!("{}:{place}: ", file.display());
        assert!(error.message().starts_with(&begin), "{config}{error}");
        let shown = error.excerpt().map(Excerpt::marked);
        assert_eq!(shown.as_deref(), Some(marked), "{config}");
    }
}

#[tokio::test]
async fn a_key_of_an_action_that_cannot_be_meant_is_shown_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    for (begin, end, place, marked) in [
        ("index = [\"a\"]", "", "1:9", "[\"a\"]"),
        ("cache = \"9h\"", "", "1:9", "\"9h\""),
        ("", "[budget]\ndaily_usd = -1\n", "8:13", "-1"),
        ("", "[params.a]\ntype = \"string\"\n", "7:9", "a"),
        (
            "",
            "[tables.u]\nuri = \"lake/t.csv\"\n",
            "8:7",
            "\"lake/t.csv\"",
        ),
        (
            "",
            "[tables.u]\nuri = \"s3://lake/u.csv\"\ndelimiter = \"\"\n",
            "9:13",
            "\"\"",
        ),
    ] {
        let action = format!("{begin}\n{ACTION}{end}");
        let error = error_of(folder.path(), "", &action).await;
        assert_eq!(error.code(), ErrorCode::ConfigInvalid, "{error}");
        let told = error.message();
        assert!(told.contains(&format!("calls.toml:{place}: ")), "{told}");
        let shown = error.excerpt().map(Excerpt::marked);
        assert_eq!(shown.as_deref(), Some(marked), "{told}");
    }
    let action = ACTION.replace("\"calls\"", "\"Calls\"");
    let error = error_of(folder.path(), "", &action).await;
    assert!(error.message().contains("calls.toml:1:8: "), "{error}");
    // What the SQL uses is shown there.
    let action = ACTION.replace("FROM t", "FROM t WHERE a = $day");
    let error = error_of(folder.path(), "", &action).await;
    assert_eq!(
        error.excerpt().map(Excerpt::marked).as_deref(),
        Some("$day")
    );
}

#[test]
fn an_action_file_that_cannot_be_read_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "");
    let actions = folder.path().join("actions");
    fs::create_dir(&actions).unwrap();
    std::os::unix::fs::symlink("nowhere", actions.join("lost.toml")).unwrap();
    let project = Project::load(folder.path()).unwrap();
    let error = &project.broken["lost"];
    assert_eq!(error.code(), ErrorCode::ConfigInvalid);
    assert!(error.message().contains("lost.toml"), "{error}");
}
