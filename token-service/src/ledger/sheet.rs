//! What a batch of calls makes of the lease tables. Pure: it is filled with what the database holds, works the calls out one
//! after the other, and tells what is to be written.

use std::collections::HashMap;

use uuid::Uuid;

use super::{
    Rules,
    free_runs::{FreeRuns, Run},
    space::Space,
    tables::{NewLease, expires_at_ms},
};
use crate::{Ended, Lease, LeaseError, LeaseId, LeaseRecord, LeaseRequest, Owner, Usage};

/// As much of the lease tables as a batch of calls touches.
pub(super) struct Sheet {
    rules: Rules,
    pub(super) space: Space,
    leases: HashMap<LeaseId, Entry>,
    of_requests: HashMap<Uuid, LeaseId>,
    unused: HashMap<Owner, u64>,
    pub(super) runs: FreeRuns,
    expired: Vec<(LeaseId, Owner)>,
}

struct Entry {
    record: LeaseRecord,
    state: EntryState,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum EntryState {
    AsFound,
    Changed,
    New { leased_again: bool },
}

impl Sheet {
    pub(super) fn new(rules: Rules, space: Space) -> Self {
        Self {
            rules,
            space,
            leases: HashMap::new(),
            of_requests: HashMap::new(),
            unused: HashMap::new(),
            runs: FreeRuns::default(),
            expired: Vec::new(),
        }
    }

    pub(super) fn found_leases(&mut self, found: Vec<LeaseRecord>) {
        for record in found {
            self.of_requests.insert(record.request_id, record.lease.id);
            self.leases.insert(record.lease.id, Entry { record, state: EntryState::AsFound });
        }
    }

    pub(super) fn found_unused(&mut self, found: Vec<(Owner, u64)>) {
        self.unused.extend(found);
    }

    pub(super) fn found_runs(&mut self, found: Vec<Run>) {
        self.runs = FreeRuns::new(found);
    }

    /// Leases whose blocks may come back in this batch.
    pub(super) fn open_leases(&self) -> impl Iterator<Item = &Lease> {
        self.leases.values().filter(|entry| entry.record.ended.is_none()).map(|entry| &entry.record.lease)
    }

    /// See [`Leases::lease`](crate::Leases::lease).
    pub(super) fn lease(&mut self, request: &LeaseRequest) -> Result<Lease, LeaseError> {
        if let Some(earlier) = self.of_requests.get(&request.request_id) {
            let earlier = &self.leases[earlier].record;
            if earlier.owner != request.owner {
                return Err(LeaseError::Invalid(format!("request {} was made by another owner", request.request_id)));
            }
            return Ok(earlier.lease.clone());
        }
        let unused = self.unused.entry(request.owner).or_default();
        let max = self.rules.unused_blocks_max;
        if *unused >= max {
            return Err(LeaseError::TooManyUnused { owner: request.owner, unused: *unused, max });
        }
        let wanted = request.blocks.min(u32::try_from(max - *unused).unwrap_or(u32::MAX));
        let (first, blocks, leased_again) = match self.runs.take(wanted) {
            Some((first, blocks)) => (first, blocks, true),
            None => match self.space.raise(wanted) {
                Some((first, blocks)) => (first, blocks, false),
                None => return Err(LeaseError::Exhausted),
            },
        };
        *unused += u64::from(blocks);
        self.space.totals.leased(blocks, leased_again);
        let lease = Lease { id: self.space.take_lease_id(), first, blocks, ttl_ms: self.rules.ttl_ms };
        let record = LeaseRecord {
            lease: lease.clone(),
            request_id: request.request_id,
            owner: request.owner,
            usage: Usage::default(),
            leased_at_ms: self.space.now_ms,
            renewed_at_ms: self.space.now_ms,
            ended_at_ms: None,
            ended: None,
        };
        self.of_requests.insert(record.request_id, lease.id);
        self.leases.insert(lease.id, Entry { record, state: EntryState::New { leased_again } });
        Ok(lease)
    }

    /// See [`Leases::renew`](crate::Leases::renew).
    pub(super) fn renew(&mut self, lease: LeaseId, owner: Owner, usage: Usage) -> Result<(), LeaseError> {
        if self.held_by(lease, owner)?.ended.is_some() {
            return Err(LeaseError::NotHeld(lease));
        }
        self.report(lease, usage)?;
        let now_ms = self.space.now_ms;
        self.change(lease).renewed_at_ms = now_ms;
        Ok(())
    }

