//! The public API of one crate as sorted lines, from rustdoc's JSON and the sources that it points into.
//!
//! The JSON says which items are public and where; their text is taken from the source, so a line reads as the code does.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::{Context, Result};
use serde_json::Value;

/// Crates whose types everybody has.
const STANDARD: [&str; 3] = ["alloc", "core", "std"];

/// What a crate shows to others.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// One line for each item, sorted.
    pub(super) lines: BTreeSet<String>,
    /// Crates whose types, traits or items are part of it.
    pub(super) foreign: BTreeSet<String>,
}

/// Lists what the JSON of a crate describes; `root` is the folder that its paths are relative to.
///
/// # Errors
/// JSON of another form, and sources that cannot be read.
pub(super) fn listing(json: &Value, root: &Path) -> Result<Listing> {
    let mut lister = Lister {
        json,
        root,
        sources: BTreeMap::new(),
        seen: BTreeSet::new(),
        found: Listing::default(),
    };
    let top = lister
        .item(&json["root"])
        .context("rustdoc names no root")?;
    let name = top["name"].as_str().context("the crate has no name")?;
    lister.module(top, name)?;
    Ok(lister.found)
}

struct Lister<'a> {
    json: &'a Value,
    root: &'a Path,
    /// Sources that were read, by path.
    sources: BTreeMap<String, String>,
    /// Items under a path that have been listed: a module may be re-exported within itself.
    seen: BTreeSet<(String, String)>,
    found: Listing,
}

