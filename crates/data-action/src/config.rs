//! `flowlake.toml` and the action files beside it.

mod audit;
mod cache;
mod check;
mod cluster;
mod confirm;
mod cost;
mod documents;
mod genesys;
mod located;
mod object_cache;
mod publish;
mod secret;
mod server;
mod telemetry;
mod toml_error;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use flowlake_aws_access::{AccessMode, AccessSettings, AwsSettings};
use flowlake_cost_audit::BudgetSettings;
use flowlake_profiler::ProfilerSettings;
use flowlake_s3_stream::S3StreamSettings;
use flowlake_transform::{HotSettings, TransformSettings};
use schemars::JsonSchema;
use serde::Deserialize;

pub(crate) use self::audit::s3_place;
pub use self::audit::{AuditConfig, ShipConfig};
pub use self::cache::CacheSettings;
pub use self::cluster::{ClusterConfig, EngineChoice};
pub use self::confirm::ConfirmSettings;
pub use self::cost::CostSettings;
pub use self::documents::{Change, Documents};
pub use self::genesys::GenesysSettings;
pub(crate) use self::located::TomlSource;
pub use self::object_cache::ObjectCacheSettings;
pub use self::publish::{Door, FunctionArn, FunctionSettings, PublishSettings};
pub use self::secret::{Environment, ProcessEnvironment, SecretSource};
pub use self::server::{
    ForwardedHeader, IpNetwork, OwnTokenSettings, ServerKey, ServerSettings, TlsSettings,
};
pub use self::telemetry::TelemetrySettings;
pub use self::toml_error::{nearest, read_toml};
use crate::{ActionDefinition, ActionError, ErrorCode, PolicySettings};

/// The name of the configuration file in its folder.
pub const CONFIG_FILE: &str = "flowlake.toml";

/// How the names of files end that test an action: `actions/NAME.test.toml`.
pub const TEST_SUFFIX: &str = ".test.toml";

/// The content of `flowlake.toml`.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The HTTP server.
    pub server: ServerSettings,
    /// AWS credentials, region and endpoints.
    pub aws: AwsSettings,
    /// How IAM is asked before a read.
    pub access: AccessSettings,
    /// What may be read at all.
    pub policy: PolicySettings,
    /// The Genesys Cloud organisation, for actions with `genesys_token = true`.
    pub genesys: Option<GenesysSettings>,
    /// Where Genesys Cloud reaches the server, for `flowlake actions`.
    pub publish: Option<PublishSettings>,
    /// How S3 is read.
    pub s3: S3StreamSettings,
    /// Memory, spill space and threads of the SQL engine.
    pub transform: TransformSettings,
    /// Memory and freshness of actions with `hot = true`.
    pub hot: HotSettings,
    /// Pieces of objects on a disk of this machine, for the next read of the same version.
    pub object_cache: Option<ObjectCacheSettings>,
    /// Workers on other machines that take part in queries.
    pub cluster: Option<ClusterConfig>,
    /// Memory of the answers of actions with `cache`.
    pub cache: CacheSettings,
    /// What reads are priced with.
    pub cost: CostSettings,
    /// Which reads a person at a shell has to confirm.
    pub confirm: ConfirmSettings,
    /// What reads may cost a day and a month; an action's own limits may also be in its file.
    pub budget: BudgetSettings,
    /// Where audit records go.
    pub audit: AuditConfig,
    /// How much the profiler remembers.
    pub profiler: ProfilerSettings,
    /// Where traces go.
    pub telemetry: TelemetrySettings,
}

/// A configuration with its actions, as loaded from a folder.
#[derive(Debug, Clone)]
pub struct Project {
    /// The folder that relative paths are relative to.
    pub folder: PathBuf,
    /// `flowlake.toml`.
    pub config: Config,
    /// `actions/*.toml`, by name.
    pub actions: BTreeMap<String, ActionDefinition>,
    /// Why other files of that folder are no actions, by the name of the file without `.toml`.
    pub broken: BTreeMap<String, ActionError>,
    /// The files as they are written, for operators.
    pub documents: Documents,
}

