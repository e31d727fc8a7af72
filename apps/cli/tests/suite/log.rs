//! What the log may say.

use crate::support::House;

/// The engine writes its plans, and SDKs their requests, at `debug`: with the values of parameters in them.
#[tokio::test]
async fn no_filter_shows_the_value_of_a_parameter() {
    let house = House::new().await;
    house.action(
        r#"name = "who"
[tables.customers]
uri = "s3://lake/exports/customers.csv"
[params.ani]
type = "phone"
sensitive = true
[query]
sql = "SELECT name FROM customers WHERE ani = $ani""#,
    );
    for filter in [
        "trace",
        "datafusion=trace,datafusion_optimizer=trace,aws=trace,hyper=trace",
    ] {
        let arguments = ["--log", filter, "run", "who", "--param", "ani=+12025550142"];
        let told = house.told(&arguments, 0).await;
        assert!(!told.contains("2025550142"), "{told}");
    }
    let told = house
        .told(
            &[
                "--log",
                "debug",
                "run",
                "who",
                "--param",
                "ani=+12025550142",
            ],
            0,
        )
        .await;
    assert!(told.contains("answered"), "our own lines are there: {told}");
}
