//! Every flag and variable that a page names is one of the binaries'.

use std::{collections::BTreeSet, fs, path::Path};

use septet_tests::{binary, process};

use crate::{files, root};

/// Lines with one of these are commands of others, whose flags are theirs.
const OTHER_PROGRAMS: [&str; 7] = ["kafka-", "kubectl", "helm ", "docs/capacity", "nodetool", "cqlsh", "mysql -h"];

/// What the three binaries say of themselves, with their subcommands.
fn help() -> String {
    let of = |binary: &Path, subcommands: &[&str]| -> String {
        let run = |args: &[&str]| process::run(binary, args).stdout.join("\n");
        subcommands.iter().map(|subcommand| run(&[subcommand, "--help"])).collect::<Vec<_>>().join("\n")
            + &run(&["--help"])
    };
    of(binary::septet(), &["serve", "migrate", "copy", "health", "probe"])
        + &of(binary::token_service(), &["serve", "migrate", "account", "adopt"])
        + &of(binary::analytics(), &["serve", "migrate"])
}

/// Seen to fail when a page named a flag and a variable that are not there.
#[test]
fn every_flag_and_variable_of_the_pages_exists() {
    let help = help();
    let words = |text: &str, is_of: fn(char) -> bool| -> BTreeSet<String> {
        text.split(|c| !is_of(c)).map(|word| word.trim_end_matches(['-', '_']).to_owned()).collect()
    };
    let is_of_flag = |c: char| c.is_ascii_lowercase() || c == '-';
    let is_of_variable = |c: char| c.is_ascii_uppercase() || c == '_';
    let (flags, variables) = (words(&help, is_of_flag), words(&help, is_of_variable));
    let mut wrong = Vec::new();
    for page in files(&root().join("docs"), "md") {
        let text = fs::read_to_string(&page).expect("a page");
        for line in text.lines().filter(|line| !OTHER_PROGRAMS.iter().any(|program| line.contains(program))) {
            let named = words(line, is_of_flag).into_iter().filter(|word| word.starts_with("--") && word.len() > 2);
            let unknown = named.filter(|flag| !flags.contains(flag));
            let variables_named = words(line, is_of_variable).into_iter().filter(|word| word.starts_with("SEPTET_"));
            wrong.extend(
                unknown
                    .chain(variables_named.filter(|name| !variables.contains(name)))
                    .map(|what| (page.clone(), what)),
            );
        }
    }
    assert!(flags.len() > 40 && variables.contains("SEPTET_DATA_DIR"), "the help was not read");
    assert!(wrong.is_empty(), "{wrong:?}");
}
