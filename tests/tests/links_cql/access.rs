//! Who is let in, and over what.

use std::time::{Duration, Instant};

use analytics::cql::{Cql, CqlError, CqlOptions};
use septet_tests::engines::{LIMIT, cassandra::Cassandra};
use shortener::store::scylla;
use tokio::time::sleep;

use crate::keyspace::options_at;

/// Seen to fail when any certificate was believed, when a wrong password counted as a node that does not answer, and when the URL was
/// shown with its password.
#[tokio::test]
#[ignore = "needs Cassandra: run by tests/run"]
async fn a_session_needs_the_password_and_a_certificate_that_is_believed() {
    let cassandra = tokio::task::spawn_blocking(Cassandra::start_guarded).await.unwrap();
    let at = |login: &str, tls_ca| CqlOptions {
        tls_ca,
        ..options_at(&format!("{login}{}", cassandra.contact_point()), "links")
    };
    let ca = Some(cassandra.certificate());
    let right = at("cassandra:cassandra@", ca.clone());
    // A node makes its first user when it is up already.
    let deadline = Instant::now() + LIMIT;
    while let Err(error) = scylla::migrate(&right, 1).await {
        assert!(Instant::now() < deadline, "{error}");
        sleep(Duration::from_millis(200)).await;
    }
    Cql::connect(&right).await.unwrap();
    let by_setting = CqlOptions { password: Some("cassandra".to_owned()), ..at("cassandra:other@", ca.clone()) };
    Cql::connect(&by_setting).await.unwrap();

    let other = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(other.path(), OTHER_CERTIFICATE).unwrap();
    for options in
        [at("cassandra:s3cret@", ca.clone()), at("", ca), at("cassandra:cassandra@", Some(other.path().to_owned()))]
    {
        let error = Cql::connect(&options).await.err().expect("it is not let in");
        assert!(matches!(error, CqlError::Refused { .. }) && !error.is_transient(), "{error:?}");
        assert!(!format!("{error} {error:?}").contains("s3cret"), "{error:?}");
    }
}

/// Of nobody in particular.
const OTHER_CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----
MIIBdzCCAR2gAwIBAgIUIgW33m+/zzh1QXhzDxmNGv3+cBEwCgYIKoZIzj0EAwIw
EDEOMAwGA1UEAwwFb3RoZXIwIBcNMjYxMTIxMDYzNTExWhgPMjEyNjEwMjgwNjM1
MTFaMBAxDjAMBgNVBAMMBW90aGVyMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE
p4Hl02PByyTFhDV51tdtOhgLSkKWF1sEmcHI0gT7ZBgRtwelfXRc9CnWLxvxAYUO
OxUz1foPmCD2pi4Oe9rX7aNTMFEwHQYDVR0OBBYEFOeJ43MQw9MREiHmUrKhc2c4
ymRJMB8GA1UdIwQYMBaAFOeJ43MQw9MREiHmUrKhc2c4ymRJMA8GA1UdEwEB/wQF
MAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIhAI/I/vd1IBb5Bzr47kyCIwqslpev8qLQ
d4gghiVymjRvAiBlTQIspVGiBv9pLlcPEjMwtj//FiqiyO5de7yIHYCqWg==
-----END CERTIFICATE-----";
