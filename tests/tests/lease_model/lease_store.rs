//! The lease store as a database, or two of one copy: `token-service/src/lease.rs` is the contract,
//! `token-service/src/sqlite/` what is modelled.
//!
//! A lease is of one block: claims are made block by block, so a lease of many is as many leases that end together,
//! which is less than what may happen here. Renewals are left out: as any lease may expire at any moment, they would
//! change nothing. So are reports of use: a lease whose block is used up or was refused stays open, or expires.

use crate::link_store::{BLOCKS, Block, Owner};

/// What the record says of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Record {
    /// At or above the high-water mark.
    New,
    Leased(Owner),
    /// Came back, or expired.
    Free,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Database {
    blocks: [Record; BLOCKS],
    /// The latest request of each process and what was leased to it, so that its repetition gets the same lease.
    requests: Vec<Option<Block>>,
}

impl Database {
    fn new(processes: usize) -> Self {
        Database { blocks: [Record::New; BLOCKS], requests: vec![None; processes] }
    }

    /// Leases a block that came back, or else a new one; the same again when the request is repeated, even if the
    /// lease has ended since.
    fn lease(&mut self, owner: Owner) -> Option<Block> {
        let request = &mut self.requests[usize::from(owner.0)];
        if request.is_none() {
            let lowest = |wanted| self.blocks.iter().position(|record| *record == wanted);
            let block = lowest(Record::Free).or_else(|| lowest(Record::New))?;
            self.blocks[block] = Record::Leased(owner);
            *request = Some(block as Block);
        }
        *request
    }

    pub fn is_leased(&self, block: Block) -> bool {
        matches!(self.blocks[usize::from(block)], Record::Leased(_))
    }

    pub fn is_leased_to(&self, block: Block, owner: Owner) -> bool {
        self.blocks[usize::from(block)] == Record::Leased(owner)
    }

    pub fn expire(&mut self, block: Block) {
        self.blocks[usize::from(block)] = Record::Free;
    }

    /// Nothing, unless the lease is this owner's.
    pub fn give_back(&mut self, block: Block, owner: Owner) {
        if self.is_leased_to(block, owner) {
            self.blocks[usize::from(block)] = Record::Free;
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct LeaseStore {
    /// Two after a split.
    pub databases: Vec<Database>,
    /// At most one is ever taken, and used once.
    pub copy: Backup,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Backup {
    NotTaken,
    Taken(Database),
    UsedUp,
}

impl LeaseStore {
    pub fn new(processes: usize) -> Self {
        LeaseStore { databases: vec![Database::new(processes)], copy: Backup::NotTaken }
    }

    /// A request that is carried out, and answered.
    pub fn lease(&mut self, database: usize, owner: Owner) -> Option<Block> {
        let block = self.databases[database].lease(owner)?;
        // What was answered is never asked again: the next request has another id, here and in every copy.
        let copy = match &mut self.copy {
            Backup::Taken(copy) => Some(copy),
            Backup::NotTaken | Backup::UsedUp => None,
        };
        for database in self.databases.iter_mut().chain(copy) {
            database.requests[usize::from(owner.0)] = None;
        }
        Some(block)
    }

    /// A request that is carried out, and whose answer is lost.
    pub fn lease_unanswered(&mut self, database: usize, owner: Owner) {
        self.databases[database].lease(owner);
    }

    pub fn take_copy(&mut self) {
        self.copy = Backup::Taken(self.databases[0].clone());
    }

    /// Puts the copy in the place of the database, or beside it.
    pub fn use_copy(&mut self, beside: bool) {
        if let Backup::Taken(copy) = std::mem::replace(&mut self.copy, Backup::UsedUp) {
            if beside {
                self.databases.push(copy);
            } else {
                self.databases[0] = copy;
            }
        }
    }
}
