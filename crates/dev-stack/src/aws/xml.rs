//! Just enough XML to write the answers of the query protocol.

/// A tree under way.
#[derive(Debug, Default)]
pub(crate) struct Xml(String);

impl Xml {
    /// `<name>text</name>`, escaped.
    pub(crate) fn text(&mut self, name: &str, text: &str) -> &mut Self {
        self.0
            .push_str(&format!("<{name}>{}</{name}>", escape(text)));
        self
    }

    /// An element with children.
    pub(crate) fn node(&mut self, name: &str, children: impl FnOnce(&mut Self)) -> &mut Self {
        self.0.push_str(&format!("<{name}>"));
        children(self);
        self.0.push_str(&format!("</{name}>"));
        self
    }

    /// `<name><member>…</member>…</name>`.
    pub(crate) fn members<T>(
        &mut self,
        name: &str,
        items: impl IntoIterator<Item = T>,
        mut write: impl FnMut(&mut Self, T),
    ) -> &mut Self {
        self.node(name, |list| {
            for item in items {
                list.node("member", |member| write(member, item));
            }
        })
    }

    /// A bare text between tags.
    pub(crate) fn raw_text(&mut self, text: &str) -> &mut Self {
        self.0.push_str(&escape(text));
        self
    }

    pub(crate) fn into_string(self) -> String {
        self.0
    }
}

fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            other => out.push(other),
        }
    }
    out
}
