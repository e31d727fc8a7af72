//! Patterns of keys: literal text, `?`, `[..]`, and `*` for any text. A `*` also matches `/`, as in the policies of S3.

use std::collections::{BTreeSet, HashSet};

/// States that the comparison of two patterns may visit. Beyond it, the comparison gives the answer that refuses.
const MOST_STATES: usize = 20_000;

/// A set of keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KeyPattern {
    tokens: Vec<Token>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Char(char),
    /// `?`
    One,
    /// `[a-z]`
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
    /// `*`
    Many,
}

impl Token {
    fn accepts(&self, c: char) -> bool {
        match self {
            Self::Char(own) => *own == c,
            Self::One | Self::Many => true,
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
            }
        }
    }
}

impl KeyPattern {
    /// A pattern of the policy section: `*` is the only wildcard.
    #[must_use]
    pub fn policy(text: &str) -> Self {
        let token = |c| match c {
            '*' => Token::Many,
            other => Token::Char(other),
        };
        Self {
            tokens: text.chars().map(token).collect(),
        }
    }

    /// The one key `text`.
    pub(crate) fn literal(text: &str) -> Self {
        Self {
            tokens: text.chars().map(Token::Char).collect(),
        }
    }

    /// Every key that begins with `text`.
    pub(crate) fn below(text: &str) -> Self {
        let mut pattern = Self::literal(text);
        pattern.push_many();
        pattern
    }

    /// Appends text without wildcards: the value of a parameter.
    pub(crate) fn push_literal(&mut self, text: &str) {
        self.tokens.extend(text.chars().map(Token::Char));
    }

    /// Appends a `*`; `**` means the same as `*`.
    pub(crate) fn push_many(&mut self) {
        if self.tokens.last() != Some(&Token::Many) {
            self.tokens.push(Token::Many);
        }
    }

