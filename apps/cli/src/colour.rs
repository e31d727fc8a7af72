//! Colours of a text; [`Terminal`](crate::terminal::Terminal) decides where there are any.

/// Whether text is coloured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Colour(bool);

impl Colour {
    /// For files.
    pub(crate) const NONE: Self = Self(false);

    /// Where there are colours.
    pub(crate) const fn of(is_coloured: bool) -> Self {
        Self(is_coloured)
    }

    /// An error.
    pub(crate) fn alarm(self, text: &str) -> String {
        self.painted("1;31", text)
    }

    /// A remark.
    pub(crate) fn remark(self, text: &str) -> String {
        self.painted("1;36", text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.painted("32", text)
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.painted("31", text)
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.painted("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.painted("2", text)
    }

    fn painted(self, code: &str, text: &str) -> String {
        match self.0 && !text.is_empty() {
            true => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            false => text.to_owned(),
        }
    }
}
