//! What can be typed after `flowlake actions`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use flowlake_data_action::Door;
use url::Url;

use crate::{parameter::parameter, profile::ProfileSource};

#[derive(Debug, Args)]
pub(crate) struct ActionsArguments {
    /// How Genesys Cloud reaches the actions; left out, what `[publish]` has, the web service first
    #[arg(long, global = true, value_enum)]
    pub(crate) via: Option<Via>,
    #[command(subcommand)]
    pub(crate) command: ActionsCommand,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Via {
    /// flowlake-server at its public address
    WebService,
    /// The function of [publish.lambda], without a public address
    Lambda,
}

impl From<Via> for Door {
    fn from(via: Via) -> Self {
        match via {
            Via::WebService => Self::WebService,
            Via::Lambda => Self::Lambda,
        }
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum ActionsCommand {
    /// List what is published in the integration, and which actions of this project are not
    List(List),
    /// Hold actions to the platform's rules, without asking it
    Validate(Selection),
    /// Write the import file, CX as Code, or OpenAPI
    Export(Export),
    /// Compare what is published with what would be; exits with 1 when something differs, with 7 when a flow has to change
    Diff(Diff),
    /// Publish: in place while the contract is the same, as a new version beside the old one otherwise
    Publish(Publish),
    /// Run a published action on the platform, as its test page does
    Test(Test),
    /// Run an action here as the platform would, step by step, and show the variables that a flow sees
    Simulate(Box<Simulate>),
    /// Remove versions that this project does not publish any more and that no flow uses
    Retire(Retire),
}

/// Which actions, and what their documents are made from.
#[derive(Debug, Args)]
pub(crate) struct Selection {
    /// The actions; all when none is named
    pub(crate) actions: Vec<String>,
    #[command(flatten)]
    pub(crate) sources: Sources,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Sources {
    /// A parameter, for actions whose locations need one
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameter)]
    pub(crate) params: Vec<(String, String)>,
    /// The running server's address for operators (`admin`), or what its `GET /v1/profiler` answered as a file: the timeout is then three times the p99
    #[arg(long, value_name = "URL|FILE")]
    pub(crate) profile: Option<ProfileSource>,
}

#[derive(Debug, Args)]
pub(crate) struct List {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The action
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub(crate) action: Option<String>,
    /// Every action with a `[genesys]` section, or every action when there is none, into --folder
    #[arg(long, requires = "folder")]
    pub(crate) all: bool,
    /// What to write
    #[arg(long, value_enum, default_value_t = Format::Import)]
    pub(crate) format: Format,
    /// The folder of --all; made when it does not exist
    #[arg(long, value_name = "FOLDER", requires = "all")]
    pub(crate) folder: Option<PathBuf>,
    /// The file to write, standard output when left out
    #[arg(long, value_name = "FILE", conflicts_with = "all")]
    pub(crate) output: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) sources: Sources,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// The file that Genesys Cloud imports
    Import,
    /// CX as Code: a resource of the Terraform provider
    Hcl,
    /// OpenAPI 3.1 of the web service behind the action
    Openapi,
}

#[derive(Debug, Args)]
pub(crate) struct Diff {
    #[command(flatten)]
    pub(crate) selection: Selection,
}

#[derive(Debug, Args)]
pub(crate) struct Publish {
    /// The actions
    #[arg(required_unless_present = "all", conflicts_with = "all")]
    pub(crate) actions: Vec<String>,
    /// Every action with a `[genesys]` section
    #[arg(long)]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) sources: Sources,
    /// A published version such as `name`, whose flows may fail from now on
    #[arg(long = "break", value_name = "VERSION")]
    pub(crate) breaking: Vec<String>,
    /// Overwrite drafts that somebody else is at work on
    #[arg(long)]
    pub(crate) overwrite_drafts: bool,
    /// Tell what would be done, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Test {
    /// The action, or one version of it: `name@1` is the first; the newest version when none is named
    pub(crate) action: String,
    /// An input; may be given several times
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameter)]
    pub(crate) params: Vec<(String, String)>,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Simulate {
    /// The action
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    pub(crate) action: Option<String>,
    /// An exported data action of somebody else
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// An input; may be given several times
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = parameter)]
    pub(crate) params: Vec<(String, String)>,
    /// The server to call instead of the one in the document; for a function, a local runtime such as `cargo lambda watch`
    #[arg(long, value_name = "URL")]
    pub(crate) server: Option<Url>,
    /// A field of the integration's credentials, and the environment variable that holds it
    #[arg(long = "credential", value_name = "NAME=VARIABLE", value_parser = parameter)]
    pub(crate) credentials: Vec<(String, String)>,
    /// Take this answer instead of calling the server
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    pub(crate) answer: Option<PathBuf>,
    /// Show the request, and call nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print JSON, in the form of the platform's own test
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Retire {
    /// The action, whose versions are removed but those that this project publishes; or one version, of which `name@1` is the
    /// first; or the id of one of several actions of one name
    pub(crate) action: String,
    #[command(flatten)]
    pub(crate) sources: Sources,
    /// Remove what this project publishes too
    #[arg(long)]
    pub(crate) current: bool,
    /// Remove what does not call this project's server too
    #[arg(long)]
    pub(crate) foreign: bool,
    /// Tell what would be done, and change nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}
