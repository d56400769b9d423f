//! Links that tests make up.

use shortener::{
    code::Codec,
    destination::{Destination, Home},
    key::{Alias, Domain, Key},
    link::{ExternalId, Link, LinkId, RedirectStatus},
    store::conformance::ID_SPACE,
};

/// A link under an alias.
pub fn aliased(id: u64, alias: &str) -> Link {
    link(id, self::alias(alias))
}

/// A link under a generated code, of the first id from there on that has one.
pub fn generated(id: u64) -> Link {
    let codec = Codec::new(&ID_SPACE);
    let (id, code) = (id..).find_map(|id| Some((id, codec.encode(id)?))).expect("nearly every id has a code");
    link(id, Key::Code(code))
}

fn link(id: u64, key: Key) -> Link {
    let home = Home::parse("https://s.example").expect("a home");
    Link {
        id: LinkId(id),
        domain: Domain::default(),
        key,
        url: Destination::parse(&format!("https://example.com/{id}"), &home).expect("a destination"),
        external_id: None,
        expires_at_ms: None,
        expired_url: None,
        title: None,
        comments: None,
        archived: false,
        redirect_status: RedirectStatus::Found,
        created_at_ms: 1_795_000_000_000,
        updated_at_ms: 1_795_000_000_000,
        revision: 1,
    }
}

pub fn alias(text: &str) -> Key {
    Key::Alias(Alias::parse(text).expect("an alias"))
}

pub fn external_id(text: &str) -> Option<ExternalId> {
    Some(ExternalId::parse(text).expect("an external id"))
}
