//! The values nearest to the client's location, equal distances by weight.

use super::picked::Candidate;
use super::steered::Steered;
use super::weighted;
use crate::location::{Direction, NOWHERE};
use crate::rng::Rng;

/// Moves the `count` nearest candidates to the front, in order. Whoever has no coordinates is equally far, beyond all others; a client without
/// a location is equally far from everything, which is a weighted draw.
pub(super) fn choose(steered: &Steered, client: Option<Direction>, candidates: &mut [Candidate], count: usize, rng: &mut impl Rng) {
    for candidate in &mut *candidates {
        let distance = match (client, steered.direction(candidate.value)) {
            (Some(client), Some(value)) => client.distance(value),
            _ => NOWHERE,
        };
        candidate.cost = distance;
    }
    candidates.sort_unstable_by_key(|candidate| candidate.cost);
    let mut left = count;
    for equally_far in candidates.chunk_by_mut(|a, b| a.cost == b.cost) {
        weighted::draw(equally_far, left.min(equally_far.len()), rng);
        left = left.saturating_sub(equally_far.len());
        if left == 0 {
            return;
        }
    }
}
