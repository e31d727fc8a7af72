//! From the text of a template to its parts.

use serde_json::Value;

/// A part of a template.
#[derive(Debug, Clone)]
pub(super) enum Node {
    Text(String),
    Reference(Reference),
    /// A reference behind this many backslashes.
    Escaped(usize, Reference),
    Set(Reference, Expression),
    /// Conditions with what they guard, and what is left otherwise.
    If(Vec<(Expression, Vec<Node>)>, Vec<Node>),
    ForEach(String, Expression, Vec<Node>),
}

/// `$x.y(…)`, `${x}`, `$!{x}`.
#[derive(Debug, Clone)]
pub(super) struct Reference {
    /// As it is written.
    pub(super) source: String,
    pub(super) quiet: bool,
    pub(super) root: String,
    pub(super) steps: Vec<Step>,
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    Member(String),
    Call(String, Vec<Expression>),
    Index(Expression),
}

#[derive(Debug, Clone)]
pub(super) enum Expression {
    Literal(Value),
    /// Text in double quotes, which may hold references and directives.
    Text(Vec<Node>),
    List(Vec<Expression>),
    Reference(Reference),
    Not(Box<Expression>),
    Binary(Operator, Box<Expression>, Box<Expression>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Or,
    And,
    Equal,
    Unequal,
    Below,
    AtMost,
    Above,
    AtLeast,
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

/// Operators with their words, a row for each level from the loosest to the closest.
const LEVELS: [&[(&str, Operator)]; 5] = [
    &[("||", Operator::Or), ("or", Operator::Or)],
    &[("&&", Operator::And), ("and", Operator::And)],
    &[
        ("==", Operator::Equal),
        ("!=", Operator::Unequal),
        ("<=", Operator::AtMost),
        (">=", Operator::AtLeast),
        ("<", Operator::Below),
        (">", Operator::Above),
        ("eq", Operator::Equal),
        ("ne", Operator::Unequal),
        ("lt", Operator::Below),
        ("le", Operator::AtMost),
        ("gt", Operator::Above),
        ("ge", Operator::AtLeast),
    ],
    &[("+", Operator::Add), ("-", Operator::Subtract)],
    &[
        ("*", Operator::Multiply),
        ("/", Operator::Divide),
        ("%", Operator::Remainder),
    ],
];

/// The directives that are understood.
const KNOWN: [&str; 6] = ["if", "elseif", "else", "end", "set", "foreach"];

/// The directives that are not.
const UNKNOWN: [&str; 7] = [
    "parse", "include", "macro", "evaluate", "define", "break", "stop",
];

/// Deepest nesting of expressions and blocks.
const DEEPEST: usize = 64;

/// Parses a whole template.
pub(super) fn template(text: &str) -> Result<Vec<Node>, String> {
    nodes_of(text, 0)
}

fn nodes_of(text: &str, depth: usize) -> Result<Vec<Node>, String> {
    let mut parser = Parser { rest: text, depth };
    let nodes = parser.block()?;
    if parser.rest.is_empty() {
        Ok(nodes)
    } else {
        Err(format!("{} without #if", shown(parser.rest)))
    }
}

/// The beginning of a text, for an error.
fn shown(text: &str) -> String {
    text.chars().take(24).collect()
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

fn is_identifier(char: char) -> bool {
    char.is_ascii_alphanumeric() || "_-".contains(char)
}

impl<'a> Parser<'a> {
    fn eat(&mut self, token: &str) -> bool {
        match self.rest.strip_prefix(token) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    fn expect(&mut self, token: &str, what: &str) -> Result<(), String> {
        self.blanks();
        if self.eat(token) {
            Ok(())
        } else {
            Err(format!(
                "{what} without {token:?} at {:?}",
                shown(self.rest)
            ))
        }
    }

    fn blanks(&mut self) {
        self.rest = self.rest.trim_start();
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        taken
    }

    fn deeper(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err("the template is nested too deeply".to_owned());
        }
        Ok(())
    }

    /// Whether a directive such as `#end` or `#{end}` comes next.
    fn directive(&self, name: &str) -> Option<usize> {
        if self.rest.starts_with(&format!("#{{{name}}}")) {
            return Some(name.len() + 3);
        }
        let after = self.rest.strip_prefix('#')?.strip_prefix(name)?;
        let ends = !after.starts_with(|char: char| char.is_ascii_alphanumeric() || char == '_');
        ends.then_some(name.len() + 1)
    }

    fn eat_directive(&mut self, name: &str) -> bool {
        match self.directive(name) {
            Some(length) => {
                self.take(length);
                true
            }
            None => false,
        }
    }

    /// Parts up to the end, or to `#end`, `#else` or `#elseif`, which are left.
    fn block(&mut self) -> Result<Vec<Node>, String> {
        self.deeper()?;
        let mut nodes = Vec::new();
        let mut text = String::new();
        loop {
            let plain = self.rest.find(['$', '#']).unwrap_or(self.rest.len());
            let plain = self.take(plain);
            text.push_str(plain);
            let backslashes = plain.len() - plain.trim_end_matches('\\').len();
            if backslashes > 0
                && let Some(length) = self.escapable()?
            {
                // Two are one, and the one that is left over makes text of the directive.
                text.truncate(text.len() - backslashes.div_ceil(2));
                if backslashes % 2 == 1 {
                    text.push_str(self.take(length));
                    continue;
                }
            }
            if self.rest.is_empty()
                || ["end", "else", "elseif"]
                    .iter()
                    .any(|name| self.directive(name).is_some())
            {
                break;
            }
            let node = if self.rest.starts_with('$') {
                match self.reference()? {
                    Some(reference) if backslashes > 0 => {
                        text.truncate(text.len() - backslashes);
                        Some(Node::Escaped(backslashes, reference))
                    }
                    reference => reference.map(Node::Reference),
                }
            } else {
                match self.statement()? {
                    Statement::Node(node) => Some(node),
                    Statement::Nothing => continue,
                    Statement::Raw(raw) => {
                        text.push_str(raw);
                        continue;
                    }
                    Statement::None => None,
                }
            };
            match node {
                Some(node) => {
                    if !text.is_empty() {
                        nodes.push(Node::Text(std::mem::take(&mut text)));
                    }
                    nodes.push(node);
                }
                // A `$` or `#` that begins nothing stands for itself.
                None => text.push_str(self.take(1)),
            }
        }
        if !text.is_empty() {
            nodes.push(Node::Text(text));
        }
        self.depth -= 1;
        Ok(nodes)
    }

    /// The length of the directive that comes next: a backslash before it makes text of it.
    fn escapable(&self) -> Result<Option<usize>, String> {
        if let Some(open) = ["##", "#*", "#[["]
            .iter()
            .find(|open| self.rest.starts_with(**open))
        {
            return Err(format!("a backslash before {open} is not understood here"));
        }
        let mut names = KNOWN.iter().chain(&UNKNOWN);
        Ok(names.find_map(|name| self.directive(name)))
    }

    /// A comment, raw text, or a directive.
    fn statement(&mut self) -> Result<Statement<'a>, String> {
        if let Some(comment) = self.rest.strip_prefix("##") {
            let end = comment.find('\n').map_or(comment.len(), |end| end + 1);
            self.rest = &comment[end..];
            return Ok(Statement::Nothing);
        }
        for (open, close) in [("#*", "*#"), ("#[[", "]]#")] {
            if let Some(inner) = self.rest.strip_prefix(open) {
                let (inner, rest) = inner
                    .split_once(close)
                    .ok_or_else(|| format!("{open} without {close}"))?;
                self.rest = rest;
                return Ok(match open {
                    "#*" => Statement::Nothing,
                    _ => Statement::Raw(inner),
                });
            }
        }
        if self.eat_directive("set") {
            return self.set().map(Statement::Node);
        }
        if self.eat_directive("if") {
            return self.condition().map(Statement::Node);
        }
        if self.eat_directive("foreach") {
            return self.for_each().map(Statement::Node);
        }
        for name in UNKNOWN {
            if self.directive(name).is_some() {
                return Err(format!("#{name} is not understood here"));
            }
        }
        Ok(Statement::None)
    }

    fn set(&mut self) -> Result<Node, String> {
        self.expect("(", "#set")?;
        self.blanks();
        let target = match self.reference()? {
            Some(target) if target.steps.is_empty() => target,
            _ => return Err("#set needs a variable".to_owned()),
        };
        self.expect("=", "#set")?;
        let value = self.expression(0)?;
        self.expect(")", "#set")?;
        Ok(Node::Set(target, value))
    }

    fn condition(&mut self) -> Result<Node, String> {
        let mut branches = Vec::new();
        let mut otherwise = Vec::new();
        self.expect("(", "#if")?;
        let condition = self.expression(0)?;
        self.expect(")", "#if")?;
        branches.push((condition, self.block()?));
        loop {
            if self.eat_directive("elseif") {
                self.expect("(", "#elseif")?;
                let condition = self.expression(0)?;
                self.expect(")", "#elseif")?;
                branches.push((condition, self.block()?));
            } else if self.eat_directive("else") {
                otherwise = self.block()?;
            } else if self.eat_directive("end") {
                return Ok(Node::If(branches, otherwise));
            } else {
                return Err("#if without #end".to_owned());
            }
        }
    }

    fn for_each(&mut self) -> Result<Node, String> {
        self.expect("(", "#foreach")?;
        self.blanks();
        let variable = match self.reference()? {
            Some(variable) if variable.steps.is_empty() => variable.root,
            _ => return Err("#foreach needs a variable".to_owned()),
        };
        self.expect("in", "#foreach")?;
        let list = self.expression(0)?;
        self.expect(")", "#foreach")?;
        let body = self.block()?;
        if self.eat_directive("end") {
            Ok(Node::ForEach(variable, list, body))
        } else {
            Err("#foreach without #end".to_owned())
        }
    }

    /// A reference, or nothing when the `$` begins none.
    fn reference(&mut self) -> Result<Option<Reference>, String> {
        let begin = self.rest;
        if !self.eat("$") {
            return Ok(None);
        }
        let quiet = self.eat("!");
        let formal = self.eat("{");
        if !self
            .rest
            .starts_with(|char: char| char.is_ascii_alphabetic() || char == '_')
        {
            self.rest = begin;
            // `${` begins a reference; what follows has to be one.
            return if formal {
                Err(format!("{:?} is no reference", shown(begin)))
            } else {
                Ok(None)
            };
        }
        let root = self.identifier().to_owned();
        let mut steps = Vec::new();
        loop {
            if self.rest.starts_with('.')
                && self.rest[1..]
                    .starts_with(|char: char| char.is_ascii_alphabetic() || char == '_')
            {
                self.take(1);
                let name = self.identifier().to_owned();
                steps.push(if self.eat("(") {
                    Step::Call(name, self.list(")")?)
                } else {
                    Step::Member(name)
                });
            } else if formal && self.rest.starts_with('[') {
                self.take(1);
                let index = self.expression(0)?;
                self.expect("]", "an index")?;
                steps.push(Step::Index(index));
            } else {
                break;
            }
        }
        if formal {
            self.expect("}", "a reference")?;
        }
        let source = begin[..begin.len() - self.rest.len()].to_owned();
        Ok(Some(Reference {
            source,
            quiet,
            root,
            steps,
        }))
    }

    fn identifier(&mut self) -> &'a str {
        let end = self
            .rest
            .find(|char: char| !is_identifier(char))
            .unwrap_or(self.rest.len());
        self.take(end)
    }

    /// Expressions up to a closing sign, separated by commas.
    fn list(&mut self, close: &str) -> Result<Vec<Expression>, String> {
        let mut items = Vec::new();
        self.blanks();
        while !self.eat(close) {
            items.push(self.expression(0)?);
            self.blanks();
            if !self.rest.starts_with(close) {
                self.expect(",", "a list")?;
            }
            self.blanks();
        }
        Ok(items)
    }

    fn expression(&mut self, level: usize) -> Result<Expression, String> {
        let Some(operators) = LEVELS.get(level) else {
            return self.operand();
        };
        let mut left = self.expression(level + 1)?;
        loop {
            self.blanks();
            let found = operators.iter().find(|(word, _)| {
                self.rest.strip_prefix(word).is_some_and(|after| {
                    !word.starts_with(|char: char| char.is_ascii_alphabetic())
                        || !after.starts_with(is_identifier)
                })
            });
            let Some((word, operator)) = found else {
                return Ok(left);
            };
            self.take(word.len());
            let right = self.expression(level + 1)?;
            left = Expression::Binary(*operator, Box::new(left), Box::new(right));
        }
    }

    fn operand(&mut self) -> Result<Expression, String> {
        self.deeper()?;
        self.blanks();
        let operand = self.operand_here()?;
        self.depth -= 1;
        Ok(operand)
    }

    fn operand_here(&mut self) -> Result<Expression, String> {
        if self.eat("!") || self.eat("not ") {
            return Ok(Expression::Not(Box::new(self.operand()?)));
        }
        if self.eat("(") {
            let inner = self.expression(0)?;
            self.expect(")", "an expression")?;
            return Ok(inner);
        }
        if self.eat("[") {
            return self.list("]").map(Expression::List);
        }
        if self.rest.starts_with('$') {
            return match self.reference()? {
                Some(reference) => Ok(Expression::Reference(reference)),
                None => Err(format!("{:?} is no reference", shown(self.rest))),
            };
        }
        if self.eat("'") {
            let end = self.rest.find('\'').ok_or("a text without its end")?;
            let text = self.take(end).to_owned();
            self.take(1);
            return Ok(Expression::Literal(Value::String(text)));
        }
        if self.eat("\"") {
            let end = self.end_of_text().ok_or("a text without its end")?;
            let inner = self.take(end);
            self.take(1);
            // Two quotes in a text in quotes are one.
            let inner = inner.replace("\"\"", "\"");
            return nodes_of(&inner, self.depth).map(Expression::Text);
        }
        let end = self
            .rest
            .char_indices()
            .find(|(index, char)| {
                !(char.is_ascii_alphanumeric() || *char == '.' || (*index == 0 && *char == '-'))
            })
            .map_or(self.rest.len(), |(index, _)| index);
        let word = &self.rest[..end];
        let value = serde_json::from_str(word)
            .map_err(|_| format!("{:?} is not understood", shown(self.rest)))?;
        self.take(end);
        Ok(Expression::Literal(value))
    }

    /// Where the text in double quotes ends: quotes within `(…)` or `{…}` of a reference belong to that.
    fn end_of_text(&self) -> Option<usize> {
        let mut chars = self.rest.char_indices().peekable();
        while let Some((index, char)) = chars.next() {
            match char {
                '"' if chars.peek().is_some_and(|(_, next)| *next == '"') => {
                    chars.next();
                }
                '"' => return Some(index),
                _ => {}
            }
        }
        None
    }
}

enum Statement<'a> {
    Node(Node),
    /// A comment.
    Nothing,
    Raw(&'a str),
    /// No statement begins here.
    None,
}
