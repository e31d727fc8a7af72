//! The files of a run: they are found once, and the engine reads exactly these.

use std::collections::HashSet;

use futures::TryStreamExt;
use object_store::{Error as StoreError, ObjectMeta, ObjectStore as _, ObjectStoreExt, path::Path};

use crate::{
    BoundParams, Error, ErrorKind, Location, Prepared, StoreResolver, TableLocation, Transform,
    error::planning,
};

/// What was found at one location.
#[derive(Debug, Clone)]
pub struct TableFiles {
    /// The table, and where its files were looked for.
    pub table: TableLocation,
    /// The files.
    pub objects: Vec<ObjectMeta>,
    /// Objects that the location names and that cannot be read, because no store path can hold their keys: keys with an
    /// empty segment, a `.` or `..` segment, or control characters.
    pub unnamed: u64,
    /// Objects without a byte, which are no files of a table.
    pub empty: u64,
    /// Objects that are left out since their names begin with `_` or `.`, such as `_SUCCESS`.
    pub hidden: u64,
}

/// All files that one run reads.
#[derive(Debug, Clone)]
pub struct Files {
    /// In the order of [`Prepared::locations`], so the locations of one table are neighbours.
    found: Vec<TableFiles>,
}

/// Picks the files of one location from a listing, object by object.
#[derive(Debug)]
pub struct FileCollector {
    found: TableFiles,
    max_files: usize,
}

impl Files {
    /// Checks what was found at all locations of a query.
    ///
    /// # Errors
    /// [`ErrorKind::NoMatchingFiles`] for a table without a file, [`ErrorKind::InvalidSpec`] when two uris of a table name
    /// one file, [`ErrorKind::ScanLimit`] for more files than the table's `max_files`.
    pub fn try_new(prepared: &Prepared, found: Vec<TableFiles>) -> Result<Self, Error> {
        let files = Self { found };
        for locations in files.tables() {
            let table = &locations[0].table.table;
            let mut seen = HashSet::new();
            for file in locations.iter().flat_map(|found| &found.objects) {
                if !seen.insert(&file.location) {
                    return Err(Error::new(
                        ErrorKind::InvalidSpec,
                        format!("two uris of table `{table}` name the same file"),
                    ));
                }
            }
            let max_files = prepared.tables[table].spec.max_files;
            if seen.len() > max_files {
                return Err(too_many(table, max_files));
            }
            if seen.is_empty() {
                return Err(no_files(locations));
            }
        }
        Ok(files)
    }

    /// What was found at each location.
    #[must_use]
    pub fn found(&self) -> &[TableFiles] {
        &self.found
    }

    /// Each file, with its bucket.
    pub fn objects(&self) -> impl Iterator<Item = (&str, &ObjectMeta)> {
        self.found.iter().flat_map(|found| {
            let bucket = found.table.location.bucket();
            found.objects.iter().map(move |object| (bucket, object))
        })
    }

    /// The locations of each table.
    pub(crate) fn tables(&self) -> impl Iterator<Item = &[TableFiles]> {
        self.found.chunk_by(|a, b| a.table.table == b.table.table)
    }
}

impl FileCollector {
    /// Nothing found yet.
    #[must_use]
    pub fn new(prepared: &Prepared, table: TableLocation) -> Self {
        let spec = prepared.tables.get(&table.table);
        Self {
            max_files: spec.map_or(usize::MAX, |table| table.spec.max_files),
            found: TableFiles {
                table,
                objects: Vec::new(),
                unnamed: 0,
                empty: 0,
                hidden: 0,
            },
        }
    }

