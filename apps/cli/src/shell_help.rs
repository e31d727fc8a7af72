//! What shells, `man` and editors know of flowlake: made of what can be typed and of the types that read the files.

use std::io;

use clap::Command;
use clap_mangen::Man;
use flowlake_data_action::{ActionError, ErrorCode, action_schema, config_schema};

use crate::{
    arguments::{Completions, ManPage, SchemaFile, SchemaOf},
    failure::Failure,
    output, reference,
};

/// Prints the JSON Schema of a file, or the page that is made of it.
pub(crate) fn schema(arguments: &SchemaOf) -> Result<(), Failure> {
    let (schema, title) = match arguments.file {
        SchemaFile::Config => (config_schema(), "Keys of flowlake.toml"),
        SchemaFile::Action => (action_schema(), "Keys of action files"),
    };
    if arguments.markdown {
        return Ok(output::print(&reference::page(&schema, title))?);
    }
    Ok(output::print(&format!("{schema:#}\n"))?)
}

/// Prints the script; `command` is all that can be typed.
pub(crate) fn completions(arguments: &Completions, mut command: Command) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "flowlake", &mut script);
    print(script)
}

/// Prints a page, or writes all of them; `command` is all that can be typed.
pub(crate) fn man(arguments: &ManPage, command: Command) -> Result<(), Failure> {
    let mut all = command.disable_help_subcommand(true);
    all.build();
    if let Some(folder) = &arguments.to {
        std::fs::create_dir_all(folder)?;
        clap_mangen::generate_to(all, folder)?;
        return Ok(());
    }
    let mut command = &all;
    for name in &arguments.command {
        command = command.find_subcommand(name).ok_or_else(|| {
            let known = command
                .get_subcommands()
                .filter(|known| !known.is_hide_set());
            let known: Vec<_> = known.map(Command::get_name).collect();
            ActionError::new(
                ErrorCode::ConfigInvalid,
                format!("there is no command `{name}`"),
                match known.is_empty() {
                    true => "Leave it out.".to_owned(),
                    false => format!("Name one of {}.", known.join(", ")),
                },
            )
        })?;
    }
    let mut page = Vec::new();
    Man::new(command.clone()).render(&mut page)?;
    print(page)
}

fn print(text: Vec<u8>) -> Result<(), Failure> {
    let text = String::from_utf8(text).map_err(io::Error::other)?;
    Ok(output::print(&text)?)
}
