//! `flowlake profile`: the figures of a running server, drawn again and again until somebody leaves.

use std::{
    io::{self, IsTerminal, Read, Write},
    path::Path,
    thread,
};

use flowlake_data_action::{ActionError, Config, ErrorCode};
use serde_json::Value;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use url::Url;

use super::{
    arguments::Profile,
    source::{ask, unreadable},
    view::View,
};
use crate::{failure::Failure, interrupt::Interrupt, output, terminal::Terminal};

/// Where the server shows operators all of its figures.
const PATH: &str = "/v1/status";
/// A screen of its own, without a cursor; and the one that was there before.
const ENTER: &str = "\u{1b}[?1049h\u{1b}[?25l";
const LEAVE: &str = "\u{1b}[?25h\u{1b}[?1049l";
/// To the first place, and behind what is drawn, nothing.
const HOME: &str = "\u{1b}[H";
const CLEAR_LINE: &str = "\u{1b}[K";
const CLEAR_BELOW: &str = "\u{1b}[J";

pub(crate) async fn profile(config: &Path, arguments: &Profile) -> Result<(), Failure> {
    let url = address(config, arguments.server.as_deref())?;
    let place = url.origin().ascii_serialization();
    let interrupt = Interrupt::listen()?;
    let status = status(&url).await?;
    let mut view = View::default();
    view.note(&status);
    if arguments.once || !io::stdout().is_terminal() {
        let colour = Terminal::get().stdout;
        output::print(&view.draw(&status, &place, None, None, colour))?;
        return Ok(());
    }
    // From here on a signal ends the view, which leaves the terminal as it was.
    interrupt.work_begins();
    let ended = interrupt.work();
    let mut keys = Keys::listen()?;
    let screen = OwnScreen::enter()?;
    let (mut status, mut problem) = (status, None);
    let mut looks = tokio::time::interval(arguments.every);
    looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    looks.tick().await;
    loop {
        screen.show(&view.draw(
            &status,
            &place,
            problem.as_deref(),
            size(),
            Terminal::get().stdout,
        ))?;
        tokio::select! {
            () = ended.cancelled() => break,
            Some(key) = keys.pressed.recv() => {
                if view.key(key) {
                    break;
                }
            }
            _ = looks.tick() => match self::status(&url).await {
                Ok(found) => {
                    view.note(&found);
                    (status, problem) = (found, None);
                }
                Err(error) => problem = Some(error.message().to_owned()),
            }
        }
    }
    drop(screen);
    drop(keys);
    interrupt.work_is_done();
    Ok(())
}

/// The server's address for operators: as it is given, or as the configuration has it.
fn address(config: &Path, given: Option<&str>) -> Result<Url, ActionError> {
    let advice =
        "Name it, such as http://127.0.0.1:9090, or set `admin` in [server] of flowlake.toml.";
    let admin = match given {
        Some(given) => given.to_owned(),
        None => {
            let (_, config) = Config::load(config)?;
            config.server.admin.ok_or_else(|| {
                ActionError::new(
                    ErrorCode::ConfigInvalid,
                    "the server has no address for operators",
                    advice,
                )
            })?
        }
    };
    let text = match admin.contains("://") {
        true => admin,
        false => format!("http://{admin}"),
    };
    let url = Url::parse(&text).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    let mut url = url.ok_or_else(|| {
        let what = format!("`{text}` is no address of a server");
        ActionError::new(ErrorCode::ConfigInvalid, what, advice)
    })?;
    url.set_path(PATH);
    Ok(url)
}

async fn status(url: &Url) -> Result<Value, ActionError> {
    let text = ask(url).await?;
    let status: Value =
        serde_json::from_str(&text).map_err(|error| unreadable(url.as_str(), error))?;
    match status["profile"].is_object() {
        true => Ok(status),
        false => Err(unreadable(url.as_str(), "there is no member `profile`")),
    }
}

/// Columns and lines of the terminal.
fn size() -> Option<(usize, usize)> {
    let (width, height) = crossterm::terminal::size().ok()?;
    Some((width.into(), height.into()))
}

/// A screen of its own, until it is dropped.
struct OwnScreen;

impl OwnScreen {
    fn enter() -> io::Result<Self> {
        output::print(ENTER)?;
        Ok(Self)
    }

    fn show(&self, text: &str) -> io::Result<()> {
        // Line by line over what was there, so that nothing flickers.
        let lines: Vec<_> = text
            .lines()
            .map(|line| format!("{line}{CLEAR_LINE}"))
            .collect();
        output::print(&format!("{HOME}{}{CLEAR_BELOW}", lines.join("\r\n")))
    }
}

impl Drop for OwnScreen {
    fn drop(&mut self) {
        let mut stdout = io::stdout().lock();
        let _ = stdout.write_all(LEAVE.as_bytes());
        let _ = stdout.flush();
    }
}

/// The keys that are pressed, each as it comes, until it is dropped.
struct Keys {
    pressed: UnboundedReceiver<u8>,
    #[cfg(unix)]
    before: Option<nix::sys::termios::Termios>,
}

impl Keys {
    fn listen() -> io::Result<Self> {
        let (sender, pressed) = unbounded_channel();
        let keys = Self {
            pressed,
            #[cfg(unix)]
            before: one_by_one()?,
        };
        thread::spawn(move || {
            let mut key = [0];
            while let Ok(1) = io::stdin().read(&mut key) {
                if sender.send(key[0]).is_err() {
                    break;
                }
            }
        });
        Ok(keys)
    }
}

/// Lets the terminal give keys one by one and not show them. Ctrl-C stays a signal.
#[cfg(unix)]
fn one_by_one() -> io::Result<Option<nix::sys::termios::Termios>> {
    use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};

    let Ok(before) = tcgetattr(io::stdin()) else {
        return Ok(None);
    };
    let mut settings = before.clone();
    settings
        .local_flags
        .remove(LocalFlags::ICANON | LocalFlags::ECHO);
    tcsetattr(io::stdin(), SetArg::TCSANOW, &settings)?;
    Ok(Some(before))
}

#[cfg(unix)]
impl Drop for Keys {
    fn drop(&mut self) {
        use nix::sys::termios::{SetArg, tcsetattr};

        if let Some(before) = &self.before {
            let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, before);
        }
    }
}
