//! Links by their keys, packed: some 40 bytes for each beside its URL, what is empty and the index included.
//!
//! Keys are spread over shards, each with a lock of its own: shared by readers, who copy a record out and mark it as
//! used; held alone by a change. Memory is taken as links come, a segment at a time, and never more than was given, by
//! what is allocated for segments and indexes. Beyond that, for as long as one change of a shard takes, goes one
//! segment that is being written again, and the old index while a new one of twice its size is filled.
//!
//! No change holds a lock for longer than it takes to pass once over a shard, some ten thousand records: it has
//! [`SHARD_BYTES`], unless the cache is larger than [`SHARDS_MAX`] of them. So long takes a change that doubles the
//! index, or that finds every link of its shard used; others write a record or a few segments.
//!
//! The hash is seeded anew by each process, so that nobody can prepare links that meet in one place.

mod index;
mod log;
mod record;
mod shard;

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use parking_lot::RwLock;

use self::{record::Record, shard::Shard};
use crate::{key::Key, redirect::target::Target};

/// What one shard takes at most: small, so that its lock is held briefly, and large beside a segment, of which the last
/// one is half empty.
const SHARD_BYTES: u64 = 1 << 20;
/// Shards at most; beyond 16 GiB, each has a larger part, of up to 8 MiB, which is all that a cache can use.
const SHARDS_MAX: u64 = 1 << 14;
/// The lowest bit of a hash that chooses a shard: an index uses those below and the seven highest.
const SHARD_SHIFT: u32 = 40;

/// A shard on cache lines of its own, as its lock is written by every reader.
#[repr(align(64))]
struct Locked(RwLock<Shard>);

/// See the module.
pub struct PackedLinks {
    /// A power of two.
    shards: Box<[Locked]>,
    hasher: RandomState,
}

impl PackedLinks {
    /// No links yet, and never more than fit into so many bytes.
    pub fn new(bytes_max: u64) -> Self {
        let shards = bytes_max.div_ceil(SHARD_BYTES).clamp(1, SHARDS_MAX).next_power_of_two();
        Self::sharded(shards, bytes_max / shards)
    }

    fn sharded(shards: u64, bytes_max_each: u64) -> Self {
        let hasher = RandomState::default();
        let bytes_max = bytes_max_each.saturating_sub(size_of::<Locked>() as u64);
        let shard = |_| Locked(RwLock::new(Shard::new(hasher.clone(), bytes_max)));
        PackedLinks { shards: (0..shards).map(shard).collect(), hasher }
    }

    /// A link that somebody opens, if it is fresh at `uptime_ms`.
    pub fn fresh(&self, key: &Key, uptime_ms: i64) -> Option<Target> {
        self.look(key, |record| (uptime_ms < record.fresh_until_ms).then(|| record.parts.into()))
    }

    /// A link that somebody opens, fresh or not.
    pub fn stale(&self, key: &Key) -> Option<Target> {
        self.look(key, |record| Some(record.parts.into()))
    }

    fn look<T>(&self, key: &Key, copy: impl FnOnce(Record<'_>) -> Option<T>) -> Option<T> {
        let (hash, key) = self.hashed(key);
        let shard = self.shard(hash).read();
        copy(shard.get(hash, key)?)
    }

    /// Keeps a link, in place of what was kept under its key. Others may have to go for it.
    pub fn insert(&self, key: &Key, target: &Target, fresh_until_ms: i64) {
        let (hash, key_bytes) = self.hashed(key);
        match Record::pack(key, target, fresh_until_ms) {
            Some(record) => self.shard(hash).write().insert(hash, key_bytes, &record),
            // It is read from the store each time.
            None => self.remove(key),
        }
    }

    /// Changes until when a link is fresh, if it is there.
    pub fn set_fresh_until(&self, key: &Key, fresh_until_ms: i64) {
        let (hash, key) = self.hashed(key);
        self.shard(hash).write().set_fresh_until(hash, key, fresh_until_ms);
    }

    pub fn remove(&self, key: &Key) {
        let (hash, key) = self.hashed(key);
        self.shard(hash).write().remove(hash, key);
    }

    /// How many links are kept, and the memory that they take, in bytes.
    pub fn size(&self) -> (usize, u64) {
        let shards = self.shards.iter().map(|shard| shard.0.read());
        let sizes = shards.map(|shard| (shard.len(), shard.bytes() + size_of::<Locked>() as u64));
        sizes.fold((0, 0), |(links, bytes), (more_links, more_bytes)| (links + more_links, bytes + more_bytes))
    }

    fn hashed<'a>(&self, key: &'a Key) -> (u64, &'a [u8]) {
        let key = key.as_bytes();
        (self.hasher.hash_one(key), key)
    }

    fn shard(&self, hash: u64) -> &RwLock<Shard> {
        &self.shards[(hash >> SHARD_SHIFT) as usize & (self.shards.len() - 1)].0
    }
}

#[cfg(test)]
mod tests;
