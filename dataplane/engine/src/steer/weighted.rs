//! Weighted draws without replacement: the first with probability weight over sum of weights, the next likewise among the rest.

use super::picked::Candidate;
use crate::rng::Rng;

/// Moves `count` drawn candidates to the front, in drawn order. Those of weight 0 (at the very start of their ramp) come after all others, then by
/// their nominal weight: a pool in which everything ramps up must still answer.
pub(super) fn draw(candidates: &mut [Candidate], count: usize, rng: &mut impl Rng) {
    let mut rest = candidates;
    let mut total = sum_weights(rest);
    for _ in 0..count {
        if total == 0 {
            for candidate in &mut *rest {
                candidate.weight = candidate.nominal.into();
            }
            total = sum_weights(rest);
        }
        let drawn = find_drawn(rest, rng.below(total));
        if drawn < rest.len() {
            rest.swap(0, drawn);
        }
        let Some((first, others)) = rest.split_first_mut() else { return };
        total = total.saturating_sub(first.weight);
        rest = others;
    }
}

fn sum_weights(candidates: &[Candidate]) -> u64 {
    // Weights of 32 bits in thousandths, 65,535 values at most: under 2^58.
    candidates.iter().fold(0, |sum: u64, candidate| sum.saturating_add(candidate.weight))
}

fn find_drawn(candidates: &[Candidate], mut point: u64) -> usize {
    for (place, candidate) in candidates.iter().enumerate() {
        match point.checked_sub(candidate.weight) {
            Some(beyond) => point = beyond,
            None => return place,
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::FastRng;
    use crate::steer::tests::chi_square_passes;

    fn candidates(weights: &[(u32, u16)]) -> Vec<Candidate> {
        (0_u32..).zip(weights).map(|(value, &(weight, factor))| Candidate::new(value, weight, factor)).collect()
    }

    fn count_draws(weights: &[(u32, u16)], draw_count: usize, rounds: u32) -> std::collections::BTreeMap<Vec<u32>, u32> {
        let mut rng = FastRng::from_seed(4);
        let mut counts = std::collections::BTreeMap::new();
        for _ in 0..rounds {
            let mut drawn = candidates(weights);
            draw(&mut drawn, draw_count, &mut rng);
            *counts.entry(drawn.iter().take(draw_count).map(|candidate| candidate.value).collect()).or_insert(0) += 1;
        }
        counts
    }

    /// The probability of a drawn order: the product of each step's share.
    fn probability(weights: &[(u32, u16)], order: &[u32]) -> f64 {
        let weight = |value: u32| f64::from(weights[value as usize].0) * f64::from(weights[value as usize].1);
        let mut total: f64 = (0_u32..).take(weights.len()).map(weight).sum();
        order.iter().fold(1.0, |product, &value| {
            let step = product * weight(value) / total;
            total -= weight(value);
            step
        })
    }

    #[test]
    fn draws_follow_their_weights() {
        for (weights, draw_count) in [
            (vec![(3, 1000), (1, 1000)], 1),
            (vec![(1, 1000), (1, 1000), (1, 1000)], 2),
            (vec![(100, 1000), (1, 1000), (7, 1000)], 3),
            (vec![(1, 1000), (1, 250)], 1),
            (vec![(u32::MAX, 1000), (u32::MAX / 2, 1000)], 1),
        ] {
            let rounds = 200_000;
            let counts = count_draws(&weights, draw_count, rounds);
            let expected: Vec<(f64, f64)> =
                counts.iter().map(|(order, &seen)| (f64::from(seen), probability(&weights, order) * f64::from(rounds))).collect();
            assert!(
                (expected.iter().map(|(_, wanted)| wanted).sum::<f64>() - f64::from(rounds)).abs() < 1.0,
                "{weights:?}: an order never drawn"
            );
            assert!(chi_square_passes(&expected), "{weights:?} {counts:?}");
        }
    }

    #[test]
    fn each_value_is_drawn_once() {
        for counts in [count_draws(&[(5, 1000), (1, 1000), (1, 0)], 3, 100), count_draws(&[(1, 0), (1, 0)], 5, 100)] {
            for order in counts.into_keys() {
                let mut values = order.clone();
                values.sort_unstable();
                values.dedup();
                assert_eq!(values.len(), order.len());
            }
        }
    }

    #[test]
    fn a_value_at_the_start_of_its_ramp_comes_last() {
        for order in count_draws(&[(100, 0), (1, 1000)], 2, 1_000).into_keys() {
            assert_eq!(order, [1, 0]);
        }
        assert_eq!(count_draws(&[(3, 0), (1, 0)], 1, 1_000).len(), 2);
    }
}
