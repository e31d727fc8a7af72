//! `flowlake profile` at a terminal, and behind a pipe.

#![cfg(target_os = "linux")]
use crate::{
    screen::{CTRL_C, Screen},
    support::House,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_server_is_looked_at_until_somebody_leaves() {
    let mut house = House::new().await;
    house.serve().await;
    let admin = house.server.as_ref().unwrap().admin_address().unwrap();
    let url = format!("http://{admin}");
    // Behind a pipe once, and as the configuration says.
    let told = house.told(&["profile", &url], 0).await;
    assert!(told.contains(&format!("at {url} · ready")), "{told}");
    assert!(told.contains("reads 0 of 64"), "{told}");
    assert!(!told.contains("q leaves"), "{told}");
    let mut command = house.command();
    command.args(["profile", &admin.to_string(), "--every", "0.1"]);
    let mut screen = Screen::start(&command);
    screen.expect("q leaves · w window: the last minute");
    // The test answers with the server's own client: a request is seen at the next look.
    let asked = reqwest::Client::new()
        .post(format!(
            "http://{}/v1/actions/look-up",
            house.server.as_ref().unwrap().address()
        ))
        .bearer_auth(crate::support::KEY)
        .json(&serde_json::json!({ "ani": "+12025550142" }))
        .send();
    assert!(asked.await.unwrap().status().is_success());
    screen.expect("look-up");
    screen.send("w");
    screen.expect("window: the last hour");
    screen.send("s");
    screen.expect("order: p99");
    screen.send("q");
    assert!(screen.ended().success());
    assert!(screen.is_cooked());
    // Ctrl-C leaves the terminal as it was, too.
    let mut screen = Screen::start(&command);
    screen.expect("q leaves");
    screen.send(CTRL_C);
    assert!(screen.ended().success());
    assert!(screen.is_cooked());
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_an_error() {
    let house = House::new().await;
    let told = house.told(&["profile", "http://127.0.0.1:9"], 2).await;
    assert!(
        told.contains("http://127.0.0.1:9/v1/status cannot be read"),
        "{told}"
    );
    let told = house.told(&["profile", "ftp://x"], 2).await;
    assert!(
        told.contains("`ftp://x` is no address of a server"),
        "{told}"
    );
}