    /// Takes the object if it is a file of the location; `meta` is asked only for those.
    ///
    /// Not taken are keys that the location does not name, objects without a byte, keys that end in `/`, and names that
    /// begin with `_` or `.`, such as `_SUCCESS`, which programs use as marks.
    ///
    /// # Errors
    /// [`ErrorKind::ScanLimit`] for more files than the table's `max_files`.
    pub fn offer(
        &mut self,
        key: &str,
        size: u64,
        meta: impl FnOnce(Path) -> ObjectMeta,
    ) -> Result<bool, Error> {
        let name = key.rsplit('/').next().unwrap_or_default();
        // A name that is no UTF-8 ends in it, and is counted with those that cannot be read.
        let written = key.trim_end_matches('\0');
        if !self.found.table.location.covers(written) {
            return Ok(false);
        }
        if name.starts_with(['_', '.']) {
            self.found.hidden += 1;
            return Ok(false);
        }
        if size == 0 {
            self.found.empty += u64::from(!name.is_empty());
            return Ok(false);
        }
        let path = Path::parse(key).ok().filter(|path| path.as_ref() == key);
        let Some(path) = path else {
            self.found.unnamed += 1;
            return Ok(false);
        };
        if self.found.objects.len() == self.max_files {
            return Err(too_many(&self.found.table.table, self.max_files));
        }
        self.found.objects.push(meta(path));
        Ok(true)
    }

    /// Takes the object of a location that names exactly one, whatever it is called.
    pub fn take(&mut self, object: ObjectMeta) {
        if object.size == 0 {
            self.found.empty += 1;
        } else {
            self.found.objects.push(object);
        }
    }

    /// What was found.
    #[must_use]
    pub fn finish(self) -> TableFiles {
        self.found
    }
}

impl Transform {
    /// Finds the files of a query: one HEAD for a location of one object, one listing for any other.
    ///
    /// # Errors
    /// Those of [`Files::try_new`], [`ErrorKind::InvalidParam`], [`ErrorKind::Store`].
    pub async fn find(
        &self,
        prepared: &Prepared,
        bound: &BoundParams,
        stores: &dyn StoreResolver,
    ) -> Result<Files, Error> {
        let mut found = Vec::new();
        for table in prepared.locations(bound)? {
            let location = &table.location;
            let store = stores.store(location.bucket()).map_err(|error| {
                Error::new(
                    ErrorKind::Store,
                    format!("the store of table `{}` cannot be used", table.table),
                )
                .with_source(error)
            })?;
            let mut files = FileCollector::new(prepared, table.clone());
            if let Some(path) = location.path() {
                match store.head(path).await {
                    Ok(object) => files.take(object),
                    // A key that is not there is no prefix: nothing is listed.
                    Err(StoreError::NotFound { .. }) => {}
                    Err(error) => return Err(planning(error.into())),
                }
            } else {
                let folder = Path::parse(location.folder())
                    .map_err(|error| planning(StoreError::from(error).into()))?;
                let mut listing = store.list(Some(&folder));
                while let Some(object) = listing
                    .try_next()
                    .await
                    .map_err(|error| planning(error.into()))?
                {
                    let key = object.location.to_string();
                    files.offer(&key, object.size, |_| object)?;
                }
            }
            found.push(files.finish());
        }
        Files::try_new(prepared, found)
    }
}

/// No file is at any of the locations of a table.
pub(crate) fn no_files(locations: &[TableFiles]) -> Error {
    no_columns(locations, "")
}

/// No file at the locations of a table has a column; `holds` is what those have that are not empty.
pub(crate) fn no_columns(locations: &[TableFiles], holds: &str) -> Error {
    let written = locations.iter().map(|found| &found.table.location);
    let written: Vec<_> = written.map(Location::to_string).collect();
    let is_exact = locations
        .iter()
        .all(|found| found.table.location.path().is_some());
    let empty: u64 = locations.iter().map(|found| found.empty).sum();
    let others = locations.iter().map(|found| found.objects.len() as u64);
    let count = if holds.is_empty() {
        empty
    } else {
        others.sum()
    };
    let (one, several) = match holds {
        "" => ("is empty".to_owned(), "are empty".to_owned()),
        holds => (format!("holds {holds}"), format!("hold {holds}")),
    };
    let why = match count {
        0 => String::new(),
        _ if is_exact && locations.len() == 1 => format!(": it {one}"),
        1 => format!(": the one file there {one}"),
        count => format!(": the {count} files there {several}"),
    };
    let mut hints = locations.iter().map(|found| &found.table.location);
    let hint = hints.find_map(Location::hint);
    let hint = hint.map_or_else(String::new, |hint| format!("; {hint}"));
    Error::new(
        ErrorKind::NoMatchingFiles,
        format!(
            "no file with columns lies at {}{why}{hint}",
            written.join(", ")
        ),
    )
}

