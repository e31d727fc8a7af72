//! What can be typed.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use flowlake_data_action::LogFilter;
use uuid::Uuid;

use crate::{
    access::AccessCommand,
    actions::ActionsArguments,
    audit::AuditCommand,
    cost::CostCommand,
    format::Format,
    inspect::Inspect,
    parameter::parameter,
    profile::{Profile, ProfileSource},
    shell::Shell,
    sql::{Sql, option},
    test::Test,
};

/// SQL over files on S3, for Genesys Cloud data actions.
#[derive(Debug, Parser)]
#[command(
    name = "flowlake",
    version,
    after_help = "Exit codes: 0 done, 2 input or configuration, 3 access, 4 data, 5 a limit, 6 a service did not answer, 70 a fault of flowlake; 1 a test that fails; of `actions diff` also 1 for a difference and 7 for one that breaks flows."
)]
pub(crate) struct Arguments {
    /// flowlake.toml, or the folder that holds it
    #[arg(long, global = true, env = "FLOWLAKE_CONFIG", default_value = ".")]
    pub(crate) config: PathBuf,
    /// Log filter for standard error, such as `info` or `flowlake_transform=debug`
    #[arg(
        long,
        global = true,
        env = "FLOWLAKE_LOG",
        default_value = "error,s3s=off,s3s_fs=off"
    )]
    pub(crate) log: LogFilter,
    /// Report a failure as one JSON object on standard error, for scripts
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(flatten)]
    pub(crate) voice: Voice,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// How much is said beside rows, and how.
#[derive(Debug, Default, Args)]
pub(crate) struct Voice {
    /// Print no remarks and no progress
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Log each request to S3
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    pub(crate) verbose: bool,
    /// Print no colours; `NO_COLOR` and `CLICOLOR_FORCE` are heard too
    #[arg(long, global = true)]
    pub(crate) no_color: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run an action and print its rows
    Run(Run),
    /// Ask a question of files on S3 and on this machine, without an action or a configuration
    Sql(Box<Sql>),
    /// Ask questions one after the other, with a line editor
    Shell(Shell),
    /// Test actions over tables of their own: no S3, no credentials
    Test(Test),
    /// Look into files: what they are and why, what their columns hold, what does not fit, what queries cost
    Inspect(Box<Inspect>),
    /// Tell in plain language what an action would do: files, bytes, conditions, steps, memory, columns
    Explain(Explain),
    /// Check configuration, access and readability without running anything
    Check(Check),
    /// Look at everything that actions need: credentials, clock, buckets, permissions, keys, logins
    Doctor(Doctor),
    /// What the clients of the server may do
    #[command(subcommand)]
    Access(AccessCommand),
    /// Publish actions as Genesys Cloud data actions, compare, test and simulate them
    Actions(Box<ActionsArguments>),
    /// Verify, read and export the audit log
    #[command(subcommand)]
    Audit(Box<AuditCommand>),
    /// What reads have cost, and the prices behind the estimates
    #[command(subcommand)]
    Cost(CostCommand),
    /// Look at a running server: rates, times, failures and load, again every second
    Profile(Profile),
    /// Write a commented flowlake.toml and a first action, or a project over files that are there
    Init(Init),
    /// Run the example actions on an embedded stack: no AWS, no Genesys Cloud, no network
    Demo(Demo),
    /// Print a script that completes commands and options, for your shell to read
    Completions(Completions),
    /// Print the manual page of a command, or write those of all
    Man(ManPage),
    /// Print the JSON Schema of flowlake.toml or of action files, for editors
    Schema(SchemaOf),
}

