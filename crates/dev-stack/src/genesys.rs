//! Genesys Cloud: the login, and as much of the Platform API as data actions need.

mod actions;
mod api;
mod execute;
mod inputs;
mod json_path;
mod login;
mod organization;
mod paging;
mod reply;
mod settings;
mod state;
mod velocity;

pub use settings::GenesysSettings;
pub use state::Genesys;

pub(crate) use api::ApiFront;
pub(crate) use login::LoginFront;
