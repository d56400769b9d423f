//! What a `User-Agent` says of browser, operating system and kind of device.
//!
//! Browser and system come from uap-core's patterns, which many hands keep up to date. The kind of device is told by the rules below, as
//! uap-core names makers and models instead. A program that hides what it is cannot be told: Safari on an iPad calls
//! itself a Mac.

use std::{borrow::Cow, sync::LazyLock};

use serde::Deserialize;
use ua_parser::{os, user_agent};

use super::bots;
use crate::click::Text;

/// Longer names are cut, in bytes: some patterns take a name from the header itself.
const MAX_NAME_BYTES: usize = 64;

/// What a `User-Agent` says; an empty name is an unknown one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// `Chrome`, `Safari`, `Firefox`, ...: the same name on every kind of device.
    pub browser: Text,
    /// `Windows`, `Mac OS`, `iOS`, `Android`, `Linux`, ...
    pub os: Text,
    /// `Desktop`, `Mobile`, `Tablet`, `Console`, `Smarttv` or `Wearable`.
    pub device: Text,
    pub bot: bool,
}

impl Agent {
    /// Reads the header; bytes that are not UTF-8 count as unknown characters.
    pub fn parse(user_agent: &[u8]) -> Self {
        let user_agent = String::from_utf8_lossy(user_agent);
        let parsers = &*PARSERS;
        let family = parsers.browsers.extract(&user_agent).map(|found| found.family).unwrap_or_default();
        let system = parsers.systems.extract(&user_agent).map(|found| found.os).unwrap_or_default();
        let os = os_name(&system);
        Agent {
            browser: Text::from(cut(browser_name(&family))),
            os: Text::from(cut(os)),
            device: Text::from(device(&user_agent, os)),
            bot: bots::is_bot(&user_agent),
        }
    }
}

/// Compiles the patterns now, if that has not happened yet, instead of at the first click.
pub fn warm_up() {
    LazyLock::force(&PARSERS);
}

struct Parsers {
    browsers: user_agent::Extractor<'static>,
    systems: os::Extractor<'static>,
}

/// uap-core's patterns, see `data/README.md`. Compiled at the first use (some 50 ms, 10 MB), for all enrichers of the process.
static PARSERS: LazyLock<Parsers> = LazyLock::new(|| {
    #[derive(Deserialize)]
    struct Patterns {
        user_agent_parsers: Vec<user_agent::Parser<'static>>,
        os_parsers: Vec<os::Parser<'static>>,
    }
    let compiled_in = "the patterns are compiled in, and every test compiles them";
    let patterns: Patterns = serde_json::from_str(include_str!("../../data/uap-core/regexes.json")).expect(compiled_in);
    let browsers = user_agent::Builder::new().push_all(patterns.user_agent_parsers).expect(compiled_in);
    let systems = os::Builder::new().push_all(patterns.os_parsers).expect(compiled_in);
    Parsers { browsers: browsers.build().expect(compiled_in), systems: systems.build().expect(compiled_in) }
});

/// uap-core tells `Chrome Mobile iOS` from `Chrome Mobile` from `Chrome`; the system and the device are counted by themselves.
fn browser_name(family: &str) -> &str {
    match family {
        "Other" => "",
        "Mobile Safari UI/WKWebView" => "Safari",
        // Another program than Opera, with servers that render for it.
        "Opera Mini" => family,
        _ => {
            let mut name = family.strip_prefix("Mobile ").unwrap_or(family);
            for variant in [" iOS", " WebView", " Mobile", " Tablet"] {
                name = name.strip_suffix(variant).unwrap_or(name);
            }
            name
        }
    }
}

fn os_name(family: &str) -> &str {
    match family {
        "Other" => "",
        "Mac OS X" => "Mac OS",
        "ATV OS X" => "tvOS",
        _ => family,
    }
}

/// Words of a `User-Agent` that tell the kind of device. The first that occurs decides: an Android TV calls itself Android too.
const DEVICE_WORDS: &[(&str, &str)] = &[
    ("PlayStation", "Console"),
    ("Xbox", "Console"),
    ("Nintendo", "Console"),
    ("SMART-TV", "Smarttv"),
    ("SmartTV", "Smarttv"),
    ("Smart-TV", "Smarttv"),
    ("Smart TV", "Smarttv"),
    ("HbbTV", "Smarttv"),
    ("AppleTV", "Smarttv"),
    ("Apple TV", "Smarttv"),
    ("GoogleTV", "Smarttv"),
    ("Google TV", "Smarttv"),
    ("Android TV", "Smarttv"),
    ("BRAVIA", "Smarttv"),
    ("NetCast", "Smarttv"),
    ("Web0S", "Smarttv"),
    ("CrKey", "Smarttv"),
    ("Roku", "Smarttv"),
    // Fire TV: AFTB, AFTS, AFTMM, ...
    ("; AFT", "Smarttv"),
    ("Apple Watch", "Wearable"),
    ("watchOS", "Wearable"),
    ("Wear OS", "Wearable"),
    ("OculusBrowser", "Wearable"),
    ("iPad", "Tablet"),
    ("Tablet; rv:", "Tablet"),
    ("Kindle", "Tablet"),
    ("PlayBook", "Tablet"),
    ("Mobi", "Mobile"),
    ("iPhone", "Mobile"),
    ("iPod", "Mobile"),
    ("Opera Mini", "Mobile"),
    ("Windows Phone", "Mobile"),
    ("BlackBerry", "Mobile"),
    ("KAIOS", "Mobile"),
    // By Google's rule a telephone says Mobile as well, which was looked for above.
    ("Android", "Tablet"),
];

/// Systems of machines on a desk. (`Tablet PC` is in the header of many a Windows desktop, and says nothing.)
const DESKTOP_SYSTEMS: &[&str] = &[
    "Windows",
    "Mac OS",
    "Linux",
    "Chrome OS",
    "Ubuntu",
    "Debian",
    "Fedora",
    "Red Hat",
    "Gentoo",
    "FreeBSD",
    "OpenBSD",
    "NetBSD",
    "Solaris",
];

fn device(user_agent: &str, os: &str) -> &'static str {
    let by_word = DEVICE_WORDS.iter().find(|(word, _)| user_agent.contains(word)).map(|&(_, device)| device);
    by_word.unwrap_or(if DESKTOP_SYSTEMS.contains(&os) { "Desktop" } else { "" })
}

/// A name from the outside, safe to show: without control characters and of bounded length.
fn cut(name: &str) -> Cow<'_, str> {
    let end = name.floor_char_boundary(MAX_NAME_BYTES);
    let name = name[..end].trim();
    match name.contains(char::is_control) {
        true => name.chars().filter(|c| !c.is_control()).collect::<String>().into(),
        false => name.into(),
    }
}
