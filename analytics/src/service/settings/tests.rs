use clap::CommandFactory;

use super::*;
use crate::{rollups::cql::Retention, service::rollups::RollupsSource};

const SECRET: &str = "a-secret-of-enough-characters";
const CLICKS: &str = "kafka://broker/clicks";

fn parse(args: &[&str]) -> Result<Settings, clap::Error> {
    Cli::try_parse_from([&["septet-analytics"], args].concat()).map(|cli| cli.settings)
}

/// What is said of settings that make no sense together.
fn refused(args: &[&str]) -> String {
    match parse(args).unwrap().counting() {
        Ok(_) => panic!("{args:?} make sense"),
        Err(error) => error.to_string(),
    }
}

/// Seen to fail when a variable had another name than its flag.
#[test]
fn every_flag_has_a_variable_of_its_name() {
    Cli::command().debug_assert();
    for arg in Cli::command().get_arguments() {
        let Some(long) = arg.get_long() else { continue };
        let variable = format!("SEPTET_{}", long.replace('-', "_").to_uppercase());
        assert_eq!(arg.get_env().and_then(|env| env.to_str()), Some(variable.as_str()), "--{long}");
    }
}

/// Seen to fail when a flag was not global.
#[test]
fn flags_go_before_and_after_the_command() {
    for arg in Cli::command().get_arguments() {
        assert!(arg.is_global_set() || arg.get_long().is_none(), "{}", arg.get_id());
    }
    for args in [&["--listen", "127.0.0.1:1", "migrate"], &["migrate", "--listen", "127.0.0.1:1"]] {
        assert_eq!(parse(args).unwrap().listen.port(), 1);
    }
}

#[test]
fn the_defaults_are_what_the_documentation_says() {
    let settings = parse(&["--clicks", CLICKS, "--rollups", "sqlite:x.db"]).unwrap();
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8082");
    assert_eq!(settings.ops_listen.to_string(), "127.0.0.1:9082");
    let TopicSettings { partitions, replication_factor, retention_ms } = settings.topic();
    assert_eq!((partitions, replication_factor, retention_ms), (32, 3, 7 * 24 * 3_600 * 1_000));
    let (counting, defaults) = (settings.counting().unwrap(), ConsumerOptions::default());
    assert_eq!((counting.group.as_str(), counting.clicks.client_id.as_str()), ("septet-analytics", "septet-analytics"));
    assert_eq!(counting.consumer.commit_interval, defaults.commit_interval);
    assert_eq!(counting.consumer.cache_bytes_max, defaults.cache_bytes_max);
}

/// Seen to fail when a range was left out.
#[test]
fn a_bad_setting_is_named() {
    for args in [
        ["--listen", "8082"],
        ["--group", ""],
        ["--replication-factor", "0"],
        ["--partitions", "0"],
        ["--partitions", "4001"],
        ["--clicks-retention-ms", "86399999"],
        ["--rollup-cache-max-bytes", "1000"],
        ["--commit-interval-ms", "9"],
        ["--rollups-timeout-ms", "49"],
        ["--detail-days-kept", "0"],
        ["--days-kept", "7301"],
        ["--visitors-days-kept", "0"],
        ["--log-format", "xml"],
    ] {
        let message = parse(&args).unwrap_err().to_string();
        assert!(args.iter().all(|word| message.contains(word)), "{args:?}: {message}");
    }
}

/// Seen to fail when it was passed over.
#[test]
fn a_file_that_keeps_everything_is_not_told_for_how_long() {
    for flag in ["--detail-days-kept", "--days-kept", "--visitors-days-kept"] {
        let settings = parse(&["--clicks", CLICKS, "--rollups", "sqlite:x.db", flag, "30"]).unwrap();
        let message = settings.counting().err().expect("it is refused").to_string();
        assert!(message.starts_with(flag) && message.contains("scylla://"), "{message}");
    }
}

#[test]
fn backends_are_named_by_their_urls() {
    let rollups = |url: &str, more: &[&str]| {
        let args = [&["--clicks", CLICKS, "--rollups", url], more].concat();
        parse(&args).unwrap().counting().unwrap().rollups
    };
    for (url, path) in [("sqlite:x/y.db", "x/y.db"), ("sqlite:///y.db", "/y.db")] {
        assert!(matches!(rollups(url, &[]), RollupsSource::Sqlite(found) if found == *path), "{url}");
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "hunter2\n").unwrap();
    let more = [
        ["--rollups-password-file", file.path().to_str().unwrap()],
        ["--rollups-datacenter", "near"],
        ["--rollups-timeout-ms", "300"],
        ["--rollups-tls-ca", "ca.pem"],
    ];
    let RollupsSource::Cql(options, _) = rollups("scylla://me@a,b:1/clicks", &more.concat()) else {
        panic!("a keyspace was named")
    };
    assert_eq!(
        (options.url.to_string().as_str(), options.url.user.as_deref()),
        ("scylla://a:9042,b:1/clicks", Some("me"))
    );
    assert_eq!((options.password.as_deref(), options.datacenter.as_deref()), (Some("hunter2"), Some("near")));
    assert_eq!((options.request_timeout, options.tls_ca), (Duration::from_millis(300), Some(PathBuf::from("ca.pem"))));
}

