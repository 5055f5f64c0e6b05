use core::net::Ipv4Addr;

use super::*;
use crate::spec::Prefix;

const RATE: u32 = 100;
const FLOOD_QPS: u64 = 20_000;
const SEED: u64 = 5358;

fn limits(rate: u32, slip: u8) -> Limits {
    Limits { pace: Pace::new(rate).unwrap(), slip, ipv4_prefix: 24, ipv6_prefix: 56, allow: NetworkSet::default(), dry_run: false }
}

fn addr(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// What became of the replies to a flood.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    within: u64,
    dropped: u64,
    slipped: u64,
}

impl Tally {
    fn count(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Within => self.within += 1,
            Verdict::Drop => self.dropped += 1,
            Verdict::Slip => self.slipped += 1,
        }
    }
}

/// `qps` from all addresses of 192.0.2.0/24 for `seconds` from `start_ms` on.
fn flood(table: &RateTable, limits: &Limits, qps: u64, start_ms: u64, seconds: u64) -> Tally {
    let mut tally = Tally::default();
    for number in 0..qps * seconds {
        let client = Ipv4Addr::new(192, 0, 2, u8::try_from(number % 256).unwrap());
        tally.count(table.judge(limits, client.into(), start_ms + number * 1000 / qps));
    }
    tally
}

#[track_caller]
fn assert_within_a_tenth(got: u64, want: u64) {
    assert!(got.abs_diff(want) * 10 <= want, "{got} is not within a tenth of {want}");
}

#[test]
fn a_flood_from_one_prefix_is_held_to_its_rate_within_a_tenth() {
    for rate in [5, 20, 100, 1_000, 7_777, 15_000] {
        let tally = flood(&RateTable::new(SEED), &limits(rate, 2), FLOOD_QPS, 12_345, 20);
        assert_within_a_tenth(tally.within, u64::from(rate) * 20);
    }
}

#[test]
fn what_stays_below_the_rate_is_never_limited() {
    for (rate, qps) in [(1, 1), (20, 19), (RATE, 99), (MAX_RATE, 90_000)] {
        let tally = flood(&RateTable::new(SEED), &limits(rate, 2), qps, 0, 10);
        assert_eq!(tally, Tally { within: qps * 10, ..Tally::default() }, "rate {rate}");
    }
}

#[test]
fn the_greatest_rate_is_kept_within_a_tenth() {
    let tally = flood(&RateTable::new(SEED), &limits(MAX_RATE, 0), 250_000, 0, 3);
    assert_within_a_tenth(tally.within, u64::from(MAX_RATE) * 3);
    assert_eq!(Pace::new(0), None);
    assert_eq!(Pace::new(MAX_RATE + 1), None);
}

#[test]
fn a_client_elsewhere_gets_every_answer_during_a_flood() {
    let (table, limits) = (RateTable::new(SEED), limits(RATE, 2));
    let elsewhere = ["192.0.3.1", "198.51.100.7", "2001:db8::1", "::ffff:203.0.113.9"].map(addr);
    for ms in 0..20_000 {
        for number in 0..20 {
            table.judge(&limits, Ipv4Addr::new(192, 0, 2, number).into(), ms);
        }
        if ms % 20 == 0 {
            for client in elsewhere {
                assert_eq!(table.judge(&limits, client, ms), Verdict::Within, "{client} at {ms}");
            }
        }
    }
}

#[test]
fn prefixes_share_a_budget_and_mapped_addresses_are_ipv4() {
    let cases = [
        ("192.0.2.1", "192.0.2.254", true),
        ("192.0.2.1", "::ffff:192.0.2.7", true),
        ("192.0.2.1", "192.0.3.1", false),
        ("2001:db8:0:ff00::1", "2001:db8:0:ffff:ffff::1", true),
        ("2001:db8:0:ff00::1", "2001:db8:0:fe00::1", false),
    ];
    for (flooding, other, shares) in cases {
        let (table, limits) = (RateTable::new(SEED), limits(RATE, 0));
        (0..1000).for_each(|_| {
            table.judge(&limits, addr(flooding), 7);
        });
        let expected = if shares { Verdict::Drop } else { Verdict::Within };
        assert_eq!(table.judge(&limits, addr(other), 7), expected, "{flooding} {other}");
    }
}

