//! What can be typed after `flowlake access`.

use clap::{Args, Subcommand};

#[derive(Debug, Subcommand)]
pub(crate) enum AccessCommand {
    /// Say why a client may run an action, or why not (exit code 3)
    Explain(Explain),
}

#[derive(Debug, Args)]
pub(crate) struct Explain {
    /// The client's name in [[server.clients]] or [[server.keys]]
    #[arg(long = "as", value_name = "CLIENT")]
    pub(super) client: String,
    /// The action's name
    pub(super) action: String,
}