/// Seen to fail when detail was given the time of visitors, and when it might outlive its day.
#[test]
fn what_is_kept_is_said_in_days() {
    let with = |more: &[&'static str]| [&["--clicks", CLICKS, "--rollups", "scylla://a/k"], more].concat();
    let kept = |more: &[&'static str]| match parse(&with(more)).unwrap().counting().unwrap().rollups {
        RollupsSource::Cql(_, retention) => retention,
        RollupsSource::Sqlite(_) => panic!("a keyspace was named"),
    };
    let days = |days: u64| Some(Duration::from_secs(days * 24 * 60 * 60));
    assert_eq!(kept(&[]), Retention::default());
    let all = ["--detail-days-kept", "30", "--days-kept", "400", "--visitors-days-kept", "90"];
    assert_eq!(kept(&all), Retention { detail: days(30), days: days(400), visitors: days(90) });
    assert_eq!(kept(&["--days-kept", "400"]), Retention { days: days(400), ..Retention::default() });
    assert_eq!(kept(&["--detail-days-kept", "30"]), Retention { detail: days(30), ..Retention::default() });
    assert_eq!(
        refused(&with(&["--detail-days-kept", "31", "--days-kept", "30"])),
        "--detail-days-kept and --days-kept: the detail of a day cannot be kept longer than the day: 31 days are more than 30"
    );
}

/// Seen to fail when the URLs were parsed by clap, which repeats what it is given.
#[test]
fn wrong_backends_are_refused_with_the_forms_there_are() {
    let clicks = ["--clicks", CLICKS];
    for (args, words) in [
        (vec!["--rollups", "sqlite:x"], ["--clicks is missing", "kafka://"]),
        (vec!["--rollups", "sqlite:x", "--clicks", "local:hunter2"], ["--clicks must look like", "kafka://"]),
        (
            vec!["--rollups", "sqlite:x", "--clicks", "kafka://me:hunter2@b/t"],
            ["--clicks names a user", "--kafka-properties"],
        ),
        (clicks.to_vec(), ["--rollups is missing", "sqlite:FILE"]),
        ([&clicks[..], &["--rollups", "mysql://hunter2"]].concat(), ["--rollups", "scylla://"]),
        ([&clicks[..], &["--rollups", "sqlite:"]].concat(), ["--rollups", "sqlite:FILE"]),
        ([&clicks[..], &["--rollups", "scylla://a"]].concat(), ["--rollups must look like", "KEYSPACE"]),
        (
            [&clicks[..], &["--rollups", "scylla://a/k", "--rollups-password-file", "no/such"]].concat(),
            ["--rollups-password-file", "no/such"],
        ),
        (
            [&clicks[..], &["--rollups", "sqlite:x", "--kafka-properties", "no/such"]].concat(),
            ["--kafka-properties", "no/such"],
        ),
    ] {
        let message = refused(&args);
        assert!(words.iter().all(|word| message.contains(word)), "{args:?}: {message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}

/// Seen to fail when any address was let through without a secret.
#[test]
fn without_a_secret_only_this_machine_is_served() {
    let secret_of = |args: &[&str]| parse(args).unwrap().secret();
    for listen in ["127.0.0.1:8082", "127.9.9.9:0", "[::1]:8082", "[::ffff:127.0.0.1]:8082"] {
        assert!(secret_of(&["--listen", listen]).unwrap().is_none(), "{listen}");
    }
    for listen in ["0.0.0.0:8082", "[::]:8082", "192.0.2.1:8082", "[2001:db8::1]:0"] {
        let message = secret_of(&["--listen", listen]).unwrap_err().to_string();
        assert!(["--listen", listen, "--analytics-secret"].iter().all(|word| message.contains(word)), "{message}");
        let with = ["--listen", listen, "--analytics-secret", SECRET];
        assert!(secret_of(&with).unwrap().unwrap().matches(SECRET.as_bytes()), "{listen}");
    }
}

/// Seen to fail when [`Hidden`] derived `Debug`.
#[test]
fn no_secret_is_ever_shown() {
    let url = "scylla://me:hunter2@a/k";
    let given =
        ["--clicks", CLICKS, "--rollups", url, "--rollups-password", "hunter2", "--analytics-secret", "hunter2"];
    let settings = parse(&given).unwrap();
    let shown = [
        format!("{settings:?}"),
        settings.secret().unwrap_err().to_string(),
        parse(&["--analytics-secret", "hunter2", "--analytics-secret-file", "x"]).unwrap_err().to_string(),
        parse(&["--rollups-password", "hunter2", "--rollups-password-file", "x"]).unwrap_err().to_string(),
    ];
    for text in shown {
        assert!(!text.contains("hunter2"), "{text}");
    }
    let hidden = ["clicks", "rollups", "rollups-password", "analytics-secret"];
    for arg in Cli::command().get_arguments() {
        let may_be_secret = arg.get_long().is_some_and(|long| hidden.contains(&long));
        assert_eq!(arg.is_hide_env_values_set(), may_be_secret, "{}", arg.get_id());
    }
}
