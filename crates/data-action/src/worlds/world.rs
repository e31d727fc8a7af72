//! Generated buckets, uris, policies and IAM statements, and what they mean: the judge shares no line with the product.

use std::collections::{BTreeMap, BTreeSet};

const FOLDERS: &[&str] = &[
    "calls",
    "calls-private",
    "exports",
    "team=hr",
    "date=2026-01-01",
    "K\u{f6}ln",
    "a~b",
    "a%2Fb",
    "100%",
    "a b",
    "#1",
    "a\\b",
];
const NAMES: &[&str] = &[
    "part-0.csv",
    "part-1.csv",
    "part-a=b.csv",
    "x.csv",
    "x%20y.csv",
    "_SUCCESS",
    ".hidden.csv",
    "\u{1f600}.csv",
    "K\u{f6}ln~.csv",
];
/// What makes a key one that no path can name.
const ODD: &[&str] = &["/", "../", "./", "\t/"];

/// Small numbers that look random and are the same for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits fit") % limit
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }

    fn key(&mut self) -> String {
        let mut key = String::new();
        for _ in 0..self.below(4) {
            key.push_str(self.of(FOLDERS));
            key.push('/');
            if self.below(24) == 0 {
                key.push_str(self.of(ODD));
            }
        }
        // A mark of a folder, now and then.
        if !key.is_empty() && self.below(24) == 0 {
            return key;
        }
        key + self.of(NAMES)
    }

    /// The text with one of its ranges replaced.
    fn replaced(&mut self, text: &str, by: &str) -> String {
        let characters: Vec<char> = text.chars().collect();
        let from = self.below(characters.len());
        let to = if by == "?" {
            from + 1
        } else {
            from + self.below(characters.len() - from + 1)
        };
        let (before, after) = (&characters[..from], &characters[to.min(characters.len())..]);
        before.iter().collect::<String>() + by + &after.iter().collect::<String>()
    }

    /// A pattern with `*` that often allows what the others do.
    fn pattern(&mut self, keys: &[String]) -> String {
        let key = keys[self.below(keys.len())].clone();
        match self.below(8) {
            0..4 => "*".to_owned(),
            4 | 5 => format!("{}*", &key[..key.rfind('/').map_or(0, |slash| slash + 1)]),
            6 => self.replaced(&key, "*"),
            _ => key,
        }
    }
}

/// One object.
#[derive(Debug)]
pub(crate) struct Object {
    pub(crate) key: String,
    pub(crate) is_empty: bool,
    pub(crate) class: Option<&'static str>,
}

impl Object {
    /// One row: the number of the object.
    pub(crate) fn content(&self, number: usize) -> String {
        if self.is_empty {
            String::new()
        } else {
            format!("n\n{number}\n")
        }
    }

    /// Whether a path can name it, and a folder hold it.
    pub(crate) fn has_path(&self) -> bool {
        let is_odd = |part: &str| matches!(part, "" | "." | "..") || part.contains('\t');
        !self.key.split('/').any(is_odd)
    }

    /// Whether it is no mark of a program.
    fn has_data(&self) -> bool {
        let name = self.key.rsplit('/').next().unwrap_or_default();
        !self.is_empty && !name.starts_with(['_', '.'])
    }
}

/// One bucket with its objects, one action over it, and who may do what.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) objects: Vec<Object>,
    pub(crate) uri: String,
    pub(crate) allow: Vec<String>,
    pub(crate) deny: Vec<String>,
    /// Patterns of objects that IAM lets be read, those that it denies, and of prefixes that it lets be listed.
    pub(crate) read: Vec<String>,
    pub(crate) unread: Vec<String>,
    pub(crate) list: Vec<String>,
}

