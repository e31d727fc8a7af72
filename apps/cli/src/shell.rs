//! `flowlake shell`: questions one after the other, with a line editor.

mod arguments;
mod command;
mod complete;
mod editor;
mod input;
mod known;
mod pager;
mod scan;
mod session;

use std::{
    fs,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::Command as Process,
};

use flowlake_data_action::{ActionError, Environment, ErrorCode, ProcessEnvironment};
use rustyline::error::ReadlineError;
use tokio::task::block_in_place;

pub(crate) use self::arguments::Shell;
use self::{
    command::{Command, help, wrong},
    editor::{LineEditor, editor},
    input::{Input, first_input, without_secrets},
    session::Session,
};
use crate::{
    failure::{Failure, unreadable},
    interrupt::Interrupt,
    output, state,
    terminal::Terminal,
    watch::Watch,
};

const PROMPT: &str = "flowlake> ";
/// How deep files may name files with `\i`.
const MOST_FILES: usize = 16;

pub(crate) async fn shell(config: &Path, arguments: &Shell) -> Result<(), Failure> {
    if !io::stdin().is_terminal() {
        return script(config, arguments).await;
    }
    let interrupt = Interrupt::listen_in_session()?;
    let session = Session::new(config, arguments, interrupt.clone())?;
    let mut editor = editor(session.known.clone(), Terminal::get().stdout).map_err(of_terminal)?;
    let history = opened_history(&mut editor, arguments.history.as_deref());
    output::print("\\? lists the commands; a statement ends with `;`.\n")?;
    let mut conversation = Conversation::new(session);
    conversation.is_interactive = true;
    let left = conversation
        .converse(&mut editor, history, &interrupt)
        .await;
    conversation.session.close().await;
    left
}

/// Statements and commands of a pipe, up to the first failure.
async fn script(config: &Path, arguments: &Shell) -> Result<(), Failure> {
    let interrupt = Interrupt::listen()?;
    let mut conversation = Conversation::new(Session::new(config, arguments, interrupt)?);
    let ended = conversation.piped().await;
    conversation.session.close().await;
    ended
}

/// Loads the history into the editor and returns its file. A history that cannot be used is a remark: the shell works without one.
fn opened_history(editor: &mut LineEditor, named: Option<&Path>) -> Option<PathBuf> {
    let mut opened = || -> Result<PathBuf, String> {
        let path = match named {
            Some(path) => path.to_owned(),
            None => {
                let folder = state::state_folder().map_err(|error| error.message().to_owned())?;
                fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
                folder.join("history")
            }
        };
        match editor.load_history(&path) {
            Err(ReadlineError::Io(error)) if error.kind() == io::ErrorKind::NotFound => Ok(path),
            Err(error) => Err(error.to_string()),
            Ok(()) => Ok(path),
        }
    };
    match opened() {
        Ok(path) => Some(path),
        Err(why) => {
            not_kept(&why);
            None
        }
    }
}

fn not_kept(why: &str) {
    output::note(&format!("typed lines are not kept: {why}"));
}

fn of_terminal(error: ReadlineError) -> Failure {
    Failure::Io(match error {
        ReadlineError::Io(error) => error,
        other => io::Error::other(other),
    })
}

/// Whether the session goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Stay,
    Leave,
}

/// A session and what was typed last.
struct Conversation {
    session: Session,
    /// The last statement.
    last: String,
    /// What the next line begins with: a statement from `\e`.
    draft: String,
    /// Whether somebody types.
    is_interactive: bool,
}

impl Conversation {
    const fn new(session: Session) -> Self {
        Self {
            session,
            last: String::new(),
            draft: String::new(),
            is_interactive: false,
        }
    }

    /// Reads and answers until the end.
    async fn converse(
        &mut self,
        editor: &mut LineEditor,
        mut history: Option<PathBuf>,
        interrupt: &Interrupt,
    ) -> Result<(), Failure> {
        loop {
            let draft = std::mem::take(&mut self.draft);
            let typed = block_in_place(|| editor.readline_with_initial(PROMPT, (&draft, "")));
            let typed = match typed {
                Ok(typed) => typed,
                // What was typed is forgotten.
                Err(ReadlineError::Interrupted) => continue,
                Err(ReadlineError::Eof) => return Ok(()),
                Err(error) => return Err(of_terminal(error)),
            };
            if typed.trim().is_empty() {
                continue;
            }
            let kept = without_secrets(&self.session.known, &typed);
            editor.add_history_entry(kept).map_err(of_terminal)?;
            let written = history.as_deref().map(|path| editor.append_history(path));
            if let Some(Err(error)) = written {
                not_kept(&error.to_string());
                history = None;
            }
            let lines = editor.dimensions().map(|(_, lines)| usize::from(lines));
            self.session.screen.lines = lines;
            interrupt.renew();
            let answered = Box::pin(self.all(&typed, 0)).await;
            interrupt.work_is_done();
            match answered {
                Ok(Next::Stay) => {}
                Ok(Next::Leave) => return Ok(()),
                // A failure does not end the session.
                Err(failure) => drop(failure.report(false)),
            }
            if let Some(code) = interrupt.is_ending() {
                self.session.close().await;
                interrupt.end(code);
            }
        }
    }

