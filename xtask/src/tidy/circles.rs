//! Modules of a crate that need each other in a circle: none can be read, changed or moved without the others.
//!
//! A module is a file; what is written out in it (`mod a { .. }`) belongs to it. A file *needs* another when it names something
//! that is defined there, by `use` or by a path such as `super::a::b()`. A name that was passed on (`pub use`) counts as that
//! of the file which defines it, so nobody needs a parent for what its children are called. Nothing is needed by
//!
//! - declaring a module (`mod a;`),
//! - passing on what a module below defines, if the file does not name it otherwise,
//! - `#[cfg(test)]` items, documentation, and names in strings, as in `#[serde(with = "..")]`.
//!
//! Not seen are methods that an `impl` in another file gives to a type, and what macros make.

mod modules;
mod reader;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs,
    path::Path,
};

use cargo_metadata::TargetKind;

use self::modules::{Crate, File};
use crate::workspace::Workspace;

/// Crates, by folder, whose circles are still to be opened.
const STILL_TO_OPEN: &[&str] = &["crates/transform"];

/// Every circle of every crate that is not excused, and every excuse that is not needed any more.
pub(super) fn problems(workspace: &Workspace) -> Vec<String> {
    let mut problems = Vec::new();
    for package in workspace.members() {
        let folder = workspace.folder(package);
        let mut circles = Vec::new();
        for target in &package.targets {
            if target.kind.iter().any(is_shipped) {
                let root = target.src_path.as_std_path();
                let read = Crate::read(root, &|path: &Path| fs::read_to_string(path).ok());
                circles.extend(circles_of(&read, workspace.root()));
            }
        }
        if !STILL_TO_OPEN.iter().any(|open| folder == Path::new(open)) {
            problems.append(&mut circles);
        } else if circles.is_empty() {
            problems.push(format!(
                "xtask/src/tidy/circles.rs: {} has no circle any more, take it off STILL_TO_OPEN",
                folder.display()
            ));
        }
    }
    problems
}

fn is_shipped(kind: &TargetKind) -> bool {
    matches!(kind, TargetKind::Lib | TargetKind::Bin)
}

/// The circles of one crate, each as `a -> b -> a` with the lines that close it; a file that is in one is not told again.
fn circles_of(read: &Crate, root: &Path) -> Vec<String> {
    let edges = read.edges();
    let file = |index: usize| {
        let path = &read.files[index].path;
        path.strip_prefix(root).unwrap_or(path).display()
    };
    let mut told = BTreeSet::new();
    let mut circles = Vec::new();
    for start in 0..read.files.len() {
        if told.contains(&start) {
            continue;
        }
        let Some(mut circle) = shortest_circle(&edges, start) else {
            continue;
        };
        told.extend(circle.iter().copied());
        circle.push(start);
        let names: Vec<_> = circle.iter().map(|at| display(&read.files[*at])).collect();
        let lines = circle
            .windows(2)
            .map(|pair| format!("{}:{}", file(pair[0]), edges[pair[0]][&pair[1]]));
        circles.push(format!(
            "{}: imports go in a circle, {} ({}): move what both sides need to a module below them",
            file(start),
            names.join(" -> "),
            lines.collect::<Vec<_>>().join(", ")
        ));
    }
    circles
}

fn display(file: &File) -> String {
    if file.name.is_empty() {
        "crate".to_owned()
    } else {
        file.name.join("::")
    }
}

