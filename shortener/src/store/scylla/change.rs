//! Changing and deleting links.

use super::ScyllaStore;
use crate::{
    link::{Link, LinkId},
    store::{Replaced, StoreError},
};

impl ScyllaStore {
    pub(super) async fn change(&self, _before: &Link, _after: &Link) -> Result<Replaced, StoreError> {
        Err(StoreError::Unavailable("it is not there yet".into()))
    }

    pub(super) async fn remove(&self, _id: LinkId) -> Result<Option<Link>, StoreError> {
        Err(StoreError::Unavailable("it is not there yet".into()))
    }
}
