//! TLS as callers see it: both versions of HTTP, and a certificate that is replaced while they call.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use flowlake_data_action::{Config, ErrorCode, TlsSettings};
use reqwest::{Certificate, Client, ClientBuilder, Version, tls::TlsInfo};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::support::{KEY, Setting, certificate, now};

/// The certificates of this folder, looked at often.
fn tls(folder: &Path) -> impl FnOnce(&mut Config) + use<> {
    let (certificate, private_key) = (folder.join("server.pem"), folder.join("server.key"));
    move |config| {
        config.server.tls = Some(TlsSettings {
            certificate,
            private_key,
            client_roots: None,
            check_every: Duration::from_millis(20),
        });
    }
}

fn of_tests(config: &mut Config) {
    tls(&certificate(""))(config);
}

/// Puts a certificate of the tests into a folder, first one file and then the other.
fn put(folder: &Path, name: &str) {
    for kind in ["pem", "key"] {
        let from = certificate(&format!("{name}.{kind}"));
        // Renamed, as whatever renews certificates does: no reader sees half a file.
        let half = folder.join("half");
        fs::copy(from, &half).unwrap();
        fs::rename(&half, folder.join(format!("server.{kind}"))).unwrap();
    }
}

/// A client that trusts the authority of the tests.
fn client() -> ClientBuilder {
    let root = Certificate::from_pem(&fs::read(certificate("authority.pem")).unwrap()).unwrap();
    Client::builder()
        .no_proxy()
        .tls_info(true)
        .tls_certs_only([root])
}

/// Asks once; the answer's name, and the certificate that it came behind.
async fn ask(client: &Client, url: &str) -> Result<(Value, Vec<u8>, Version), reqwest::Error> {
    let question = client
        .post(url)
        .bearer_auth(KEY)
        .json(&json!({ "ani": "100" }));
    let answer = question.send().await?.error_for_status()?;
    let seen = answer.extensions().get::<TlsInfo>();
    let seen = seen.and_then(TlsInfo::peer_certificate).unwrap().to_vec();
    let version = answer.version();
    let answer: Value = answer.json().await?;
    Ok((answer["data"][0]["name"].clone(), seen, version))
}

fn der(name: &str) -> Vec<u8> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    CertificateDer::from_pem_file(certificate(name))
        .unwrap()
        .to_vec()
}

#[tokio::test]
async fn both_versions_of_http_are_spoken() {
    let setting = Setting::start(of_tests).await;
    let url = setting.url("/v1/actions/look-up");
    assert!(url.starts_with("https:"));
    let (name, seen, version) = ask(&client().build().unwrap(), &url).await.unwrap();
    assert_eq!((name, version), (json!("Ana"), Version::HTTP_2));
    assert_eq!(seen, der("server.pem"));
    let old = client().http1_only().build().unwrap();
    let (name, _, version) = ask(&old, &url).await.unwrap();
    assert_eq!((name, version), (json!("Ana"), Version::HTTP_11));
    // A caller that trusts other authorities turns back, and one without TLS gets nothing.
    let other = Certificate::from_pem(&fs::read(certificate("stranger.pem")).unwrap()).unwrap();
    let other = Client::builder()
        .no_proxy()
        .tls_certs_only([other])
        .build()
        .unwrap();
    assert!(ask(&other, &url).await.is_err());
    let plain = url.replacen("https", "http", 1);
    assert!(Client::new().get(plain).send().await.is_err());
}

#[tokio::test]
async fn a_handshake_that_does_not_go_on_is_cut() {
    let setting = Setting::start(|config| {
        of_tests(config);
        config.server.header_timeout = Duration::from_millis(300);
    })
    .await;
    // Nothing, the begin of a greeting, and one that says that the rest is 16 KiB.
    for start in [&[][..], &[22, 3], &[22, 3, 1, 64, 0]] {
        let mut peer = setting.connect().await;
        peer.write(start).await;
        let closed = peer.closed_within(Duration::from_secs(5)).await;
        assert!(closed.is_some(), "{start:?}");
    }
    let answered = ask(
        &client().build().unwrap(),
        &setting.url("/v1/actions/look-up"),
    )
    .await;
    assert!(answered.is_ok(), "{answered:?}");
}

