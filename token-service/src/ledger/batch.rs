//! One transaction that carries out a batch of calls: reads what they touch, works them out, writes what changed.

use super::{
    Rules, metrics,
    sheet::Sheet,
    tables::{Database, Tables},
};
use crate::{Lease, LeaseError, LeaseId, LeaseRequest, Owner, Usage};

/// The most overdue leases that one transaction ends; the next one ends the next.
pub const REAPED_PER_COMMIT_MAX: u32 = 64;

/// What an instance asks for.
#[derive(Debug, Clone)]
pub(super) enum Call {
    Lease(LeaseRequest),
    Renew(LeaseId, Owner, Usage),
    GiveBack(LeaseId, Owner, Usage),
}

/// What it gets: a lease if it asked for one.
pub(super) type Answer = Result<Option<Lease>, LeaseError>;

/// Carries the calls out, all in one transaction. An error says that it may or may not be committed.
pub(super) async fn commit<D: Database>(
    database: &D,
    rules: Rules,
    calls: &[Call],
) -> Result<Vec<Answer>, sqlx::Error> {
    let mut tables = database.begin().await?;
    let mut sheet = load(&mut tables, rules, calls).await?;
    let answers = work_out(&mut sheet, calls);
    save(&mut tables, &sheet).await?;
    tables.commit().await?;
    for (lease, owner) in sheet.expired() {
        metrics::lease_expired();
        tracing::warn!(lease = lease.0, owner = %owner.0, "a lease was not renewed in time; its blocks may be leased again");
    }
    Ok(answers)
}

/// Reads what the calls touch, and no more.
async fn load(tables: &mut impl Tables, rules: Rules, calls: &[Call]) -> Result<Sheet, sqlx::Error> {
    let (mut requests, mut owners, mut leases) = (Vec::new(), Vec::new(), Vec::new());
    for call in calls {
        match call {
            Call::Lease(request) => {
                requests.push(request.request_id);
                owners.push(request.owner);
            }
            Call::Renew(lease, ..) | Call::GiveBack(lease, ..) => leases.push(*lease),
        }
    }
    let space = tables.lock_space().await?;
    let now_ms = space.now_ms;
    let mut sheet = Sheet::new(rules, space);
    if !leases.is_empty() {
        sheet.found_leases(tables.by_ids(&leases).await?);
    }
    if !requests.is_empty() {
        sheet.found_leases(tables.of_requests(&requests).await?);
        sheet.found_leases(tables.overdue(now_ms, REAPED_PER_COMMIT_MAX).await?);
        sheet.found_unused(tables.unused_of(&owners).await?);
    }
    let (firsts, ends): (Vec<_>, Vec<_>) =
        sheet.open_leases().map(|lease| (lease.first.0, lease.first.0 + lease.blocks)).unzip();
    let mut runs = Vec::new();
    if !requests.is_empty() {
        // Each lease that ends may join two runs to one, and each request take one.
        runs.extend(tables.lowest_runs((requests.len() + firsts.len()) as u32).await?);
    }
    if !firsts.is_empty() {
        runs.extend(tables.runs_beside(&firsts, &ends).await?);
    }
    sheet.found_runs(runs);
    Ok(sheet)
}

/// Renewals and returns first, then expiry, then leases: who renews in the nick of time keeps its lease, and what came back is
/// leased again at once.
fn work_out(sheet: &mut Sheet, calls: &[Call]) -> Vec<Answer> {
    let mut answers: Vec<Option<Answer>> = calls
        .iter()
        .map(|call| match call {
            Call::Renew(lease, owner, usage) => Some(sheet.renew(*lease, *owner, *usage).map(|()| None)),
            Call::GiveBack(lease, owner, usage) => Some(sheet.give_back(*lease, *owner, *usage).map(|()| None)),
            Call::Lease(_) => None,
        })
        .collect();
    if answers.iter().any(Option::is_none) {
        sheet.reap();
    }
    for (answer, call) in answers.iter_mut().zip(calls) {
        if let Call::Lease(request) = call {
            *answer = Some(sheet.lease(request).map(Some));
        }
    }
    answers.into_iter().flatten().collect()
}

async fn save(tables: &mut impl Tables, sheet: &Sheet) -> Result<(), sqlx::Error> {
    let (new, changed) = (sheet.new_leases(), sheet.changed_leases());
    if new.is_empty() && changed.is_empty() {
        return Ok(());
    }
    tables.insert_leases(&new).await?;
    tables.update_leases(&changed).await?;
    tables.remove_runs(&sheet.runs.removed()).await?;
    tables.insert_runs(&sheet.runs.added()).await?;
    tables.save_space(&sheet.space).await
}
