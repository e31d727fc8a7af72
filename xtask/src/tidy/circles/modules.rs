//! The modules of one crate, and which of them needs which.

use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
};

use super::reader::{Token, is_word, tokens};

/// A module's path in its crate; the root's is empty.
pub(super) type Name = Vec<String>;

/// One file that is a module of the crate.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: PathBuf,
    pub(super) name: Name,
    text: Reading,
}

/// A path in the text: of an import, or of an expression or type.
#[derive(Debug)]
struct Mention {
    /// The module that it is in: the file's, or one written out in the file.
    within: Name,
    segments: Vec<String>,
    line: usize,
    import: Option<Import>,
}

#[derive(Debug)]
struct Import {
    /// What the imported thing is called here; `*` for everything.
    local: String,
    is_reexport: bool,
}

/// The files of one crate by the module that they are.
#[derive(Debug)]
pub(super) struct Crate {
    pub(super) files: Vec<File>,
    /// Which file a module is in.
    modules: BTreeMap<Name, usize>,
    /// What a name in a module stands for.
    aliases: BTreeMap<(Name, String), Vec<String>>,
}

/// The module in which something was found, and whether it is that module itself.
struct Found {
    module: Name,
    is_module: bool,
}

impl Crate {
    /// Reads a crate from its root; `text` gives a file, if there is one.
    pub(super) fn read(root: &Path, text: &dyn Fn(&Path) -> Option<String>) -> Self {
        let mut files = Vec::new();
        let folder = root.parent().unwrap_or(root).to_owned();
        let mut waiting = vec![(root.to_owned(), folder, Name::new())];
        while let Some((path, folder, name)) = waiting.pop() {
            let Some(text) = text(&path) else { continue };
            let text = Reading::of(&tokens(&text), &name);
            for child in &text.declared {
                let inside = child[name.len()..].join("/");
                let below = folder.join(&inside);
                // One of the two is there.
                for path in [folder.join(format!("{inside}.rs")), below.join("mod.rs")] {
                    waiting.push((path, below.clone(), child.clone()));
                }
            }
            files.push(File { path, name, text });
        }
        files.sort_by(|a, b| a.name.cmp(&b.name));
        let mut modules = BTreeMap::new();
        let mut aliases = BTreeMap::new();
        for (index, file) in files.iter().enumerate() {
            modules.insert(file.name.clone(), index);
            modules.extend(
                file.text
                    .written_out
                    .iter()
                    .map(|name| (name.clone(), index)),
            );
            for mention in &file.text.mentions {
                if let Some(import) = &mention.import {
                    let here = (mention.within.clone(), import.local.clone());
                    aliases.insert(here, mention.segments.clone());
                }
            }
        }
        Self {
            files,
            modules,
            aliases,
        }
    }

    /// For each file the files that it needs, with the first line that says so.
    pub(super) fn edges(&self) -> Vec<BTreeMap<usize, usize>> {
        let edges = self.files.iter().enumerate().map(|(index, file)| {
            let mut needs = BTreeMap::new();
            for mention in &file.text.mentions {
                if let Some(needed) = self.needed(file, mention)
                    && needed != index
                {
                    let line = needs.entry(needed).or_insert(mention.line);
                    *line = mention.line.min(*line);
                }
            }
            needs
        });
        edges.collect()
    }

    /// The file that a mention makes its own file need.
    fn needed(&self, file: &File, mention: &Mention) -> Option<usize> {
        let found = self.find(&mention.within, &mention.segments, 0)?;
        let only_declares = mention.import.as_ref().is_some_and(|import| {
            let only_passed_on = import.is_reexport
                && found.module.starts_with(&file.name)
                && !file.text.named.contains(&import.local);
            let is_prefix = found.is_module && !import.is_reexport && import.local != "*";
            only_passed_on || is_prefix
        });
        if only_declares {
            return None;
        }
        self.modules.get(&found.module).copied()
    }

    /// Follows a path that is written in a module; nothing when it leads out of the crate or stays in its own module.
    fn find(&self, within: &[String], segments: &[String], depth: usize) -> Option<Found> {
        let (first, mut rest) = segments.split_first()?;
        let mut module: Name = within.to_vec();
        match first.as_str() {
            "crate" => module.clear(),
            "self" => {}
            "super" => {
                module.pop()?;
                while let Some(("super", after)) = rest
                    .split_first()
                    .map(|(first, after)| (first.as_str(), after))
                {
                    module.pop()?;
                    rest = after;
                }
            }
            _ => rest = segments,
        }
        let is_relative = rest.len() == segments.len();
        for (index, segment) in rest.iter().enumerate() {
            module.push(segment.clone());
            if self.modules.contains_key(&module) {
                continue;
            }
            module.pop();
            let Some(target) = self.aliases.get(&(module.clone(), segment.clone())) else {
                // A bare name that is neither a module nor imported here is of another crate, or an item of this module.
                return (!is_relative || index > 0).then_some(Found {
                    module,
                    is_module: false,
                });
            };
            // `use a::a;` stands for itself, and two files may pass a name on to each other.
            if depth > 8 || (module == within && target == segments) {
                return None;
            }
            let target: Vec<_> = target.iter().chain(&rest[index + 1..]).cloned().collect();
            return self.find(&module, &target, depth + 1);
        }
        Some(Found {
            module,
            is_module: true,
        })
    }
}

