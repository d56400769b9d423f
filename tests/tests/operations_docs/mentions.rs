//! The names of metrics in a text.

use crate::PREFIX;

/// A name of a metric in a text.
#[derive(Debug)]
pub struct Mention {
    pub name: String,
    /// The rest may be missing: a pattern of `grep`, or `septet_cql_*`.
    pub is_prefix: bool,
    /// What follows in braces.
    pub selector: String,
}

/// Every name of a metric in a text. `septet_(a|b)_total` are two.
pub fn mentions(text: &str) -> Vec<Mention> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices(PREFIX) {
        let before = text[..at].bytes().next_back().unwrap_or(b' ');
        if is_of_name(before) || before == b'/' || before == b'-' {
            continue;
        }
        let (name, rest) = name_at(&text[at..]);
        let alternatives = rest.strip_prefix('(').and_then(|rest| rest.split_once(')'));
        let is_pattern = before == b'^';
        match alternatives {
            Some((alternatives, rest)) => {
                let (end, _) = name_at(rest);
                let names = alternatives.split('|').map(|part| format!("{name}{part}{end}"));
                found.extend(names.map(|name| Mention { name, is_prefix: is_pattern, selector: String::new() }));
            }
            None => {
                let selector = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
                let selector = selector.map(|(selector, _)| selector.replace('\\', "")).unwrap_or_default();
                let is_prefix = is_pattern || name.ends_with('_');
                found.push(Mention { name: name.to_owned(), is_prefix, selector });
            }
        }
    }
    found
}

/// What of a text is a name, and the rest.
fn name_at(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().position(|byte| !is_of_name(byte)).unwrap_or(text.len()))
}

/// Whether a name of a metric may have this byte.
pub fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'
}

/// The labels that a selector names, each with its value if that is not a pattern.
pub fn selected(selector: &str) -> Vec<(String, Option<String>)> {
    let matchers = selector.split(',').filter(|matcher| !matcher.trim().is_empty());
    let parts = matchers.filter_map(|matcher| matcher.split_once('=').map(|(label, value)| (label.trim(), value)));
    parts
        .map(|(label, value)| {
            let is_exact = value.starts_with('"') && !label.ends_with('!');
            let value = is_exact.then(|| value.trim_matches('"').to_owned());
            (label.trim_end_matches('!').to_owned(), value)
        })
        .collect()
}
