//! A keyspace for each data directory, emptied and used again once the directory is gone: making one takes seconds.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
};

use parking_lot::Mutex;

use crate::{engines::cassandra, keyspace::Keyspace};

/// The keyspace of `data_dir`, as `--links` takes it.
pub fn url(data_dir: &Path) -> String {
    static KEYSPACES: Mutex<Option<HashMap<PathBuf, Keyspace>>> = Mutex::new(None);
    let mut keyspaces = KEYSPACES.lock();
    let keyspaces = keyspaces.get_or_insert_default();
    if let Some(keyspace) = keyspaces.get(data_dir) {
        return keyspace.url();
    }
    // A test's directory goes after its processes: nobody writes there any more.
    let free = keyspaces.keys().find(|dir| !dir.exists()).cloned();
    let keyspace = match free.and_then(|dir| keyspaces.remove(&dir)) {
        Some(keyspace) => {
            keyspace.empty();
            keyspace
        }
        None => Keyspace::new(cassandra::shared(), 1),
    };
    let url = keyspace.url();
    keyspaces.insert(data_dir.to_owned(), keyspace);
    url
}
