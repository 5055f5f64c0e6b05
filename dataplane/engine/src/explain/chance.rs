//! Probabilities of values in weighted draws without replacement, for people: floating point is fine here.

/// Values up to which the probability of being among several draws is computed exactly; the work doubles with each value.
pub const MAX_EXACT: usize = 14;

/// The probability of each candidate to be among `count` draws. `None` where it would cost too much: more than `MAX_EXACT` candidates of unequal weights.
/// `nominal` weights count among those of weight 0, which are drawn last.
pub(super) fn inclusion(weights: &[u64], nominal: &[u32], count: usize) -> Vec<Option<f64>> {
    if count >= weights.len() {
        return vec![Some(1.0); weights.len()];
    }
    let weighted: Vec<usize> = (0..weights.len()).filter(|&place| at(weights, place) > 0).collect();
    let mut chances = vec![Some(0.0); weights.len()];
    if weighted.len() >= count {
        let their_weights: Vec<u64> = weighted.iter().map(|&place| at(weights, place)).collect();
        fill(&mut chances, &weighted, &among(&their_weights, count));
    } else {
        fill(&mut chances, &weighted, &vec![Some(1.0); weighted.len()]);
        let others: Vec<usize> = (0..weights.len()).filter(|&place| at(weights, place) == 0).collect();
        let their_weights: Vec<u64> = others.iter().map(|&place| nominal.get(place).copied().unwrap_or(0).into()).collect();
        fill(&mut chances, &others, &among(&their_weights, count.saturating_sub(weighted.len())));
    }
    chances
}

fn at(weights: &[u64], place: usize) -> u64 {
    weights.get(place).copied().unwrap_or(0)
}

fn fill(chances: &mut [Option<f64>], places: &[usize], values: &[Option<f64>]) {
    for (place, value) in places.iter().zip(values) {
        if let Some(chance) = chances.get_mut(*place) {
            *chance = *value;
        }
    }
}

#[allow(clippy::cast_precision_loss)] // shares are shown with a few digits
fn among(weights: &[u64], count: usize) -> Vec<Option<f64>> {
    let total: f64 = weights.iter().map(|&weight| weight as f64).sum();
    if count == 0 {
        return vec![Some(0.0); weights.len()];
    }
    if count >= weights.len() {
        return vec![Some(1.0); weights.len()];
    }
    if count == 1 {
        return weights.iter().map(|&weight| Some(weight as f64 / total)).collect();
    }
    if weights.windows(2).all(|pair| pair.first() == pair.last()) {
        return vec![Some(count as f64 / weights.len() as f64); weights.len()];
    }
    if weights.len() > MAX_EXACT {
        return vec![None; weights.len()];
    }
    over_subsets(weights, count, total)
}

/// The probability that the first draws are just the members of a subset, for all subsets up to `count` members, smaller ones first.
#[allow(clippy::cast_precision_loss, clippy::arithmetic_side_effects)] // floats do not overflow, and subsets are below 2^MAX_EXACT
fn over_subsets(weights: &[u64], count: usize, total: f64) -> Vec<Option<f64>> {
    let members = |subset: usize| (0..weights.len()).filter(move |&place| subset >> place & 1 == 1);
    let mut reached = vec![0.0; 1 << weights.len()];
    if let Some(empty) = reached.first_mut() {
        *empty = 1.0;
    }
    let mut chances = vec![0.0; weights.len()];
    for subset in 0..reached.len() {
        let chance = reached.get(subset).copied().unwrap_or(0.0);
        let drawn: f64 = members(subset).map(|place| at(weights, place) as f64).sum();
        match members(subset).count() {
            size if size < count => {
                for place in (0..weights.len()).filter(|&place| subset >> place & 1 == 0) {
                    if let Some(larger) = reached.get_mut(subset | 1 << place) {
                        *larger += chance * at(weights, place) as f64 / (total - drawn);
                    }
                }
            }
            size if size == count => {
                for place in members(subset) {
                    if let Some(sum) = chances.get_mut(place) {
                        *sum += chance;
                    }
                }
            }
            _ => {}
        }
    }
    chances.into_iter().map(Some).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(weights: &[u64], nominal: &[u32], count: usize, expected: &[f64]) {
        let chances = inclusion(weights, nominal, count);
        for (chance, expected) in chances.iter().zip(expected) {
            assert!((chance.unwrap() - expected).abs() < 1e-12, "{weights:?} {count}: {chances:?}");
        }
    }

    #[test]
    fn chances_of_being_drawn() {
        check(&[3, 1], &[3, 1], 1, &[0.75, 0.25]);
        check(&[3, 1], &[3, 1], 2, &[1.0, 1.0]);
        check(&[1, 1, 1], &[1, 1, 1], 2, &[2.0 / 3.0; 3]);
        // First 2/4, or first one of the others and then 2/3.
        check(&[2, 1, 1], &[2, 1, 1], 2, &[0.5 + 0.5 * 2.0 / 3.0, 0.25 + 0.5 * 0.5 + 0.25 / 3.0, 0.25 + 0.5 * 0.5 + 0.25 / 3.0]);
        check(&[5, 0, 0], &[5, 3, 1], 1, &[1.0, 0.0, 0.0]);
        check(&[5, 0, 0], &[5, 3, 1], 2, &[1.0, 0.75, 0.25]);
        check(&[0, 0], &[3, 1], 1, &[0.75, 0.25]);
    }

    #[test]
    fn chances_sum_to_the_number_of_draws() {
        let weights = [1, 2, 3, 5, 8, 13, 21];
        for count in 1..=7 {
            let sum: f64 = inclusion(&weights, &[1; 7], count).into_iter().flatten().sum();
            #[allow(clippy::cast_precision_loss)]
            let expected = count as f64;
            assert!((sum - expected).abs() < 1e-9, "{count}: {sum}");
        }
    }

    #[test]
    fn many_unequal_values_are_left_open() {
        let weights: Vec<u64> = (1..=20).collect();
        assert!(inclusion(&weights, &[1; 20], 2).iter().all(Option::is_none));
        assert!(inclusion(&weights, &[1; 20], 1).iter().all(Option::is_some));
        assert!(inclusion(&[4; 20], &[4; 20], 5).iter().all(|chance| *chance == Some(0.25)));
    }
}
