//! The blocks that are read in one go.

use super::{
    budget::LARGEST_ROUND,
    frontier::{Block, Candidate, Frontier},
    top_k::TopK,
};
use crate::order::Key;

/// Blocks that are chosen to be read in one go, the best first: as many as hold what the page lacks where that is
/// known, else so many as are asked for; and no more than the budget has rows left, but one at least.
#[derive(Debug)]
pub(super) struct Round {
    /// With the key of each in the frontier.
    pub(super) blocks: Vec<(Key, Block)>,
    size: usize,
    /// How many rows the blocks have, and how many they may have.
    rows: (u64, u64),
    /// How many flows the page lacks.
    missing: u64,
    /// How many matches the chosen blocks hold, as long as that is known of each.
    expected: Option<u64>,
}

impl Round {
    pub(super) fn new(size: usize, missing: usize, rows: u64) -> Self {
        Self { blocks: Vec::with_capacity(size), size, rows: (0, rows), missing: missing as u64, expected: Some(0) }
    }

    /// Takes blocks from the frontier until the round is full, or nothing is left that can be of the page. A segment
    /// that must be looked into before the next block is chosen is handed back; the round then goes on.
    pub(super) fn fill(&mut self, frontier: &mut Frontier, top: &TopK) -> Option<(Key, usize)> {
        while !self.is_full() {
            let best = frontier.best()?;
            if top.rejects(best) {
                return None;
            }
            match frontier.pop()? {
                (key, Candidate::Block(block)) => {
                    self.expected = self.expected.zip(block.matches).map(|(expected, matches)| expected + matches);
                    self.rows.0 += block.rows as u64;
                    self.blocks.push((key, block));
                }
                (key, Candidate::Segment(segment)) => return Some((key, segment)),
            }
        }
        None
    }

    fn is_full(&self) -> bool {
        self.blocks.len() >= LARGEST_ROUND
            || (!self.blocks.is_empty() && self.rows.0 >= self.rows.1)
            || match self.expected {
                Some(expected) if expected > 0 => expected >= self.missing,
                _ => self.blocks.len() >= self.size,
            }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{flow::Value, order::Order};

    fn key(time: u128) -> Key {
        vec![Some(Value::Number(time)), Some(Value::Number(0))]
    }

    fn block(block: usize, matches: Option<u64>) -> Candidate {
        Candidate::Block(Block { segment: 0, block, rows: 10, whole: false, matches, pages: u8::MAX })
    }

    /// A frontier of blocks, each at the time that is its number, and an empty page of `want` flows.
    fn of_blocks(matches: &[Option<u64>], want: usize) -> (Frontier, TopK) {
        let order = Arc::new(Order::oldest_first());
        let mut frontier = Frontier::new(Arc::clone(&order));
        // In no order: the frontier has to sort them.
        for (number, matches) in matches.iter().enumerate().rev() {
            frontier.push(key(number as u128), block(number, *matches));
        }
        (frontier, TopK::new(order, want))
    }

    fn chosen(round: &Round) -> Vec<usize> {
        round.blocks.iter().map(|(_, block)| block.block).collect()
    }

    #[test]
    fn a_round_takes_the_best_blocks_and_no_more_than_asked_for() {
        let (mut frontier, top) = of_blocks(&[None; 5], 10);
        let mut round = Round::new(3, top.missing(), u64::MAX);
        assert_eq!(round.fill(&mut frontier, &top), None);
        assert_eq!(chosen(&round), [0, 1, 2]);
        assert_eq!(frontier.best(), Some(&key(3)));
    }

    #[test]
    fn a_round_takes_as_many_blocks_as_hold_the_page_where_that_is_known() {
        let (mut frontier, top) = of_blocks(&[Some(4); 5], 10);
        let mut round = Round::new(1, top.missing(), u64::MAX);
        round.fill(&mut frontier, &top);
        assert_eq!(chosen(&round), [0, 1, 2]);
        let (mut frontier, top) = of_blocks(&[Some(1); 100], 1000);
        let mut round = Round::new(1, top.missing(), u64::MAX);
        round.fill(&mut frontier, &top);
        assert_eq!(chosen(&round).len(), LARGEST_ROUND);
    }

    #[test]
    fn a_segment_is_handed_back_before_a_block_behind_it_is_chosen() {
        let (mut frontier, top) = of_blocks(&[None; 2], 10);
        frontier.push(key(1), Candidate::Segment(7));
        frontier.push(key(9), Candidate::Segment(8));
        let mut round = Round::new(4, top.missing(), u64::MAX);
        assert_eq!(round.fill(&mut frontier, &top), Some((key(1), 7)));
        frontier.push(key(0), block(5, None));
        assert_eq!(round.fill(&mut frontier, &top), Some((key(9), 8)));
        assert_eq!(chosen(&round), [0, 5, 1]);
        assert_eq!(round.fill(&mut frontier, &top), None);
    }

    #[test]
    fn a_round_takes_no_more_rows_than_are_left_but_one_block_at_least() {
        for (rows, blocks) in [(0, 1), (1, 1), (10, 1), (11, 2), (20, 2), (25, 3)] {
            let (mut frontier, top) = of_blocks(&[None; 5], 10);
            let mut round = Round::new(4, top.missing(), rows);
            round.fill(&mut frontier, &top);
            assert_eq!(chosen(&round).len(), blocks, "{rows}");
        }
    }
}
