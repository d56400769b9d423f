use clap::CommandFactory;

use super::*;

const SECRET: &str = "a-secret-of-enough-characters";
const URL: &str = "mysql://root:hunter2@db/septet";

fn parse(args: &[&str]) -> Result<Settings, clap::Error> {
    Cli::try_parse_from([&["septet-token-service"], args].concat()).map(|cli| cli.settings)
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
    let settings = parse(&[]).unwrap();
    assert_eq!(settings.listen.to_string(), "127.0.0.1:8081");
    assert_eq!(settings.ops_listen.to_string(), "127.0.0.1:9081");
    assert_eq!(settings.lease_ttl(), Duration::from_secs(3600));
    assert_eq!(settings.unused_blocks_max, 1024);
    assert_eq!((settings.database_connections_max, settings.database_timeout_ms), (8, 1500));
}

/// Seen to fail when a range was left out.
#[test]
fn a_bad_setting_is_named() {
    for (args, words) in [
        (["--listen", "8081"], ["--listen", "8081"]),
        (["--lease-ttl-ms", "999"], ["--lease-ttl-ms", "999"]),
        (["--lease-ttl-ms", "86400001"], ["--lease-ttl-ms", "86400001"]),
        (["--unused-blocks-max", "255"], ["--unused-blocks-max", "255"]),
        (["--database-connections-max", "0"], ["--database-connections-max", "0"]),
        (["--database-timeout-ms", "60000"], ["--database-timeout-ms", "60000"]),
        (["--workers", "0"], ["--workers", "0"]),
        (["--log-format", "xml"], ["--log-format", "xml"]),
    ] {
        let message = parse(&args).unwrap_err().to_string();
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
    }
}

#[test]
fn a_database_is_named_by_its_url() {
    let of = |url: &str| format!("{:?}", parse(&["--database", url]).unwrap().database().unwrap());
    assert_eq!(of("sqlite:"), "Sqlite(None)");
    assert_eq!(of("sqlite:x/y.db"), "Sqlite(Some(\"x/y.db\"))");
    assert_eq!(of("sqlite:///y.db"), "Sqlite(Some(\"/y.db\"))");
    assert_eq!(of(URL), "Mysql(MysqlUrl(db:3306))");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), format!("{URL}\n")).unwrap();
    let in_file = parse(&["--database-file", file.path().to_str().unwrap()]).unwrap();
    assert_eq!(format!("{:?}", in_file.database().unwrap()), of(URL));
    assert!(parse(&["--database", URL, "--database-file", "x"]).is_err());
}

/// Seen to fail when the scheme was looked for before the first colon: "root" of `root:hunter2@db`.
#[test]
fn a_wrong_database_is_refused_with_the_forms_there_are() {
    for (url, named) in [
        (None, "--database-file"),
        (Some("postgres://root:hunter2@db/septet"), "\"postgres\""),
        (Some("root:hunter2@db/septet"), "no scheme"),
        (Some("hunter2"), "no scheme"),
        (Some("hunter2 root://"), "no scheme"),
        (Some("mysql:root:hunter2@db/septet"), "no scheme"),
    ] {
        let args = url.map_or(vec![], |url| vec!["--database", url]);
        let message = parse(&args).unwrap().database().unwrap_err().to_string();
        for word in ["--database", "mysql://user:password@host/database", "sqlite:", named] {
            assert!(message.contains(word), "{word}: {message}");
        }
        assert!(!message.contains("hunter2") && !message.contains("root"), "{message}");
    }
}

#[test]
fn a_url_without_a_database_is_refused() {
    for url in ["mysql://root:hunter2@db", "mysql://root:hunter2@db/"] {
        let message = parse(&["--database", url]).unwrap().database().unwrap_err().to_string();
        assert!(message.contains("--database") && message.contains("names no database"), "{message}");
        assert!(!message.contains("hunter2"), "{message}");
    }
}

/// Seen to fail when any address was let through without a secret.
#[test]
fn without_a_secret_only_this_machine_is_served() {
    let secret_of = |args: &[&str]| parse(args).unwrap().secret();
    for listen in ["127.0.0.1:8081", "127.9.9.9:0", "[::1]:8081", "[::ffff:127.0.0.1]:8081"] {
        assert!(secret_of(&["--listen", listen]).unwrap().is_none(), "{listen}");
    }
    for listen in ["0.0.0.0:8081", "[::]:8081", "192.0.2.1:8081", "[2001:db8::1]:0"] {
        let message = secret_of(&["--listen", listen]).unwrap_err().to_string();
        assert!(["--listen", listen, "--token-service-secret"].iter().all(|word| message.contains(word)), "{message}");
        let with = ["--listen", listen, "--token-service-secret", SECRET];
        assert!(secret_of(&with).unwrap().unwrap().matches(SECRET.as_bytes()), "{listen}");
    }
}

/// Seen to fail when [`Hidden`] derived `Debug`, and when `--database` was parsed by clap.
#[test]
fn no_secret_is_ever_shown() {
    let weak = "hunter2";
    let settings = parse(&["--database", URL, "--token-service-secret", weak]).unwrap();
    let shown = [
        format!("{settings:?}"),
        format!("{:?}", settings.database()),
        settings.secret().unwrap_err().to_string(),
        parse(&["--token-service-secret", weak, "--token-service-secret-file", "x"]).unwrap_err().to_string(),
        parse(&["--database", URL, "--database-file", "x"]).unwrap_err().to_string(),
    ];
    for text in shown {
        assert!(!text.contains("hunter2"), "{text}");
    }
    for arg in Cli::command().get_arguments() {
        let may_be_secret = matches!(arg.get_long(), Some("database" | "token-service-secret"));
        assert_eq!(arg.is_hide_env_values_set(), may_be_secret, "{}", arg.get_id());
    }
}
