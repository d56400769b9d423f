//! Whether a `User-Agent` is that of a program that opens links by itself: a crawler, a monitor, a link preview, a script.
//!
//! - The list `crawler-user-agents` decides, with a few HTTP libraries that it lacks. A program that poses as a browser
//!   is not told from one.
//! - An empty `User-Agent` is a bot: every browser sends one, and what sends none is a script.
//! - [`INTERACTIVE`] programs are no bots, though the list has them.

use std::sync::LazyLock;

use regex_filtered::{Builder, Regexes};

/// What a person types at a prompt to open one link. To leave these clicks out would show zero to whoever tries a
/// link with the nearest tool at hand; a script that uses them is counted like the person who wrote it.
pub const INTERACTIVE: &[&str] = &["curl/", "Wget/", "HTTPie/"];

/// HTTP libraries that are not on the list: the beginnings of the `User-Agent` that they send unless told otherwise.
const LIBRARIES: &[&str] = &[
    "Bun/",
    "Dart/",
    "Deno/",
    "Faraday ",
    "GuzzleHttp/",
    "Java/",
    "Java-http-client/",
    "Ruby",
    "hyper/",
    "node",
    "reqwest/",
    "undici",
    "ureq/",
];

/// Whether the program is a bot, by the header's value.
pub fn is_bot(user_agent: &str) -> bool {
    let user_agent = user_agent.trim();
    let starts_with_one_of = |beginnings: &[&str]| beginnings.iter().any(|beginning| user_agent.starts_with(beginning));
    if starts_with_one_of(INTERACTIVE) {
        return false;
    }
    user_agent.is_empty() || starts_with_one_of(LIBRARIES) || LISTED.is_match(user_agent)
}

/// Compiles the patterns now, if that has not happened yet, instead of at the first click.
pub fn warm_up() {
    LazyLock::force(&LISTED);
}

/// The list's patterns, see `data/README.md`: case-sensitive, as its own checks are. Compiled at the first use. Filtered by the literals
/// in them, and not one automaton of all: a made-up header cannot blow that up.
static LISTED: LazyLock<Regexes> = LazyLock::new(|| {
    let patterns = include_str!("../../data/crawler-user-agents/patterns.txt").lines();
    let built = Builder::new().push_all(patterns).expect("the patterns are compiled in, and every test parses them");
    built.build().expect("the patterns are compiled in, and every test compiles them")
});
