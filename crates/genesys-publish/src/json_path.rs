//! The JSON paths of a translation map, in the dialect of the library that the platform uses (Jayway): names, indexes,
//! slices, wildcards, deep scans, filters, and functions over lists.

mod parse;
mod path;

pub(crate) use self::parse::parse;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths() {
        let document = json!({
            "data": [{"q": "a", "n": 1}, {"q": "b", "n": null}, {"n": 3}],
            "row_count": 3,
            "null": null,
            "deep": {"data": [{"q": "c"}]},
            "a b": 5,
            "participants": [
                {"purpose": "agent", "id": "x", "wait": 7},
                {"purpose": "customer", "id": "y", "tags": ["t"]},
            ],
        });
        for (path, expected) in [
            ("$", Some(document.clone())),
            ("$.row_count", Some(json!(3))),
            ("$.null", Some(json!(null))),
            ("$.none", None),
            ("$.none.deeper", None),
            ("$['a b']", Some(json!(5))),
            ("$.data[0].q", Some(json!("a"))),
            ("$.data[-1].n", Some(json!(3))),
            ("$.data[9].q", None),
            ("$.data[*].q", Some(json!(["a", "b"]))),
            ("$.data[*].none", Some(json!([]))),
            ("$.data[0:2].n", Some(json!([1, null]))),
            ("$.data[0,2].n", Some(json!([1, 3]))),
            ("$..q", Some(json!(["a", "b", "c"]))),
            ("$.data.length()", Some(json!(3))),
            ("$.data[*].n.sum()", Some(json!(4.0))),
            (
                "$.participants[?(@.purpose=='agent')].id",
                Some(json!(["x"])),
            ),
            (
                "$.participants[?(@.purpose == \"customer\")].id",
                Some(json!(["y"])),
            ),
            (
                "$.participants[?(@.purpose != 'agent' && @.tags)].id",
                Some(json!(["y"])),
            ),
            (
                "$.participants[?(@.purpose=='agent' || @.purpose=='customer')].id",
                Some(json!(["x", "y"])),
            ),
            ("$.participants[?(@.wait > 5)].id", Some(json!(["x"]))),
            ("$.participants[?(!@.wait)].id", Some(json!(["y"]))),
            (
                "$..participants[?(@.id=~/X/i)].purpose",
                Some(json!(["agent"])),
            ),
            (
                "$.participants[?(@.id in ['y','z'])].purpose",
                Some(json!(["customer"])),
            ),
        ] {
            let parsed = parse(path).unwrap_or_else(|error| panic!("{path}: {error}"));
            assert_eq!(parsed.find(&document), expected, "{path}");
        }
        for wrong in [
            "data",
            "$.",
            "$.a[",
            "$.a[?(@.b ==)]",
            "$.a['b','c']",
            "$.a.size(1)",
            "$.a[x]",
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
