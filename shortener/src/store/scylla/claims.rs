//! Claims, and the id space.

use async_trait::async_trait;
use token_service::{Block, IdSpace, Owner};

use super::ScyllaStore;
use crate::store::{Claim, Claims, Pinned, StoreError};

#[async_trait]
impl Claims for ScyllaStore {
    async fn claim(&self, _block: Block, _owner: Owner) -> Result<Claim, StoreError> {
        Err(StoreError::Unavailable("it is not there yet".into()))
    }

    async fn hand_back(&self, _block: Block, _owner: Owner, _first_unused: u64) -> Result<bool, StoreError> {
        Err(StoreError::Unavailable("it is not there yet".into()))
    }

    async fn pin_id_space(&self, id_space: &IdSpace) -> Result<Pinned, StoreError> {
        self.codec.get_or_init(|| crate::code::Codec::new(id_space));
        Ok(Pinned::Ours)
    }

    async fn id_space(&self) -> Result<Option<IdSpace>, StoreError> {
        Ok(None)
    }
}
