//! The registrable domain of the page that a click came from.

use psl::Psl as _;
use quick_cache::unsync::Cache;
use url::Url;

use crate::click::Text;

/// Origins (`https://www.example.com`) whose domain is remembered. Beyond it, those not seen for long are worked out again.
const CACHED_ORIGINS: usize = 4096;

/// Longer origins are unknown ones: a host name has at most 253 characters, with a scheme and a port.
const MAX_ORIGIN_BYTES: usize = 300;

/// Works out domains, and remembers them by origin.
pub struct Referers {
    domains: Cache<Box<[u8]>, Text>,
}

impl Default for Referers {
    fn default() -> Self {
        Referers { domains: Cache::new(CACHED_ORIGINS) }
    }
}

impl Referers {
    /// The domain of a `Referer` header, by [`domain`]; empty if there is none.
    pub fn domain(&mut self, referer: &[u8]) -> Text {
        let Some(origin) = origin(referer) else { return Text::default() };
        if let Some(known) = self.domains.get(origin) {
            return known.clone();
        }
        metrics::counter!("septet_enrich_cache_misses_total", "cache" => "referer").increment(1);
        let domain = Text::from(domain(origin).unwrap_or_default());
        self.domains.insert(origin.into(), domain.clone());
        domain
    }
}

/// Scheme and authority, which are all that counts: paths and queries are many, origins few.
fn origin(referer: &[u8]) -> Option<&[u8]> {
    let referer = referer.trim_ascii();
    let authority = referer.windows(3).take(MAX_ORIGIN_BYTES).position(|three| three == b"://")? + 3;
    let length = referer[authority..].iter().position(|byte| b"/?#\\".contains(byte));
    let end = length.map_or(referer.len(), |length| authority + length);
    (end <= MAX_ORIGIN_BYTES).then(|| &referer[..end])
}

/// What stands for the page's site:
/// - the registrable domain by the public suffix list, its private part included: `example.co.uk`, `someone.github.io`;
/// - the host itself if it has none: an IP address, `localhost`, `github.io`;
/// - an Android app's package: `com.google.android.gm` for `android-app://com.google.android.gm/`.
///
/// Internationalised names are in punycode. `None` for all else: other schemes, files, what is no URL.
fn domain(origin: &[u8]) -> Option<String> {
    let url = Url::parse(std::str::from_utf8(origin).ok()?).ok()?;
    match url.scheme() {
        "http" | "https" => match url.host()? {
            url::Host::Domain(host) => Some(registrable(host.trim_end_matches('.')).to_owned()),
            address => Some(address.to_string()),
        },
        "android-app" => url.host_str().filter(|host| is_package(host)).map(str::to_owned),
        _ => None,
    }
}

fn registrable(host: &str) -> &str {
    let domain = psl::List.domain(host.as_bytes());
    domain.and_then(|domain| std::str::from_utf8(domain.as_bytes()).ok()).unwrap_or(host)
}

fn is_package(name: &str) -> bool {
    name.contains('.') && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._".contains(&byte))
}
