use proptest::prelude::*;

use crate::enrich::referer::Referers;

/// Seen to fail when the last two labels were taken for the domain (`co.uk`).
const REFERERS: &[(&str, &str)] = &[
    ("https://www.example.com/path?query#fragment", "example.com"),
    ("https://example.com", "example.com"),
    ("http://a.b.c.example.com:8080/", "example.com"),
    ("https://www.bbc.co.uk/news", "bbc.co.uk"),
    ("https://shop.example.com.au/", "example.com.au"),
    ("https://news.ycombinator.com/item?id=1", "ycombinator.com"),
    ("https://t.co/abc", "t.co"),
    ("HTTPS://WWW.Example.COM/", "example.com"),
    ("https://www.example.com./", "example.com"),
    ("https://user:password@www.example.com/", "example.com"),
    ("https://example.com?to=https://other.org/", "example.com"),
    ("https://example.com#https://other.org/", "example.com"),
    ("  https://example.com/ ", "example.com"),
    ("https://www.com/", "www.com"),
    // Each customer of a host is a site of its own.
    ("https://someone.github.io/page", "someone.github.io"),
    ("https://deep.someone.github.io/page", "someone.github.io"),
    // Punycode stays, and what is written out becomes it.
    ("https://www.xn--mnchen-3ya.de/", "xn--mnchen-3ya.de"),
    ("https://www.münchen.de/", "xn--mnchen-3ya.de"),
    ("https://例え.テスト/", "xn--r8jz45g.xn--zckzah"),
    // No registrable domain: the host itself.
    ("http://localhost:3000/", "localhost"),
    ("http://intranet/wiki", "intranet"),
    ("https://github.io/", "github.io"),
    ("http://192.0.2.1:8080/", "192.0.2.1"),
    ("http://[2001:db8::1]/", "[2001:db8::1]"),
    // Apps.
    ("android-app://com.google.android.gm/", "com.google.android.gm"),
    ("android-app://org.telegram.messenger", "org.telegram.messenger"),
    ("ios-app://544007664/vnd.youtube/", ""),
    // Nothing to tell.
    ("", ""),
    ("-", ""),
    ("example.com", ""),
    ("//example.com/", ""),
    ("about:blank", ""),
    ("data:text/html,https://example.com/", ""),
    ("file:///etc/passwd", ""),
    ("chrome-extension://abcdefgh/page.html", ""),
    ("javascript://example.com/", ""),
    ("https://", ""),
    ("https:///path", ""),
    ("http://exa mple.com/", ""),
    ("http://[::1/", ""),
    ("android-app://com.example/<b>", "com.example"),
    ("android-app://<b>/", ""),
];

#[test]
fn a_page_counts_as_its_registrable_domain() {
    let mut referers = Referers::default();
    // Twice: worked out, and remembered.
    for (referer, domain) in [REFERERS, REFERERS].concat() {
        assert_eq!(&*referers.domain(referer.as_bytes()), domain, "{referer:?}");
    }
}

#[test]
fn an_endless_host_is_unknown() {
    let mut referers = Referers::default();
    assert_eq!(&*referers.domain(format!("https://{}example.com/", "a.".repeat(200)).as_bytes()), "");
    assert_eq!(&*referers.domain(format!("https://example.com/{}", "a/".repeat(2000)).as_bytes()), "example.com");
}

proptest! {
    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        Referers::default().domain(&bytes);
    }

    #[test]
    fn any_url_like_text_is_read(text in "(https?|android-app)://.{0,300}") {
        let domain = Referers::default().domain(text.as_bytes());
        prop_assert!(domain.len() <= 300 * 4 && !domain.contains(char::is_control), "{}", domain);
    }

    #[test]
    fn any_subdomain_is_its_domain(labels in prop::collection::vec("[a-z0-9]{1,9}", 0..5)) {
        let sub: String = labels.iter().map(|label| format!("{label}.")).collect();
        prop_assert_eq!(&*Referers::default().domain(format!("https://{sub}example.co.uk/").as_bytes()), "example.co.uk");
    }
}