#[test]
fn a_prefix_of_no_length_is_a_whole_family() {
    let (table, limits) = (RateTable::new(SEED), Limits { ipv4_prefix: 0, ipv6_prefix: 0, ..limits(RATE, 0) });
    (0..1000).for_each(|_| {
        table.judge(&limits, addr("192.0.2.1"), 7);
    });
    assert_eq!(table.judge(&limits, addr("203.0.113.1"), 7), Verdict::Drop);
}

#[test]
fn every_nth_limited_reply_slips() {
    for (slip, share) in [(0, None), (1, Some(1)), (2, Some(2)), (3, Some(3)), (MAX_SLIP, Some(100))] {
        let tally = flood(&RateTable::new(SEED), &limits(RATE, slip), FLOOD_QPS, 0, 10);
        let limited = tally.dropped + tally.slipped;
        assert_eq!(tally.slipped, share.map_or(0, |share| limited / share), "slip {slip}");
    }
}

#[test]
fn a_dry_run_judges_as_the_limit_would() {
    let judged = |dry_run| flood(&RateTable::new(SEED), &Limits { dry_run, ..limits(RATE, 2) }, FLOOD_QPS, 0, 5);
    assert_eq!(judged(true), judged(false));
}

#[test]
fn allowed_networks_are_not_limited_and_not_charged() {
    let allow = NetworkSet::new(&[Prefix { addr: addr("192.0.2.128"), length: 25 }]);
    let (table, limits) = (RateTable::new(SEED), Limits { allow, ..limits(RATE, 0) });
    for _ in 0..10_000 {
        assert_eq!(table.judge(&limits, addr("192.0.2.200"), 1), Verdict::Within);
    }
    assert_eq!(table.judge(&limits, addr("192.0.2.1"), 1), Verdict::Within, "the other half of the /24 has its whole budget");
}

#[test]
fn a_prefix_is_free_again_when_its_flood_has_ended() {
    let (table, limits) = (RateTable::new(SEED), limits(RATE, 0));
    flood(&table, &limits, FLOOD_QPS, 0, 5);
    let burst: Vec<_> = (0..26).map(|_| table.judge(&limits, addr("192.0.2.1"), 5_300)).collect();
    assert_eq!(burst.iter().filter(|verdict| **verdict == Verdict::Within).count(), 25, "a quarter of a second's worth at once");
}

#[test]
fn low_rates_leave_room_for_five_at_once() {
    let (table, limits) = (RateTable::new(SEED), limits(1, 0));
    let burst: Vec<_> = (0..6).map(|_| table.judge(&limits, addr("192.0.2.1"), 9)).collect();
    assert_eq!(burst, [[Verdict::Within; 5].as_slice(), &[Verdict::Drop]].concat());
}

#[test]
fn the_clock_going_round_changes_nothing() {
    let round_ms = 1_u64 << (TIME_BITS - UNIT_SHIFT);
    for start_ms in [0, round_ms - 5_000, 2 * round_ms - 10_000, u64::MAX - 30_000] {
        let (table, limits) = (RateTable::new(SEED), limits(RATE, 2));
        let tally = flood(&table, &limits, FLOOD_QPS, start_ms, 20);
        assert_within_a_tenth(tally.within, u64::from(RATE) * 20);
    }
}

#[test]
fn a_slot_from_a_round_ago_is_a_debt_only_at_the_very_moment() {
    let round_ms = 1_u64 << (TIME_BITS - UNIT_SHIFT);
    for (later_ms, expected) in [
        (1_000, Verdict::Within),
        (round_ms / 2, Verdict::Within),
        (round_ms - 2_000, Verdict::Within),
        (round_ms - 500, Verdict::Drop),
        (round_ms + 1_000, Verdict::Within),
    ] {
        let (table, limits) = (RateTable::new(SEED), limits(RATE, 0));
        flood(&table, &limits, FLOOD_QPS, 0, 1);
        assert_eq!(table.judge(&limits, addr("192.0.2.1"), 1_000 + later_ms), expected, "{later_ms} ms later");
    }
}

