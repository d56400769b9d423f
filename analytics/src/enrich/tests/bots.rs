use crate::enrich::bots::{INTERACTIVE, is_bot};

const BOTS: &[&str] = &[
    "",
    "  ",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; Googlebot/2.1; +http://www.google.com/bot.html) \
     Chrome/131.0.0.0 Safari/537.36",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_5) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/13.1.1 Safari/605.1.15 \
     (Applebot/0.1; +http://www.apple.com/go/applebot)",
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
    "Mozilla/5.0 AppleWebKit/537.36 (KHTML, like Gecko; compatible; GPTBot/1.2; +https://openai.com/gptbot)",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "Twitterbot/1.0",
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)",
    "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
    "TelegramBot (like TwitterBot)",
    "WhatsApp/2.23.20.0 A",
    "Mozilla/5.0+(compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)",
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) HeadlessChrome/131.0.0.0 Safari/537.36",
    "python-requests/2.32.3",
    "Python-urllib/3.12",
    "python-httpx/0.27.0",
    "Python/3.12 aiohttp/3.11.2",
    "Scrapy/2.11.2 (+https://scrapy.org)",
    "Go-http-client/2.0",
    "okhttp/4.12.0",
    "axios/1.7.7",
    "node-fetch/1.0 (+https://github.com/bitinn/node-fetch)",
    "node",
    "Java/17.0.13",
    "Apache-HttpClient/4.5.14 (Java/17.0.13)",
    "GuzzleHttp/7",
    "reqwest/0.12.9",
    "libwww-perl/6.77",
];

#[test]
fn programs_that_open_links_by_themselves_are_bots() {
    for user_agent in BOTS {
        assert!(is_bot(user_agent), "{user_agent:?}");
    }
}

/// Seen to fail when the list decided before `INTERACTIVE`.
#[test]
fn what_a_person_types_at_a_prompt_is_not() {
    for user_agent in ["curl/8.5.0", "Wget/1.21.4", "HTTPie/3.2.4"] {
        assert!(!is_bot(user_agent), "{user_agent}");
    }
    assert!(INTERACTIVE.iter().all(|tool| tool.ends_with('/')), "whole product names, or WGETbot would be one");
    assert!(is_bot("WGETbot/1.0 (+http://wget.alanreed.org)"));
}
