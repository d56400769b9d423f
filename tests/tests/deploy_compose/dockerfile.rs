//! The Dockerfile, as far as the tests look into it.

use std::collections::BTreeMap;

use crate::read;

/// The instructions before the first stage, and those of the last one, which is what runs.
#[derive(Debug)]
pub struct Dockerfile {
    arguments: Vec<(String, String)>,
    last_stage: Vec<(String, String)>,
}

impl Dockerfile {
    pub fn read() -> Self {
        let text = read("deploy/Dockerfile");
        let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        let joined = lines.join("\n").replace("\\\n", " ");
        let instructions: Vec<(String, String)> = joined
            .lines()
            .filter_map(|line| line.trim().split_once(' '))
            .map(|(instruction, words)| (instruction.to_owned(), words.trim().to_owned()))
            .collect();
        let stages: Vec<_> = instructions.split(|(instruction, _)| instruction == "FROM").collect();
        let [before, .., last] = stages.as_slice() else { panic!("there are no stages: {stages:?}") };
        Self { arguments: before.to_vec(), last_stage: last.to_vec() }
    }

    /// What follows each such instruction of the last stage.
    pub fn all(&self, instruction: &str) -> impl Iterator<Item = &str> {
        self.last_stage.iter().filter(move |(name, _)| name == instruction).map(|(_, words)| words.as_str())
    }

    /// What follows the instruction that counts.
    pub fn last(&self, instruction: &str) -> &str {
        self.all(instruction).last().unwrap_or_else(|| panic!("there is no {instruction}"))
    }

    pub fn exec_form(&self, instruction: &str) -> Vec<String> {
        exec_form(self.last(instruction))
    }

    /// The default of an argument that is declared before the first stage.
    pub fn argument(&self, name: &str) -> String {
        let declared = self
            .arguments
            .iter()
            .find_map(|(_, words)| words.split_once('=').filter(|(argument, _)| *argument == name));
        declared.unwrap_or_else(|| panic!("there is no argument {name}")).1.to_owned()
    }

    pub fn variables(&self) -> BTreeMap<String, String> {
        self.all("ENV").flat_map(pairs).collect()
    }

    pub fn labels(&self) -> BTreeMap<String, String> {
        self.all("LABEL").flat_map(pairs).collect()
    }

    /// The options of the health check, and the command.
    pub fn health(&self) -> (BTreeMap<String, String>, Vec<String>) {
        let (options, command) = self.last("HEALTHCHECK").split_once("CMD ").expect("a command");
        let options = options.split_whitespace().map(|option| {
            let (name, value) = option.strip_prefix("--").and_then(|option| option.split_once('=')).expect(option);
            (name.to_owned(), value.to_owned())
        });
        (options.collect(), exec_form(command))
    }
}

fn exec_form(words: &str) -> Vec<String> {
    serde_json::from_str(words).unwrap_or_else(|error| panic!("{words} is not in exec form: {error}"))
}

/// `name=value name="a value"`.
fn pairs(words: &str) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    let mut rest = words.trim();
    while let Some((name, after)) = rest.split_once('=') {
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').expect("a closing quote"),
            None => after.split_once(' ').unwrap_or((after, "")),
        };
        pairs.push((name.to_owned(), value.to_owned()));
        rest = after.trim_start();
    }
    assert!(rest.is_empty(), "{rest} is no pair");
    pairs
}