#[tokio::test]
async fn a_certificate_is_replaced_under_load_and_no_request_fails() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "server");
    let setting = Setting::start(tls(folder.path())).await;
    let url = setting.url("/v1/actions/look-up");
    let (first, second) = (der("server.pem"), der("renewed.pem"));
    let done = Arc::new(AtomicBool::new(false));
    let replaced = Arc::new(AtomicUsize::new(0));
    let callers = (0..6).map(|number| {
        // Half of them begin a connection for each request, half keep theirs.
        let idle = if number % 2 == 0 { 0 } else { 1 };
        let client = client().pool_max_idle_per_host(idle);
        let client = if number < 3 {
            client.http1_only()
        } else {
            client
        };
        let client = client.build().unwrap();
        let (url, done, replaced) = (url.clone(), Arc::clone(&done), Arc::clone(&replaced));
        let (first, second) = (first.clone(), second.clone());
        tokio::spawn(async move {
            let mut requests = 0;
            while !done.load(Relaxed) {
                let (name, seen, _) = ask(&client, &url).await.unwrap();
                assert_eq!(name, "Ana");
                assert!(seen == first || seen == second);
                if idle == 0 && seen == second {
                    replaced.fetch_add(1, Relaxed);
                }
                // A connection keeps its certificate.
                assert!(idle == 0 || seen == first);
                requests += 1;
            }
            requests
        })
    });
    let callers: Vec<_> = callers.collect();
    sleep(Duration::from_millis(500)).await;
    put(folder.path(), "renewed");
    let start = now();
    while replaced.load(Relaxed) < 20 && start.elapsed() < Duration::from_secs(20) {
        sleep(Duration::from_millis(20)).await;
    }
    done.store(true, Relaxed);
    for caller in callers {
        assert!(caller.await.unwrap() > 0);
    }
    assert!(replaced.load(Relaxed) >= 20);
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_leaves_the_one_of_before() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "server");
    let setting = Setting::start(tls(folder.path())).await;
    let url = setting.url("/v1/actions/look-up");
    let seen = async || {
        let client = client().build().unwrap();
        ask(&client, &url).await.unwrap().1
    };
    for broken in [
        "",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        fs::write(folder.path().join("server.pem"), broken).unwrap();
        sleep(Duration::from_millis(100)).await;
        assert_eq!(seen().await, der("server.pem"));
        let error = setting.server.reload_certificate().unwrap_err();
        assert_eq!(error.code(), ErrorCode::ConfigInvalid);
    }
    let readiness = setting.operators("/readyz").await.json();
    let warning = readiness["warnings"][0].as_str().unwrap();
    for part in [
        "the certificate cannot be taken",
        "server.pem",
        "[server.tls]",
    ] {
        assert!(warning.contains(part), "{warning}");
    }
    // Another certificate without its key.
    fs::copy(certificate("renewed.pem"), folder.path().join("server.pem")).unwrap();
    let error = setting.server.reload_certificate().unwrap_err();
    assert!(error.message().contains("cannot be used with"), "{error}");
    fs::copy(certificate("renewed.key"), folder.path().join("server.key")).unwrap();
    setting.server.reload_certificate().unwrap();
    assert_eq!(seen().await, der("renewed.pem"));
    let failed = "flowlake_tls_failures{what=\"reload\"}";
    assert!(setting.metric(failed).await > 0.0);
    let readiness = setting.operators("/readyz").await.json();
    assert!(readiness.get("warnings").is_none(), "{readiness}");
}

#[tokio::test]
async fn a_certificate_that_callers_would_not_take_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    put(folder.path(), "server");
    let setting = Setting::start(tls(folder.path())).await;
    for (name, part) in [
        ("expired", "a certificate that ended at 20"),
        ("client", "a certificate that is not for servers"),
    ] {
        put(folder.path(), name);
        let error = setting.server.reload_certificate().unwrap_err();
        assert!(error.message().contains(part), "{error}");
        let url = setting.url("/v1/actions/look-up");
        let (_, seen, _) = ask(&client().build().unwrap(), &url).await.unwrap();
        assert_eq!(seen, der("server.pem"));
        let ready = setting.operators("/readyz").await;
        assert!(ready.body.contains(part), "{ready:?}");
        let started = Setting::try_start(|config| {
            let of = |kind| certificate(&format!("{name}.{kind}"));
            config.server.tls = Some(TlsSettings {
                certificate: of("pem"),
                private_key: of("key"),
                client_roots: None,
                check_every: Duration::from_secs(10),
            });
        });
        let error = started.await.map(drop).unwrap_err();
        assert_eq!(error.code(), ErrorCode::ConfigInvalid);
        assert!(error.message().contains(part), "{error}");
    }
    let failed = "flowlake_tls_failures{what=\"reload\"}";
    assert!(setting.metric(failed).await >= 2.0);
    // In a hundred years.
    let end = setting.metric("flowlake_tls_certificate_end_seconds").await;
    assert!(end > 4.0e9, "{end}");
}

#[tokio::test]
async fn a_server_that_would_tell_keys_in_the_clear_does_not_start() {
    for listen in ["0.0.0.0:0", "[::]:0"] {
        let started = Setting::try_start(|config| listen.clone_into(&mut config.server.listen));
        let error = started.await.map(drop).unwrap_err();
        assert_eq!(error.code(), ErrorCode::ConfigInvalid);
        assert!(error.message().contains("plain HTTP"), "{error}");
    }
    let allowed = Setting::try_start(|config| {
        "0.0.0.0:0".clone_into(&mut config.server.listen);
        config.server.allow_plain_http = true;
    });
    assert!(allowed.await.is_ok());
    let encrypted = Setting::try_start(|config| {
        of_tests(config);
        "0.0.0.0:0".clone_into(&mut config.server.listen);
    });
    assert!(encrypted.await.is_ok());
}

#[tokio::test]
async fn files_that_cannot_be_used_are_named_and_not_shown() {
    for (certificate_file, key_file, part) in [
        ("missing.pem", "server.key", "missing.pem cannot be read"),
        ("server.pem", "missing.key", "missing.key cannot be read"),
        (
            "server.key",
            "server.key",
            "server.key holds no certificate",
        ),
        (
            "server.pem",
            "server.pem",
            "server.pem holds no private key",
        ),
        ("server.pem", "client.key", "server.pem cannot be used with"),
    ] {
        let started = Setting::try_start(|config| {
            config.server.tls = Some(TlsSettings {
                certificate: certificate(certificate_file),
                private_key: certificate(key_file),
                client_roots: None,
                check_every: Duration::from_secs(10),
            });
        });
        let error = started.await.map(drop).unwrap_err();
        assert_eq!(error.code(), ErrorCode::ConfigInvalid);
        assert!(error.message().contains(part), "{error}");
        let key = fs::read_to_string(certificate("server.key")).unwrap();
        let secret = key.lines().nth(1).unwrap();
        assert!(!error.message().contains(secret), "{error}");
    }
}
