//! Where a link leads: parsed once, here, and carried as a type from then on.

use std::fmt;

use url::{Host, Url};

/// The longest destination, in characters, as it was given and as it is kept.
pub const DESTINATION_CHARS_MAX: usize = 32_000;

/// An absolute `http` or `https` URL that a browser may be sent to. `Location` carries it byte for byte.
///
/// It is kept as the [URL Standard](https://url.spec.whatwg.org/) serialises it, which normalises only what no browser
/// tells apart: spaces around it are dropped, scheme and host are lower-case, an international host becomes punycode, a
/// default port goes, `.` and `..` segments are resolved, an empty path is `/`, and characters that a URL cannot hold
/// are percent-encoded. Existing percent-encodings, the query, the fragment and the case of the path stay as they are.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Destination(Box<str>);

/// Why a text is no destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DestinationError {
    #[error("is empty")]
    Empty,
    #[error("is longer than {DESTINATION_CHARS_MAX} characters")]
    TooLong,
    #[error("holds a control character")]
    ControlCharacter,
    #[error("is not an absolute URL such as https://example.com/page")]
    NotAbsolute,
    #[error("must begin with http:// or https://")]
    Scheme,
    #[error("must not hold a user name or password")]
    Credentials,
    #[error("leads back to this shortener")]
    Loop,
    #[error("is not a valid URL: {0}")]
    Invalid(url::ParseError),
}

impl Destination {
    /// Parses what a person gave, for a shortener that is itself reached at `home`.
    pub fn parse(given: &str, home: &Home) -> Result<Self, DestinationError> {
        let given = given.trim_matches(' ');
        if given.is_empty() {
            return Err(DestinationError::Empty);
        }
        if given.chars().count() > DESTINATION_CHARS_MAX {
            return Err(DestinationError::TooLong);
        }
        // The URL Standard drops tabs and line ends silently; what a person sees must be what a browser gets.
        if given.chars().any(char::is_control) {
            return Err(DestinationError::ControlCharacter);
        }
        let url = Url::parse(given).map_err(|error| match error {
            url::ParseError::RelativeUrlWithoutBase => DestinationError::NotAbsolute,
            other => DestinationError::Invalid(other),
        })?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(DestinationError::Scheme);
        }
        // The URL Standard makes a host of what follows, however many slashes there are; a person left it out.
        let after_scheme = &given[url.scheme().len()..];
        if after_scheme.strip_prefix("://").is_none_or(|rest| rest.starts_with(['/', '\\'])) {
            return Err(DestinationError::NotAbsolute);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(DestinationError::Credentials);
        }
        if home.is_home_of(&url) {
            return Err(DestinationError::Loop);
        }
        let kept = String::from(url);
        if kept.len() > DESTINATION_CHARS_MAX {
            return Err(DestinationError::TooLong);
        }
        Ok(Destination(kept.into()))
    }

    /// What a store kept of a destination that was parsed before it was stored.
    pub(crate) fn from_stored(kept: impl Into<Box<str>>) -> Self {
        Destination(kept.into())
    }

    /// The URL: printable ASCII alone.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Where the shortener itself is reached: the scheme, host and port of every short link, without a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    url: Url,
}

/// Why a URL cannot be the shortener's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be http:// or https:// with a host, an optional port and nothing else, such as https://s.example.com")]
pub struct HomeError;

impl Home {
    /// Parses the `--public-url` setting.
    pub fn parse(given: &str) -> Result<Self, HomeError> {
        let url = Url::parse(given).map_err(|_| HomeError)?;
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        let anonymous = url.username().is_empty() && url.password().is_none();
        if matches!(url.scheme(), "http" | "https") && url.has_host() && bare && anonymous {
            Ok(Home { url })
        } else {
            Err(HomeError)
        }
    }

    /// The domain of short links, with the port where it is not the scheme's own: `localhost:8080`.
    pub fn domain(&self) -> String {
        let host = self.url.host_str().unwrap_or_default();
        match self.url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }

    /// The port, where the URL or its scheme names one.
    pub fn port(&self) -> Option<u16> {
        self.url.port_or_known_default()
    }

