//! What is served: an object that is replaced all the time, one that never changes, and the actions over them.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context, Result};
use flowlake_e2e::{BUCKET, EmbeddedStack, Environment, Project, ProjectSettings};

/// Rows of the object that is looked up in.
pub(crate) const CUSTOMERS: u64 = 20_000;

/// The sum of the seconds of this many calls, which every scan has to find.
pub(crate) const fn seconds_in_all(calls: u64) -> u64 {
    calls * (calls - 1) / 2
}

const HOT: &str = "[hot]\nmemory = \"64MiB\"\nfreshness = \"500ms\"\nmax_staleness = \"10s\"\n";

/// A project over a stack of its own.
pub(crate) struct House {
    pub(crate) project: Project,
    pub(crate) stack: EmbeddedStack,
    customers: std::path::PathBuf,
}

impl House {
    /// Lays the objects, with this many calls to scan, and writes the configuration; `server` are keys of `[server]`.
    pub(crate) fn build(programs: &Path, folder: &Path, calls: u64, server: &str) -> Result<Self> {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        let root = folder.join("buckets");
        let exports = root.join(BUCKET).join("exports");
        fs::create_dir_all(&exports)?;
        let mut text = String::from("id,queue,seconds\n");
        for id in 0..calls {
            writeln!(text, "{id},queue-{},{id}", id % 17)?;
        }
        fs::write(exports.join("calls.csv"), text)?;
        let customers = exports.join("customers.csv");
        lay(&customers, 0)?;
        let stack = EmbeddedStack::start(&root)?;
        let environment = Environment::of_programs(programs, folder);
        let settings = ProjectSettings {
            more: HOT.to_owned(),
            memory: "256MiB",
            ..ProjectSettings::new(stack.aws_url(), stack.s3_url(), stack.keys("reader")?)
        };
        let project = Project::create(&environment, &folder.join("project"), &settings)?;
        let file = project.folder().join("flowlake.toml");
        let config = fs::read_to_string(&file)?;
        let config = config.replacen("[server]\n", &format!("[server]\n{server}"), 1);
        fs::write(file, config)?;
        for (name, table, more, sql) in [
            (
                "customer",
                "customers",
                "hot = true\nindex = [\"ani\"]\n",
                "SELECT version FROM customers WHERE ani = $ani",
            ),
            (
                "seconds",
                "calls",
                "",
                "SELECT sum(seconds) AS total FROM calls",
            ),
        ] {
            let params = if name == "customer" {
                "[params.ani]\ntype = \"phone\"\nsensitive = true\n"
            } else {
                ""
            };
            let text = format!(
                "name = \"{name}\"\n{more}[tables.{table}]\nuri = \"s3://{BUCKET}/exports/{table}.csv\"\n{params}[query]\nsql = \"{sql}\"\n"
            );
            fs::write(project.folder().join(format!("actions/{name}.toml")), text)?;
        }
        Ok(Self {
            project,
            stack,
            customers,
        })
    }

    /// Replaces the object that is looked up in, at one moment.
    pub(crate) fn replace(&self, version: u64) -> Result<()> {
        lay(&self.customers, version)
    }
}

/// The number of a customer.
pub(crate) fn ani(customer: u64) -> String {
    format!("+1200{customer:07}")
}

fn lay(object: &Path, version: u64) -> Result<()> {
    let mut text = String::from("ani,version\n");
    for customer in 0..CUSTOMERS {
        writeln!(text, "{},{version}", ani(customer))?;
    }
    let new = object.with_extension("new");
    fs::write(&new, text)?;
    fs::rename(&new, object).context("an object cannot be replaced")
}
