//! What settings say, and what is said of bad ones.

use clap::CommandFactory;

use super::*;

fn parse(args: &[&str]) -> Result<Settings, clap::Error> {
    Cli::try_parse_from([&["septet"], args].concat()).map(|cli| cli.settings)
}

#[test]
fn every_flag_has_a_variable_of_its_name() {
    Cli::command().debug_assert();
    for arg in Cli::command().get_arguments() {
        let Some(long) = arg.get_long() else { continue };
        let variable = format!("SEPTET_{}", long.replace('-', "_").to_uppercase());
        assert_eq!(arg.get_env().and_then(|env| env.to_str()), Some(variable.as_str()), "--{long}");
    }
}

#[test]
fn flags_go_before_and_after_the_command() {
    for args in [&["--listen", "127.0.0.1:1", "migrate"], &["migrate", "--listen", "127.0.0.1:1"]] {
        assert_eq!(parse(args).unwrap().listen.port(), 1);
    }
}

#[test]
fn a_bad_setting_is_named() {
    for (args, words) in [
        (["--links", "mongodb://x"], ["--links", "\"mongodb\"", "scylla://HOST:PORT"]),
        (["--links", "scylla://a"], ["--links", "must look like", "KEYSPACE"]),
        (["--links", "scylla://me:secret@a:x/links"], ["--links", "no HOST:PORT", "the 1. one"]),
        (["--leases", "mysql://x/y"], ["--leases", "\"mysql\"", "http://HOST:PORT"]),
        (["--leases", "tokens-1:8081"], ["--leases", "sqlite:FILE", "http://HOST:PORT"]),
        (["--leases", "http://a,sqlite:"], ["--leases", "different kinds", "http://HOST:PORT"]),
        (["--leases", "sqlite:x,http://a"], ["--leases", "different kinds", "sqlite:"]),
        (["--leases", "http://a,,http://b"], ["--leases", "different kinds", "http://HOST:PORT"]),
        (["--leases", "http://a,http://"], ["--leases", "URL 2", "http://HOST:PORT"]),
        (["--leases", "http://u:p@a"], ["--leases", "password", "secret"]),
        (["--clicks", "rabbit://x/t"], ["--clicks", "\"rabbit\"", "kafka://HOST:PORT"]),
        (["--clicks", "kafka://x:9092"], ["--clicks", "must look like", "kafka://HOST:PORT,HOST:PORT/TOPIC"]),
        (["--analytics", "mysql://x"], ["--analytics", "\"mysql\"", "http://HOST:PORT"]),
        (["--analytics", "http://a,http://"], ["--analytics", "URL 2", ""]),
        (["--public-url", "localhost"], ["--public-url", "http://", "https://"]),
        (["--listen", "8080"], ["--listen", "8080", "invalid"]),
        (["--trusted-proxies", "10.0.0.0/64"], ["--trusted-proxies", "10.0.0.0/64", "network"]),
    ] {
        let message = parse(&args).unwrap_err().to_string();
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
    }
}

#[test]
fn leases_come_from_a_file_or_from_a_token_service() {
    let leases = |given: &str| parse(&["--leases", given]).unwrap().leases;
    assert_eq!(parse(&[]).unwrap().leases, LeasesUrl::Sqlite(SqliteUrl(None)));
    assert_eq!(leases("sqlite:a,b.db"), LeasesUrl::Sqlite(SqliteUrl(Some("a,b.db".into()))));
    let LeasesUrl::TokenService(urls) = leases("http://a:8081,https://b/tokens") else { panic!("a token service") };
    assert_eq!(urls.iter().map(ToString::to_string).collect::<Vec<_>>(), ["http://a:8081/", "https://b/tokens"]);
}

#[test]
fn clicks_are_counted_where_they_are_asked_for() {
    let check = |args: &[&str]| parse(args).unwrap().check_clicks().map_err(|error| error.to_string());
    let (kafka, service) = (["--clicks", "kafka://a/t"], ["--analytics", "http://a:8082"]);
    assert_eq!(check(&[]), Ok(()));
    assert_eq!(check(&[kafka, service].concat()), Ok(()));
    assert_eq!(check(&["--clicks", "none:", "--analytics", "http://a:8082"]), Ok(()));
    assert!(check(&kafka).unwrap_err().contains("--analytics http://HOST:PORT"));
    assert!(check(&service).unwrap_err().contains("--clicks kafka://HOST:PORT/TOPIC"));
}

/// Seen to fail when the default was a minute whatever the link store.
#[test]
fn a_cached_link_is_believed_for_two_seconds_where_others_may_change_it() {
    let ttl_ms = |args: &[&str]| parse(args).unwrap().cache_ttl().as_millis();
    assert_eq!(ttl_ms(&[]), 60_000);
    assert_eq!(ttl_ms(&["--links", "scylla://a:9042/links"]), 2_000);
    assert_eq!(ttl_ms(&["--links", "scylla://a:9042/links", "--cache-ttl-ms", "9"]), 9);
    assert_eq!(ttl_ms(&["--links", "scylla://a:9042/links", "--clicks", "kafka://a/t"]), 60_000, "they are heard");
}

/// Seen to fail when the file was not read.
#[test]
fn the_token_service_s_secret_is_long_enough_and_may_be_in_a_file() {
    assert!(parse(&[]).unwrap().token_service_secret().unwrap().is_none());
    let with = |secret: &str| parse(&["--token-service-secret", secret]).unwrap().token_service_secret();
    assert_eq!(with(&"s".repeat(24)).unwrap().unwrap().expose(), "s".repeat(24));
    let said = with("short-secret").unwrap_err().to_string();
    assert!(said.contains("--token-service-secret must be 24") && !said.contains("short-secret"), "{said}");

    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let from_file = || parse(&["--token-service-secret-file", path]).unwrap().token_service_secret();
    let said = from_file().unwrap_err().to_string();
    assert!(said.contains("--token-service-secret-file") && said.contains("24"), "{said}");
    std::fs::write(path, format!("{}\n", "f".repeat(24))).unwrap();
    assert_eq!(from_file().unwrap().unwrap().expose(), "f".repeat(24));
    assert!(parse(&["--token-service-secret-file", path, "--token-service-secret", "x"]).is_err());
}

#[test]
fn an_api_key_is_long_enough_to_be_one() {
    let with = |key: &str| parse(&["--api-key", key]).unwrap().api_key();
    assert!(with(&"k".repeat(24)).unwrap().is_some());
    for key in ["", "short", &"k".repeat(23), &"ü".repeat(24), "0123456789 0123456789 0123456789"] {
        assert!(with(key).is_err(), "{key}");
    }
}