#[test]
fn a_worker_whose_clock_is_behind_does_not_free_anybody() {
    let (table, limits) = (RateTable::new(SEED), limits(RATE, 0));
    let mut within = 0;
    for number in 0..FLOOD_QPS * 10 {
        let behind = if number % 2 == 0 { 0 } else { 50 };
        within += u64::from(table.judge(&limits, addr("192.0.2.1"), 1_000 + number * 1000 / FLOOD_QPS - behind) == Verdict::Within);
    }
    assert_within_a_tenth(within, u64::from(RATE) * 10);
}

#[test]
fn a_change_of_rate_holds_at_once() {
    let table = RateTable::new(SEED);
    flood(&table, &limits(1, 0), FLOOD_QPS, 0, 5);
    let tally = flood(&table, &limits(1_000, 0), FLOOD_QPS, 5_000, 5);
    assert_within_a_tenth(tally.within, 5_000);
}

/// Far more prefixes than the table has slots: it stays as it is, and the flood among them stays limited.
#[test]
fn the_table_never_grows_and_no_crowd_washes_a_debt_away() {
    let (table, limits) = (RateTable::new(SEED), limits(RATE, 0));
    let size = std::mem::size_of_val(&*table.lines);
    assert_eq!(size, 1 << 20);
    let mut within = 0;
    for number in 0_u32..1_000_000 {
        // 100,000 a second from as many prefixes, and between them a flood of 20,000 a second.
        let ms = u64::from(number) / 100;
        table.judge(&limits, Ipv4Addr::from(0x0a00_0000 | (number << 8)).into(), ms);
        if number % 5 == 0 {
            within += u64::from(table.judge(&limits, addr("192.0.2.1"), ms) == Verdict::Within);
        }
    }
    assert_within_a_tenth(within, u64::from(RATE) * 10);
    assert_eq!(std::mem::size_of_val(&*table.lines), size);
}

#[test]
fn a_crowd_within_its_limits_is_hardly_limited_by_collisions() {
    let (table, limits) = (RateTable::new(SEED), limits(RATE, 0));
    // 50,000 prefixes that ask twice a second each.
    let limited = (0_u32..300_000).filter(|number| {
        let client = Ipv4Addr::from(0x0a00_0000 | ((number % 50_000) << 8));
        table.judge(&limits, client.into(), u64::from(*number) / 100) != Verdict::Within
    });
    assert_eq!(limited.count(), 0);
}

/// The least that collisions leave to a newcomer: its line is full of floods.
#[test]
fn a_newcomer_in_a_line_of_floods_gets_what_the_least_of_them_leaves() {
    let (table, limits) = (RateTable::new(SEED), limits(RATE, 0));
    let in_first_line = |number: &u32| table.hash(limits.prefix_of(Ipv4Addr::from(number << 8).into())) & LINE_MASK == 0;
    let crowd: Vec<IpAddr> = (0_u32..).filter(in_first_line).take(SLOTS + 1).map(|number| Ipv4Addr::from(number << 8).into()).collect();
    let (newcomer, flooding) = crowd.split_last().unwrap();
    for _ in 0..1_000 {
        for client in flooding {
            table.judge(&limits, *client, 0);
        }
    }
    assert_eq!(table.judge(&limits, *newcomer, 0), Verdict::Drop);
    assert_eq!(table.judge(&limits, *newcomer, 1_000), Verdict::Within);
}

#[test]
fn workers_together_keep_one_limit() {
    let (table, limits) = (RateTable::new(SEED), limits(RATE, 0));
    let within = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for number in 0..50_000_u64 {
                    if table.judge(&limits, addr("192.0.2.1"), number / 50) == Verdict::Within {
                        within.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    // One second on every worker's clock: the window and the rate, at most, however the system lets them run.
    let within = within.into_inner();
    assert!((1..=126).contains(&within), "{within}");
}
