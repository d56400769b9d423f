//! A link as clients read it: the shape of Dub's API, every field present, and what Septet adds.

use analytics::query::Totals;
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use crate::{code::Codec, destination::Home, link::Link};

/// The prefix of a link's public id; the rest is its id, encrypted.
const ID_PREFIX: &str = "link_";

/// What a URL may hold, unescaped, inside a query string.
const IN_QUERY: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'/').remove(b':');

/// There is one workspace, and clients insist on its name.
const WORKSPACE: &str = "ws_default";

/// Stands for what Septet does not have.
type Null = ();

/// See the module.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LinkView {
    id: String,
    domain: String,
    key: String,
    url: String,
    short_link: String,
    qr_code: String,
    workspace_id: &'static str,
    project_id: &'static str,
    created_at: String,
    updated_at: String,
    external_id: Option<String>,
    tenant_id: Null,
    program_id: Null,
    partner_id: Null,
    expires_at: Option<String>,
    expired_url: Option<String>,
    disabled_at: Null,
    password: Null,
    title: Option<String>,
    description: Null,
    image: Null,
    video: Null,
    ios: Null,
    android: Null,
    geo: Null,
    tags: [Null; 0],
    tag_id: Null,
    folder_id: Null,
    comments: Option<String>,
    #[serde(rename = "utm_source")]
    utm_source: Null,
    #[serde(rename = "utm_medium")]
    utm_medium: Null,
    #[serde(rename = "utm_campaign")]
    utm_campaign: Null,
    #[serde(rename = "utm_term")]
    utm_term: Null,
    #[serde(rename = "utm_content")]
    utm_content: Null,
    user_id: Null,
    test_variants: Null,
    test_started_at: Null,
    test_completed_at: Null,
    track_conversion: bool,
    archived: bool,
    proxy: bool,
    rewrite: bool,
    do_index: bool,
    public_stats: bool,
    webhook_ids: [Null; 0],
    clicks: u64,
    last_clicked: Option<String>,
    leads: u64,
    conversions: u64,
    sales: u64,
    sale_amount: u64,
    redirect_status: u16,
}

impl LinkView {
    pub fn new(link: &Link, totals: Totals, home: &Home, codec: &Codec) -> Self {
        let short_link = short_link(link, home);
        LinkView {
            id: public_id(link, codec),
            domain: home.domain(),
            key: link.key.as_str().to_owned(),
            url: link.url.as_str().to_owned(),
            qr_code: format!("{}/api/qr?url={}", home.as_str(), utf8_percent_encode(&short_link, IN_QUERY)),
            short_link,
            workspace_id: WORKSPACE,
            project_id: WORKSPACE,
            created_at: time(link.created_at_ms),
            updated_at: time(link.updated_at_ms),
            external_id: link.external_id.as_ref().map(|external_id| external_id.as_str().to_owned()),
            tenant_id: (),
            program_id: (),
            partner_id: (),
            expires_at: link.expires_at_ms.map(time),
            expired_url: link.expired_url.as_ref().map(|url| url.as_str().to_owned()),
            disabled_at: (),
            password: (),
            title: link.title.clone(),
            description: (),
            image: (),
            video: (),
            ios: (),
            android: (),
            geo: (),
            tags: [],
            tag_id: (),
            folder_id: (),
            comments: link.comments.clone(),
            utm_source: (),
            utm_medium: (),
            utm_campaign: (),
            utm_term: (),
            utm_content: (),
            user_id: (),
            test_variants: (),
            test_started_at: (),
            test_completed_at: (),
            track_conversion: false,
            archived: link.archived,
            proxy: false,
            rewrite: false,
            do_index: false,
            public_stats: false,
            webhook_ids: [],
            clicks: totals.clicks,
            last_clicked: totals.last_ms.map(time),
            leads: 0,
            conversions: 0,
            sales: 0,
            sale_amount: 0,
            redirect_status: link.redirect_status.into(),
        }
    }
}

/// What people open.
pub fn short_link(link: &Link, home: &Home) -> String {
    format!("{}/{}", home.as_str(), link.key.to_path())
}

/// What a link is called by programs. Ids themselves are never shown: they would tell how many links there are.
pub fn public_id(link: &Link, codec: &Codec) -> String {
    // An id beyond the id space, which only a damaged store could hold, has no public form.
    let text = codec.encode_any(link.id.0).unwrap_or_default();
    format!("{ID_PREFIX}{}", String::from_utf8_lossy(&text))
}

/// The id behind a public id; `None` for what never was one.
pub fn id_of(public_id: &str, codec: &Codec) -> Option<crate::link::LinkId> {
    let text = public_id.strip_prefix(ID_PREFIX)?;
    codec.decode_any(text.as_bytes()).map(crate::link::LinkId)
}

/// A time for clients: RFC 3339, in UTC, with milliseconds.
pub fn time(ms: i64) -> String {
    match Timestamp::from_millisecond(ms) {
        Ok(timestamp) => format!("{timestamp:.3}"),
        // Only a clock beyond the year 9999 leads here.
        Err(_) => format!("{:.3}", Timestamp::MAX),
    }
}
