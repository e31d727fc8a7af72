//! From the text of a path to its segments.

use regex::RegexBuilder;
use serde_json::Value;

use super::path::{Comparison, Filter, Function, JsonPath, Operand, Segment, Selector};

/// Parses a whole path; the error says what is not understood.
pub(crate) fn parse(text: &str) -> Result<JsonPath, String> {
    let mut parser = Parser {
        rest: text.trim(),
        text,
    };
    let rest = parser
        .rest
        .strip_prefix('$')
        .ok_or_else(|| parser.wrong())?;
    parser.rest = rest;
    let path = parser.segments()?;
    if parser.rest.is_empty() {
        Ok(path)
    } else {
        Err(parser.wrong())
    }
}

struct Parser<'a> {
    rest: &'a str,
    text: &'a str,
}

impl Parser<'_> {
    fn wrong(&self) -> String {
        format!(
            "the path {:?} is not understood from {:?} on",
            self.text, self.rest
        )
    }

    fn eat(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        self.blanks();
        if self.eat(token) {
            Ok(())
        } else {
            Err(self.wrong())
        }
    }

    /// Segments up to what cannot be one.
    fn segments(&mut self) -> Result<JsonPath, String> {
        let mut segments = Vec::new();
        let mut function = None;
        while function.is_none() {
            let deep = self.eat("..");
            if !deep && !self.rest.starts_with(['.', '[']) {
                break;
            }
            if !deep {
                self.eat(".");
            }
            let selectors = if self.eat("[") {
                self.bracket()?
            } else {
                if self.eat("*") {
                    vec![Selector::Every]
                } else {
                    let name = self.name()?;
                    if self.eat("(") {
                        self.expect(")")?;
                        function = Some(match name.as_str() {
                            "length" | "size" => Function::Length,
                            "min" => Function::Min,
                            "max" => Function::Max,
                            "sum" => Function::Sum,
                            "avg" => Function::Average,
                            _ => return Err(self.wrong()),
                        });
                        break;
                    }
                    vec![Selector::Name(name)]
                }
            };
            segments.push(Segment { deep, selectors });
        }
        Ok(JsonPath { segments, function })
    }

    fn name(&mut self) -> Result<String, String> {
        let end = self
            .rest
            .find(|char: char| !(char.is_alphanumeric() || "_-$@:".contains(char)))
            .unwrap_or(self.rest.len());
        if end == 0 {
            return Err(self.wrong());
        }
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        Ok(name.to_owned())
    }

    /// What is between `[` and `]`.
    fn bracket(&mut self) -> Result<Vec<Selector>, String> {
        self.blanks();
        if self.eat("*") {
            self.expect("]")?;
            return Ok(vec![Selector::Every]);
        }
        if self.eat("?") {
            self.expect("(")?;
            let filter = self.either()?;
            self.expect(")")?;
            self.expect("]")?;
            return Ok(vec![Selector::Filter(filter)]);
        }
        if self.rest.starts_with(['\'', '"']) {
            let name = self.quoted()?;
            // Several names give an object of them: nobody needs that in a translation map.
            self.expect("]")?;
            return Ok(vec![Selector::Name(name)]);
        }
        let mut selectors = Vec::new();
        loop {
            let start = self.integer()?;
            self.blanks();
            if self.eat(":") {
                selectors.push(Selector::Slice(start, self.integer()?));
            } else {
                selectors.push(Selector::Index(start.ok_or_else(|| self.wrong())?));
            }
            self.blanks();
            if !self.eat(",") {
                break;
            }
        }
        self.expect("]")?;
        Ok(selectors)
    }

    fn integer(&mut self) -> Result<Option<i64>, String> {
        self.blanks();
        let end = self
            .rest
            .find(|char: char| !(char.is_ascii_digit() || char == '-'))
            .unwrap_or(self.rest.len());
        let (digits, rest) = self.rest.split_at(end);
        if digits.is_empty() {
            return Ok(None);
        }
        let number = digits.parse().map_err(|_| self.wrong())?;
        self.rest = rest;
        Ok(Some(number))
    }

    fn quoted(&mut self) -> Result<String, String> {
        let mut chars = self.rest.char_indices();
        let quote = chars.next().map(|(_, quote)| quote);
        let mut text = String::new();
        while let Some((index, char)) = chars.next() {
            match char {
                '\\' => text.extend(chars.next().map(|(_, escaped)| escaped)),
                char if Some(char) == quote => {
                    self.rest = &self.rest[index + char.len_utf8()..];
                    return Ok(text);
                }
                char => text.push(char),
            }
        }
        Err(self.wrong())
    }

    fn either(&mut self) -> Result<Filter, String> {
        let mut any = vec![self.both()?];
        self.blanks();
        while self.eat("||") {
            any.push(self.both()?);
            self.blanks();
        }
        Ok(match any.len() {
            1 => any.remove(0),
            _ => Filter::Any(any),
        })
    }

    fn both(&mut self) -> Result<Filter, String> {
        let mut all = vec![self.one()?];
        self.blanks();
        while self.eat("&&") {
            all.push(self.one()?);
            self.blanks();
        }
        Ok(match all.len() {
            1 => all.remove(0),
            _ => Filter::All(all),
        })
    }

    fn one(&mut self) -> Result<Filter, String> {
        self.blanks();
        if self.rest.starts_with('!') && !self.rest.starts_with("!=") {
            self.eat("!");
            return Ok(Filter::Not(Box::new(self.one()?)));
        }
        if self.eat("(") {
            let filter = self.either()?;
            self.expect(")")?;
            return Ok(filter);
        }
        let left = self.operand()?;
        self.blanks();
        if self.eat("=~") {
            self.blanks();
            return Ok(Filter::Matches(left, self.regex()?));
        }
        for (token, comparison) in [
            ("==", Comparison::Equal),
            ("!=", Comparison::Unequal),
            ("<=", Comparison::AtMost),
            (">=", Comparison::AtLeast),
            ("<", Comparison::Below),
            (">", Comparison::Above),
            ("in ", Comparison::In),
            ("nin ", Comparison::NotIn),
        ] {
            if self.eat(token) {
                return Ok(Filter::Compares(left, comparison, self.operand()?));
            }
        }
        match left {
            Operand::Path(..) => Ok(Filter::Exists(left)),
            Operand::Literal(_) => Err(self.wrong()),
        }
    }

    fn operand(&mut self) -> Result<Operand, String> {
        self.blanks();
        for (token, from_root) in [("@", false), ("$", true)] {
            if self.eat(token) {
                return Ok(Operand::Path(self.segments()?, from_root));
            }
        }
        Ok(Operand::Literal(self.literal()?))
    }

    fn literal(&mut self) -> Result<Value, String> {
        self.blanks();
        if self.rest.starts_with(['\'', '"']) {
            return Ok(Value::String(self.quoted()?));
        }
        if self.eat("[") {
            let mut items = Vec::new();
            self.blanks();
            while !self.eat("]") {
                items.push(self.literal()?);
                self.blanks();
                if !self.rest.starts_with(']') {
                    self.expect(",")?;
                }
                self.blanks();
            }
            return Ok(Value::Array(items));
        }
        let end = self
            .rest
            .find(|char: char| !(char.is_ascii_alphanumeric() || "+-._".contains(char)))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        let value = serde_json::from_str(word).map_err(|_| self.wrong())?;
        self.rest = rest;
        Ok(value)
    }

    fn regex(&mut self) -> Result<regex::Regex, String> {
        let inner = self.rest.strip_prefix('/').ok_or_else(|| self.wrong())?;
        let (pattern, rest) = inner.split_once('/').ok_or_else(|| self.wrong())?;
        let insensitive = rest.starts_with('i');
        let regex = RegexBuilder::new(&format!("^(?:{pattern})$"))
            .case_insensitive(insensitive)
            .build()
            .map_err(|_| self.wrong())?;
        self.rest = rest.strip_prefix('i').unwrap_or(rest);
        Ok(regex)
    }
}
