//! Serves a folder until standard input ends or the process gets a signal to stop.
//!
//! `cargo run -p flowlake-dev-stack --example serve -- FOLDER [IAM.json]` prints one line of JSON
//! with the endpoints, the access key of the first principal and the Genesys Cloud client. With
//! `--sample ROWS` it first lays sample data into the folder.

use std::path::PathBuf;

use flowlake_dev_stack::sample::{self, SampleSettings};
use flowlake_dev_stack::{DevStack, GenesysSettings, IamDocument};
use serde_json::json;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut folder = None;
    let mut document = IamDocument::single_administrator();
    let mut arguments = std::env::args().skip(1);
    let mut rows = None;
    while let Some(argument) = arguments.next() {
        if argument == "--sample" {
            rows = Some(arguments.next().ok_or("--sample needs a number")?.parse()?);
        } else if folder.is_none() {
            folder = Some(PathBuf::from(argument));
        } else {
            document = IamDocument::from_file(argument.as_ref())?;
        }
    }
    let folder = folder.ok_or("usage: serve FOLDER [IAM.json] [--sample ROWS]")?;
    if let Some(rows) = rows {
        let settings = SampleSettings {
            rows,
            ..SampleSettings::default()
        };
        sample::write(&folder, &settings)?;
    }
    let principal = document
        .identities
        .first()
        .map_or_else(String::new, |identity| identity.arn.clone());
    let genesys = GenesysSettings::default();
    let stack = DevStack::builder(folder)
        .with_iam(document)
        .with_genesys(genesys.clone())
        .start()
        .await?;
    let key = stack.access_key(&principal);
    let endpoints = json!({
        "s3_url": stack.s3_url(),
        "aws_url": stack.aws_url(),
        "genesys_login_url": stack.genesys_login_url(),
        "genesys_api_url": stack.genesys_api_url(),
        "access_key_id": key.id,
        "secret_access_key": key.secret,
        "genesys_client_id": genesys.client_id,
        "genesys_client_secret": genesys.client_secret,
        "genesys_integration_id": genesys.integration_id,
        "genesys_function_integration_id": genesys.function_integration_id,
    });
    #[expect(clippy::print_stdout, reason = "this line is what the program is for")]
    {
        println!("{endpoints}");
    }
    wait_for_the_end().await;
    stack.shutdown().await;
    Ok(())
}

/// Returns when standard input ends or a signal asks to stop.
async fn wait_for_the_end() {
    let (ended, end) = tokio::sync::oneshot::channel();
    // A thread of its own: a read of standard input cannot be cancelled.
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = ended.send(());
    });
    #[cfg(unix)]
    let told = async {
        use tokio::signal::unix::{SignalKind, signal};
        match signal(SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let told = std::future::pending::<()>();
    tokio::select! {
        _ = end => {}
        () = told => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}