impl Config {
    /// Loads `path` (a folder with `flowlake.toml`, or the file itself) without the action files, and gives its folder too.
    ///
    /// Relative paths in it are then relative to that folder no longer, but to the present one.
    ///
    /// # Errors
    /// [`ErrorCode::ConfigInvalid`] naming file, line and column, and for unknown keys the nearest known one.
    pub fn load(path: &Path) -> Result<(PathBuf, Self), ActionError> {
        let (folder, config, _documents) = Self::load_with_documents(path)?;
        Ok((folder, config))
    }

    /// The same with the file as it is written.
    fn load_with_documents(path: &Path) -> Result<(PathBuf, Self, Documents), ActionError> {
        let file = if path.is_dir() {
            path.join(CONFIG_FILE)
        } else {
            path.to_owned()
        };
        let folder = file
            .parent()
            .map_or_else(|| PathBuf::from("."), Path::to_owned);
        let text = read_file(&file)?;
        let mut config: Self = read_toml(&file, &text)?;
        let documents = Documents::new(read_toml(&file, &text)?, TomlSource::new(&file, &text));
        config.resolve(&folder);
        check::check(
            &config.server,
            config.audit.ship.as_ref(),
            config.budget.shared.as_ref(),
            config.genesys.as_ref(),
            config.publish.as_ref(),
        )
        .map_err(|error| documents.locate(error))?;
        Ok((folder, config, documents))
    }

    /// Makes every path relative to `folder` no longer.
    fn resolve(&mut self, folder: &Path) {
        self.audit.log.directory = folder.join(&self.audit.log.directory);
        self.cost.resolve(folder);
        if let Some(publish) = &mut self.publish {
            publish.resolve(folder);
        }
        if let Some(directory) = &mut self.transform.spill_directory {
            *directory = folder.join(&*directory);
        }
        if let Some(cache) = &mut self.object_cache {
            cache.resolve(folder);
        }
        if let Some(cluster) = &mut self.cluster {
            cluster.resolve(folder);
        }
        self.server.resolve(folder);
        let genesys = self.genesys.as_mut();
        let secrets = genesys
            .map(|genesys| &mut genesys.client_secret)
            .into_iter()
            .chain(self.audit.hash_key.as_mut())
            .chain(self.audit.seal_key.as_mut());
        for secret in secrets {
            secret.resolve(folder);
        }
    }
}

impl Project {
    /// What questions are asked with: the settings of the folder without its actions, or of the file itself. Its policy and its
    /// audit log hold for them too.
    ///
    /// # Errors
    /// [`ErrorCode::ConfigInvalid`] naming file, line and column.
    pub fn for_questions(path: &Path) -> Result<Self, ActionError> {
        let (folder, mut config, documents) = Config::load_with_documents(path)?;
        // Those of its actions, which are not there.
        config.budget.actions.clear();
        let mut project = Self::without_actions(folder, config);
        project.documents = documents;
        project.may_record_beside();
        Ok(project)
    }

    /// What questions are asked with where no configuration is: AWS as its own tools find it, where S3 decides what may be read,
    /// and an audit log in a folder of `state` that no other process writes.
    #[must_use]
    pub fn without_files(state: &Path) -> Self {
        let mut config = Config {
            policy: PolicySettings::of_s3(),
            ..Config::default()
        };
        config.access.mode = AccessMode::Probe;
        let mut project = Self::without_actions(state.to_owned(), config);
        project.record_in(state.join("audit"));
        project
    }

    /// Records go beside the log while another process writes it: a server, or another terminal.
    pub fn may_record_beside(&mut self) {
        self.config.audit.or_beside = true;
    }

