//! Keys: what follows the slash. A code, made from an id, or an alias, chosen by a person.

use std::{borrow::Cow, fmt};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use unicode_normalization::{UnicodeNormalization, char::is_combining_mark};

use crate::code::Code;

/// The longest alias, in characters.
pub const ALIAS_CHARS_MAX: usize = 190;

/// First segments that the shortener keeps for itself.
const RESERVED: [&str; 11] = [
    "api",
    "robots.txt",
    "favicon.ico",
    "sitemap.xml",
    ".well-known",
    "livez",
    "readyz",
    "metrics",
    "health",
    "admin",
    "app",
];

/// Whether a request's path is the shortener's own, and not a key.
pub fn is_reserved(path: &str) -> bool {
    let path = path.trim_start_matches('/');
    let first = path.split('/').next().unwrap_or_default();
    first.is_empty() || RESERVED.contains(&first)
}

/// The domain a key belongs to. The empty one is the default domain, whatever `--public-url` calls it at the moment, so that
/// links outlive a change of that setting.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Domain(Box<str>);

impl Domain {
    /// What a store kept.
    pub(crate) fn from_stored(kept: impl Into<Box<str>>) -> Self {
        Domain(kept.into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// What follows the slash of one link.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Key {
    Code(Code),
    Alias(Alias),
}

impl Key {
    /// The key as people read it.
    pub fn as_str(&self) -> &str {
        match self {
            Key::Code(code) => code.as_str(),
            Key::Alias(alias) => alias.as_str(),
        }
    }

    /// The same in bytes.
    pub fn as_bytes(&self) -> &[u8] {
        match self {
            Key::Code(code) => code.as_bytes(),
            Key::Alias(alias) => alias.as_str().as_bytes(),
        }
    }

    /// The key as a URL carries it.
    pub fn to_path(&self) -> Cow<'_, str> {
        // What an alias may hold and a path may not go without.
        const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/');
        Cow::from(utf8_percent_encode(self.as_str(), KEPT))
    }

    /// What a store kept: a code holds an upper-case letter, an alias never does.
    pub(crate) fn from_stored(kept: &str) -> Self {
        match Code::parse(kept) {
            Some(code) => Key::Code(code),
            None => Key::Alias(Alias(kept.into())),
        }
    }
}

/// A key that a person chose: NFC, lower-case, so that what looks the same is the same.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Alias(Box<str>);

/// Why a text is no alias.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AliasError {
    #[error("is empty")]
    Empty,
    #[error("is longer than {ALIAS_CHARS_MAX} characters")]
    TooLong,
    #[error("holds {0:?}: letters and digits of any script, emoji and - _ . ~ / are allowed")]
    Character(char),
    #[error("must not begin or end with a slash, nor hold an empty segment, '.' or '..'")]
    Segment,
    #[error("begins with {0:?}, which is reserved")]
    Reserved(&'static str),
}

impl Alias {
    /// Parses what a person chose. Case does not count: `Sale` is `sale`.
    pub fn parse(given: &str) -> Result<Self, AliasError> {
        if given.is_empty() {
            return Err(AliasError::Empty);
        }
        // Bounded before it is normalised, which may lengthen it.
        if given.len() > ALIAS_CHARS_MAX * 16 {
            return Err(AliasError::TooLong);
        }
        let alias: String = given.nfc().collect::<String>().to_lowercase().nfc().collect();
        if alias.chars().count() > ALIAS_CHARS_MAX {
            return Err(AliasError::TooLong);
        }
        if let Some(refused) = alias.chars().find(|char| !is_allowed(*char)) {
            return Err(AliasError::Character(refused));
        }
        // A joiner joins what stands before it; on its own it is invisible.
        let mut before = ' ';
        for char in alias.chars() {
            if is_joiner(char) && before.is_ascii() {
                return Err(AliasError::Character(char));
            }
            before = char;
        }
        if alias.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return Err(AliasError::Segment);
        }
        let first = alias.split('/').next().unwrap_or_default();
        if let Some(reserved) = RESERVED.into_iter().find(|reserved| *reserved == first) {
            return Err(AliasError::Reserved(reserved));
        }
        Ok(Alias(alias.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Letters, digits and marks of any script, pictures, and five signs that a path carries unescaped. Never what is
/// invisible or changes the direction of writing, except the joiner that emoji and some scripts need.
fn is_allowed(char: char) -> bool {
    match char {
        '-' | '_' | '.' | '~' | '/' => true,
        _ if char.is_ascii() => char.is_ascii_alphanumeric(),
        _ if is_joiner(char) => true,
        _ if is_invisible(char) => false,
        _ => char.is_alphanumeric() || is_combining_mark(char) || is_picture(char),
    }
}

/// What emoji and some scripts are put together with.
fn is_joiner(char: char) -> bool {
    matches!(char, '\u{200d}' | '\u{fe0f}')
}

/// Letters and marks that show nothing (Unicode's Default_Ignorable_Code_Point, as far as they are letters or marks).
fn is_invisible(char: char) -> bool {
    matches!(u32::from(char), 0x34f | 0x115f..=0x1160 | 0x17b4..=0x17b5 | 0x180b..=0x180f | 0x3164 | 0xfe00..=0xfe0f | 0xffa0 | 0xe0100..=0xe01ef)
}

/// The Unicode blocks of pictographs and symbols that people use as such.
fn is_picture(char: char) -> bool {
    matches!(u32::from(char), 0x2190..=0x21ff | 0x2300..=0x23ff | 0x2460..=0x27bf | 0x2900..=0x297f | 0x2b00..=0x2bff | 0x1f000..=0x1faff | 0x20e3)
}

/// What a request may ask for: a code first, and the alias of the same letters if there is no such code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requested {
    pub code: Option<Code>,
    pub alias: Option<Alias>,
}

impl Requested {
    /// Reads a request's path, without its first slash. `None`: no link can have such a key.
    pub fn parse(path: &str) -> Option<Self> {
        let path = path.strip_suffix('/').unwrap_or(path);
        let decoded = percent_decode_str(path).decode_utf8().ok()?;
        let requested = Requested { code: Code::parse(decoded.as_bytes()), alias: Alias::parse(&decoded).ok() };
        (requested.code.is_some() || requested.alias.is_some()).then_some(requested)
    }

    /// The keys to look for, in their order.
    pub fn keys(&self) -> impl Iterator<Item = Key> + use<> {
        [self.code.map(Key::Code), self.alias.clone().map(Key::Alias)].into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn alias(given: &str) -> Result<String, AliasError> {
        Alias::parse(given).map(|alias| alias.as_str().to_owned())
    }

    /// Seen to fail without either normalisation, and without the lower case.
    #[test]
    fn one_spelling_for_what_looks_the_same() {
        for (given, kept) in [
            ("Sale", "sale"),
            ("2026/Spring-Sale_v1.0~a", "2026/spring-sale_v1.0~a"),
            ("CAFÉ", "café"),
            ("CAFE\u{301}", "café"),
            // Composed only in lower case.
            ("J\u{30c}", "ǰ"),
            ("ПРИВЕТ", "привет"),
            ("東京", "東京"),
            ("🎉", "🎉"),
            ("👩\u{200d}💻", "👩\u{200d}💻"),
            ("AbCdEfG", "abcdefg"),
            ("a", "a"),
        ] {
            assert_eq!(alias(given).as_deref(), Ok(kept), "{given}");
        }
    }

    /// Seen to fail with each check of `parse` taken out in turn, but for the one of bytes, which only saves work.
    #[test]
    fn refuses_what_no_link_should_be_called() {
        for given in [
            "a b",
            "a\0",
            "a\r\nb",
            "a?b",
            "a#b",
            "a%b",
            "a\\b",
            "a\u{202e}b",
            "a\u{200b}b",
            "<b>",
            "a\u{a0}b",
            "a\u{3164}",
            "a\u{34f}b",
            "a\u{200d}b",
            "\u{200d}",
            "a\u{fe0f}",
        ] {
            assert!(matches!(alias(given), Err(AliasError::Character(_))), "{given:?}");
        }
        for given in ["/a", "a/", "a//b", ".", "..", "a/../b", "./a"] {
            assert_eq!(alias(given), Err(AliasError::Segment), "{given:?}");
        }
        for given in ["api", "API", "api/links", "robots.txt", ".well-known/x"] {
            assert!(matches!(alias(given), Err(AliasError::Reserved(_))), "{given:?}");
        }
        assert_eq!(alias(""), Err(AliasError::Empty));
        assert_eq!(alias(&"x".repeat(191)), Err(AliasError::TooLong));
        assert!(alias(&"x".repeat(190)).is_ok());
        // Decomposed, each of these takes nine bytes.
        assert!(alias(&"\u{1112}\u{1161}\u{11ab}".repeat(190)).is_ok());
        assert!(alias("apis").is_ok());
    }

    /// Seen to fail when it was not read as a code, when it was not decoded, and when a slash at its end stayed.
    #[test]
    fn a_request_is_a_code_first_and_an_alias_else() {
        let requested = Requested::parse("AbCdEfG").unwrap();
        assert_eq!(requested.code.unwrap().as_str(), "AbCdEfG");
        assert_eq!(requested.alias.unwrap().as_str(), "abcdefg");

        let requested = Requested::parse("caf%C3%A9/").unwrap();
        assert_eq!((requested.code, requested.alias.unwrap().as_str()), (None, "café"));

        assert_eq!(Requested::parse("abcdefg").unwrap().code, None);
        for nothing in ["", "%ff", "a%00", "a%20b", "api/x"] {
            assert_eq!(Requested::parse(nothing), None, "{nothing}");
        }
    }

    /// Seen to fail when nothing was encoded, and when the slash was.
    #[test]
    fn a_path_carries_any_alias() {
        let key = Key::Alias(Alias::parse("Café/🎉_a").unwrap());
        assert_eq!(key.to_path(), "caf%C3%A9/%F0%9F%8E%89_a");
        assert_eq!(Requested::parse(&key.to_path()).unwrap().alias.map(Key::Alias), Some(key));
    }

    proptest! {
        /// Seen to fail without the second normalisation.
        #[test]
        fn parsing_again_changes_nothing(
            given in prop_oneof!["\\PC{1,40}", "[HJTWY\u{308}\u{30a}\u{30c}\u{331}]{1,8}"],
        ) {
            if let Ok(kept) = alias(&given) {
                prop_assert_eq!(alias(&kept), Ok(kept.clone()));
                prop_assert!(Code::parse(&kept).is_none(), "an alias is never a code: {}", kept);
            }
        }

        /// Seen to fail when the path was cut at a byte.
        #[test]
        fn requests_never_panic(path in "\\PC{0,60}") {
            let _ = Requested::parse(&path);
        }
    }
}
