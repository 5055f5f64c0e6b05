//! Addresses as integers: what ranges and prefixes need of them, for IPv4 (`u32`) and IPv6 (`u128`) alike.

use std::fmt::Debug;
use std::net::IpAddr;

use crate::spec::Prefix;

/// An address of one family as an unsigned integer in network order.
pub trait Address: Copy + Ord + Debug + Default + Send + Sync + 'static {
    /// 32 or 128.
    const BITS: u8;

    /// The highest address.
    const LAST: Self;

    /// The address one lower, or `None` at the lowest.
    fn before(self) -> Option<Self>;

    /// The address one higher, or `None` at the highest.
    fn after(self) -> Option<Self>;

    /// Number of leading bits that both have in common, `BITS` when equal.
    fn common_bits(self, other: Self) -> u8;

    /// The lowest address of the network of that length around this one.
    #[must_use]
    fn network(self, length: u8) -> Self;

    /// The highest address of the network of that length around this one.
    #[must_use]
    fn broadcast(self, length: u8) -> Self;

    /// `(self - base) >> shift`, held to 0 below `base` and to `usize::MAX` above it.
    fn bucket(self, base: Self, shift: u8) -> usize;

    /// `base + (bucket << shift)`, or `None` past the highest address.
    fn bucket_start(base: Self, bucket: usize, shift: u8) -> Option<Self>;

    /// The address of this family in a prefix, or `None` for the other family.
    fn from_ip(addr: IpAddr) -> Option<Self>;

    /// The address as others write it.
    fn to_ip(self) -> IpAddr;

    /// How many addresses there are from this one to `last`, for shares: 53 bits of it are right.
    fn count_to(self, last: Self) -> f64;

    /// The address that lies at `fraction` (0 to 1) of the way to `last`.
    #[must_use]
    fn part_way(self, last: Self, fraction: f64) -> Self;
}

macro_rules! address {
    ($integer:ty, $bits:literal, $family:path) => {
        impl Address for $integer {
            const BITS: u8 = $bits;
            const LAST: Self = <$integer>::MAX;

            fn before(self) -> Option<Self> {
                self.checked_sub(1)
            }

            fn after(self) -> Option<Self> {
                self.checked_add(1)
            }

            #[allow(clippy::cast_possible_truncation)] // at most 128
            fn common_bits(self, other: Self) -> u8 {
                (self ^ other).leading_zeros() as u8
            }

            fn network(self, length: u8) -> Self {
                self & !(Self::MAX.checked_shr(u32::from(length)).unwrap_or(0))
            }

            fn broadcast(self, length: u8) -> Self {
                self | Self::MAX.checked_shr(u32::from(length)).unwrap_or(0)
            }

            fn bucket(self, base: Self, shift: u8) -> usize {
                let offset = self.saturating_sub(base).checked_shr(u32::from(shift)).unwrap_or(0);
                usize::try_from(offset).unwrap_or(usize::MAX)
            }

            fn bucket_start(base: Self, bucket: usize, shift: u8) -> Option<Self> {
                let bucket = Self::try_from(bucket).ok()?;
                let offset = bucket.checked_mul(Self::from(1_u8).checked_shl(u32::from(shift))?)?;
                base.checked_add(offset)
            }

            fn from_ip(addr: IpAddr) -> Option<Self> {
                match addr {
                    $family(addr) => Some(addr.into()),
                    _ => None,
                }
            }

            fn to_ip(self) -> IpAddr {
                $family(self.into())
            }

            #[allow(clippy::cast_precision_loss, clippy::cast_lossless)] // a share needs no more
            fn count_to(self, last: Self) -> f64 {
                last.saturating_sub(self) as f64 + 1.0
            }

            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // the conversion saturates
            fn part_way(self, last: Self, fraction: f64) -> Self {
                self.saturating_add((self.count_to(last) * fraction) as Self).clamp(self, last.max(self))
            }
        }
    };
}

address!(u32, 32, IpAddr::V4);
address!(u128, 128, IpAddr::V6);

/// The first and last address of a prefix, or `None` when it is of the other family, too long, or has host bits.
pub fn span<A: Address>(prefix: &Prefix) -> Option<(A, A)> {
    let first = A::from_ip(prefix.addr)?;
    (prefix.length <= A::BITS && first.network(prefix.length) == first).then(|| (first, first.broadcast(prefix.length)))
}

/// True for a prefix whose length fits its family and whose host bits are zero.
pub fn is_network(prefix: &Prefix) -> bool {
    span::<u32>(prefix).is_some() || span::<u128>(prefix).is_some()
}

/// True when the prefix holds the address; families differ means no.
pub fn holds(prefix: &Prefix, addr: IpAddr) -> bool {
    fn within<A: Address>(prefix: &Prefix, addr: IpAddr) -> bool {
        match (span::<A>(prefix), A::from_ip(addr)) {
            (Some((first, last)), Some(addr)) => first <= addr && addr <= last,
            _ => false,
        }
    }
    within::<u32>(prefix, addr) || within::<u128>(prefix, addr)
}
