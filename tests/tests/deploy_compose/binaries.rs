//! What the binaries say of themselves.

use std::{path::Path, sync::OnceLock};

use septet_tests::{binary, process};

/// What `--help` of a binary prints.
#[derive(Debug)]
pub struct Help {
    binary: &'static Path,
    text: String,
}

impl Help {
    /// Of the binary that is at `path` in the image.
    pub fn of(path: &str) -> &'static Help {
        static SEPTET: OnceLock<Help> = OnceLock::new();
        static TOKEN_SERVICE: OnceLock<Help> = OnceLock::new();
        static ANALYTICS: OnceLock<Help> = OnceLock::new();
        match path {
            "/usr/local/bin/septet" => SEPTET.get_or_init(|| Help::ask(binary::septet(), &[])),
            "/usr/local/bin/septet-token-service" => {
                TOKEN_SERVICE.get_or_init(|| Help::ask(binary::token_service(), &[]))
            }
            "/usr/local/bin/septet-analytics" => ANALYTICS.get_or_init(|| Help::ask(binary::analytics(), &[])),
            other => panic!("the image has no {other}"),
        }
    }

    fn ask(binary: &'static Path, subcommand: &[&str]) -> Help {
        let ended = process::run(binary, &[subcommand, &["--help"]].concat());
        assert!(ended.status.success(), "{subcommand:?} is none of {}", binary.display());
        // A variable and its value may be on two lines.
        let text = ended.stdout.join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
        Help { binary, text }
    }

    /// Whether a setting can be made by this variable.
    pub fn has_variable(&self, name: &str) -> bool {
        [format!("[env: {name}="), format!("[env: {name}]")].iter().any(|variable| self.text.contains(variable))
    }

    /// What a setting is when nobody makes it.
    ///
    /// # Panics
    /// When there is no such setting, or no default.
    pub fn default_of(&self, name: &str) -> String {
        let (_, after) = self
            .text
            .split_once(&format!("[env: {name}=] [default: "))
            .unwrap_or_else(|| panic!("no default of {name}"));
        after.split_once(']').expect("an end").0.to_owned()
    }

    /// # Panics
    /// When there is no such subcommand, or a flag is not one of it.
    pub fn check_arguments(&self, whose: &str, arguments: &[String]) {
        let (subcommand, flags) = match arguments {
            [first, rest @ ..] if !first.starts_with('-') => (vec![first.as_str()], rest),
            all => (vec![], all),
        };
        let help = Help::ask(self.binary, &subcommand);
        for flag in flags.iter().filter(|argument| argument.starts_with("--")) {
            let flag = flag.split('=').next().expect("a first part");
            let there = help.text.split_whitespace().any(|word| word == flag);
            assert!(there, "{whose}: {} {subcommand:?} has no {flag}", self.binary.display());
        }
    }
}