    /// Answers what a pipe brings, each statement as soon as it is whole: who writes may wait for the answer.
    async fn piped(&mut self) -> Result<(), Failure> {
        let mut text = String::new();
        loop {
            let begin = text.len();
            let read = block_in_place(|| io::stdin().read_line(&mut text));
            let read = read.map_err(|error| unreadable(Path::new("standard input"), &error))?;
            let is_last = read == 0;
            // Only such a line can end anything; a word such as `quit` is one by itself.
            let is_end = text[begin..].contains([';', '\\']) || begin == 0;
            let may_end = is_end && scan::is_whole(&text);
            if may_end || is_last {
                let typed = std::mem::take(&mut text);
                let next = Box::pin(self.all(&typed, 0)).await?;
                if is_last || next == Next::Leave {
                    return Ok(());
                }
            }
        }
    }

    /// Answers all statements and commands of a text.
    async fn all(&mut self, text: &str, depth: usize) -> Result<Next, Failure> {
        let mut rest = text;
        while !scan::is_blank(rest) {
            let (input, after) = first_input(rest);
            rest = after;
            match input {
                // Another `;` behind a statement.
                Input::Statement("") => {}
                Input::Statement("exit" | "quit") => return Ok(Next::Leave),
                Input::Statement("help") => self.session.screen.show(&help())?,
                Input::Statement(sql) => {
                    sql.clone_into(&mut self.last);
                    self.session.ask(sql, None, None).await?;
                }
                Input::Command { before, command } => {
                    if !scan::is_blank(before) {
                        before.trim().clone_into(&mut self.last);
                    }
                    let command = Command::parse(command).map_err(wrong)?;
                    if Box::pin(self.command(command, depth)).await? == Next::Leave {
                        return Ok(Next::Leave);
                    }
                }
            }
        }
        Ok(Next::Stay)
    }

    async fn command(&mut self, command: Command, depth: usize) -> Result<Next, Failure> {
        let session = &mut self.session;
        match command {
            Command::Help => session.screen.show(&help())?,
            Command::Describe(Some(name)) => session.describe(&name).await?,
            Command::Describe(None) => {
                let shown = session.tables() + &session.actions();
                session.screen.show(&shown)?;
            }
            Command::Tables => session.screen.show(&session.tables())?,
            Command::Table(table) => session.declare(table.0, table.1),
            Command::Set(param) => session.set(param),
            Command::Unset(name) => {
                if !session.unset(&name) {
                    return Err(wrong(format!("${name} is not set")));
                }
            }
            Command::Run { action, params } => session.run(&action, &params).await?,
            Command::Go(to) => {
                let sql = self.asked()?;
                self.session.ask(&sql, to.as_deref(), None).await?;
            }
            Command::Watch(pause) => {
                let sql = self.asked()?;
                self.watch(&sql, pause).await?;
            }
            Command::Edit if self.is_interactive => self.draft = edited(&self.last)?,
            Command::Edit => return Err(wrong("\\e is for a terminal".to_owned())),
            Command::Include(path) => {
                if depth == MOST_FILES {
                    return Err(wrong(format!("{}: files name each other", path.display())));
                }
                let text = fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
                return Box::pin(self.all(&text, depth + 1)).await;
            }
            Command::Output(path) => session.write_to(path)?,
            Command::Expanded(on) => switched("expanded", &mut session.switches.expanded, on)?,
            Command::Timing(on) => switched("timing", &mut session.switches.timing, on)?,
            Command::Trace(on) => switched("trace", &mut session.switches.trace, on)?,
            Command::Reset => self.last.clear(),
            Command::Quit => return Ok(Next::Leave),
        }
        Ok(Next::Stay)
    }

    /// Answers whenever the answer would be another one, until Ctrl-C.
    async fn watch(&mut self, sql: &str, pause: std::time::Duration) -> Result<(), Failure> {
        let stopped = self.session.interrupt.work();
        let mut watch = Watch::default();
        loop {
            let answered = self.session.ask(sql, None, Some(&mut watch)).await;
            if self.is_interactive && stopped.is_cancelled() {
                return Ok(());
            }
            if let Err(failure) = answered {
                watch.outlive(failure)?;
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = stopped.cancelled() => return Ok(()),
            }
        }
    }

    /// The last statement, which a command repeats.
    fn asked(&self) -> Result<String, Failure> {
        match self.last.is_empty() {
            true => Err(wrong("there is no statement yet".to_owned())),
            false => Ok(self.last.clone()),
        }
    }
}

fn switched(name: &str, switch: &mut bool, on: Option<bool>) -> Result<(), Failure> {
    *switch = on.unwrap_or(!*switch);
    let state = if *switch { "on" } else { "off" };
    output::print(&format!("{name} is {state}\n"))?;
    Ok(())
}

/// A statement as somebody changed it in an editor.
fn edited(text: &str) -> Result<String, Failure> {
    let named = ["VISUAL", "EDITOR"].into_iter();
    let editor = named.filter_map(|name| ProcessEnvironment.get(name)).next();
    let editor = editor.unwrap_or_else(|| "vi".to_owned());
    let file = tempfile::Builder::new().suffix(".sql").tempfile()?;
    fs::write(file.path(), text)?;
    let ended = Process::new("/bin/sh")
        .arg("-c")
        .arg(format!("{editor} \"$1\""))
        .arg("sh")
        .arg(file.path())
        .status()?;
    if !ended.success() {
        return Err(ActionError::new(
            ErrorCode::ConfigInvalid,
            format!("`{editor}` failed: the statement is as it was"),
            "Set $EDITOR to an editor that is installed.",
        )
        .into());
    }
    let text = fs::read_to_string(file.path()).map_err(|error| unreadable(file.path(), &error))?;
    Ok(text.trim_end().to_owned())
}
