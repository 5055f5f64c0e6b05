//! Points on the globe, compared by great-circle distance in integers only: every machine and every build orders values alike, which a libm does not promise.
//!
//! A point is a unit vector in units of 2^-30. The squared chord between two points grows with their great-circle distance and needs no inverse function.
//! A vector is off by at most 2^-30 in each component, about 6 mm on the ground.

use crate::spec::Coordinates;

/// One, in the vectors' fixed-point form.
const ONE: i64 = 1 << 30;

/// Fixed-point ones of the series, with room for products in 128 bits.
const SERIES_BITS: u32 = 60;

/// Pi in units of 2^-60.
const PI: i128 = 3_622_009_729_038_561_421;

/// Millionths of a degree in half a turn.
const HALF_TURN: i64 = 180_000_000;

/// A unit vector in units of 2^-30.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Direction {
    x: i32,
    y: i32,
    z: i32,
}

/// The farthest that two points can be apart is 2^62 units; whoever has no place is farther.
pub const NOWHERE: u64 = u64::MAX;

impl Direction {
    /// The vector of a point, from millionths of a degree.
    pub fn from_coordinates(point: Coordinates) -> Self {
        let (sin_latitude, cos_latitude) = sin_cos(point.latitude);
        let (sin_longitude, cos_longitude) = sin_cos(point.longitude);
        let along = |part: i64| narrow(round_shift(i128::from(cos_latitude).saturating_mul(i128::from(part)), 30));
        Self { x: along(cos_longitude), y: along(sin_longitude), z: narrow(i128::from(sin_latitude)) }
    }

    /// The squared chord in units of 2^-60: less is nearer, 0 is here.
    pub fn distance(self, other: Self) -> u64 {
        let square = |a: i32, b: i32| {
            let difference = u64::from(a.abs_diff(b));
            difference.saturating_mul(difference)
        };
        square(self.x, other.x).saturating_add(square(self.y, other.y)).saturating_add(square(self.z, other.z))
    }
}

/// Sine and cosine of an angle in millionths of a degree, in units of 2^-30. Exactly odd and even, and exact at quarter turns, so that points which mirror each other are
/// equally far.
fn sin_cos(angle: i32) -> (i64, i64) {
    let magnitude = i64::from(angle.unsigned_abs()).min(HALF_TURN);
    let quarter = HALF_TURN / 2;
    // 0 ≤ folded ≤ 90°, and the cosine changes sign beyond a quarter turn.
    let folded = if magnitude > quarter { HALF_TURN.saturating_sub(magnitude) } else { magnitude };
    let eighth = HALF_TURN / 4;
    let (sine, cosine) = if folded > eighth {
        let (sine, cosine) = series(quarter.saturating_sub(folded));
        (cosine, sine)
    } else {
        series(folded)
    };
    (if angle < 0 { sine.saturating_neg() } else { sine }, if magnitude > quarter { cosine.saturating_neg() } else { cosine })
}

/// Taylor series for 0 to 45°. The term after the last one taken is below 2^-60.
fn series(angle: i64) -> (i64, i64) {
    let radians = PI.saturating_mul(i128::from(angle)).checked_div(i128::from(HALF_TURN)).unwrap_or(0);
    let mut term = 1_i128 << SERIES_BITS;
    let (mut sine, mut cosine) = (0_i128, term);
    for n in 1..20_i128 {
        term = (term.saturating_mul(radians) >> SERIES_BITS).checked_div(n).unwrap_or(0);
        match n & 3 {
            1 => sine = sine.saturating_add(term),
            2 => cosine = cosine.saturating_sub(term),
            3 => sine = sine.saturating_sub(term),
            _ => cosine = cosine.saturating_add(term),
        }
    }
    let to_units = |value: i128| i64::try_from(round_shift(value, SERIES_BITS.saturating_sub(30))).unwrap_or(ONE).min(ONE);
    (to_units(sine), to_units(cosine))
}

