//! A summary of columns of each kind.

use std::sync::Arc;

use datafusion::arrow::{
    array::{
        ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float64Array, Int64Array, ListArray,
        RecordBatch, StringArray, TimestampMicrosecondArray,
    },
    datatypes::Int32Type,
};
use serde_json::{Value, json};

use super::Summariser;

/// The summary of the columns, given in two batches.
fn of(columns: Vec<(&str, ArrayRef)>) -> Value {
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns
            .into_iter()
            .map(|(name, column)| (name, column, true)),
    )
    .unwrap();
    let mut summary = Summariser::new(&batch.schema());
    let half = batch.num_rows() / 2;
    for part in [
        batch.slice(0, half),
        batch.slice(half, batch.num_rows() - half),
    ] {
        summary.push(&part).unwrap();
    }
    serde_json::to_value(summary.finish().unwrap()).unwrap()
}

#[test]
fn columns_of_each_kind() {
    let days = Date32Array::from(vec![Some(20_000), None, Some(20_001), Some(20_001)]);
    let moments = TimestampMicrosecondArray::from(vec![Some(0), Some(1_500_000), None, Some(-1)]);
    let amounts = Decimal128Array::from(vec![Some(12_345), Some(-1), Some(5), None])
        .with_precision_and_scale(10, 2)
        .unwrap();
    let lists = ListArray::from_iter_primitive::<Int32Type, _, _>(vec![
        Some(vec![Some(1)]),
        Some(vec![Some(1)]),
        None,
        Some(vec![]),
    ]);
    let found = of(vec![
        ("n", Arc::new(Int64Array::from(vec![9, 1, 1, 5]))),
        (
            "f",
            Arc::new(Float64Array::from(vec![1.5, f64::NAN, -2.0, 0.0])),
        ),
        ("d", Arc::new(days)),
        ("at", Arc::new(moments)),
        ("eur", Arc::new(amounts)),
        (
            "b",
            Arc::new(BooleanArray::from(vec![Some(true), None, None, Some(true)])),
        ),
        ("l", Arc::new(lists)),
        (
            "t",
            Arc::new(StringArray::from(vec![
                Some("b"),
                Some("ä"),
                None,
                Some("b"),
            ])),
        ),
    ]);
    assert_eq!(found["rows"], 4);
    let column = |name: &str| {
        let all = found["columns"].as_array().unwrap();
        all.iter()
            .find(|column| column["name"] == name)
            .unwrap()
            .clone()
    };
    let n = column("n");
    assert_eq!(
        (&n["type"], &n["nulls"], &n["distinct"]),
        (&json!("integer"), &json!(0), &json!(3))
    );
    assert_eq!(
        (&n["min"], &n["max"], &n["distinct_is_estimate"]),
        (&json!(1), &json!(9), &json!(false))
    );
    assert_eq!(
        n["top"][0],
        json!({ "value": 1, "count": 2, "at_least": false })
    );
    assert_eq!(n["quantiles"][2], json!({ "percent": 50, "value": 5 }));
    let f = column("f");
    assert_eq!((&f["min"], &f["sampled"]), (&json!(-2.0), &json!(4)));
    // As in `max`, what is no number is above all others.
    assert_eq!(
        (&f["max"], &f["quantiles"][4]["value"]),
        (&json!("NaN"), &json!("NaN"))
    );
    let d = column("d");
    assert_eq!((&d["type"], &d["nulls"]), (&json!("date"), &json!(1)));
    assert_eq!(
        (&d["min"], &d["quantiles"][2]["value"]),
        (&json!("2024-10-04"), &json!("2024-10-05"))
    );
    let at = column("at");
    assert_eq!(at["min"], "1969-12-31T23:59:59.999999");
    let eur = column("eur");
    assert_eq!((&eur["min"], &eur["max"]), (&json!(-0.01), &json!(123.45)));
    assert_eq!(
        column("b")["top"],
        json!([{ "value": "true", "count": 2, "at_least": false }])
    );
    let l = column("l");
    assert_eq!(
        (&l["nulls"], &l["distinct"], &l["distinct_is_estimate"]),
        (&json!(1), &json!(2), &json!(true))
    );
    assert_eq!((&l["min"], l.get("top")), (&Value::Null, None));
    let t = column("t");
    assert_eq!((&t["min"], &t["max"]), (&json!("b"), &json!("ä")));
    assert_eq!(
        (&t["text"]["shortest"], &t["text"]["longest"]),
        (&json!(1), &json!(1))
    );
}

#[test]
fn text_that_means_null_and_what_the_rest_is() {
    let found = of(vec![
        (
            "ms",
            Arc::new(StringArray::from(vec![
                "12", "N/A", "n/a", "7", "N/A", "-3",
            ])),
        ),
        (
            "name",
            Arc::new(StringArray::from(vec!["Ana", "NULL", "", "Bo", "Cy", "12"])),
        ),
        (
            "ani",
            Arc::new(StringArray::from(vec![
                "+12025550142",
                "-",
                "+491701234567",
                "-",
                "-",
                "-",
            ])),
        ),
        (
            "none",
            Arc::new(StringArray::from(vec!["-", "-", "-", "-", "-", "-"])),
        ),
    ]);
    let text = |column: usize| &found["columns"][column]["text"];
    assert_eq!(text(0)["null_texts"], json!([["N/A", 2], ["n/a", 1]]));
    assert_eq!(text(0)["others_are"], "integer");
    assert_eq!(text(1)["null_texts"], json!([["", 1], ["NULL", 1]]));
    assert_eq!(text(1)["others_are"], Value::Null);
    assert_eq!(
        (&text(2)["others_are"], &text(2)["others_are_phones"]),
        (&Value::Null, &json!(true))
    );
    assert_eq!(
        (&text(3)["others_are"], &text(3)["others_are_phones"]),
        (&Value::Null, &json!(false))
    );
}

#[test]
fn memory_does_not_grow_with_the_values() {
    let long = "x".repeat(1 << 20);
    let texts = StringArray::from_iter_values((0..20).map(|n| format!("{n:02}{long}")));
    let found = of(vec![("t", Arc::new(texts))]);
    let column = &found["columns"][0];
    assert_eq!(column["distinct"], 20);
    assert!(found.to_string().len() < 2000);
    assert!(column["max"].as_str().unwrap().starts_with("19xxx"));
    let wide = (0..600).map(|n| {
        (
            format!("c{n}"),
            Arc::new(Int64Array::from(vec![n])) as ArrayRef,
        )
    });
    let wide: Vec<_> = wide.collect();
    let found = of(wide
        .iter()
        .map(|(name, column)| (name.as_str(), Arc::clone(column)))
        .collect());
    assert_eq!(found["columns"].as_array().unwrap().len(), 500);
    assert_eq!(found["columns_left_out"], 100);
}
