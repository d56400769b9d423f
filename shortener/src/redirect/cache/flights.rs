//! Reads of the store that are under way, by key.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Arc, atomic::AtomicBool},
};

use futures::future::{BoxFuture, Shared};
use parking_lot::{Mutex, MutexGuard};

use super::Loaded;
use crate::key::Key;

/// Locks; a power of two.
const SHARDS: usize = 64;

/// A read of the store under way.
pub struct Flight {
    pub loaded: Shared<BoxFuture<'static, Loaded>>,
    /// Set when the link was changed meanwhile.
    pub superseded: Arc<AtomicBool>,
}

/// See the module.
pub struct Flights {
    shards: [Mutex<HashMap<Key, Flight>>; SHARDS],
    hasher: RandomState,
}

impl Flights {
    pub fn new() -> Self {
        Flights { shards: std::array::from_fn(|_| Mutex::default()), hasher: RandomState::new() }
    }

    /// The reads among which is that of `key`, if it is under way; none begins or lands while they are held.
    pub fn around(&self, key: &Key) -> MutexGuard<'_, HashMap<Key, Flight>> {
        self.shards[self.hasher.hash_one(key) as usize % SHARDS].lock()
    }
}
