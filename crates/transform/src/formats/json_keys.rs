//! Keys of JSON rows that the table does not know: the sample that columns were found from did not have them.

use std::{collections::HashMap, sync::Arc};

use memchr::{memchr2, memmem};

use super::known::Known;

/// Keys of each object that are remembered as they were written, so that they are reported once.
const KEPT_KEYS: usize = 1024;
/// Keys that may be left out of an object before the next one is looked up.
const LOOK_AHEAD: usize = 4;

/// Compares the keys of rows, and of the objects in them, with what the table knows.
#[derive(Debug)]
pub(crate) struct KeyWatch {
    known: Arc<Known>,
    /// Of each object, keys that were looked up by their names: those that are none of its members, and those with escapes.
    met: Vec<HashMap<Vec<u8>, Option<usize>>>,
    open: Vec<Open>,
}

/// An object or a list that has begun.
#[derive(Debug)]
struct Open {
    /// The known object that it is, or that its items are.
    object: Option<usize>,
    is_list: bool,
    /// The member that most likely comes next.
    next: usize,
}

impl KeyWatch {
    pub(crate) fn new(known: Arc<Known>) -> Self {
        Self {
            met: vec![HashMap::new(); known.objects().len()],
            known,
            open: Vec::new(),
        }
    }

    /// Gives `unlisted` the keys that are not known, those inside of objects with the keys before them. The row is an object
    /// of valid JSON.
    pub(crate) fn look_at(&mut self, row: &[u8], mut unlisted: impl FnMut(&str)) {
        self.open.clear();
        // The known object that a value is, if it is one.
        let mut value = Some(0);
        let mut key_comes = false;
        let mut at = 0;
        while let Some(&byte) = row.get(at) {
            at += 1;
            match byte {
                b'"' => {
                    let end = end_of_string(row, at);
                    if key_comes {
                        key_comes = false;
                        value = self.key(&row[at..end], &mut unlisted);
                    }
                    at = end + 1;
                }
                b'{' | b'[' => {
                    key_comes = byte == b'{';
                    self.open.push(Open {
                        object: value,
                        is_list: byte == b'[',
                        next: 0,
                    });
                }
                b'}' | b']' => {
                    self.open.pop();
                    key_comes = false;
                }
                b',' => match self.open.last() {
                    Some(list) if list.is_list => value = list.object,
                    _ => key_comes = true,
                },
                _ => {}
            }
        }
    }

    /// The known object that the value of a key is.
    fn key(&mut self, written: &[u8], unlisted: &mut impl FnMut(&str)) -> Option<usize> {
        let open = self.open.last_mut()?;
        let place = open.object?;
        let object = &self.known.objects()[place];
        let ahead = object.members.iter().skip(open.next).take(LOOK_AHEAD);
        for (skipped, member) in ahead.enumerate() {
            if member.name.as_bytes() == written {
                open.next += skipped + 1;
                return member.object;
            }
        }
        if let Some(inside) = self.met[place].get(written) {
            return *inside;
        }
        let name = name(written)?;
        let inside = match object.place(&name) {
            Some(member) => {
                open.next = member + 1;
                let inside = object.members[member].object;
                if name.as_bytes() == written {
                    return inside;
                }
                inside
            }
            None => {
                unlisted(&format!("{}{name}", object.path));
                None
            }
        };
        if self.met[place].len() < KEPT_KEYS {
            self.met[place].insert(written.to_vec(), inside);
        }
        inside
    }
}

/// Whether a text of rows may have a key, at any depth.
pub(crate) fn has_key(text: &[u8], name: &str) -> bool {
    let key = serde_json::Value::from(name).to_string();
    let is_key = |place: usize| {
        let behind = text[place + key.len()..].trim_ascii_start();
        behind.starts_with(b":")
    };
    // Some other key may be this one, written with escapes.
    memmem::find_iter(text, key.as_bytes()).any(is_key) || memmem::find(text, b"\\u").is_some()
}

/// The place of the quote that ends a string, of which `start` is the first byte.
fn end_of_string(row: &[u8], start: usize) -> usize {
    let mut at = start;
    while let Some(found) = row.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if row[at] == b'"' {
            return at;
        }
        at += 2;
    }
    row.len()
}

/// A key without its escapes.
fn name(written: &[u8]) -> Option<String> {
    if !written.contains(&b'\\') {
        return std::str::from_utf8(written).ok().map(str::to_owned);
    }
    serde_json::from_slice(&[b"\"", written, b"\""].concat()).ok()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use datafusion::arrow::datatypes::{DataType, Field};

    use super::{KeyWatch, Known};

    /// The keys of rows that are reported, where the table knows `a`, `o` with `x`, and `l` with objects of `y`.
    fn reported(rows: &[&str]) -> Vec<String> {
        let kinds = [
            ("a", "Int64"),
            ("o", "Struct(\"x\": Int64)"),
            ("l", "List(Struct(\"y\": Int64))"),
        ];
        let fields = kinds.map(|(name, kind)| {
            let kind: DataType = kind.parse().unwrap();
            Field::new(name, kind, true)
        });
        let known = Known::of(&fields.into_iter().collect());
        let mut watch = KeyWatch::new(Arc::new(known));
        let mut found = Vec::new();
        for row in rows {
            watch.look_at(row.as_bytes(), |name| found.push(name.to_owned()));
        }
        found
    }

    #[test]
    fn keys_that_are_not_known_are_reported_once_with_their_place() {
        for (rows, expected) in [
            (&[r#"{"a":1,"o":{"x":1},"l":[{"y":1}]}"#][..], &[][..]),
            (&[r#"{"b":{"c":1},"a":[{"d":1}]}"#], &["b"]),
            (&[r#"{"o":{"x":2,"a":1}}"#, r#"{"o":{"a":1}}"#], &["o.a"]),
            (
                &[r#"{"l":[{"y":1},[],[{"z":"}"}],{"y":{"u":1},"w":1}],"z":1}"#],
                &["l.z", "l.w", "z"],
            ),
            // Other orders, and writers that escape.
            (
                &[
                    r#" { "l" : [ ] , "\u006f" : { "\u0078" : "\"" , "\u0079" : "{" } , "a" : "\\" } "#,
                    r#"{"\u006f":{"\u0079":1}}"#,
                ],
                &["o.y"],
            ),
            (&[r#"{"o":[{"q":1}]}"#], &["o.q"]),
            (&["{}", "{\"a\":\"o\",\"o\":null}"], &[]),
        ] {
            assert_eq!(reported(rows), expected, "{rows:?}");
        }
    }
}
