//! A project in an execution environment of AWS Lambda: one of many that run at the same time, whose own disk goes with it.

mod roles;

use std::{
    fs,
    path::{Path, PathBuf},
};

use bytesize::ByteSize;

pub use self::roles::FunctionRoles;
use crate::{ActionError, ErrorCode, Project};

/// The largest `max_output_bytes` of an action. A function's answer has at most 6 MiB, the envelope of the rows included (AWS
/// Lambda Developer Guide, "Lambda quotas").
const LARGEST_ROWS: ByteSize = ByteSize((6 << 20) - (64 << 10));

/// The folder of audit logs below [`ExecutionEnvironment::scratch`].
const AUDIT_FOLDER: &str = "flowlake-audit";

/// What an application knows of the execution environment that it runs in.
#[derive(Debug, Clone)]
pub struct ExecutionEnvironment {
    /// Its name, which no other environment has at the same time: that of its log stream.
    pub name: String,
    /// The folder that can be written and goes with the environment, `/tmp`.
    pub scratch: PathBuf,
    /// What is mounted, in the form of `/proc/self/mountinfo`.
    pub mounts: String,
}

impl Project {
    /// The same project as a function can run it: its audit log is one of this environment alone, in a folder that lasts or copied to
    /// a bucket before each answer, and no action gives more than a function can hand on.
    ///
    /// # Errors
    /// [`ErrorCode::ConfigInvalid`] when audit records would go with the environment, and for budgets: what other environments
    /// spend is not known.
    pub fn in_function(mut self, environment: &ExecutionEnvironment) -> Result<Self, ActionError> {
        self.refuse_budgets()?;
        let own = folder_name(&environment.name);
        let log = &mut self.config.audit.log.directory;
        match &mut self.config.audit.ship {
            Some(ship) if ship.before_answer => {
                ship.keep_only_last = true;
                *log = environment.scratch.join(AUDIT_FOLDER).join(own);
            }
            _ if environment.lasts(log) => *log = log.join(own),
            _ => return Err(goes_with_the_environment(log)),
        }
        for action in self.actions.values_mut() {
            let limit = &mut action.limits.max_output_bytes;
            *limit = (*limit).min(LARGEST_ROWS);
        }
        Ok(self)
    }

    fn refuse_budgets(&self) -> Result<(), ActionError> {
        let own = self.actions.values().find(|action| {
            let budget = action.budget.as_ref();
            budget.is_some_and(|budget| budget.daily_usd.or(budget.monthly_usd).is_some())
        });
        let place = match own {
            Some(action) => format!("action `{}`", action.name),
            None if self.config.budget.has_limits() => "flowlake.toml".to_owned(),
            None => return Ok(()),
        };
        Err(ActionError::new(
            ErrorCode::ConfigInvalid,
            format!(
                "{place} sets a budget, which a function cannot keep: each execution environment counts for itself"
            ),
            "Leave the budget out, and bound the function by its reserved concurrency and an AWS budget.",
        ))
    }
}

impl ExecutionEnvironment {
    /// Whether what is written to a folder is there after the environment has gone: it lies on a network file system.
    fn lasts(&self, folder: &Path) -> bool {
        let folder = resolved(folder);
        let mounts = self.mounts.lines().filter_map(mount);
        let holding = mounts.filter(|(at, _)| folder.starts_with(at));
        // Of two mounts at one place, the later one hides the earlier.
        let nearest = holding.max_by_key(|(at, _)| at.components().count());
        nearest.is_some_and(|(_, kind)| matches!(kind, "nfs" | "nfs4"))
    }
}

/// Where a file system is mounted, and its type (proc(5), `/proc/pid/mountinfo`).
fn mount(line: &str) -> Option<(PathBuf, &str)> {
    let (place, source) = line.split_once(" - ")?;
    let at = place.split(' ').nth(4)?;
    let kind = source.split(' ').next()?;
    Some((PathBuf::from(at.replace("\\040", " ")), kind))
}

/// The folder without symbolic links, as far as it exists.
fn resolved(folder: &Path) -> PathBuf {
    let mut missing = Vec::new();
    for existing in folder.ancestors() {
        if let Ok(mut path) = fs::canonicalize(existing) {
            path.extend(missing.iter().rev());
            return path;
        }
        missing.extend(existing.file_name());
    }
    folder.to_owned()
}

/// The name of a log stream, such as `2026/11/30/[$LATEST]0f3a`, as that of a folder.
fn folder_name(name: &str) -> String {
    let plain = name.chars().map(|c| {
        if c.is_ascii_alphanumeric() || c == '-' {
            c
        } else {
            '_'
        }
    });
    plain.take(128).collect()
}