impl World {
    pub(crate) fn of(seed: u64) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let names: BTreeSet<String> = (0..dice.below(10)).map(|_| dice.key()).collect();
        let mut objects = Vec::new();
        for key in names {
            objects.push(Object {
                is_empty: key.ends_with('/') || dice.below(12) == 0,
                class: (dice.below(6) == 0).then_some("GLACIER_IR"),
                key,
            });
        }
        let named = objects.iter().filter(|object| object.has_path());
        let mut keys: Vec<String> = named.map(|object| object.key.clone()).collect();
        keys.push("calls/part-0.csv".to_owned());
        let uri = Self::uri(&mut dice, &keys);
        let mut patterns = |least: usize, most: usize| -> Vec<String> {
            let count = least + dice.below(most - least + 1);
            (0..count).map(|_| dice.pattern(&keys)).collect()
        };
        let (allow, read, list) = (patterns(1, 3), patterns(1, 3), patterns(1, 2));
        let rare = |mut patterns: Vec<String>| {
            patterns.retain(|pattern| pattern != "*");
            patterns
        };
        let (deny, unread) = (rare(patterns(0, 1)), rare(patterns(0, 1)));
        Self {
            seed,
            objects,
            uri,
            allow,
            deny,
            read,
            unread,
            list,
        }
    }

    fn uri(dice: &mut Dice, keys: &[String]) -> String {
        let key = keys[dice.below(keys.len())].clone();
        let folders: Vec<usize> = key.match_indices('/').map(|(slash, _)| slash + 1).collect();
        let uri = match dice.below(4) {
            0 => key.clone(),
            1 if !folders.is_empty() => key[..folders[dice.below(folders.len())]].to_owned(),
            _ => {
                let by = dice.of(&["*", "*", "?", "[a-p]*", "[!x]*", "**"]);
                let once = dice.replaced(&key, by);
                if dice.below(3) == 0 && !once.contains('[') {
                    dice.replaced(&once, "*")
                } else {
                    once
                }
            }
        };
        // What a uri cannot say.
        let is_written = !uri.contains("//") && !uri.starts_with('/') && uri.trim() == uri;
        if is_written { uri } else { key }
    }

    pub(crate) fn bucket(&self) -> String {
        format!("world-{}", self.seed)
    }

    /// The action's file.
    pub(crate) fn action(&self) -> String {
        format!(
            "name = \"{0}\"\n[tables.t]\nuri = 's3://{0}/{1}'\nformat = \"csv\"\n[query]\nsql = \"SELECT n FROM t\"\n",
            self.bucket(),
            self.uri
        )
    }

    pub(crate) fn is_exact(&self) -> bool {
        !self.uri.contains(['*', '?', '[']) && !self.uri.ends_with('/')
    }

    /// What the uri names, as the documentation says it.
    fn covers(&self, key: &str) -> bool {
        let pattern = if self.uri.ends_with('/') {
            format!("{}*", self.uri)
        } else {
            self.uri.clone()
        };
        like(&characters(&pattern), &characters(key), true)
    }

    /// The objects that the table reads, by key.
    pub(crate) fn expected(&self) -> BTreeMap<&str, &Object> {
        let covered = self.objects.iter().filter(|object| {
            let is_read = if self.is_exact() {
                !object.is_empty
            } else {
                object.has_data() && object.has_path()
            };
            is_read && self.covers(&object.key)
        });
        covered.map(|object| (&*object.key, object)).collect()
    }

    /// Objects that would be read if a path could name them.
    pub(crate) fn unnamed(&self) -> usize {
        let lost =
            |object: &&Object| object.has_data() && !object.has_path() && self.covers(&object.key);
        self.objects.iter().filter(lost).count()
    }

    /// Names of the columns that a key's segments make.
    fn partitions<'a>(&self, key: &'a str) -> Vec<&'a str> {
        let fixed = self.uri.find(['*', '?', '[']).unwrap_or(self.uri.len());
        let folder = self.uri[..fixed].rfind('/').map_or(0, |slash| slash + 1);
        let mut segments: Vec<&str> = key[folder..].split('/').collect();
        segments.pop();
        segments
            .into_iter()
            .map_while(|segment| segment.split_once('=').map(|(name, _)| name))
            .collect()
    }

    /// The text before the first wildcard.
    pub(crate) fn prefix(&self) -> &str {
        &self.uri[..self.uri.find(['*', '?', '[']).unwrap_or(self.uri.len())]
    }

    pub(crate) fn policy_allows(&self, key: &str) -> bool {
        any(&self.allow, key) && !any(&self.deny, key)
    }

    pub(crate) fn iam_allows(&self, key: &str) -> bool {
        any(&self.read, key) && !any(&self.unread, key)
    }

    pub(crate) fn iam_lists(&self, prefix: &str) -> bool {
        any(&self.list, prefix)
    }

    /// Whether an error has its reason in this world, and came before S3 was asked for more than it had to be.
    pub(crate) fn explains(&self, code: &str, asked: &Asked) -> bool {
        let expected = self.expected();
        let is_denied = expected.keys().any(|key| !self.iam_allows(key));
        match code {
            "policy.denied" => {
                let is_wide = self.allow.iter().any(|pattern| pattern == "*");
                asked.heads + asked.lists + asked.gets == 0
                    && if self.is_exact() {
                        !self.policy_allows(&self.uri)
                    } else {
                        !is_wide || !self.deny.is_empty()
                    }
            }
            "access.denied" if self.is_exact() => {
                asked.heads + asked.lists + asked.gets == 0 && !self.iam_allows(&self.uri)
            }
            "access.denied" => {
                let may_list = self.iam_lists(self.prefix());
                asked.gets == 0
                    && if may_list {
                        is_denied
                    } else {
                        asked.lists == 0
                    }
            }
            // Without the right to list, S3 does not say that an object is missing.
            "s3.access_denied" => self.is_exact() && expected.is_empty(),
            "s3.no_such_key" => {
                let mut objects = self.objects.iter();
                self.is_exact() && !objects.any(|object| object.key == self.uri)
            }
            "data.no_files" => expected.is_empty(),
            "data.malformed" => {
                let partitions = expected.keys().map(|key| self.partitions(key));
                let kinds: BTreeSet<_> = partitions.filter(|names| !names.is_empty()).collect();
                let repeats =
                    |names: &Vec<&str>| names.iter().collect::<BTreeSet<_>>().len() < names.len();
                kinds.len() > 1 || kinds.iter().any(repeats)
            }
            _ => false,
        }
    }
}

/// Requests that S3 had.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) heads: u64,
    pub(crate) lists: u64,
    pub(crate) gets: u64,
}

fn characters(text: &str) -> Vec<char> {
    text.chars().collect()
}

fn any(patterns: &[String], key: &str) -> bool {
    let key = characters(key);
    patterns
        .iter()
        .any(|pattern| like(&characters(pattern), &key, false))
}

/// A recursive matcher. Without classes, `*` is the only wildcard.
fn like(pattern: &[char], text: &[char], classes: bool) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['*', rest @ ..] => (0..=text.len()).any(|skipped| like(rest, &text[skipped..], classes)),
        ['?', rest @ ..] if classes => !text.is_empty() && like(rest, &text[1..], true),
        ['[', 'a', '-', 'p', ']', rest @ ..] if classes => {
            matches!(text, ['a'..='p', ..]) && like(rest, &text[1..], true)
        }
        ['[', '!', 'x', ']', rest @ ..] if classes => {
            matches!(text, [first, ..] if *first != 'x') && like(rest, &text[1..], true)
        }
        [own, rest @ ..] => text.first() == Some(own) && like(rest, &text[1..], classes),
    }
}