    /// See [`Leases::give_back`](crate::Leases::give_back).
    pub(super) fn give_back(&mut self, lease: LeaseId, owner: Owner, usage: Usage) -> Result<(), LeaseError> {
        match self.held_by(lease, owner)?.ended {
            Some(Ended::Returned) => return Ok(()),
            Some(Ended::Expired) => return Err(LeaseError::NotHeld(lease)),
            None => {}
        }
        self.report(lease, usage)?;
        self.end(lease, Ended::Returned);
        Ok(())
    }

    /// Ends the leases that were not renewed in time.
    pub(super) fn reap(&mut self) {
        let mut overdue: Vec<_> = self
            .leases
            .values()
            .map(|entry| &entry.record)
            .filter(|record| record.ended.is_none() && expires_at_ms(record) <= self.space.now_ms)
            .map(|record| record.lease.id)
            .collect();
        overdue.sort_unstable();
        for lease in overdue {
            self.end(lease, Ended::Expired);
            self.expired.push((lease, self.leases[&lease].record.owner));
        }
    }

    /// What [`reap`](Self::reap) has ended.
    pub(super) fn expired(&self) -> &[(LeaseId, Owner)] {
        &self.expired
    }

    pub(super) fn new_leases(&self) -> Vec<NewLease> {
        let mut new: Vec<_> = self
            .leases
            .values()
            .filter_map(|entry| match entry.state {
                EntryState::New { leased_again } => Some(NewLease { record: entry.record.clone(), leased_again }),
                _ => None,
            })
            .collect();
        new.sort_unstable_by_key(|new| new.record.lease.id);
        new
    }

    pub(super) fn changed_leases(&self) -> Vec<LeaseRecord> {
        let changed = self.leases.values().filter(|entry| entry.state == EntryState::Changed);
        let mut changed: Vec<_> = changed.map(|entry| entry.record.clone()).collect();
        changed.sort_unstable_by_key(|record| record.lease.id);
        changed
    }

    /// The record of a lease of this owner, open or ended.
    fn held_by(&self, lease: LeaseId, owner: Owner) -> Result<&LeaseRecord, LeaseError> {
        let entry = self.leases.get(&lease).filter(|entry| entry.record.owner == owner);
        entry.map(|entry| &entry.record).ok_or(LeaseError::NotHeld(lease))
    }

    /// The record of a lease that is there, to be changed.
    fn change(&mut self, lease: LeaseId) -> &mut LeaseRecord {
        let entry = self.leases.get_mut(&lease).expect("the caller has looked at it");
        if entry.state == EntryState::AsFound {
            entry.state = EntryState::Changed;
        }
        &mut entry.record
    }

    /// Records usage. The higher figures win: reports may arrive late and out of order.
    fn report(&mut self, lease: LeaseId, reported: Usage) -> Result<(), LeaseError> {
        let Entry { record, .. } = &self.leases[&lease];
        let before = record.usage;
        let after = Usage { used: before.used.max(reported.used), refused: before.refused.max(reported.refused) };
        if after.done() > record.lease.blocks {
            let Usage { used, refused } = after;
            let blocks = record.lease.blocks;
            return Err(LeaseError::Invalid(format!(
                "{used} blocks used and {refused} refused, of a lease of {blocks}"
            )));
        }
        self.change(lease).usage = after;
        self.space.totals.reported(before, after);
        self.forget_unused(lease, after.done() - before.done());
        Ok(())
    }

    /// Ends a lease; its blocks beyond its usage may be leased again.
    fn end(&mut self, lease: LeaseId, how: Ended) {
        let now_ms = self.space.now_ms;
        let record = self.change(lease);
        record.ended = Some(how);
        record.ended_at_ms = Some(now_ms);
        let (first, rest) = (record.lease.first.0 + record.usage.done(), record.rest());
        self.space.totals.ended(rest, how);
        self.runs.put(Run { first, blocks: rest });
        self.forget_unused(lease, rest);
    }

    /// The owner of this lease has so many unused blocks less.
    fn forget_unused(&mut self, lease: LeaseId, blocks: u32) {
        let owner = self.leases[&lease].record.owner;
        if let Some(unused) = self.unused.get_mut(&owner) {
            *unused = unused.saturating_sub(u64::from(blocks));
        }
    }
}
