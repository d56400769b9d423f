//! What a browser sends, so that a click counts as a person's and a benchmark parses what a server has to parse.

/// The headers of a browser that follows a link, without `Host`: with it, nine.
pub const HEADERS: [(&str, &str); 8] = [
    ("User-Agent", USER_AGENT),
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"),
    ("Accept-Language", "de-DE,de;q=0.9,en-US;q=0.8,en;q=0.7"),
    ("Accept-Encoding", "gzip, deflate, br, zstd"),
    ("Referer", REFERER),
    ("Connection", "keep-alive"),
    ("Upgrade-Insecure-Requests", "1"),
    ("Sec-Fetch-Mode", "navigate"),
];

/// Chrome on Windows, on a desktop.
pub const USER_AGENT: &str =
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36";

/// Its registrable domain is `example.co.uk`.
pub const REFERER: &str = "https://news.example.co.uk/2026/11/a-story.html";

/// A crawler that says so.
pub const BOT_USER_AGENT: &str = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)";
