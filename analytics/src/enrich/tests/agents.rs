use proptest::prelude::*;

use crate::enrich::agent::Agent;

/// `User-Agent`, browser, system, device.
const PEOPLE: &[(&str, [&str; 3])] = &[
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
        ["Chrome", "Windows", "Desktop"],
    ),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
        ["Chrome", "Mac OS", "Desktop"],
    ),
    (
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
        ["Chrome", "Linux", "Desktop"],
    ),
    (
        "Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
        ["Chrome", "Chrome OS", "Desktop"],
    ),
    (
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Mobile Safari/537.36",
        ["Chrome", "Android", "Mobile"],
    ),
    (
        "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36",
        ["Chrome", "Android", "Tablet"],
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_7 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/131.0.6778.73 \
         Mobile/15E148 Safari/604.1",
        ["Chrome", "iOS", "Mobile"],
    ),
    (
        "Mozilla/5.0 (Linux; Android 14; Pixel 8 Build/UQ1A; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 \
         Chrome/131.0.6778.81 Mobile Safari/537.36",
        ["Chrome", "Android", "Mobile"],
    ),
    (
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 14_7_1) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Safari/605.1.15",
        ["Safari", "Mac OS", "Desktop"],
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_7_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 \
         Mobile/15E148 Safari/604.1",
        ["Safari", "iOS", "Mobile"],
    ),
    (
        "Mozilla/5.0 (iPad; CPU OS 17_7_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.1 Mobile/15E148 \
         Safari/604.1",
        ["Safari", "iOS", "Tablet"],
    ),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
        ["Safari", "iOS", "Mobile"],
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:133.0) Gecko/20100101 Firefox/133.0",
        ["Firefox", "Windows", "Desktop"],
    ),
    (
        "Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
        ["Firefox", "Ubuntu", "Desktop"],
    ),
    ("Mozilla/5.0 (Android 14; Mobile; rv:133.0) Gecko/133.0 Firefox/133.0", ["Firefox", "Android", "Mobile"]),
    ("Mozilla/5.0 (Android 14; Tablet; rv:133.0) Gecko/133.0 Firefox/133.0", ["Firefox", "Android", "Tablet"]),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 14_7_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) FxiOS/133.0 \
         Mobile/15E148 Safari/605.1.15",
        ["Firefox", "iOS", "Mobile"],
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 \
         Edg/131.0.2903.70",
        ["Edge", "Windows", "Desktop"],
    ),
    (
        "Mozilla/5.0 (Linux; Android 10; HD1913) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.6778.81 Mobile \
         Safari/537.36 EdgA/131.0.2903.48",
        ["Edge", "Android", "Mobile"],
    ),
    (
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36 \
         OPR/115.0.0.0",
        ["Opera", "Windows", "Desktop"],
    ),
    (
        "Opera/9.80 (Android; Opera Mini/36.2.2254/119.132; U; id) Presto/2.12.423 Version/12.16",
        ["Opera Mini", "Android", "Mobile"],
    ),
    (
        "Mozilla/5.0 (Linux; Android 14; SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/27.0 \
         Chrome/125.0.0.0 Mobile Safari/537.36",
        ["Samsung Internet", "Android", "Mobile"],
    ),
    ("Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko", ["IE", "Windows", "Desktop"]),
    (
        "Mozilla/5.0 (iPhone; CPU iPhone OS 17_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148 \
         [FBAN/FBIOS;FBAV/490.0.0.56.107;FBDV/iPhone14,5;FBMD/iPhone]",
        ["Facebook", "iOS", "Mobile"],
    ),
    (
        "Mozilla/5.0 (PlayStation; PlayStation 5/6.50) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/13.0 Safari/605.1.15",
        ["Safari", "", "Console"],
    ),
    (
        "Mozilla/5.0 (SMART-TV; LINUX; Tizen 6.0) AppleWebKit/537.36 (KHTML, like Gecko) 76.0.3809.146/6.0 TV Safari/537.36",
        ["Safari", "Tizen", "Smarttv"],
    ),
    (
        "Mozilla/5.0 (Linux; Android 9; BRAVIA 4K UR2) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 Safari/537.36",
        ["Chrome", "Android", "Smarttv"],
    ),
    (
        "Mozilla/5.0 (X11; Linux x86_64; Quest 3) AppleWebKit/537.36 (KHTML, like Gecko) OculusBrowser/35.2 Chrome/126.0 \
         VR Safari/537.36",
        ["Chrome", "Android", "Wearable"],
    ),
    ("curl/8.5.0", ["curl", "", ""]),
    ("Wget/1.21.4", ["Wget", "", ""]),
];

/// Seen to fail when the words for devices lacked `BRAVIA`: an Android TV then passed for a tablet.
#[test]
fn people_are_told_by_browser_system_and_device() {
    for (user_agent, expected) in PEOPLE {
        let agent = Agent::parse(user_agent.as_bytes());
        assert_eq!([&*agent.browser, &*agent.os, &*agent.device], *expected, "{user_agent}");
        assert!(!agent.bot, "{user_agent}");
    }
}

#[test]
fn what_says_nothing_is_unknown() {
    for nothing in ["", " ", "-", "\u{fffd}", "Mozilla/5.0"] {
        let agent = Agent::parse(nothing.as_bytes());
        assert_eq!([&*agent.browser, &*agent.os, &*agent.device], ["", "", ""], "{nothing:?}");
    }
}

/// Seen to fail when names were not cut.
#[test]
fn a_name_taken_from_the_header_is_bounded_and_harmless() {
    let long = format!("{} Mobile/{}.1 CFNetwork/1.0", "App\u{1}ä".repeat(200), "9".repeat(700));
    let forged = ["Mozilla/5.0 (Windows NT 10.0) \r\nX: y Chrome/1\u{7f}", &long];
    for user_agent in forged {
        let agent = Agent::parse(user_agent.as_bytes());
        for name in [&agent.browser, &agent.os, &agent.device] {
            assert!(name.len() <= 64 && !name.contains(char::is_control), "{name:?}");
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..1100)) {
        let agent = Agent::parse(&bytes);
        prop_assert!(agent.browser.len() <= 64 && agent.os.len() <= 64);
    }

    #[test]
    fn pieces_of_real_ones_are_read(from in 0..PEOPLE.len(), to in 0..PEOPLE.len(), cut in 0_usize..300, noise in ".{0,9}") {
        let (head, tail) = (PEOPLE[from].0, PEOPLE[to].0);
        let cut = head.floor_char_boundary(cut);
        let agent = Agent::parse(format!("{}{noise}{tail}", &head[..cut]).as_bytes());
        prop_assert!(agent.browser.len() <= 64 && agent.os.len() <= 64);
    }
}