    /// The URL without a slash at its end: `http://localhost:8080`.
    pub fn as_str(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    /// Whether a URL is served by this shortener. Another scheme is no other place; for a shortener on this machine,
    /// neither is another name of it.
    fn is_home_of(&self, url: &Url) -> bool {
        let same_port = url.port_or_known_default() == self.url.port_or_known_default()
            || (url.port().is_none() && self.url.port().is_none());
        same_port && host_name(url) == host_name(&self.url)
    }
}

/// The host for comparison: without the root's dot, and with one name for this machine.
fn host_name(url: &Url) -> Option<String> {
    match url.host()? {
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            let local = name == "localhost" || name.ends_with(".localhost");
            Some(if local { "localhost".to_owned() } else { name.to_owned() })
        }
        Host::Ipv4(address) if address.is_loopback() || address.is_unspecified() => Some("localhost".to_owned()),
        Host::Ipv6(address) if address.is_loopback() || address.is_unspecified() => Some("localhost".to_owned()),
        host => Some(host.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn home() -> Home {
        Home::parse("http://localhost:8080").unwrap()
    }

    fn parse(given: &str) -> Result<String, DestinationError> {
        Destination::parse(given, &home()).map(|destination| destination.as_str().to_owned())
    }

    /// Seen to fail when the text was kept as given, when spaces around it stayed, and when a port made no other place.
    #[test]
    fn keeps_what_a_browser_would_ask_for() {
        for (given, kept) in [
            ("https://example.com", "https://example.com/"),
            ("  https://example.com/a ", "https://example.com/a"),
            ("HTTPS://Example.COM:443/Path?Q=a%20b#F", "https://example.com/Path?Q=a%20b#F"),
            ("http://example.com:8080/", "http://example.com:8080/"),
            ("https://bücher.example/ü", "https://xn--bcher-kva.example/%C3%BC"),
            ("https://example.com/a/../b", "https://example.com/b"),
            ("https://[2001:db8::1]/", "https://[2001:db8::1]/"),
            ("https://localhost:9999/", "https://localhost:9999/"),
        ] {
            assert_eq!(parse(given).as_deref(), Ok(kept), "{given}");
        }
    }

    /// Seen to fail with each check of `parse` taken out in turn, and with each other name of this machine.
    #[test]
    fn refuses_what_no_browser_should_be_sent_to() {
        use DestinationError::*;
        for (given, error) in [
            ("", Empty),
            ("   ", Empty),
            ("example.com", NotAbsolute),
            ("/path", NotAbsolute),
            ("//example.com", NotAbsolute),
            ("https:example.com", NotAbsolute),
            ("https:/example.com", NotAbsolute),
            ("https:///example.com", NotAbsolute),
            ("https:\\\\example.com", NotAbsolute),
            ("https://\\example.com", NotAbsolute),
            ("javascript:alert(1)", Scheme),
            ("data:text/html,x", Scheme),
            ("ftp://example.com/", Scheme),
            ("mailto:a@example.com", Scheme),
            ("https://user@example.com/", Credentials),
            ("https://user:secret@example.com/", Credentials),
            ("https://:secret@example.com/", Credentials),
            ("https://example.com/\r\nSet-Cookie: a=b", ControlCharacter),
            ("https://example.com/\0", ControlCharacter),
            ("java\tscript:alert(1)", ControlCharacter),
            ("https://example.com/\u{85}", ControlCharacter),
            ("http://localhost:8080/abc", Loop),
            ("http://LOCALHOST:8080", Loop),
            ("http://localhost.:8080/abc", Loop),
            ("http://127.0.0.1:8080/abc", Loop),
            ("http://0x7f.1:8080/abc", Loop),
            ("https://[::1]:8080/abc", Loop),
        ] {
            assert_eq!(parse(given), Err(error), "{given:?}");
        }
        for given in ["https://", "http://:80/", "https://exa mple.com/", "https://example.com:99999/"] {
            assert!(matches!(parse(given), Err(Invalid(_))), "{given:?}");
        }
    }

    /// Seen to fail with either check taken out.
    #[test]
    fn the_length_is_bounded_before_and_after_encoding() {
        let longest = format!("https://e.example/{}", "a".repeat(DESTINATION_CHARS_MAX - 18));
        assert_eq!(longest.len(), DESTINATION_CHARS_MAX);
        assert_eq!(parse(&longest), Ok(longest.clone()));
        assert_eq!(parse(&format!("{longest}a")), Err(DestinationError::TooLong));
        assert_eq!(parse(&format!("https://e.example/{}", "ü".repeat(20_000))), Err(DestinationError::TooLong));
        assert_eq!(parse(&format!("https://e.example/{}", "./".repeat(20_000))), Err(DestinationError::TooLong));
    }

    /// Seen to fail when each scheme's port was another place, when any port was the same, and with the root's dot
    /// kept.
    #[test]
    fn a_home_without_a_port_is_itself_under_both_schemes() {
        let home = Home::parse("https://s.example.com").unwrap();
        assert_eq!(home.domain(), "s.example.com");
        for given in ["https://s.example.com/x", "http://s.example.com/x", "https://S.example.com./x"] {
            assert_eq!(Destination::parse(given, &home), Err(DestinationError::Loop), "{given}");
        }
        assert!(Destination::parse("https://s.example.com:8443/x", &home).is_ok());
        assert!(Destination::parse("https://www.s.example.com/x", &home).is_ok());
    }

    /// Seen to fail with each condition taken out in turn.
    #[test]
    fn a_home_is_a_bare_origin() {
        for given in [
            "",
            "localhost:8080",
            "ftp://s.example",
            "https://s.example/path",
            "https://u@s.example",
            "https://:p@s.example",
            "https://s.example/?q",
            "https://s.example/#f",
        ] {
            assert_eq!(Home::parse(given), Err(HomeError), "{given}");
        }
        assert_eq!(Home::parse("http://localhost:8080/").unwrap().as_str(), "http://localhost:8080");
    }

    proptest! {
        /// Seen to fail when the text was cut at a byte.
        #[test]
        fn never_panics(given in ".{0,200}") {
            let _ = parse(&given);
        }

        /// Seen to fail when the parsed text was kept as given.
        #[test]
        fn parsing_again_changes_nothing(given in "https?://[a-zü.]{1,20}(:[0-9]{1,5})?/[ -~ü]{0,40}") {
            if let Ok(kept) = parse(&given) {
                prop_assert!(kept.bytes().all(|byte| (0x21..0x7f).contains(&byte)), "{kept}");
                prop_assert_eq!(parse(&kept), Ok(kept.clone()));
            }
        }
    }
}
