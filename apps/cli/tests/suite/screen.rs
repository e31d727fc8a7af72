//! A terminal of its own for a program: what is typed, and what is seen.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot be set up has failed"
)]

use std::{
    fs::File,
    io::{Read, Write},
    process::{Child, Command, ExitStatus},
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};

use nix::{
    pty::{Winsize, openpty},
    sys::termios::{LocalFlags, tcgetattr},
};

/// Longest wait for anything: far longer than a machine that does other things besides needs.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) const UP: &str = "\u{1b}[A";
pub(crate) const CTRL_C: &str = "\u{3}";
pub(crate) const CTRL_D: &str = "\u{4}";

/// Stands in what is seen for the sequence with which a line editor begins to listen.
pub(crate) const READY: &str = "<ready>";
const LISTENS: &str = "?2004h";

/// A program at its terminal.
pub(crate) struct Screen {
    child: Child,
    keyboard: File,
    seen: Arc<(Mutex<Seen>, Condvar)>,
    /// How much of what was seen was looked at.
    looked_at: usize,
}

#[derive(Default)]
struct Seen {
    bytes: Vec<u8>,
    /// Whether the program has closed the terminal.
    is_over: bool,
}

impl Screen {
    /// Starts a program at a terminal of 24 lines and 80 columns.
    pub(crate) fn start(program: &Command) -> Self {
        let size = Winsize {
            ws_row: 24,
            ws_col: 80,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pair = openpty(&size, None).unwrap();
        // `setsid` of util-linux makes the terminal the one that Ctrl-C comes from.
        let mut command = Command::new("setsid");
        command
            .arg("--ctty")
            .arg(program.get_program())
            .args(program.get_args())
            .env_clear()
            .env("TERM", "xterm")
            .env("PATH", "/usr/bin:/bin");
        if let Some(folder) = program.get_current_dir() {
            command.current_dir(folder);
        }
        for (name, value) in program.get_envs() {
            command.env(name, value.unwrap_or_default());
        }
        let slave = File::from(pair.slave);
        command
            .stdin(slave.try_clone().unwrap())
            .stdout(slave.try_clone().unwrap())
            .stderr(slave);
        let child = command
            .spawn()
            .expect("these tests need setsid of util-linux");
        // It holds the other end of the terminal.
        drop(command);
        let keyboard = File::from(pair.master);
        let seen = Arc::<(Mutex<Seen>, Condvar)>::default();
        let (mut screen, shared) = (keyboard.try_clone().unwrap(), Arc::clone(&seen));
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            loop {
                let length = screen.read(&mut piece).unwrap_or_default();
                // What tests put out is searched for secrets.
                std::io::stderr().write_all(&piece[..length]).ok();
                let mut seen = shared.0.lock().unwrap();
                seen.bytes.extend_from_slice(&piece[..length]);
                seen.is_over = length == 0;
                shared.1.notify_all();
                if length == 0 {
                    break;
                }
            }
        });
        Self {
            child,
            keyboard,
            seen,
            looked_at: 0,
        }
    }

    pub(crate) fn send(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until a text is seen behind what was looked at before; gives what was seen before it.
    pub(crate) fn expect(&mut self, text: &str) -> String {
        let (seen, changed) = &*self.seen;
        let mut seen = seen.lock().unwrap();
        loop {
            let shown = plain(&seen.bytes);
            let unseen = &shown[self.looked_at..];
            if let Some(at) = unseen.find(text) {
                let before = unseen[..at].to_owned();
                self.looked_at += at + text.len();
                return before;
            }
            assert!(
                !seen.is_over,
                "`{text}` is not seen before the end:\n{unseen}"
            );
            let (now, waited) = changed.wait_timeout(seen, PATIENCE).unwrap();
            assert!(!waited.timed_out(), "`{text}` is not seen:\n{unseen}");
            seen = now;
        }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether the terminal gathers lines and hears Ctrl-C itself, as it does for programs that are no line editors.
    pub(crate) fn is_cooked(&self) -> bool {
        let flags = tcgetattr(&self.keyboard).unwrap().local_flags;
        flags.contains(LocalFlags::ICANON | LocalFlags::ISIG | LocalFlags::ECHO)
    }

    /// How the program ended.
    pub(crate) fn ended(&mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

/// A text without the sequences that move and colour; what is not whole at its end is left out.
fn plain(bytes: &[u8]) -> String {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap(),
    };
    let mut plain = String::new();
    let mut rest = text;
    while let Some((before, sequence)) = rest.split_once("\u{1b}") {
        plain += before;
        let Some(sequence) = sequence.strip_prefix('[') else {
            rest = sequence;
            continue;
        };
        // Up to the letter that says what the sequence does.
        let Some(end) = sequence.find(|c: char| c.is_ascii_alphabetic()) else {
            return plain;
        };
        if &sequence[..=end] == LISTENS {
            plain += READY;
        }
        rest = &sequence[end + 1..];
    }
    plain + rest
}