/// What one file says.
#[derive(Debug, Default)]
struct Reading {
    mentions: Vec<Mention>,
    /// What is named outside of imports.
    named: HashSet<String>,
    /// Modules that are in the file.
    written_out: Vec<Name>,
    /// Modules that are in files of their own.
    declared: Vec<Name>,
}

impl Reading {
    fn of(tokens: &[Token<'_>], name: &[String]) -> Self {
        let mut reading = Self::default();
        let mut within = name.to_vec();
        // The depth of braces at which each written out module began.
        let mut began = Vec::new();
        let mut depth = 0_usize;
        let mut at = 0;
        while at < tokens.len() {
            let text = |offset: usize| tokens.get(at + offset).map_or("", |token| token.text);
            match text(0) {
                "mod" if text(2) == ";" => {
                    let child = [&within[..], &[text(1).to_owned()]].concat();
                    reading.declared.push(child);
                    at += 3;
                }
                "mod" if text(2) == "{" => {
                    within.push(text(1).to_owned());
                    reading.written_out.push(within.clone());
                    began.push(depth);
                    depth += 1;
                    at += 3;
                }
                "use" if at == 0 || text(1) != "<" => {
                    let is_reexport = is_public(&tokens[..at]);
                    at = reading.import(tokens, at + 1, &within, is_reexport);
                }
                "{" => {
                    depth += 1;
                    at += 1;
                }
                "}" => {
                    depth = depth.saturating_sub(1);
                    if began.last() == Some(&depth) {
                        began.pop();
                        within.pop();
                    }
                    at += 1;
                }
                word if is_word(word) => at = reading.path(tokens, at, &within),
                _ => at += 1,
            }
        }
        reading
    }

    /// A word, or a path of several; returns where it ends.
    fn path(&mut self, tokens: &[Token<'_>], start: usize, within: &[String]) -> usize {
        let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
        let before = start.checked_sub(1).map_or("", text);
        let mut segments = vec![text(start).to_owned()];
        let mut at = start + 1;
        while text(at) == "::" && is_word(text(at + 1)) {
            segments.push(text(at + 1).to_owned());
            at += 2;
        }
        if before == "." || before == "::" || (before == "in" && text(start - 2) == "(") {
            return at;
        }
        if before != "fn" {
            self.named.insert(segments[0].clone());
        }
        if segments.len() > 1 {
            self.mentions.push(Mention {
                within: within.to_vec(),
                segments,
                line: tokens[start].line,
                import: None,
            });
        }
        at
    }

    /// The tree of one `use`; returns where it ends.
    fn import(
        &mut self,
        tokens: &[Token<'_>],
        start: usize,
        within: &[String],
        is_reexport: bool,
    ) -> usize {
        let mut prefixes: Vec<Vec<String>> = Vec::new();
        let mut segments: Vec<String> = Vec::new();
        let mut line = 0;
        let mut renamed = None;
        let mut at = start;
        loop {
            let text = tokens.get(at).map_or(";", |token| token.text);
            match text {
                "{" => prefixes.push(std::mem::take(&mut segments)),
                "," | "}" | ";" => {
                    if !segments.is_empty() {
                        let mut whole: Vec<_> = prefixes.concat();
                        whole.append(&mut segments);
                        if whole.len() > 1 && whole.last().is_some_and(|last| last == "self") {
                            whole.pop();
                        }
                        let is_glob = whole.last().is_some_and(|last| last == "*");
                        let local = renamed.take().or_else(|| whole.last().cloned());
                        if is_glob {
                            whole.pop();
                        }
                        self.mentions.push(Mention {
                            within: within.to_vec(),
                            segments: whole,
                            line,
                            import: local.map(|local| Import { local, is_reexport }),
                        });
                    }
                    if text == "}" {
                        prefixes.pop();
                    }
                    if text == ";" {
                        return at + 1;
                    }
                }
                "as" => {
                    at += 1;
                    renamed = tokens.get(at).map(|token| token.text.to_owned());
                }
                "::" => {}
                word => {
                    segments.push(word.to_owned());
                    line = tokens[at].line;
                }
            }
            at += 1;
        }
    }
}

/// Whether what follows these tokens is `pub`, `pub(crate)` or the like.
fn is_public(before: &[Token<'_>]) -> bool {
    let texts = before.iter().rev().map(|token| token.text);
    let mut texts = texts.take(6);
    match texts.next() {
        Some("pub") => true,
        Some(")") => texts.skip_while(|text| *text != "(").nth(1) == Some("pub"),
        _ => false,
    }
}