/// `value / 2^bits`, rounded half away from zero so that signs do not matter.
fn round_shift(value: i128, bits: u32) -> i128 {
    let half = 1_i128.checked_shl(bits.saturating_sub(1)).unwrap_or(0);
    let magnitude = value.saturating_abs().saturating_add(half).checked_shr(bits).unwrap_or(0);
    if value < 0 { magnitude.saturating_neg() } else { magnitude }
}

fn narrow(value: i128) -> i32 {
    i32::try_from(value).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn point(latitude: f64, longitude: f64) -> Coordinates {
        #[allow(clippy::cast_possible_truncation)]
        let millionths = |degrees: f64| (degrees * 1e6).round() as i32;
        Coordinates { latitude: millionths(latitude), longitude: millionths(longitude) }
    }

    fn direction(latitude: f64, longitude: f64) -> Direction {
        Direction::from_coordinates(point(latitude, longitude))
    }

    #[test]
    fn sines_agree_with_floating_point() {
        for angle in (-180_000_000..=180_000_000).step_by(12_345) {
            let radians = (f64::from(angle) / 1e6).to_radians();
            let (sine, cosine) = sin_cos(angle);
            #[allow(clippy::cast_precision_loss)]
            let off = |ours: i64, theirs: f64| (ours as f64 / ONE as f64 - theirs).abs();
            assert!(off(sine, radians.sin()) < 1e-9 && off(cosine, radians.cos()) < 1e-9, "{angle}");
        }
    }

    #[test]
    fn quarter_turns_are_exact() {
        let quarter = 90_000_000;
        assert_eq!([-2, -1, 0, 1, 2].map(|n| sin_cos(n * quarter)), [(0, -ONE), (-ONE, 0), (0, ONE), (ONE, 0), (0, -ONE)]);
    }

    #[test]
    fn chords_order_as_great_circles() {
        let haversine = |a: (f64, f64), b: (f64, f64)| {
            let (a, b) = ((a.0.to_radians(), a.1.to_radians()), (b.0.to_radians(), b.1.to_radians()));
            ((b.0 - a.0) / 2.0).sin().powi(2) + a.0.cos() * b.0.cos() * ((b.1 - a.1) / 2.0).sin().powi(2)
        };
        let cities = [(50.1, 8.7), (51.5, -0.1), (40.7, -74.0), (35.7, 139.7), (-33.9, 151.2), (-23.5, -46.6), (1.3, 103.8), (64.1, -21.9)];
        for client in [(0.0, 0.0), (52.5, 13.4), (-89.0, 12.0), (37.8, -122.4), (66.0, 179.9)] {
            let mut ours = cities;
            let mut theirs = cities;
            let here = direction(client.0, client.1);
            ours.sort_by_key(|city| here.distance(direction(city.0, city.1)));
            theirs.sort_by(|a, b| haversine(client, *a).total_cmp(&haversine(client, *b)));
            assert_eq!(ours, theirs, "{client:?}");
        }
    }

    #[test]
    fn mirrored_points_are_equally_far() {
        let here = direction(50.0, 0.0);
        assert_eq!(here.distance(direction(48.3, 7.25)), here.distance(direction(48.3, -7.25)));
        let equator = direction(0.0, 20.0);
        assert_eq!(equator.distance(direction(12.5, 20.0)), equator.distance(direction(-12.5, 20.0)));
    }

    #[test]
    fn poles_and_the_date_line_are_no_edges() {
        assert_eq!(direction(90.0, 10.0).distance(direction(90.0, -170.0)), 0);
        assert_eq!(direction(10.0, 180.0).distance(direction(10.0, -180.0)), 0);
        assert!(direction(10.0, 179.9).distance(direction(10.0, -179.9)) < direction(10.0, 179.9).distance(direction(10.0, 179.0)));
        assert!(direction(90.0, 0.0).distance(direction(-90.0, 0.0)) < NOWHERE);
    }
}
