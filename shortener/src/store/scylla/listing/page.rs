//! A page of the listing: the links that the entries of a walk lead to.

use futures::{StreamExt, TryStreamExt, stream};

use super::{
    Entry, listings,
    repair::{Repair, judge},
    tables::Tables,
    walk::Walk,
};
use crate::{
    link::Link,
    store::{Archived, Listing, Order, Page, StoreError},
};

/// Links of one page that are read at the same time.
const READS_AT_ONCE: usize = 32;

/// What was read, and what is to be repaired.
#[derive(Debug)]
pub struct Read<T> {
    pub links: T,
    pub repairs: Vec<Repair>,
}

/// Reads a page. One that skips reads what it skips, too: an entry that nothing stands behind must not count, or a link would be on two pages.
pub async fn page(tables: &impl Tables, listing: &Listing, now_ms: i64) -> Result<Read<Vec<Link>>, StoreError> {
    let (after, skip) = match listing.page {
        Page::First => (None, 0),
        Page::Skip(links) => (None, links as usize),
        Page::After(cursor) | Page::Before(cursor) => (Some(cursor), 0),
    };
    let backwards = matches!(listing.page, Page::Before(_));
    let order = if backwards { reverse(listing.order) } else { listing.order };
    let walk = Walk::new(tables, listings(listing.archived), order, after);
    let limit = listing.limit.min(Listing::LIMIT_MAX) as usize;
    let mut read = links(tables, walk, listing.archived, skip, limit, now_ms).await?;
    if backwards {
        read.links.reverse();
    }
    Ok(read)
}

/// The links of a walk: at most `limit`, after as many as are skipped.
pub async fn links<T: Tables>(
    tables: &T,
    mut walk: Walk<'_, T>,
    archived: Archived,
    mut skip: usize,
    limit: usize,
    now_ms: i64,
) -> Result<Read<Vec<Link>>, StoreError> {
    let (mut links, mut repairs, mut passed_over) = (Vec::new(), Vec::new(), 0_usize);
    // As many as are missing, and more once some were in vain.
    let missing =
        |skip: usize, links: &[Link], passed_over: usize| skip + (limit - links.len()) + passed_over.min(READS_AT_ONCE);
    while links.len() < limit
        && let Some(entries) = walk.next(missing(skip, &links, passed_over)).await?
    {
        let mut places: Vec<Vec<Entry>> =
            entries.chunk_by(|a, b| a.cursor() == b.cursor()).map(<[Entry]>::to_vec).collect();
        while links.len() < limit && !places.is_empty() {
            let some: Vec<_> = places.drain(..missing(skip, &links, passed_over).min(places.len())).collect();
            let mut found = stream::iter(some)
                .map(|entries| async move {
                    let found = tables.link(entries[0].id).await?;
                    Ok::<_, StoreError>((entries, found))
                })
                .buffered(READS_AT_ONCE);
            while links.len() < limit
                && let Some((entries, found)) = found.try_next().await?
            {
                match judge(&entries, found, archived, now_ms, &mut repairs) {
                    Some(_) if skip > 0 => skip -= 1,
                    Some(link) => links.push(link),
                    None => passed_over += 1,
                }
            }
        }
    }
    Ok(Read { links, repairs })
}

fn reverse(order: Order) -> Order {
    match order {
        Order::NewestFirst => Order::OldestFirst,
        Order::OldestFirst => Order::NewestFirst,
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;
    use proptest::prelude::*;

    use super::*;
    use crate::{
        link::LinkId,
        store::{
            Cursor,
            scylla::listing::{
                fake::{Fake, NOW_MS, links as any_links},
                hours::HOUR_MS,
            },
        },
    };

    fn ids(links: &[Link]) -> Vec<LinkId> {
        links.iter().map(|link| link.id).collect()
    }

    fn list(fake: &Fake, listing: &Listing) -> Vec<Link> {
        block_on(page(fake, listing, NOW_MS)).unwrap().links
    }

    proptest! {
        /// Against a sorted list. Seen to fail when a round went on behind the hour that it had reached, when both entries of a link that is in both listings counted, when entries that nothing stands behind were
        /// counted as skipped, and when the months were not asked for in the order of the walk.
        #[test]
        fn pages_are_cut_from_one_sorted_list(
            fake in any_links(),
            limit in 1..=100_u32,
            skip in 0..300_u32,
            newest_first: bool,
            include: bool,
        ) {
            let order = if newest_first { Order::NewestFirst } else { Order::OldestFirst };
            let archived = if include { Archived::Include } else { Archived::Exclude };
            let expected = ids(&fake.sorted(archived, order));
            let listing = Listing { archived, order, page: Page::First, limit };

            let skipped = ids(&list(&fake, &Listing { page: Page::Skip(skip), ..listing.clone() }));
            let rest = expected.iter().skip(skip as usize).take(limit as usize).copied();
            prop_assert_eq!(skipped, rest.collect::<Vec<_>>());

            let (mut forth, mut back, mut page) = (Vec::new(), Vec::new(), Page::First);
            let mut end = None;
            loop {
                let links = list(&fake, &Listing { page, ..listing.clone() });
                let Some(last) = links.last() else { break };
                let cursor = Cursor { created_at_ms: last.created_at_ms, id: last.id };
                (page, end) = (Page::After(cursor), Some(cursor));
                forth.extend(ids(&links));
                prop_assert!(links.len() == limit as usize || forth.len() == expected.len(), "pages are full");
            }
            prop_assert_eq!(&forth, &expected);
            while let Some(cursor) = end {
                let links = list(&fake, &Listing { page: Page::Before(cursor), ..listing.clone() });
                end = links.first().map(|first| Cursor { created_at_ms: first.created_at_ms, id: first.id });
                back.splice(0..0, ids(&links));
            }
            prop_assert_eq!(back, &expected[..expected.len().saturating_sub(1)]);
        }
    }

    /// Seen to fail when rounds did not grow.
    #[test]
    fn a_hundred_hours_take_a_few_rounds() {
        let fake = Fake::of((0..1_000).map(|n| Entry {
            archived: false,
            created_at_ms: NOW_MS - n * HOUR_MS * 5,
            shard: 0,
            id: LinkId(n.unsigned_abs()),
        }));
        let listing = Listing { limit: 100, ..Listing::default() };
        assert_eq!(list(&fake, &listing).len(), 100);
        assert!(fake.longest_wait() <= 12, "{} queries one after the other", fake.longest_wait());
    }

    /// Seen to fail when each partition was asked for a whole page.
    #[test]
    fn a_busy_hour_is_not_read_in_vain() {
        let fake = Fake::of((0..64_000).map(|n| Entry {
            archived: false,
            created_at_ms: NOW_MS + n,
            shard: (n % 64) as i16,
            id: LinkId(n.unsigned_abs()),
        }));
        let listing = Listing { limit: 100, ..Listing::default() };
        assert_eq!(list(&fake, &listing).len(), 100);
        assert!(fake.entries_read() <= 1_000, "{} entries", fake.entries_read());
        assert_eq!(fake.links_read(), 100);
    }
}