fn too_many(table: &str, max_files: usize) -> Error {
    Error::new(
        ErrorKind::ScanLimit,
        format!(
            "table `{table}` has more than {max_files} files: `max_files` of the table is the limit"
        ),
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono::DateTime;
    use object_store::ObjectMeta;

    use super::{FileCollector, Files, TableFiles};
    use crate::{Error, ErrorKind, Limits, Prepared, TransformSpec};

    fn prepared(uris: &[&str], max_files: usize) -> Prepared {
        let table = serde_json::json!({ "uri": uris, "max_files": max_files });
        Prepared::try_new(TransformSpec {
            sql: "SELECT 1 FROM t".to_owned(),
            tables: BTreeMap::from([("t".to_owned(), serde_json::from_value(table).unwrap())]),
            params: BTreeMap::new(),
            limits: Limits::default(),
        })
        .unwrap()
    }

    /// What each uri takes of a listing of these keys, each of one byte.
    fn collected(prepared: &Prepared, keys: &[&str]) -> Result<Vec<TableFiles>, Error> {
        let locations = prepared.locations(&crate::BoundParams::default())?;
        let found = locations.into_iter().map(|table| {
            let mut files = FileCollector::new(prepared, table);
            for key in keys {
                files.offer(key, 1, |location| ObjectMeta {
                    location,
                    last_modified: DateTime::UNIX_EPOCH,
                    size: 1,
                    e_tag: None,
                    version: None,
                })?;
            }
            Ok(files.finish())
        });
        found.collect()
    }

    fn names(found: &TableFiles) -> Vec<&str> {
        let objects = found.objects.iter();
        objects.map(|object| object.location.as_ref()).collect()
    }

    #[test]
    fn a_listing_gives_files_and_counts_what_cannot_be_named() {
        let prepared = prepared(&["s3://lake/x/"], 10);
        let keys = [
            "x/a.csv",
            "x/b%2F~#.csv",
            "x/_SUCCESS",
            "x/.crc",
            "x/y/",
            "x//c.csv",
            "x/../d.csv",
            "x/\te.csv",
            "xy/f.csv",
        ];
        let found = collected(&prepared, &keys).unwrap();
        assert_eq!(names(&found[0]), ["x/a.csv", "x/b%2F~#.csv"]);
        assert_eq!((found[0].unnamed, found[0].hidden), (4, 2));
        // Without a byte, it is a mark of a folder or an empty file.
        let table = prepared.locations(&crate::BoundParams::default()).unwrap();
        let mut files = FileCollector::new(&prepared, table[0].clone());
        let empty = files.offer("x//y/", 0, |_| unreachable!("it is no file"));
        assert!(!empty.unwrap());
        assert_eq!(files.finish().unnamed, 0);
    }

    #[test]
    fn the_files_of_a_query_are_checked_as_a_whole() {
        let keys = ["x/a.csv", "x/b.csv"];
        for (uris, max_files, kind) in [
            (&["s3://lake/x/a*", "s3://lake/x/b*"][..], 2, None),
            (
                &["s3://lake/x/a*", "s3://lake/x/b*"],
                1,
                Some(ErrorKind::ScanLimit),
            ),
            (
                &["s3://lake/x/a*", "s3://lake/x/"],
                9,
                Some(ErrorKind::InvalidSpec),
            ),
            (&["s3://lake/y/"], 9, Some(ErrorKind::NoMatchingFiles)),
            (&["s3://lake/x/a*", "s3://lake/y/"], 9, None),
        ] {
            let prepared = prepared(uris, max_files);
            let found = collected(&prepared, &keys).unwrap();
            let files = Files::try_new(&prepared, found);
            assert_eq!(files.err().map(|error| error.kind()), kind, "{uris:?}");
        }
        let error = collected(&prepared(&["s3://lake/x/"], 1), &keys).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ScanLimit);
    }
}
