//! What is refused before anything is done.

use std::process::Command;

#[test]
fn a_log_filter_that_cannot_be_read_is_an_error() {
    let output = Command::new(env!("CARGO_BIN_EXE_flowlake"))
        .args(["--log", "flowlake=loud", "check"])
        .output()
        .expect("the binary is built with the test");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("flowlake=loud"), "{said}");
}
