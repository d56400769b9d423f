//! The suite that every implementation of [`Store`] must pass, unchanged.
//!
//! A backend implements [`Harness`] and calls [`store_conformance!`](crate::store_conformance) with an expression that
//! makes one; each case becomes a test. The suite uses nothing but the traits.

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use token_service::IdSpace;

use super::{Pinned, Store};
use crate::{
    code::Codec,
    destination::{Destination, Home},
    key::{Alias, Domain, Key},
    link::{ExternalId, Link, LinkId, RedirectStatus},
};

mod answers;
pub mod api_keys;
pub mod claims;
pub mod links;

pub use answers::Answers;

/// A store of its own for one case: empty at first.
#[async_trait]
pub trait Harness: Send {
    /// The store, as the next caller would reach it.
    fn store(&self) -> Arc<dyn Store>;

    /// Closes the store and opens it again, as a restart of its process would.
    async fn reopen(&mut self);

    /// What its answers are worth where many want the same at once.
    fn answers(&self) -> Answers {
        Answers::Always
    }
}

/// The id space whose codes the suite's links have.
pub static ID_SPACE: LazyLock<IdSpace> = LazyLock::new(|| IdSpace::new([7; 32]));
static CODEC: LazyLock<Codec> = LazyLock::new(|| Codec::new(&ID_SPACE));

/// A store that is pinned to [`ID_SPACE`], as every store is that serves.
pub async fn pinned<H: Harness>(harness: H) -> H {
    let outcome = harness.store().pin_id_space(&ID_SPACE).await;
    assert!(matches!(outcome, Ok(Pinned::Ours)), "{outcome:?}");
    harness
}

/// A store as it is at first.
pub async fn empty<H: Harness>(harness: H) -> H {
    harness
}

/// Makes one test of each case of the suite: `store_conformance!(MyHarness::new().await)`; with `ignore = "why";` before it, they
/// are run only where they are asked for.
#[macro_export]
macro_rules! store_conformance {
    (ignore = $why:literal; $make:expr) => {
        $crate::store_conformance!(@suite [#[ignore = $why]] $make);
    };
    (@suite $attributes:tt $make:expr) => {
        $crate::store_conformance!(@cases $attributes $make;
            pinned links: every_field_comes_back, nothing_is_found_of_what_never_was, an_alias_is_taken_once,
                of_many_who_want_an_alias_one_gets_it, an_external_id_is_taken_once,
                of_many_who_want_an_external_id_one_gets_it, a_change_needs_the_latest_revision,
                a_change_may_not_take_what_is_taken, a_renamed_link_answers_to_its_new_key_alone,
                a_deleted_link_is_gone_and_its_names_are_free, no_change_brings_a_deleted_link_back,
                a_repeated_creation_gives_the_same_link, of_many_repetitions_one_makes_the_link,
                a_listing_pages_both_ways, archived_links_are_left_out, many_links_at_once;
            empty claims: a_block_is_granted_once, of_many_who_claim_a_block_one_gets_it,
                a_claim_handed_back_goes_on_where_it_stopped, only_the_owner_hands_back, an_id_space_is_pinned_for_ever,
                codes_are_read_once_an_id_space_is_pinned;
            pinned api_keys: a_key_is_found_by_its_digest_alone, a_name_has_one_key, only_one_key_is_the_first;
        );
    };
    (@cases $attributes:tt $make:expr; $($state:ident $module:ident: $($case:ident),*;)*) => {
        $(
            mod $module {
                use super::*;
                $crate::store_conformance!(@module $attributes $make; $state $module: $($case),*);
            }
        )*
    };
    (@module $attributes:tt $make:expr; $state:ident $module:ident: $($case:ident),*) => {
        $($crate::store_conformance!(@case $attributes $make; $state $module $case);)*
    };
    (@case [$($attribute:tt)*] $make:expr; $state:ident $module:ident $case:ident) => {
        #[tokio::test(flavor = "multi_thread")]
        $($attribute)*
        async fn $case() {
            let mut harness = $crate::store::conformance::$state($make).await;
            $crate::store::conformance::$module::$case(&mut harness).await;
        }
    };
    ($make:expr) => {
        $crate::store_conformance!(@suite [] $make);
    };
}

/// A link under a generated code. `id` is the first from there on that has one.
pub fn generated(id: u64) -> Link {
    let (id, code) = (id..).find_map(|id| Some((id, CODEC.encode(id)?))).expect("nearly every id has a code");
    link(id, Key::Code(code))
}

/// A link under an alias.
pub fn aliased(id: u64, alias: &str) -> Link {
    link(id, self::alias(alias))
}

/// A key that somebody chose.
pub fn alias(text: &str) -> Key {
    Key::Alias(Alias::parse(text).expect("an alias"))
}

fn link(id: u64, key: Key) -> Link {
    Link {
        id: LinkId(id),
        domain: Domain::default(),
        key,
        url: destination(&format!("https://example.com/{id}")),
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

/// Where a link leads.
pub fn destination(url: &str) -> Destination {
    Destination::parse(url, &Home::parse("https://s.example").expect("a home")).expect("a destination")
}

/// What a client calls a link.
pub fn external_id(text: &str) -> ExternalId {
    ExternalId::parse(text).expect("an external id")
}
