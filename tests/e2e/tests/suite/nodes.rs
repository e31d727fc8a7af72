//! Two servers behind nginx: replaced one after the other under load, with one budget, and a chain of records each.

use std::{
    collections::BTreeMap,
    fs,
    path::Path,
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use flowlake_e2e::{
    BUCKET, Process, Project, SHIPPED, Server, Setting, audit_records, free_ports, request,
};
use serde_json::{Value, json};

/// Debian's package `nginx-light`.
const NGINX: &str = "/usr/sbin/nginx";
const NODES: [&str; 2] = ["a", "b"];
const LIMIT: Duration = Duration::from_secs(60);
/// A client of its own rate, and its key's SHA-256.
const RATED_KEY: &str = "rated-client-key-5f1c09";
const RATED_SHA256: &str = "87044bf9736f5a20baa3a06ee783c83547c7e836a3952395a3a1ca8d4eeac936";
/// Requests at once of that client.
const BURST: usize = 5;
/// What `queue-summary` may cost a day: some thirty reads.
const DAILY_USD: f64 = 0.000_04;

struct Balanced {
    setting: Setting,
    project: Project,
    ports: [u16; 2],
    _nginx: Process,
    url: String,
}

impl Balanced {
    fn start(test: &str) -> Result<Self> {
        let setting = Setting::start(test, 500)?;
        let more = format!(
            "max_segment_bytes = 8000
[audit.ship]
uri = \"s3://{BUCKET}/{SHIPPED}/audit\"
check_every = \"100ms\"
[budget.actions.queue-summary]
daily_usd = \"{DAILY_USD}\"
[budget.shared]
uri = \"s3://{BUCKET}/{SHIPPED}/spending\"
[[server.clients]]
name = \"rated\"
keys_sha256 = [\"{RATED_SHA256}\"]
rate = {{ per_minute = 1, burst = {BURST} }}
"
        );
        let project = setting.examples("reader", &more)?;
        let config = project.folder().join("flowlake.toml");
        let text = fs::read_to_string(&config)?;
        // As `docs/nodes.md` says for servers behind a balancer.
        let behind = "[server]\nshutdown_drain_seconds = 1\ntrusted_proxies = [\"127.0.0.1\"]";
        fs::write(&config, text.replacen("[server]", behind, 1))?;
        let [front, ports @ ..] = free_ports::<3>()?;
        let folder = setting.folder.join("nginx");
        let nginx = balance(&folder, front, ports)?;
        Ok(Self {
            setting,
            project,
            ports,
            _nginx: nginx,
            url: format!("http://127.0.0.1:{front}"),
        })
    }

    fn serve(&self, node: usize) -> Result<Server> {
        self.project.serve_node(NODES[node], self.ports[node])
    }

    fn records(&self, node: usize) -> Result<Vec<Value>> {
        audit_records(&self.project.audit_folder().join(NODES[node]))
    }

    /// Waits until a server has written more records: the balancer sends it requests.
    fn until_called(&self, node: usize) -> Result<()> {
        let before = self.records(node)?.len();
        until("the balancer uses a server", || {
            Ok(self.records(node)?.len() > before)
        })
    }

    /// What both servers spent on an action, by their own records.
    fn spent_usd(&self, action: &str) -> Result<[f64; 2]> {
        let mut spent = [0.0; 2];
        for (node, spent) in spent.iter_mut().enumerate() {
            for entry in self.records(node)? {
                let record = &entry["record"];
                if record["action"] == action && record["code"] == "ok" {
                    let cost = record["cost_usd"].as_str().context("a cost")?;
                    *spent += cost.parse::<f64>()?;
                }
            }
        }
        Ok(spent)
    }
}

/// nginx in front of both, configured as `docs/nodes.md` has it.
fn balance(folder: &Path, front: u16, ports: [u16; 2]) -> Result<Process> {
    ensure!(
        Path::new(NGINX).exists(),
        "{NGINX} is needed; on Debian: apt-get install nginx-light"
    );
    fs::create_dir_all(folder)?;
    let here = folder.display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {here}/{name};"))
        .concat();
    let [a, b] = ports;
    let config = format!(
        "daemon off;
pid {here}/nginx.pid;
error_log {here}/error.log info;
worker_processes 1;
events {{ worker_connections 256; }}
http {{
    access_log off;
    {temporary}
    upstream flowlake {{
        server 127.0.0.1:{a} max_fails=1 fail_timeout=1s;
        server 127.0.0.1:{b} max_fails=1 fail_timeout=1s;
        keepalive 16;
    }}
    server {{
        listen 127.0.0.1:{front};
        location / {{
            proxy_pass http://flowlake;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_next_upstream error timeout non_idempotent;
            proxy_next_upstream_tries 2;
        }}
    }}
}}
"
    );
    let path = folder.join("nginx.conf");
    fs::write(&path, config)?;
    let mut command = Command::new(NGINX);
    command.arg("-p").arg(folder).arg("-c").arg(&path);
    Process::start("nginx", folder, &mut command)
}

fn until(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    for _ in 0..1_200 {
        if is_so()? {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(50));
    }
    anyhow::bail!("not within a minute: {what}")
}

#[test]
fn two_servers_are_replaced_one_after_the_other_and_no_request_fails() -> Result<()> {
    let balanced = Balanced::start("nodes-rolling")?;
    let mut servers = [balanced.serve(0)?, balanced.serve(1)?];
    let url = format!("{}/v1/actions/agent-scorecard", balanced.url);
    let body = json!({ "agent_id": balanced.setting.files.example_agent_id });
    let get = format!("{url}?agent_id={}", balanced.setting.files.example_agent_id);
    let (done, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    let answers = Mutex::new(BTreeMap::<String, usize>::new());
    let ask = |number: usize| -> Result<()> {
        while !done.load(Relaxed) {
            // Half of them by POST, which a balancer does not send again by itself.
            let answer = match number % 2 {
                0 => request(&url, Some(Server::KEY), Some(&body))?,
                _ => request(&get, Some(Server::KEY), None)?,
            };
            ensure!(answer.status == 200, "{}: {}", answer.status, answer.body);
            let id = answer.json()?["audit_id"]
                .as_str()
                .context("an id")?
                .to_owned();
            let mut answers = answers.lock().expect("no caller panics");
            *answers.entry(id).or_default() += 1;
            answered.fetch_add(1, Relaxed);
        }
        Ok(())
    };
    thread::scope(|scope| {
        let callers: Vec<_> = (0..4)
            .map(|number| scope.spawn(move || ask(number)))
            .collect();
        let replaced = (|| {
            for node in [0, 1] {
                balanced.until_called(0)?;
                balanced.until_called(1)?;
                let status = servers[node].process().terminate(LIMIT)?;
                ensure!(status.success(), "{status}");
                servers[node] = balanced.serve(node)?;
            }
            balanced.until_called(0)?;
            balanced.until_called(1)
        })();
        done.store(true, Relaxed);
        for caller in callers {
            caller.join().expect("a caller does not panic")?;
        }
        replaced
    })?;
    for server in &mut servers {
        let status = server.process().terminate(LIMIT)?;
        ensure!(status.success(), "{status}");
    }
    // Each answer has one record, in one of the two logs, which names its server.
    let mut recorded = BTreeMap::new();
    for node in [0, 1] {
        for entry in balanced.records(node)? {
            let record = &entry["record"];
            ensure!(record["node"] == NODES[node], "{record}");
            let id = record["id"].as_str().context("an id")?.to_owned();
            ensure!(recorded.insert(id, node).is_none(), "twice: {record}");
        }
    }
    let answers = answers.into_inner()?;
    ensure!(answers.len() == answered.into_inner(), "an id came twice");
    for id in answers.keys() {
        ensure!(recorded.contains_key(id), "no record of {id}");
    }
    // What was shipped of both proves itself where it lies, as the logs do here.
    let archive = balanced.setting.folder.join("buckets").join(BUCKET);
    let archive = archive.join(SHIPPED).join("audit");
    let shipped = archive.to_string_lossy().into_owned();
    for place in [vec![], vec!["--directory", &shipped]] {
        let verify = ["audit", "verify", "--node", "a", "--node", "b"];
        let verify: Vec<&str> = verify.into_iter().chain(place).collect();
        let verified = balanced.project.run(&verify)?;
        ensure!(
            verified.status.success(),
            "{verify:?}: {}{}",
            verified.stdout,
            verified.stderr
        );
        let whole = verified.stdout.matches("the chain is whole").count();
        ensure!(whole == 2, "{}", verified.stdout);
    }
    let exported = balanced.project.run(&["audit", "export"])?;
    ensure!(
        exported.stdout.lines().count() == recorded.len(),
        "{}",
        exported.stderr
    );
    Ok(())
}

#[test]
fn one_budget_is_shared_and_a_rate_holds_for_each_server() -> Result<()> {
    let balanced = Balanced::start("nodes-budget")?;
    let mut servers = [balanced.serve(0)?, balanced.serve(1)?];
    let call = |key: &str, action: &str| {
        let url = format!("{}/v1/actions/{action}", balanced.url);
        request(&url, Some(key), Some(&json!({})))
    };
    // A client gets its burst of each of two servers, and no more.
    let mut taken = 0;
    for _ in 0..4 * BURST {
        let answer = call(RATED_KEY, "wrapup-codes")?;
        ensure!([200, 400, 429].contains(&answer.status), "{}", answer.body);
        taken += usize::from(answer.status != 429);
    }
    ensure!((BURST..=2 * BURST + 2).contains(&taken), "{taken} requests");
    // Both spend one budget until each refuses.
    let mut refused = 0;
    while refused < 8 {
        let answer = call(Server::KEY, "queue-summary")?;
        let json = answer.json()?;
        match answer.status {
            200 => refused = 0,
            429 => {
                ensure!(json["error"]["code"] == "budget.exceeded", "{json}");
                refused += 1;
            }
            _ => anyhow::bail!("{}", answer.body),
        }
    }
    let spent = balanced.spent_usd("queue-summary")?;
    let total: f64 = spent.iter().sum();
    ensure!(spent.iter().all(|spent| *spent > 0.0), "{spent:?}");
    ensure!(total <= DAILY_USD && total > DAILY_USD / 2.0, "{spent:?}");
    for server in &mut servers {
        server.process().terminate(LIMIT)?;
    }
    Ok(())
}