/// The shortest way from a file back to itself.
fn shortest_circle(edges: &[BTreeMap<usize, usize>], start: usize) -> Option<Vec<usize>> {
    let mut came_from = BTreeMap::new();
    let mut waiting = VecDeque::from([start]);
    while let Some(at) = waiting.pop_front() {
        for next in edges[at].keys() {
            if *next == start {
                let mut circle = vec![at];
                while let Some(before) = came_from.get(&circle[circle.len() - 1]) {
                    circle.push(*before);
                }
                circle.reverse();
                return Some(circle);
            }
            if !came_from.contains_key(next) {
                came_from.insert(*next, at);
                waiting.push_back(*next);
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(files: &[(&str, &str)]) -> Vec<String> {
        let text = |path: &Path| {
            let found = files.iter().find(|(name, _)| path == Path::new(name));
            found.map(|(_, text)| (*text).to_owned())
        };
        let read = Crate::read(Path::new("src/lib.rs"), &text);
        let circles = circles_of(&read, Path::new(""));
        circles
            .iter()
            .map(|circle| circle.split(['(', ')']).next().unwrap().trim().to_owned())
            .zip(&circles)
            .map(|(told, circle)| {
                let lines = circle.split(['(', ')']).nth(1).unwrap();
                format!("{} {lines}", told.split(", ").nth(1).unwrap())
            })
            .collect()
    }

    #[test]
    fn two_files_that_name_each_other_are_a_circle() {
        let a = "mod a; mod b;";
        assert_eq!(
            check(&[
                ("src/lib.rs", a),
                ("src/a.rs", "//! A\nuse crate::b::B;\n"),
                ("src/b.rs", "fn b() {\n    super::a::go();\n}\n"),
            ]),
            ["a -> b -> a src/a.rs:2, src/b.rs:2"]
        );
        assert_eq!(
            check(&[
                ("src/lib.rs", a),
                ("src/a.rs", "use crate::{b::{self, B as C}, std};"),
                (
                    "src/b.rs",
                    "/// [`super::a::A`]\n#[cfg(test)]\nuse super::a::A;"
                ),
            ]),
            [""; 0]
        );
    }

    #[test]
    fn the_shortest_circle_is_reported_and_each_file_once() {
        assert_eq!(
            check(&[
                ("src/lib.rs", "mod a; mod b; mod c; mod d;"),
                ("src/a.rs", "use crate::b::B; use crate::d::D;"),
                ("src/b.rs", "use crate::c::C;"),
                ("src/c.rs", "use crate::a::A;"),
                ("src/d.rs", "use crate::a::A;"),
            ]),
            [
                "a -> d -> a src/a.rs:1, src/d.rs:1",
                "b -> c -> a -> b src/b.rs:1, src/c.rs:1, src/a.rs:1"
            ]
        );
    }

    #[test]
    fn a_parent_that_only_declares_and_passes_on_is_needed_by_nobody() {
        let child = ("src/a/b.rs", "use super::c::C; pub struct B;");
        let other = ("src/a/c.rs", "use crate::Error; pub struct C;");
        let error = ("src/error.rs", "pub struct Error;");
        let root = (
            "src/lib.rs",
            "mod a; mod error; pub use a::{B, C as D}; pub use error::Error;",
        );
        let passes_on = (
            "src/a.rs",
            "mod b; mod c; pub use b::B; pub use self::c::C;",
        );
        assert_eq!(check(&[root, passes_on, child, other, error]), [""; 0]);
        // What a child takes from above by way of the parent is not the parent's.
        let asks = ("src/a/b.rs", "use super::C; use crate::D; pub struct B;");
        assert_eq!(check(&[root, passes_on, asks, other, error]), [""; 0]);
        // The parent uses what it passes on, and the child uses the parent.
        let uses = ("src/a.rs", "mod b;\npub use b::B;\npub struct A(B);");
        let needs_parent = ("src/a/b.rs", "use super::A; pub struct B;");
        assert_eq!(
            check(&[root, uses, needs_parent, error]),
            ["a -> a::b -> a src/a.rs:2, src/a/b.rs:1"]
        );
    }

    #[test]
    fn a_module_that_is_imported_is_needed_where_it_is_used() {
        let files = |a| {
            [
                ("src/lib.rs", "mod a; mod p;"),
                ("src/a.rs", a),
                ("src/p.rs", "pub mod q; pub mod r;"),
                ("src/p/q.rs", "use crate::a::A;"),
                ("src/p/r.rs", ""),
            ]
        };
        assert_eq!(
            check(&files("use crate::p;\nfn a() { p::r::go() }")),
            [""; 0]
        );
        assert_eq!(
            check(&files("use crate::p;\nfn a() { p::q::go() }")),
            ["a -> p::q -> a src/a.rs:2, src/p/q.rs:1"]
        );
    }

    #[test]
    fn modules_in_folders_and_written_out_are_found() {
        assert_eq!(
            check(&[
                ("src/lib.rs", "mod a;"),
                (
                    "src/a/mod.rs",
                    "mod b; mod inner { use super::b::B; }\npub(crate) struct A;"
                ),
                (
                    "src/a/b.rs",
                    "mod deep { pub(in crate::a) use super::super::A; }"
                ),
            ]),
            ["a -> a::b -> a src/a/mod.rs:1, src/a/b.rs:1"]
        );
    }

    #[test]
    fn names_of_other_crates_and_own_items_need_nothing() {
        assert_eq!(
            check(&[
                ("src/lib.rs", "mod http; mod a;"),
                (
                    "src/http.rs",
                    "use ::a::X; use std::http::Y; fn f() { Self::g(); E::F; x.a::<u8>(); }"
                ),
                ("src/a.rs", "use crate::http::Z;"),
            ]),
            [""; 0]
        );
    }
}
