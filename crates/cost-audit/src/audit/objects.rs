//! The objects of a record: the first thousand one by one, all of them as a count and a digest.

use sha2::{Digest, Sha256};

use super::canonical::Hash;
use super::record::{AuditObject, AuditRecord};

/// Objects that a record lists one by one; a record of more is still one line, which everything that reads the log has to hold.
pub const LISTED_OBJECTS: usize = 1000;

impl AuditRecord {
    /// Writes down what was read, in order of bucket and key.
    ///
    /// Beyond [`LISTED_OBJECTS`], the record has the first of them, their number, and a digest that a list of all can be proven by:
    /// SHA-256 over `bucket NUL key NUL etag NUL size LF` of each, where what is not known is empty.
    pub fn set_objects(&mut self, mut objects: Vec<AuditObject>) {
        objects.sort_by(|a, b| (&a.bucket, &a.key).cmp(&(&b.bucket, &b.key)));
        let count = objects.len();
        if count > LISTED_OBJECTS {
            self.objects_count = Some(count as u64);
            self.objects_digest = Some(digest(&objects));
            objects.truncate(LISTED_OBJECTS);
        } else {
            (self.objects_count, self.objects_digest) = (None, None);
        }
        self.objects = objects;
    }
}

fn digest(objects: &[AuditObject]) -> String {
    let mut hasher = Sha256::new();
    for object in objects {
        let size = object.size.map(|size| size.to_string()).unwrap_or_default();
        let etag = object.etag.as_deref().unwrap_or_default();
        for (field, end) in [
            (object.bucket.as_str(), b"\0"),
            (object.key.as_str(), b"\0"),
            (etag, b"\0"),
            (size.as_str(), b"\n"),
        ] {
            hasher.update(field);
            hasher.update(end);
        }
    }
    Hash::new(hasher.finalize()).as_str().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(number: usize) -> AuditObject {
        AuditObject {
            bucket: "lake".to_owned(),
            etag: Some(format!("\"{number}\"")),
            key: format!("calls/{number:06}.csv"),
            size: Some(7),
            version_id: None,
        }
    }

    fn record(objects: Vec<AuditObject>) -> AuditRecord {
        let mut record = AuditRecord::default();
        record.set_objects(objects);
        record
    }

    #[test]
    fn up_to_a_thousand_are_listed_and_nothing_is_added() {
        let listed = record((0..LISTED_OBJECTS).rev().map(object).collect());
        assert_eq!(listed.objects.len(), LISTED_OBJECTS);
        assert_eq!(listed.objects[0].key, "calls/000000.csv");
        assert_eq!(
            (listed.objects_count, &listed.objects_digest),
            (None, &None)
        );
        let text = listed.to_json().unwrap();
        assert!(!text.contains("objects_"), "{text}");
    }

    #[test]
    fn beyond_a_thousand_there_are_a_count_and_a_digest_of_all() {
        let all = |change: fn(&mut AuditObject)| {
            let mut objects: Vec<_> = (0..100_000).map(object).collect();
            change(objects.last_mut().unwrap());
            objects.rotate_left(4711);
            record(objects)
        };
        let first = all(|_| {});
        assert_eq!(first.objects.len(), LISTED_OBJECTS);
        assert_eq!(first.objects.last(), Some(&object(LISTED_OBJECTS - 1)));
        assert_eq!(first.objects_count, Some(100_000));
        let text = first.to_json().unwrap();
        assert!(text.len() < 200_000, "{} bytes", text.len());
        let digest = first.objects_digest.unwrap();
        assert_eq!(digest.len(), 64);
        for change in [
            (|last| last.key.push('x')) as fn(&mut AuditObject),
            |last| last.etag = None,
            |last| last.size = Some(8),
        ] {
            assert_ne!(all(change).objects_digest.unwrap(), digest);
        }
    }

    /// `printf 'b\0k\0e\0001\nb\0k2\0\0\n' | sha256sum`
    #[test]
    fn the_digest_can_be_made_with_other_tools() {
        let objects = [
            AuditObject {
                bucket: "b".to_owned(),
                etag: Some("e".to_owned()),
                key: "k".to_owned(),
                size: Some(1),
                version_id: None,
            },
            AuditObject {
                bucket: "b".to_owned(),
                key: "k2".to_owned(),
                ..AuditObject::default()
            },
        ];
        assert_eq!(
            digest(&objects),
            "322dff4b63bb885ef2d9b05a4bc1aa953a611f4c8b1047446ec1d4c157e2bf3f"
        );
    }
}
