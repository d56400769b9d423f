//! A lease store for tests that answers every call with one error.

use async_trait::async_trait;

use crate::{
    Account, IdSpace, Lease, LeaseError, LeaseId, LeaseRecord, LeaseRecords, LeaseRequest, Leases, Owner, RecordFilter,
    Usage,
};

pub struct FailingStore<F>(pub F);

#[async_trait]
impl<F: Fn() -> LeaseError + Send + Sync + 'static> Leases for FailingStore<F> {
    async fn id_space(&self) -> Result<IdSpace, LeaseError> {
        Err(self.0())
    }

    async fn lease(&self, _: &LeaseRequest) -> Result<Lease, LeaseError> {
        Err(self.0())
    }

    async fn renew(&self, _: LeaseId, _: Owner, _: Usage) -> Result<(), LeaseError> {
        Err(self.0())
    }

    async fn give_back(&self, _: LeaseId, _: Owner, _: Usage) -> Result<(), LeaseError> {
        Err(self.0())
    }
}

#[async_trait]
impl<F: Fn() -> LeaseError + Send + Sync + 'static> LeaseRecords for FailingStore<F> {
    async fn records(&self, _: RecordFilter, _: Option<LeaseId>, _: u32) -> Result<Vec<LeaseRecord>, LeaseError> {
        Err(self.0())
    }

    async fn account(&self) -> Result<Account, LeaseError> {
        Err(self.0())
    }
}
