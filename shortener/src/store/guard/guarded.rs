//! A store whose calls go through a guard.

use analytics::enrich::visitor::Salt;
use async_trait::async_trait;
use token_service::{Block, IdSpace, Owner};

use super::{Call, Guard};
use crate::{
    key::{Domain, Key},
    link::{ExternalId, Link, LinkId},
    store::{
        ApiKey, ApiKeyDigest, ApiKeys, Archived, Claim, Claims, Created, Creation, Links, Listing, Pinned, Replaced,
        Store, StoreError, VisitorSalts,
    },
};

/// `store`, with `guard` around each of its calls. Only [`Store::ended`] and [`Store::close`] pass by it.
#[derive(Debug)]
pub struct Guarded<G, S> {
    guard: G,
    store: S,
}

impl<G: Guard, S> Guarded<G, S> {
    pub fn new(guard: G, store: S) -> Self {
        Guarded { guard, store }
    }
}

#[async_trait]
impl<G: Guard, S: Links> Links for Guarded<G, S> {
    async fn create(&self, creation: Creation) -> Result<Created, StoreError> {
        self.guard.around(Call::Create, self.store.create(creation)).await
    }

    async fn by_key(&self, domain: &Domain, key: &Key) -> Result<Option<Link>, StoreError> {
        self.guard.around(Call::ByKey, self.store.by_key(domain, key)).await
    }

    async fn by_id(&self, id: LinkId) -> Result<Option<Link>, StoreError> {
        self.guard.around(Call::ById, self.store.by_id(id)).await
    }

    async fn by_ids(&self, ids: &[LinkId]) -> Result<Vec<Link>, StoreError> {
        self.guard.around(Call::ByIds, self.store.by_ids(ids)).await
    }

    async fn by_external_id(&self, external_id: &ExternalId) -> Result<Option<Link>, StoreError> {
        self.guard.around(Call::ByExternalId, self.store.by_external_id(external_id)).await
    }

    async fn list(&self, listing: &Listing) -> Result<Vec<Link>, StoreError> {
        self.guard.around(Call::List, self.store.list(listing)).await
    }

    async fn count(&self, archived: Archived) -> Result<u64, StoreError> {
        self.guard.around(Call::Count, self.store.count(archived)).await
    }

    async fn replace(&self, before: &Link, after: &Link) -> Result<Replaced, StoreError> {
        self.guard.around(Call::Replace, self.store.replace(before, after)).await
    }

    async fn delete(&self, id: LinkId) -> Result<Option<Link>, StoreError> {
        self.guard.around(Call::Delete, self.store.delete(id)).await
    }
}

#[async_trait]
impl<G: Guard, S: Claims> Claims for Guarded<G, S> {
    async fn claim(&self, block: Block, owner: Owner) -> Result<Claim, StoreError> {
        self.guard.around(Call::Claim, self.store.claim(block, owner)).await
    }

    async fn hand_back(&self, block: Block, owner: Owner, first_unused: u64) -> Result<bool, StoreError> {
        self.guard.around(Call::HandBack, self.store.hand_back(block, owner, first_unused)).await
    }

    async fn pin_id_space(&self, id_space: &IdSpace) -> Result<Pinned, StoreError> {
        self.guard.around(Call::PinIdSpace, self.store.pin_id_space(id_space)).await
    }

    async fn id_space(&self) -> Result<Option<IdSpace>, StoreError> {
        self.guard.around(Call::IdSpace, self.store.id_space()).await
    }
}

#[async_trait]
impl<G: Guard, S: ApiKeys> ApiKeys for Guarded<G, S> {
    async fn put_api_key(&self, key: &ApiKey) -> Result<(), StoreError> {
        self.guard.around(Call::PutApiKey, self.store.put_api_key(key)).await
    }

    async fn put_first_api_key(&self, key: &ApiKey) -> Result<bool, StoreError> {
        self.guard.around(Call::PutFirstApiKey, self.store.put_first_api_key(key)).await
    }

    async fn api_key(&self, digest: &ApiKeyDigest) -> Result<Option<ApiKey>, StoreError> {
        self.guard.around(Call::ApiKey, self.store.api_key(digest)).await
    }
}

#[async_trait]
impl<G: Guard, S: VisitorSalts> VisitorSalts for Guarded<G, S> {
    async fn visitor_salt(&self, period: u32, fresh: Salt) -> Result<Salt, StoreError> {
        self.guard.around(Call::VisitorSalt, self.store.visitor_salt(period, fresh)).await
    }
}

#[async_trait]
impl<G: Guard, S: Store> Store for Guarded<G, S> {
    async fn ended(&self) {
        self.store.ended().await;
    }

    async fn close(&self) {
        self.store.close().await;
    }
}