#[derive(Debug, Args)]
pub(crate) struct Run {
    /// The action's name
    pub(crate) action: String,
    /// A parameter; may be given several times
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameter)]
    pub(crate) params: Vec<(String, String)>,
    /// How to write the rows; left out, as the name of --output ends, else as a table
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
    /// The file, or `s3://bucket/key`, to write them to; standard output when left out. What is there is replaced once all rows are there
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Read also what `[confirm]` of flowlake.toml wants to be asked about
    #[arg(long)]
    pub(crate) yes: bool,
    /// Give everything: metadata, cost, audit record and profile too (`table` and `json`)
    #[arg(long)]
    pub(crate) full: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The action's name
    pub(crate) action: String,
    /// A parameter; may be given several times
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameter)]
    pub(crate) params: Vec<(String, String)>,
    /// Run it too, with an audit record as any run, and tell what each step really did
    #[arg(long)]
    pub(crate) run: bool,
    /// How to print it
    #[arg(long, value_enum, default_value_t = DoctorFormat::Text)]
    pub(crate) format: DoctorFormat,
}

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The actions to check; all when none is named
    pub(crate) actions: Vec<String>,
    /// A parameter, for actions whose locations need one
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameter)]
    pub(crate) params: Vec<(String, String)>,
}

#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// A parameter, for actions whose locations need one
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameter)]
    pub(crate) params: Vec<(String, String)>,
    /// Fail when Cost Explorer may not be asked; otherwise that is only told
    #[arg(long)]
    pub(crate) cost_explorer: bool,
    /// The running server's address for operators (`admin`), or what its `GET /v1/profiler` answered as a file: its load is compared with the organisation's limits
    #[arg(long, value_name = "URL|FILE")]
    pub(crate) profile: Option<ProfileSource>,
    /// How to print the lines
    #[arg(long, value_enum, default_value_t = DoctorFormat::Text)]
    pub(crate) format: DoctorFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum DoctorFormat {
    /// Lines for people
    Text,
    /// One JSON object
    Json,
}

#[derive(Debug, Args)]
pub(crate) struct Init {
    /// The folder to write into; made when it does not exist
    #[arg(default_value = ".", conflicts_with = "lambda")]
    pub(crate) folder: PathBuf,
    /// Make a project over these files that works at once: `s3://bucket/key`, a prefix or a glob
    #[arg(long, value_name = "URI", conflicts_with = "lambda")]
    pub(crate) from: Option<String>,
    /// A key of docs/tables.md that is known of the files, such as `delimiter=;`; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE", requires = "from", value_parser = option)]
    pub(crate) options: Vec<(String, toml::Value)>,
    /// Look at this many of the first rows only; left out, at all
    #[arg(long, value_name = "ROWS", requires = "from")]
    pub(crate) sample: Option<u64>,
    /// Read also what `[confirm]` of flowlake.toml wants to be asked about
    #[arg(long, requires = "from")]
    pub(crate) yes: bool,
    /// Print the roles of the project's function instead, as a `CloudFormation` template: the one that Genesys Cloud takes, with its
    /// trust policy and external id, and the function's own, with the smallest policy that reads the configured tables
    #[arg(long, requires = "organization")]
    pub(crate) lambda: bool,
    /// The id of the Genesys Cloud organisation, the external id of its calls
    #[arg(long, value_name = "ID", requires = "lambda")]
    pub(crate) organization: Option<Uuid>,
    /// The AWS account that Genesys Cloud comes from; left out, that of the region in `[genesys]`
    #[arg(long, value_name = "ACCOUNT", requires = "lambda", value_parser = account)]
    pub(crate) genesys_account: Option<String>,
}

/// An AWS account: twelve digits.
fn account(text: &str) -> Result<String, String> {
    if text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        Ok(text.to_owned())
    } else {
        Err("an AWS account has twelve digits".to_owned())
    }
}

#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// Conversations in the sample data
    #[arg(long, default_value_t = 500_000)]
    pub(crate) rows: u64,
    /// Keep stack and server running, and print a curl line
    #[arg(long)]
    pub(crate) serve: bool,
    /// Where to lay the sample data; a folder that is deleted at the end when left out
    #[arg(long)]
    pub(crate) folder: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// The shell
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub(crate) struct ManPage {
    /// The command that the page is about, such as `audit tail`; left out, flowlake itself
    pub(crate) command: Vec<String>,
    /// Write the pages of all commands into this folder
    #[arg(long, value_name = "FOLDER", conflicts_with = "command")]
    pub(crate) to: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub(crate) struct SchemaOf {
    /// The file
    pub(crate) file: SchemaFile,
    /// Print a page about its keys instead, as Markdown
    #[arg(long)]
    pub(crate) markdown: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum SchemaFile {
    /// flowlake.toml
    Config,
    /// actions/*.toml
    Action,
}