fn goes_with_the_environment(log: &Path) -> ActionError {
    ActionError::new(
        ErrorCode::ConfigInvalid,
        format!(
            "the audit log in {} goes with the execution environment of the function: an answer must not leave without a record that lasts",
            log.display()
        ),
        "Set `before_answer = true` and `uri` in [audit.ship], or set `directory` in [audit.log] to a folder of an EFS file system that the function mounts, such as /mnt/audit.",
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{ActionDefinition, Config};

    const MOUNTS: &str = "22 1 259:0 / / ro,nosuid - ext4 /dev/root ro\n\
        30 22 259:1 / /tmp rw,nosuid - ext4 /dev/vdc rw\n\
        31 22 0:40 / /mnt/audit rw,relatime shared:9 - nfs4 127.0.0.1:/ rw,vers=4.1\n\
        32 31 259:2 / /mnt/audit/local rw - ext4 /dev/vdd rw\n\
        33 22 0:41 / /mnt/with\\040blank rw - nfs4 127.0.0.1:/ rw\n";

    fn environment() -> ExecutionEnvironment {
        ExecutionEnvironment {
            name: "2026/11/30/[$LATEST]0f3a".to_owned(),
            scratch: "/tmp".into(),
            mounts: MOUNTS.to_owned(),
        }
    }

    fn project(config: &str, action: &str) -> Project {
        let text = format!("name = \"a\"\n[tables]\n[query]\nsql = \"SELECT 1\"\n{action}");
        let action = ActionDefinition::parse(Path::new("a.toml"), &text).unwrap();
        Project {
            folder: "/var/task".into(),
            config: toml::from_str::<Config>(config).unwrap(),
            actions: BTreeMap::from([("a".to_owned(), action)]),
            documents: crate::Documents::default(),
            broken: BTreeMap::new(),
        }
    }

    fn log(config: &str) -> Result<PathBuf, ActionError> {
        let project = project(config, "").in_function(&environment())?;
        Ok(project.config.audit.log.directory)
    }

    #[test]
    fn a_log_lies_on_a_network_file_system_in_a_folder_of_its_own() {
        for (directory, expected) in [
            ("/mnt/audit", Some("/mnt/audit/2026_11_30___LATEST_0f3a")),
            (
                "/mnt/audit/flowlake",
                Some("/mnt/audit/flowlake/2026_11_30___LATEST_0f3a"),
            ),
            (
                "/mnt/with blank",
                Some("/mnt/with blank/2026_11_30___LATEST_0f3a"),
            ),
            ("/mnt/audit/local/x", None),
            ("/mnt/audits", None),
            ("/tmp/audit", None),
            ("/var/task/audit", None),
        ] {
            let log = log(&format!("[audit.log]\ndirectory = \"{directory}\"\n"));
            match expected {
                Some(expected) => assert_eq!(log.unwrap(), Path::new(expected)),
                None => {
                    let error = log.unwrap_err();
                    assert_eq!(error.code(), ErrorCode::ConfigInvalid, "{directory}");
                    assert!(
                        error
                            .message()
                            .contains("goes with the execution environment")
                    );
                }
            }
        }
    }

    #[test]
    fn a_log_that_is_shipped_before_the_answer_lies_where_it_can_be_written() {
        let ship = "[audit.ship]\nuri = \"s3://archive/x\"\n";
        assert_eq!(
            log(&format!("{ship}before_answer = true\n")).unwrap(),
            Path::new("/tmp/flowlake-audit/2026_11_30___LATEST_0f3a")
        );
        // Shipping some time later is not enough.
        assert!(log(ship).is_err());
    }

    #[test]
    fn budgets_are_refused_and_answers_fit_into_what_a_function_may_give() {
        let shipped = "[audit.ship]\nuri = \"s3://archive/x\"\nbefore_answer = true\n";
        for (config, action) in [
            ("[budget.total]\ndaily_usd = 1\n", ""),
            ("[budget.actions.a]\ndaily_usd = 1\n", ""),
            ("", "[budget]\nmonthly_usd = 1\n"),
        ] {
            let refused =
                project(&format!("{shipped}{config}"), action).in_function(&environment());
            let error = refused.unwrap_err();
            assert!(error.message().contains("sets a budget"), "{error}");
        }
        for (limit, expected) in [("1MiB", ByteSize::mib(1)), ("64MiB", LARGEST_ROWS)] {
            let action = format!("[limits]\nmax_output_bytes = \"{limit}\"\n");
            let project = project(shipped, &action)
                .in_function(&environment())
                .unwrap();
            assert_eq!(project.actions["a"].limits.max_output_bytes, expected);
        }
    }
}