impl<'a> Lister<'a> {
    fn item(&self, id: &Value) -> Option<&'a Value> {
        item(self.json, id)
    }

    fn module(&mut self, module: &'a Value, path: &str) -> Result<()> {
        for id in ids(&module["inner"]["module"]["items"]) {
            if let Some(item) = self.item(id).filter(|item| is_public(item)) {
                self.member(id, item, path, None)?;
            }
        }
        Ok(())
    }

    /// An item of a module, under another name where it is re-exported.
    fn member(
        &mut self,
        id: &Value,
        item: &'a Value,
        path: &str,
        name: Option<&str>,
    ) -> Result<()> {
        let (kind, inner) = kind(item)?;
        if kind == "use" {
            let target = &inner["id"];
            return match self.item(target) {
                Some(module) if inner["is_glob"] == true => self.module(module, path),
                Some(of_ours) => self.member(target, of_ours, path, inner["name"].as_str()),
                None => {
                    self.note(target);
                    let source = inner["source"].as_str().unwrap_or_default();
                    let name = inner["name"].as_str().unwrap_or_default();
                    self.line(format!("{path}::{name}: pub use {source}"));
                    Ok(())
                }
            };
        }
        let name = name.or(item["name"].as_str()).unwrap_or_default();
        let path = format!("{path}::{name}");
        if !self.seen.insert((path.clone(), id.to_string())) {
            return Ok(());
        }
        if kind == "module" {
            return self.module(item, &path);
        }
        self.text_line(&path, item)?;
        self.note_types(inner);
        for list in [
            &inner["kind"]["plain"]["fields"],
            &inner["kind"]["tuple"],
            &inner["variants"],
            &inner["items"],
        ] {
            self.parts(list, &path)?;
        }
        for id in ids(&inner["impls"]) {
            if let Some(block) = self.item(id) {
                self.block(block, &path)?;
            }
        }
        Ok(())
    }

    /// Fields, variants, and items of traits.
    fn parts(&mut self, list: &'a Value, path: &str) -> Result<()> {
        for part in ids(list) {
            let Some(part) = self.item(part) else {
                continue;
            };
            let (kind, inner) = kind(part)?;
            let named = part["name"].as_str().unwrap_or_default();
            let path = format!("{path}::{named}");
            self.text_line(&path, part)?;
            self.note_types(inner);
            if kind == "variant" {
                self.variant(inner);
            }
        }
        Ok(())
    }

    /// The types of a variant's fields; its text has their names.
    fn variant(&mut self, inner: &'a Value) {
        for list in [&inner["kind"]["tuple"], &inner["kind"]["struct"]["fields"]] {
            let json = self.json;
            for field in ids(list).filter_map(|id| item(json, id)) {
                self.note_types(&field["inner"]);
            }
        }
    }

    /// An `impl` of a type: its public items, or the trait that it implements.
    fn block(&mut self, block: &'a Value, path: &str) -> Result<()> {
        let (_, inner) = kind(block)?;
        if inner["is_synthetic"] == true || !inner["blanket_impl"].is_null() {
            return Ok(());
        }
        let implemented = &inner["trait"];
        if implemented.is_null() {
            for id in ids(&inner["items"]) {
                let Some(item) = self.item(id).filter(|item| is_public(item)) else {
                    continue;
                };
                let name = item["name"].as_str().unwrap_or_default();
                self.text_line(&format!("{path}::{name}"), item)?;
                let (_, inner) = kind(item)?;
                self.note_types(inner);
            }
            return Ok(());
        }
        let name = implemented["path"].as_str().unwrap_or_default();
        // What `derive(PartialEq)` adds for the compiler.
        if name.ends_with("StructuralPartialEq") {
            return Ok(());
        }
        let header = self.text(block)?;
        // Of a derived one, the source has no more than the trait's name.
        if header.starts_with("impl") {
            self.line(format!("{path}: {header}"));
        } else {
            let name = name.rsplit("::").next().unwrap_or(name);
            self.line(format!("{path}: impl {name}"));
        }
        self.note_types(implemented);
        Ok(())
    }

    fn text_line(&mut self, path: &str, item: &Value) -> Result<()> {
        let text = self.text(item)?;
        self.line(format!("{path}: {text}"));
        Ok(())
    }

    fn line(&mut self, line: String) {
        self.found.lines.insert(line);
    }

    /// The source of an item without its body, on one line.
    fn text(&mut self, item: &Value) -> Result<String> {
        let span = &item["span"];
        let file = span["filename"].as_str().context("an item has no place")?;
        if !self.sources.contains_key(file) {
            let path = self.root.join(file);
            let text = std::fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))?;
            self.sources.insert(file.to_owned(), text);
        }
        let source = &self.sources[file];
        let (start, end) = (offset(source, &span["begin"]), offset(source, &span["end"]));
        let text = source.get(start..end).unwrap_or_default();
        let (kind, _) = kind(item)?;
        // Of what a macro makes, the source has the call alone.
        if text
            .split(['{', '(', '['])
            .next()
            .is_some_and(|first| first.trim_end().ends_with('!'))
        {
            return Ok(format!("{kind} (made by a macro)"));
        }
        Ok(header(text, kind))
    }

    /// Notes the crates of all types and traits in a signature.
    fn note_types(&mut self, value: &Value) {
        match value {
            Value::Object(members) => {
                if members.contains_key("path")
                    && let Some(id) = members.get("id")
                {
                    self.note(id);
                }
                for value in members.values() {
                    self.note_types(value);
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.note_types(item)),
            _ => {}
        }
    }

    fn note(&mut self, id: &Value) {
        let known = &self.json["paths"][id.to_string()];
        let of = known["crate_id"].as_u64().unwrap_or_default();
        if of == 0 {
            return;
        }
        let name = &self.json["external_crates"][of.to_string()]["name"];
        if let Some(name) = name.as_str().filter(|name| !STANDARD.contains(name)) {
            self.found.foreign.insert(name.to_owned());
        }
    }
}

fn item<'a>(json: &'a Value, id: &Value) -> Option<&'a Value> {
    json["index"].get(id.to_string())
}

fn ids(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array()
        .into_iter()
        .flatten()
        .filter(|id| !id.is_null())
}

/// What an item is, and what rustdoc says of it.
fn kind(item: &Value) -> Result<(&str, &Value)> {
    let inner = item["inner"].as_object();
    let (kind, inner) = inner
        .and_then(|inner| inner.iter().next())
        .context("an item of no kind")?;
    Ok((kind, inner))
}