    /// Appends text of a uri with its wildcards. `None` when a `[` is not a complete class.
    pub(crate) fn push_glob(&mut self, text: &str) -> Option<()> {
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            match c {
                '*' => self.push_many(),
                '?' => self.tokens.push(Token::One),
                '[' => {
                    let (class, after) = class(rest.as_str())?;
                    self.tokens.push(class);
                    rest = after.chars();
                }
                other => self.tokens.push(Token::Char(other)),
            }
        }
        Some(())
    }

    /// The text before the first wildcard.
    pub(crate) fn literal_prefix(&self) -> String {
        let literal = self.tokens.iter().map_while(|token| match token {
            Token::Char(c) => Some(*c),
            _ => None,
        });
        literal.collect()
    }

    /// The smallest pattern in the syntax of IAM that contains this one: IAM knows `*` and `?`, and escapes for both.
    pub(crate) fn as_wildcards(&self) -> String {
        let mut text = String::new();
        for token in &self.tokens {
            match token {
                Token::Char(c @ ('*' | '?' | '$')) => text.extend(['$', '{', *c, '}']),
                Token::Char(c) => text.push(*c),
                Token::One | Token::Class { .. } => text.push('?'),
                Token::Many => text.push('*'),
            }
        }
        text
    }

    /// Whether a key is in the set.
    #[must_use]
    pub fn matches(&self, key: &str) -> bool {
        let mut at = 0;
        let mut rest = key.chars();
        let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
        loop {
            match self.tokens.get(at) {
                Some(Token::Many) => {
                    at += 1;
                    retry = Some((at, rest.clone()));
                    continue;
                }
                Some(token) => {
                    let mut ahead = rest.clone();
                    if ahead.next().is_some_and(|c| token.accepts(c)) {
                        at += 1;
                        rest = ahead;
                        continue;
                    }
                }
                None if rest.as_str().is_empty() => return true,
                None => {}
            }
            // On a mismatch, the last `*` takes one more character.
            let Some((after, from)) = &mut retry else {
                return false;
            };
            if from.next().is_none() {
                return false;
            }
            at = *after;
            rest = from.clone();
        }
    }

    /// Whether every key of this set is in the other. A comparison that grows too large answers no.
    ///
    /// The positions in this pattern are visited one by one, those in the other one as sets.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        let characters = self.representatives(other);
        let start = other.closed([0].into());
        let mut seen = HashSet::new();
        let mut left: Vec<(usize, Vec<usize>)> =
            self.reached(0).map(|at| (at, start.clone())).collect();
        while let Some(state) = left.pop() {
            if !seen.insert(state.clone()) {
                continue;
            }
            if seen.len() > MOST_STATES {
                return false;
            }
            let (at, states) = state;
            let Some(token) = self.tokens.get(at) else {
                if !states.contains(&other.tokens.len()) {
                    return false;
                }
                continue;
            };
            for c in characters.iter().filter(|c| token.accepts(**c)) {
                let next = other.after(&states, *c);
                let at = if *token == Token::Many { at } else { at + 1 };
                left.extend(self.reached(at).map(|at| (at, next.clone())));
            }
        }
        true
    }

    /// Whether some key is in both sets. A comparison that grows too large answers yes.
    #[must_use]
    pub fn meets(&self, other: &Self) -> bool {
        let characters = self.representatives(other);
        let mut seen = HashSet::new();
        let mut left = vec![(0, 0)];
        while let Some((at, to)) = left.pop() {
            if !seen.insert((at, to)) {
                continue;
            }
            if seen.len() > MOST_STATES {
                return true;
            }
            let (own, its) = (self.tokens.get(at), other.tokens.get(to));
            if own.is_none() && its.is_none() {
                return true;
            }
            if own == Some(&Token::Many) {
                left.push((at + 1, to));
            }
            if its == Some(&Token::Many) {
                left.push((at, to + 1));
            }
            if let (Some(own), Some(its)) = (own, its)
                && characters
                    .iter()
                    .any(|c| own.accepts(*c) && its.accepts(*c))
            {
                let step = |token: &Token| usize::from(*token != Token::Many);
                left.push((at + step(own), to + step(its)));
            }
        }
        false
    }

    /// One character of each class of characters that both patterns treat alike.
    fn representatives(&self, other: &Self) -> Vec<char> {
        let mut first = BTreeSet::from(['\0']);
        for token in self.tokens.iter().chain(&other.tokens) {
            match token {
                Token::Char(c) => {
                    first.insert(*c);
                    first.extend(following(*c));
                }
                Token::Class { ranges, .. } => {
                    for (low, high) in ranges {
                        first.insert(*low);
                        first.extend(following(*high));
                    }
                }
                Token::One | Token::Many => {}
            }
        }
        first.into_iter().collect()
    }

    /// A position, and those that are reached from it when each `*` there matches nothing.
    fn reached(&self, at: usize) -> impl Iterator<Item = usize> + '_ {
        let many = self.tokens[at..]
            .iter()
            .take_while(|token| **token == Token::Many);
        at..=at + many.count()
    }

    fn closed(&self, positions: BTreeSet<usize>) -> Vec<usize> {
        let all: BTreeSet<usize> = positions
            .into_iter()
            .flat_map(|at| self.reached(at))
            .collect();
        all.into_iter().collect()
    }

    /// The positions after one more character.
    fn after(&self, positions: &[usize], c: char) -> Vec<usize> {
        let next = positions
            .iter()
            .filter_map(|at| match self.tokens.get(*at)? {
                Token::Many => Some(*at),
                token => token.accepts(c).then_some(at + 1),
            });
        self.closed(next.collect())
    }
}

fn following(c: char) -> Option<char> {
    (c..=char::MAX).nth(1)
}

/// The class after a `[`, and the text after its `]`. As in a shell, a `]` at the beginning is a member.
fn class(text: &str) -> Option<(Token, &str)> {
    let (negated, body) = match text.strip_prefix('!') {
        Some(body) => (true, body),
        None => (false, text),
    };
    let first = body.chars().next()?.len_utf8();
    let end = first + body[first..].find(']')?;
    let members: Vec<char> = body[..end].chars().collect();
    let mut ranges = Vec::new();
    let mut at = 0;
    while at < members.len() {
        let is_range = members.get(at + 1) == Some(&'-') && at + 2 < members.len();
        let high = if is_range {
            members[at + 2]
        } else {
            members[at]
        };
        if members[at] > high {
            return None;
        }
        ranges.push((members[at], high));
        at += if is_range { 3 } else { 1 };
    }
    Some((Token::Class { negated, ranges }, &body[end + 1..]))
}
