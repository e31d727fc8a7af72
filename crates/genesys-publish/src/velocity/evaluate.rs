//! A template's parts, filled in.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::parse::{Expression, Node, Operator, Reference, Step};
use super::scope::{Rendered, Scope};
use super::tools;

/// Most passes of all loops together.
const MOST_PASSES: usize = 10_000;

pub(super) fn render(nodes: &[Node], scope: &Scope) -> Result<Rendered, String> {
    let mut run = Run {
        scope,
        local: BTreeMap::new(),
        unresolved: Vec::new(),
        passes: 0,
    };
    let mut text = String::new();
    run.write(nodes, &mut text)?;
    Ok(Rendered {
        text,
        unresolved: run.unresolved,
    })
}

/// What a reference leads to.
enum Target {
    Value(Value),
    /// `esc`, `math` and the other helpers.
    Tool(&'static str),
    Nothing,
}

struct Run<'a> {
    scope: &'a Scope,
    /// Variables of `#set` and `#foreach`.
    local: BTreeMap<String, Value>,
    unresolved: Vec<String>,
    passes: usize,
}

impl Run<'_> {
    fn write(&mut self, nodes: &[Node], out: &mut String) -> Result<(), String> {
        for node in nodes {
            match node {
                Node::Text(text) => out.push_str(text),
                Node::Reference(reference) => {
                    let text = self.printed(reference)?;
                    out.push_str(&text);
                }
                Node::Escaped(backslashes, reference) => {
                    let text = self.escaped(*backslashes, reference)?;
                    out.push_str(&text);
                }
                Node::Set(target, value) => {
                    let value = self.value(value)?;
                    self.local.insert(target.root.clone(), value);
                }
                Node::If(branches, otherwise) => {
                    let mut body = otherwise;
                    for (condition, guarded) in branches {
                        if self.holds(condition)? {
                            body = guarded;
                            break;
                        }
                    }
                    self.write(body, out)?;
                }
                Node::ForEach(variable, list, body) => self.for_each(variable, list, body, out)?,
            }
        }
        Ok(())
    }

    fn for_each(
        &mut self,
        variable: &str,
        list: &Expression,
        body: &[Node],
        out: &mut String,
    ) -> Result<(), String> {
        let items = match self.value(list)? {
            Value::Array(items) => items,
            Value::Object(members) => members.into_iter().map(|(_, member)| member).collect(),
            Value::Null => Vec::new(),
            _ => return Err("#foreach goes over lists only".to_owned()),
        };
        let kept = [variable, "foreach"].map(|name| (name, self.local.remove(name)));
        let count = items.len();
        for (index, item) in items.into_iter().enumerate() {
            self.passes += 1;
            if self.passes > MOST_PASSES {
                return Err(format!("the loops make more than {MOST_PASSES} passes"));
            }
            self.local.insert(variable.to_owned(), item);
            let state = json!({
                "index": index, "count": index + 1, "hasNext": index + 1 < count,
                "first": index == 0, "last": index + 1 == count,
            });
            self.local.insert("foreach".to_owned(), state);
            self.write(body, out)?;
        }
        for (name, value) in kept {
            match value {
                Some(value) => self.local.insert(name.to_owned(), value),
                None => self.local.remove(name),
            };
        }
        Ok(())
    }

    /// A reference behind backslashes: two are one, and the one that is left over makes text of the reference. Before one
    /// without a value they stay.
    fn escaped(&mut self, backslashes: usize, reference: &Reference) -> Result<String, String> {
        let (kept, text) = match self.target(reference)? {
            Target::Value(_) if backslashes % 2 == 1 => (backslashes / 2, reference.source.clone()),
            Target::Value(_) => (backslashes / 2, self.printed(reference)?),
            _ if reference.quiet => {
                return Err(format!(
                    "a backslash before {} without a value is not understood here",
                    reference.source
                ));
            }
            _ => (backslashes, self.printed(reference)?),
        };
        Ok("\\".repeat(kept) + &text)
    }

    /// What a reference prints.
    fn printed(&mut self, reference: &Reference) -> Result<String, String> {
        match self.target(reference)? {
            Target::Value(value) => {
                tools::text(&value).map_err(|problem| format!("{}: {problem}", reference.source))
            }
            _ if reference.quiet => Ok(String::new()),
            _ => {
                // Velocity prints the reference itself: the fault that quiet references avoid.
                self.unresolved.push(reference.source.clone());
                Ok(reference.source.clone())
            }
        }
    }

    fn target(&mut self, reference: &Reference) -> Result<Target, String> {
        let root = reference.root.as_str();
        let known = self.local.get(root).or_else(|| self.scope.values.get(root));
        let mut target = match known {
            Some(value) => Target::Value(value.clone()),
            None => tools::NAMES
                .iter()
                .find(|name| **name == root)
                .map_or(Target::Nothing, |name| Target::Tool(name)),
        };
        for step in &reference.steps {
            target = self
                .step(target, step)
                .map_err(|problem| format!("{}: {problem}", reference.source))?;
        }
        Ok(match target {
            Target::Value(Value::Null) => Target::Nothing,
            target => target,
        })
    }

    fn step(&mut self, from: Target, step: &Step) -> Result<Target, String> {
        Ok(match (from, step) {
            (Target::Nothing | Target::Value(Value::Null), _) => Target::Nothing,
            (Target::Tool(tool), Step::Member(name)) => match tools::constant(tool, name) {
                Some(value) => Target::Value(value),
                None => Target::Nothing,
            },
            (Target::Tool(tool), Step::Call(name, arguments)) => {
                let arguments = self.values(arguments)?;
                Target::Value(tools::call(tool, name, &arguments)?)
            }
            (Target::Tool(_), Step::Index(_)) => Target::Nothing,
            (Target::Value(value), Step::Member(name)) => Target::Value(match value {
                Value::Object(mut members) => members.shift_remove(name).unwrap_or_default(),
                _ => Value::Null,
            }),
            (Target::Value(value), Step::Call(name, arguments)) => {
                let arguments = self.values(arguments)?;
                Target::Value(tools::method(&value, name, &arguments)?)
            }
            (Target::Value(value), Step::Index(index)) => {
                let index = self.value(index)?;
                Target::Value(tools::method(&value, "get", &[index])?)
            }
        })
    }

    fn values(&mut self, expressions: &[Expression]) -> Result<Vec<Value>, String> {
        expressions
            .iter()
            .map(|expression| self.value(expression))
            .collect()
    }

    fn value(&mut self, expression: &Expression) -> Result<Value, String> {
        Ok(match expression {
            Expression::Literal(value) => value.clone(),
            Expression::Text(nodes) => {
                let mut text = String::new();
                self.write(nodes, &mut text)?;
                Value::String(text)
            }
            Expression::List(items) => Value::Array(self.values(items)?),
            Expression::Reference(reference) => match self.target(reference)? {
                Target::Value(value) => value,
                _ => Value::Null,
            },
            Expression::Not(inner) => Value::Bool(!self.holds(inner)?),
            Expression::Binary(Operator::Or, left, right) => {
                Value::Bool(self.holds(left)? || self.holds(right)?)
            }
            Expression::Binary(Operator::And, left, right) => {
                Value::Bool(self.holds(left)? && self.holds(right)?)
            }
            Expression::Binary(operator, left, right) => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                tools::binary(*operator, &left, &right)?
            }
        })
    }

    fn holds(&mut self, condition: &Expression) -> Result<bool, String> {
        match self.value(condition)? {
            Value::Null => Ok(false),
            Value::Bool(value) => Ok(value),
            Value::String(text) if text.is_empty() => Err(
                "a condition is an empty text, which versions of Velocity read differently: compare it with \"\""
                    .to_owned(),
            ),
            Value::Number(number) if number.as_f64() == Some(0.0) => Err(
                "a condition is the number 0, which versions of Velocity read differently: compare it with 0"
                    .to_owned(),
            ),
            _ => Ok(true),
        }
    }
}
