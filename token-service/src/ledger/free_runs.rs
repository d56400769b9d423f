//! Blocks that came back: maximal runs of neighbours, so that a lease of many blocks finds many together. Pure.

use std::collections::BTreeMap;

use crate::Block;

/// Consecutive free blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Run {
    pub first: u32,
    pub blocks: u32,
}

impl Run {
    pub(crate) fn end(self) -> u32 {
        self.first + self.blocks
    }
}

/// Some of the free runs: the lowest ones, as many as leases are to be taken, and those beside blocks that may come back.
#[derive(Debug, Default)]
pub(super) struct FreeRuns {
    /// As they are in the database.
    found: BTreeMap<u32, u32>,
    /// As they are to be: number of blocks by first block.
    now: BTreeMap<u32, u32>,
}

impl FreeRuns {
    pub(super) fn new(found: impl IntoIterator<Item = Run>) -> Self {
        let found: BTreeMap<_, _> = found.into_iter().map(|run| (run.first, run.blocks)).collect();
        Self { now: found.clone(), found }
    }

    /// Takes up to `wanted` blocks from the lowest run.
    pub(super) fn take(&mut self, wanted: u32) -> Option<(Block, u32)> {
        let (first, blocks) = self.now.pop_first()?;
        let taken = wanted.min(blocks);
        if taken < blocks {
            self.now.insert(first + taken, blocks - taken);
        }
        Some((Block(first), taken))
    }

    /// Puts blocks back, joined with the runs on either side.
    pub(super) fn put(&mut self, mut run: Run) {
        if run.blocks == 0 {
            return;
        }
        if let Some(blocks) = self.now.remove(&run.end()) {
            run.blocks += blocks;
        }
        let below = self.now.range(..run.first).next_back().map(|(&first, &blocks)| Run { first, blocks });
        if let Some(below) = below.filter(|below| below.end() == run.first) {
            self.now.remove(&below.first);
            run = Run { first: below.first, blocks: below.blocks + run.blocks };
        }
        self.now.insert(run.first, run.blocks);
    }

    /// First blocks of the runs that are no more as they were.
    pub(super) fn removed(&self) -> Vec<u32> {
        differing(&self.found, &self.now).map(|run| run.first).collect()
    }

    /// Runs that are new, or longer or shorter than they were.
    pub(super) fn added(&self) -> Vec<Run> {
        differing(&self.now, &self.found).collect()
    }
}

/// The runs of one that are not the same in the other.
fn differing<'a>(one: &'a BTreeMap<u32, u32>, other: &'a BTreeMap<u32, u32>) -> impl Iterator<Item = Run> + 'a {
    one.iter().filter(|(first, blocks)| other.get(first) != Some(blocks)).map(|(&first, &blocks)| Run { first, blocks })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// The same by a set of blocks.
    fn run_of(set: &BTreeSet<u32>, first: u32) -> u32 {
        (first..).take_while(|block| set.contains(block)).count() as u32
    }

    proptest! {
        /// Seen to fail when a run is not joined with the one above it, or below it.
        #[test]
        fn runs_are_maximal_and_hold_what_was_put(steps in prop::collection::vec((any::<bool>(), 0u32..40, 1u32..6), 1..60)) {
            let (mut runs, mut set) = (FreeRuns::default(), BTreeSet::new());
            for (put, first, blocks) in steps {
                if put {
                    if (first..first + blocks).any(|block| set.contains(&block)) {
                        continue;
                    }
                    runs.put(Run { first, blocks });
                    set.extend(first..first + blocks);
                } else {
                    let lowest = set.first().copied();
                    let taken = runs.take(blocks);
                    prop_assert_eq!(taken, lowest.map(|first| (Block(first), blocks.min(run_of(&set, first)))));
                    if let Some((first, blocks)) = taken {
                        (first.0..first.0 + blocks).for_each(|block| assert!(set.remove(&block)));
                    }
                }
                let expected: BTreeMap<u32, u32> = set
                    .iter()
                    .filter(|block| **block == 0 || !set.contains(&(**block - 1)))
                    .map(|&first| (first, run_of(&set, first)))
                    .collect();
                prop_assert_eq!(&runs.now, &expected);
            }
            prop_assert_eq!(runs.added().len(), runs.now.len());
            prop_assert!(runs.removed().is_empty());
        }
    }

    #[test]
    fn what_changed_is_told() {
        let run = |first, blocks| Run { first, blocks };
        let mut runs = FreeRuns::new([run(0, 2), run(10, 4), run(20, 1)]);
        runs.put(run(2, 3));
        runs.take(1);
        assert_eq!((runs.removed(), runs.added()), (vec![0], vec![run(1, 4)]));
    }
}