    /// Records go to a folder below this one that no other process writes, and not to that of `[audit.log]`.
    pub fn record_in(&mut self, directory: PathBuf) {
        self.config.audit.log.directory = directory;
        self.config.audit.in_free_folder = true;
    }

    fn without_actions(folder: PathBuf, config: Config) -> Self {
        Self {
            folder,
            config,
            actions: BTreeMap::new(),
            broken: BTreeMap::new(),
            documents: Documents::default(),
        }
    }

    /// Loads `path` (a folder with `flowlake.toml`, or the file itself) and the action files beside it. A file that is no action
    /// is in [`Self::broken`]; the builder of a pipeline decides whether that stops anything.
    ///
    /// # Errors
    /// [`ErrorCode::ConfigInvalid`] naming file, line and column of `flowlake.toml`, and for unknown keys the nearest known one.
    pub fn load(path: &Path) -> Result<Self, ActionError> {
        let (folder, config, documents) = Config::load_with_documents(path)?;
        let mut project = Self {
            config,
            documents,
            actions: BTreeMap::new(),
            broken: BTreeMap::new(),
            folder,
        };
        for path in action_files(&project.folder)? {
            if let Err(error) = project.add(&path) {
                let name = path.file_stem().unwrap_or_default().to_string_lossy();
                project.broken.insert(name.into_owned(), error);
            }
        }
        Ok(project)
    }

    /// The files that test actions, by the names of the actions that they are of.
    ///
    /// # Errors
    /// [`ErrorCode::ConfigInvalid`] for a folder that cannot be listed.
    pub fn test_files(&self) -> Result<BTreeMap<String, PathBuf>, ActionError> {
        let files = toml_files(&self.folder.join("actions"))?.into_iter();
        let named = files.filter_map(|path| {
            let name = path.file_name()?.to_str()?.strip_suffix(TEST_SUFFIX)?;
            Some((name.to_owned(), path))
        });
        Ok(named.collect())
    }

    fn add(&mut self, path: &Path) -> Result<(), ActionError> {
        let text = read_file(path)?;
        let definition = ActionDefinition::parse(path, &text)?;
        if self.actions.contains_key(&definition.name) {
            let second = ActionError::new(
                ErrorCode::ConfigInvalid,
                format!("a second action is named `{}`", definition.name),
                "Give each action file its own `name`.",
            );
            return Err(definition.locate(second.at_key(["name"])));
        }
        let document = read_toml(path, &text)?;
        self.documents.add_action(&definition.name, document);
        self.actions.insert(definition.name.clone(), definition);
        Ok(())
    }
}

fn read_file(path: &Path) -> Result<String, ActionError> {
    fs::read_to_string(path).map_err(|error| {
        ActionError::new(
            ErrorCode::ConfigInvalid,
            format!("cannot read {}: {error}", path.display()),
            "Name the folder of flowlake.toml with --config, or make one with `flowlake init`.",
        )
        .with_source(error)
    })
}

/// The action files of a project in order of name.
///
/// # Errors
/// [`ErrorCode::ConfigInvalid`] for a folder that cannot be listed.
pub fn action_files(project: &Path) -> Result<Vec<PathBuf>, ActionError> {
    let mut files = toml_files(&project.join("actions"))?;
    files.retain(|path| !path.to_string_lossy().ends_with(TEST_SUFFIX));
    Ok(files)
}

/// The files of a folder that end in `.toml` and are not hidden, in order of name; a folder that does not exist has none.
fn toml_files(folder: &Path) -> Result<Vec<PathBuf>, ActionError> {
    let unreadable = |error: std::io::Error| {
        ActionError::new(
            ErrorCode::ConfigInvalid,
            format!("cannot list {}: {error}", folder.display()),
            "Make the folder readable.",
        )
        .with_source(error)
    };
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(unreadable(error)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        let is_toml = path.extension().is_some_and(|end| end == "toml");
        // Such as Emacs's lock of a file that somebody writes, a link to nowhere.
        let is_hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        if is_toml && !is_hidden {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