fn is_public(item: &Value) -> bool {
    item["visibility"] == "public"
}

/// The byte at a line and a column, both from 1.
fn offset(source: &str, place: &Value) -> usize {
    let number = |index: usize| {
        place[index]
            .as_u64()
            .and_then(|one| usize::try_from(one).ok())
    };
    let (line, column) = (number(0).unwrap_or(1), number(1).unwrap_or(1));
    let before = source.split_inclusive('\n').take(line - 1);
    let start: usize = before.map(str::len).sum();
    let columns = source[start..].chars().take(column - 1);
    start + columns.map(char::len_utf8).sum::<usize>()
}

/// The part of an item before its body or value, with single spaces.
fn header(text: &str, kind: &str) -> String {
    // Comments and attributes of what is inside are no part of a signature.
    let lines = text
        .lines()
        .filter(|line| !line.trim_start().starts_with(['/', '#']));
    let text = lines.collect::<Vec<_>>().join(" ");
    let end = match kind {
        "variant" | "struct_field" => text.len(),
        "constant" | "static" | "assoc_const" => text.find('=').unwrap_or(text.len()),
        "type_alias" | "assoc_type" => text.find(';').unwrap_or(text.len()),
        _ => text.find(['{', ';']).unwrap_or(text.len()),
    };
    let words: Vec<_> = text[..end].split_whitespace().collect();
    let line = words.join(" ");
    // A struct's fields are lines of their own.
    match kind {
        "struct" => line.split('(').next().unwrap_or_default().to_owned(),
        _ => line.trim_end_matches(',').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_header_is_what_stands_before_a_body() {
        let function = "pub fn read<T>(\n    &self,\n    // Of bytes.\n    range: Range<u64>,\n) -> Result<T, Error>\nwhere\n    T: Read,\n{ todo }";
        assert_eq!(
            header(function, "function"),
            "pub fn read<T>( &self, range: Range<u64>, ) -> Result<T, Error> where T: Read,"
                .trim_end_matches(',')
        );
        assert_eq!(header("pub struct A(u8);", "struct"), "pub struct A");
        assert_eq!(
            header("pub const A: &str = \"{\";", "constant"),
            "pub const A: &str"
        );
        assert_eq!(
            header("Read {\n    bytes: u64,\n}", "variant"),
            "Read { bytes: u64, }"
        );
    }

    #[test]
    fn an_offset_counts_characters() {
        assert_eq!(offset("é\nüx", &json!([2, 2])), 5);
    }

    /// A function that takes a type of another crate, and a private one beside it.
    #[test]
    fn public_items_are_listed_with_the_crates_of_their_types() {
        let folder = tempfile::tempdir().unwrap();
        let source = "pub fn shown(at: other::Time) {}\nfn hidden() {}\n";
        std::fs::write(folder.path().join("lib.rs"), source).unwrap();
        let span = |line: u32, end: u32| json!({ "filename": "lib.rs", "begin": [line, 1], "end": [line, end] });
        let json = json!({
            "root": 0,
            "index": {
                "0": { "name": "ours", "visibility": "public", "inner": { "module": { "items": [1, 2] } } },
                "1": { "name": "shown", "visibility": "public", "span": span(1, 33), "inner": { "function": {
                    "sig": { "inputs": [["at", { "resolved_path": { "path": "other::Time", "id": 9 } }]] } } } },
                "2": { "name": "hidden", "visibility": "default", "span": span(2, 15), "inner": { "function": {} } },
            },
            "paths": { "9": { "crate_id": 3 } },
            "external_crates": { "3": { "name": "other" } },
        });
        let found = listing(&json, folder.path()).unwrap();
        let lines: Vec<_> = found.lines.into_iter().collect();
        assert_eq!(lines, ["ours::shown: pub fn shown(at: other::Time)"]);
        assert_eq!(found.foreign, BTreeSet::from(["other".to_owned()]));
    }
}
