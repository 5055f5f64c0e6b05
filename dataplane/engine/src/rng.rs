//! Randomness as the caller passes it: this crate owns no source of its own, so that every test can repeat what it saw.
//! Draws choose among addresses and are no secret, hence a fast generator and not a cryptographic one; cookies do not use it.

/// A source of random numbers.
pub trait Rng {
    /// 64 uniform bits.
    fn next_u64(&mut self) -> u64;

    /// Uniform in `0 .. bound` without modulo bias; 0 when `bound` is 0.
    ///
    /// Lemire, "Fast Random Integer Generation in an Interval" (2019): the high half of `x * bound` is the draw, and the few `x` that
    /// would favour some results are drawn again.
    fn below(&mut self, bound: u64) -> u64 {
        let mut product = u128::from(self.next_u64()).wrapping_mul(u128::from(bound));
        if low_half(product) < bound {
            let threshold = bound.wrapping_neg().checked_rem(bound).unwrap_or(0);
            while low_half(product) < threshold {
                product = u128::from(self.next_u64()).wrapping_mul(u128::from(bound));
            }
        }
        high_half(product)
    }
}

#[allow(clippy::cast_possible_truncation)] // the truncation is the meaning
fn low_half(product: u128) -> u64 {
    product as u64
}

#[allow(clippy::cast_possible_truncation)] // at most 64 bits are left after the shift
fn high_half(product: u128) -> u64 {
    (product >> 64) as u64
}

/// xoshiro256++ (Blackman and Vigna, 2019): a few nanoseconds a draw, and passes the tests that matter for choosing addresses.
#[derive(Debug, Clone)]
pub struct FastRng {
    state: [u64; 4],
}

impl FastRng {
    /// A generator from 64 bits of the caller's entropy, spread over the state by splitmix64, which never yields the all-zero state.
    pub fn from_seed(seed: u64) -> Self {
        let mut mixer = seed;
        let mut next = || {
            mixer = mixer.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = mixer;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            z ^ (z >> 31)
        };
        Self { state: [next(), next(), next(), next()] }
    }
}

impl Rng for FastRng {
    fn next_u64(&mut self) -> u64 {
        let [s0, s1, s2, s3] = self.state;
        let result = s0.wrapping_add(s3).rotate_left(23).wrapping_add(s0);
        let t = s1 << 17;
        let s2 = s2 ^ s0;
        let s3 = s3 ^ s1;
        self.state = [s0 ^ s3, s1 ^ s2, s2 ^ t, s3.rotate_left(45)];
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_repeat_with_the_seed() {
        let draw = |seed| {
            let mut rng = FastRng::from_seed(seed);
            [rng.next_u64(), rng.next_u64(), rng.next_u64()]
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn below_stays_below_and_reaches_every_result() {
        let mut rng = FastRng::from_seed(1);
        let mut seen = [0_u32; 7];
        for _ in 0..70_000 {
            seen[usize::try_from(rng.below(7)).unwrap()] += 1;
        }
        assert!(seen.iter().all(|&count| (9_500..10_500).contains(&count)), "{seen:?}");
        assert_eq!(rng.below(0), 0);
        assert_eq!(rng.below(1), 0);
    }
}
