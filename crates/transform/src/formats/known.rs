//! The names that a table knows: of its columns, and of the members of the objects in them. Others that a file has are
//! reported, since the SQL cannot see them.

use std::collections::{HashMap, HashSet};

use datafusion::arrow::datatypes::{DataType, Field, Fields};

/// The columns of a table with the members of their objects. An object is what an object or a list of objects holds, however
/// deep the lists.
#[derive(Debug)]
pub(crate) struct Known {
    /// The first is the row.
    objects: Vec<Object>,
}

/// The members of one object.
#[derive(Debug, Default)]
pub(super) struct Object {
    /// What stands before a member's name where it is reported, such as `o.`.
    pub(super) path: String,
    pub(super) members: Vec<Member>,
    places: HashMap<String, usize>,
}

#[derive(Debug)]
pub(super) struct Member {
    pub(super) name: String,
    /// The object that it holds; none where it holds another value, or where nobody looks inside.
    pub(super) object: Option<usize>,
}

impl Known {
    /// Of all columns of a table and the fields among them that are looked into.
    pub(crate) fn new<'a>(
        columns: impl Iterator<Item = String>,
        inside: impl Iterator<Item = &'a Field>,
    ) -> Self {
        let mut known = Self {
            objects: vec![Object::default()],
        };
        let inside: HashMap<&str, &Fields> = inside
            .filter_map(|field| Some((field.name().as_str(), members(field.data_type())?)))
            .collect();
        for name in columns {
            let object = inside.get(name.as_str());
            let object = object.map(|fields| known.object(format!("{name}."), fields));
            known.objects[0].add(name, object);
        }
        known
    }

    /// Of all that a schema has.
    pub(crate) fn of(fields: &Fields) -> Self {
        let names = fields.iter().map(|field| field.name().clone());
        Self::new(names, fields.iter().map(AsRef::as_ref))
    }

    fn object(&mut self, path: String, fields: &Fields) -> usize {
        let place = self.objects.len();
        self.objects.push(Object {
            path,
            ..Object::default()
        });
        for field in fields {
            let path = format!("{}{}.", self.objects[place].path, field.name());
            let object = members(field.data_type()).map(|fields| self.object(path, fields));
            self.objects[place].add(field.name().clone(), object);
        }
        place
    }

    pub(super) fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// Whether the table has a column of this name.
    pub(crate) fn has_column(&self, name: &str) -> bool {
        self.objects[0].places.contains_key(name)
    }

    /// All names, those of members with the names before them: `o.a`.
    pub(crate) fn paths(&self) -> HashSet<String> {
        let of = |object: &Object| {
            let members = object.members.iter();
            let paths = members.map(|member| format!("{}{}", object.path, member.name));
            paths.collect::<Vec<_>>()
        };
        self.objects.iter().flat_map(of).collect()
    }

    /// The names that a file's own columns have beyond these.
    pub(crate) fn unlisted(&self, own: &Fields) -> Vec<String> {
        let mut found = Vec::new();
        self.compare(0, own, &mut found);
        found
    }

    fn compare(&self, object: usize, own: &Fields, found: &mut Vec<String>) {
        let known = &self.objects[object];
        for field in own {
            match known.place(field.name()).map(|place| &known.members[place]) {
                None => found.push(format!("{}{}", known.path, field.name())),
                Some(member) => {
                    if let (Some(object), Some(own)) = (member.object, members(field.data_type())) {
                        self.compare(object, own, found);
                    }
                }
            }
        }
    }
}

impl Object {
    fn add(&mut self, name: String, object: Option<usize>) {
        self.places.insert(name.clone(), self.members.len());
        self.members.push(Member { name, object });
    }

    /// The place of a member of this name.
    pub(super) fn place(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }
}

/// The members of an object, or of the objects in a list. The keys of a map are values.
fn members(kind: &DataType) -> Option<&Fields> {
    match kind {
        DataType::Struct(fields) => Some(fields),
        DataType::List(item)
        | DataType::LargeList(item)
        | DataType::ListView(item)
        | DataType::LargeListView(item)
        | DataType::FixedSizeList(item, _) => members(item.data_type()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use datafusion::arrow::datatypes::{DataType, Field, Fields};

    use super::Known;

    fn fields(of: &[(&str, &str)]) -> Fields {
        let fields = of.iter().map(|(name, kind)| {
            let kind: DataType = kind.parse().unwrap();
            Field::new(*name, kind, true)
        });
        fields.collect()
    }

    #[test]
    fn what_a_file_has_beyond_the_table_is_named_by_its_path() {
        let known = Known::of(&fields(&[
            ("a", "Int64"),
            ("o", "Struct(\"x\": Int64, \"p\": Struct(\"y\": Int64))"),
            ("l", "List(List(Struct(\"z\": Int64)))"),
        ]));
        let own = fields(&[
            ("a", "Struct(\"of another kind\": Int64)"),
            (
                "o",
                "Struct(\"p\": Struct(\"y\": Int64, \"q\": Int64), \"r\": Int64)",
            ),
            ("l", "LargeList(List(Struct(\"s\": Int64)))"),
            ("t", "Struct(\"u\": Int64)"),
        ]);
        assert_eq!(known.unlisted(&own), ["o.p.q", "o.r", "l.s", "t"]);
        assert!(known.has_column("l") && !known.has_column("t"));
        assert!(known.paths().contains("o.p.y") && known.paths().contains("l.z"));
    }

    #[test]
    fn nobody_looks_into_columns_that_are_not_asked_for() {
        let own = fields(&[("o", "Struct(\"x\": Int64)")]);
        let known = Known::new(["o".to_owned()].into_iter(), std::iter::empty());
        assert_eq!(known.unlisted(&own), [""; 0]);
    }
}
