//! The figures as a document (`docs/simulate.md`): rows that hold what was before beside what is after, the largest first.

use std::collections::BTreeMap;

use serde::Serialize;

use super::forecast::{Forecaster, Origin};
use super::outcomes::{Outcome, Outcomes};
use super::tally::{Pair, Tally};
use super::{Case, Subject};
use crate::explain::text::{show_name, show_rdata, show_type};
use crate::spec::{RuleOrigin, Select};

/// Rows of what moved from where to where; the rest is a sum.
const MAX_MOVES: usize = 1000;

/// Rows of sites and of values: past these a document is no longer read, and must still be held by whoever asked.
const MAX_ROWS: usize = 10_000;
const MAX_COUNTRY_ROWS: usize = 100;

/// One record, before and after.
#[derive(Debug, Serialize)]
pub struct RecordReport {
    pub name: String,
    #[serde(rename = "type")]
    pub rtype: String,
    /// `weighted`, `sticky` or `nearest`; null without steering.
    pub select: Beside<Option<&'static str>>,
    /// Clients that were drawn; null when all were counted.
    pub sample: Option<u32>,
    /// By how much a share may be off: 0 when nothing was drawn.
    pub error: f64,
    /// Share of the clients that get something else after than before.
    pub moved: f64,
    pub sites: Vec<SiteRow>,
    pub values: Vec<ValueRow>,
    pub outcomes: Vec<OutcomeRow>,
    pub pools: Vec<PoolRow>,
    pub rules: Vec<RuleRow>,
    pub moves: Vec<MoveRow>,
    /// Share of the clients that move in ways that `moves` has no room for.
    pub moves_left_out: f64,
    pub countries: Vec<CountryRow>,
}

/// The same of both sides.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Beside<T> {
    pub before: T,
    pub after: T,
}

/// A site's share of all clients, over all its values.
#[derive(Debug, Clone, Serialize)]
pub struct SiteRow {
    /// A value without a site stands for itself.
    pub site: String,
    pub before: f64,
    pub after: f64,
}

/// A value's share of all clients.
#[derive(Debug, Clone, Serialize)]
pub struct ValueRow {
    pub value: String,
    pub site: Option<String>,
    pub before: f64,
    pub after: f64,
}

/// `answer`, `nodata`, `servfail` or `absent` (no such record).
#[derive(Debug, Clone, Serialize)]
pub struct OutcomeRow {
    pub outcome: &'static str,
    pub before: f64,
    pub after: f64,
}

/// Clients that are answered from a pool, or from what stands in for one.
#[derive(Debug, Clone, Serialize)]
pub struct PoolRow {
    /// `pool`, `drained`, `serve-all`, `values`, `nothing`, `static` or `absent`.
    pub from: &'static str,
    pub pool: Option<String>,
    pub before: f64,
    pub after: f64,
}

/// Clients that match one rule before and one after.
#[derive(Debug, Clone, Serialize)]
pub struct RuleRow {
    pub clients: f64,
    pub before: Option<RuleSide>,
    pub after: Option<RuleSide>,
}

/// A rule, the pool it names and the one that serves.
#[derive(Debug, Clone, Serialize)]
pub struct RuleSide {
    pub rule: u16,
    /// `octodns.geodns.rules` or `dynamic.rules`.
    pub origin: &'static str,
    pub pool: String,
    pub from: &'static str,
    pub serves: Option<String>,
}

/// One end of a movement: a value, or an answer without one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct End {
    pub outcome: &'static str,
    pub value: Option<String>,
    pub site: Option<String>,
}

/// Clients that move from one outcome to another.
#[derive(Debug, Clone, Serialize)]
pub struct MoveRow {
    pub from: End,
    pub to: End,
    pub clients: f64,
}

/// One country.
#[derive(Debug, Clone, Serialize)]
pub struct CountryRow {
    /// ISO 3166-1 alpha-2; null where it is not known.
    pub country: Option<String>,
    /// Share of all clients.
    pub clients: f64,
    /// Share of all clients that are in the country and move.
    pub moved: f64,
    /// Shares of all clients, over those in the country.
    pub sites: Vec<SiteRow>,
    pub outcomes: Vec<OutcomeRow>,
}

/// All records together, each counted alike.
#[derive(Debug, Serialize)]
pub struct TotalReport {
    pub records: u32,
    pub moved: f64,
    pub sites: Vec<SiteRow>,
    pub outcomes: Vec<OutcomeRow>,
    pub countries: Vec<CountryTotal>,
}

/// One country, over all records.
#[derive(Debug, Serialize)]
pub struct CountryTotal {
    pub country: Option<String>,
    pub clients: f64,
    pub moved: f64,
}

/// Nine digits: what is left of a float after millions of additions.
fn round(share: f64) -> f64 {
    (share * 1e9).round() / 1e9
}

fn word_of(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Value(_) => "answer",
        Outcome::NoData => "nodata",
        Outcome::ServFail => "servfail",
        Outcome::Absent => "absent",
    }
}

/// Rows by descending share, the greater of both sides counting.
fn sort_by_share<T>(rows: &mut [T], pair: impl Fn(&T) -> (f64, f64)) {
    let share = |row: &T| {
        let (before, after) = pair(row);
        before.max(after)
    };
    rows.sort_by(|a, b| share(b).total_cmp(&share(a)));
}

/// Shows outcomes of one record.
struct Shown<'a> {
    rtype: u16,
    outcomes: &'a Outcomes,
}

impl Shown<'_> {
    fn value(&self, number: usize) -> Option<String> {
        match self.outcomes.get(number) {
            Some(Outcome::Value(rdata)) => Some(show_rdata(self.rtype, rdata)),
            _ => None,
        }
    }

    fn end(&self, number: usize) -> End {
        End {
            outcome: self.outcomes.get(number).map_or("absent", word_of),
            value: self.value(number),
            site: self.outcomes.site(number).map(str::to_owned),
        }
    }

    fn sites(&self, pairs: impl Iterator<Item = (usize, Pair)>, most: usize) -> Vec<SiteRow> {
        let mut sites: BTreeMap<String, Pair> = BTreeMap::new();
        for (number, pair) in pairs {
            let Some(value) = self.value(number) else { continue };
            let site = sites.entry(self.outcomes.site(number).map_or(value, str::to_owned)).or_default();
            site.before += pair.before;
            site.after += pair.after;
        }
        let row = |(site, pair): (String, Pair)| SiteRow { site, before: round(pair.before), after: round(pair.after) };
        let mut rows: Vec<SiteRow> = sites.into_iter().map(row).collect();
        sort_by_share(&mut rows, |row| (row.before, row.after));
        rows.truncate(most);
        rows
    }

    fn outcomes(&self, pairs: impl Iterator<Item = (usize, Pair)>) -> Vec<OutcomeRow> {
        let mut words: BTreeMap<&'static str, Pair> = BTreeMap::new();
        for (number, pair) in pairs {
            let word = words.entry(self.outcomes.get(number).map_or("absent", word_of)).or_default();
            word.before += pair.before;
            word.after += pair.after;
        }
        words
            .into_iter()
            .filter(|(_, pair)| pair.before > 0.0 || pair.after > 0.0)
            .map(|(outcome, pair)| OutcomeRow { outcome, before: round(pair.before), after: round(pair.after) })
            .collect()
    }

    fn values(&self, pairs: impl Iterator<Item = (usize, Pair)>) -> Vec<ValueRow> {
        let row = |(number, pair): (usize, Pair)| {
            let site = self.outcomes.site(number).map(str::to_owned);
            Some(ValueRow { value: self.value(number)?, site, before: round(pair.before), after: round(pair.after) })
        };
        let mut rows: Vec<ValueRow> = pairs.filter_map(row).collect();
        sort_by_share(&mut rows, |row| (row.before, row.after));
        rows.truncate(MAX_ROWS);
        rows
    }
}

/// A record's report.
pub(super) fn describe(
    case: &Case<'_>,
    tally: &Tally,
    outcomes: &Outcomes,
    (before, after): (&Forecaster<'_>, &Forecaster<'_>),
    sample: Option<u32>,
    error: f64,
) -> RecordReport {
    let shown = Shown { rtype: case.rtype, outcomes };
    let pairs = || outcomes.iter().map(|(number, _)| (number, tally.outcomes.get(number).copied().unwrap_or_default()));
    let (moves, moves_left_out) = describe_moves(&shown, tally);
    RecordReport {
        name: show_name(case.owner),
        rtype: show_type(case.rtype),
        select: Beside { before: show_select(before.subject()), after: show_select(after.subject()) },
        sample,
        error: round(error),
        moved: round(tally.moved),
        sites: shown.sites(pairs(), MAX_ROWS),
        values: shown.values(pairs()),
        outcomes: shown.outcomes(pairs()),
        pools: describe_pools(tally, before, after),
        rules: describe_rules(tally, before, after),
        moves,
        moves_left_out,
        countries: describe_countries(&shown, tally),
    }
}

fn show_select(subject: &Subject<'_>) -> Option<&'static str> {
    subject.select().map(|select| match select {
        Select::Weighted => "weighted",
        Select::Sticky => "sticky",
        Select::Nearest => "nearest",
    })
}

fn describe_moves(shown: &Shown<'_>, tally: &Tally) -> (Vec<MoveRow>, f64) {
    let mut moves: Vec<(&(usize, usize), &f64)> = tally.moves.iter().collect();
    moves.sort_by(|(key, share), (other_key, other)| other.total_cmp(share).then(key.cmp(other_key)));
    let row =
        |((from, to), share): &(&(usize, usize), &f64)| MoveRow { from: shown.end(*from), to: shown.end(*to), clients: round(**share) };
    let rows: Vec<MoveRow> = moves.iter().take(MAX_MOVES).map(row).collect();
    let told: f64 = moves.iter().take(MAX_MOVES).map(|(_, share)| **share).sum();
    (rows, round((tally.moved - told).max(0.0)))
}

fn describe_pools(tally: &Tally, before: &Forecaster<'_>, after: &Forecaster<'_>) -> Vec<PoolRow> {
    let mut rows: BTreeMap<(&'static str, Option<String>), Pair> = BTreeMap::new();
    let describe = |side: &Forecaster<'_>, number: usize| side.origins().get(number).map(|origin| origin.describe(side.subject()));
    for (number, share) in &tally.origins_before {
        if let Some(origin) = describe(before, *number) {
            rows.entry(origin).or_default().before += share;
        }
    }
    for (number, share) in &tally.origins_after {
        if let Some(origin) = describe(after, *number) {
            rows.entry(origin).or_default().after += share;
        }
    }
    let row = |((from, pool), pair): (_, Pair)| PoolRow { from, pool, before: round(pair.before), after: round(pair.after) };
    let mut rows: Vec<PoolRow> = rows.into_iter().map(row).collect();
    sort_by_share(&mut rows, |row| (row.before, row.after));
    rows
}

fn describe_rules(tally: &Tally, before: &Forecaster<'_>, after: &Forecaster<'_>) -> Vec<RuleRow> {
    let row = |((rule, rule_after), share): (&(u16, u16), &f64)| RuleRow {
        clients: round(*share),
        before: describe_rule(before, *rule),
        after: describe_rule(after, *rule_after),
    };
    tally.rules.iter().map(row).collect()
}

fn describe_rule(side: &Forecaster<'_>, rule: u16) -> Option<RuleSide> {
    let Subject::Steered(steered) = side.subject() else { return None };
    let spec = steered.spec().rules.get(usize::from(rule))?;
    let (from, serves) = side.origin_of(rule).map(|origin: &Origin| origin.describe(side.subject()))?;
    Some(RuleSide {
        rule,
        origin: match spec.origin {
            RuleOrigin::Dynamic => "dynamic.rules",
            RuleOrigin::Own => "octodns.geodns.rules",
        },
        pool: steered.spec().pools.get(usize::from(spec.pool))?.name.clone(),
        from,
        serves,
    })
}

fn describe_countries(shown: &Shown<'_>, tally: &Tally) -> Vec<CountryRow> {
    let mut rows: Vec<CountryRow> = tally
        .countries
        .iter()
        .map(|(country, counted)| {
            let pairs = || counted.outcomes.iter().map(|(number, pair)| (*number, *pair));
            CountryRow {
                country: country.map(|country| country.to_string()),
                clients: round(counted.clients),
                moved: round(counted.moved),
                sites: shown.sites(pairs(), MAX_COUNTRY_ROWS),
                outcomes: shown.outcomes(pairs()),
            }
        })
        .collect();
    sort_by_share(&mut rows, |row| (row.clients, row.clients));
    rows
}

/// Sums over records.
#[derive(Debug, Default)]
pub(super) struct Total {
    records: u32,
    moved: f64,
    sites: BTreeMap<String, Pair>,
    outcomes: BTreeMap<&'static str, Pair>,
    /// Clients and moved ones.
    countries: BTreeMap<Option<String>, (f64, f64)>,
}

impl Total {
    pub(super) fn add(&mut self, report: &RecordReport) {
        self.records = self.records.saturating_add(1);
        self.moved += report.moved;
        for row in &report.sites {
            let site = self.sites.entry(row.site.clone()).or_default();
            site.before += row.before;
            site.after += row.after;
        }
        for row in &report.outcomes {
            let outcome = self.outcomes.entry(row.outcome).or_default();
            outcome.before += row.before;
            outcome.after += row.after;
        }
        for row in &report.countries {
            let country = self.countries.entry(row.country.clone()).or_default();
            country.0 += row.clients;
            country.1 += row.moved;
        }
    }

    pub(super) fn report(&self) -> TotalReport {
        let part = 1.0 / f64::from(self.records.max(1));
        let mean = |share: f64| round(share * part);
        let site = |(site, pair): (&String, &Pair)| SiteRow { site: site.clone(), before: mean(pair.before), after: mean(pair.after) };
        let mut sites: Vec<SiteRow> = self.sites.iter().map(site).collect();
        sort_by_share(&mut sites, |row| (row.before, row.after));
        sites.truncate(MAX_ROWS);
        let outcome = |(outcome, pair): (&&'static str, &Pair)| OutcomeRow { outcome, before: mean(pair.before), after: mean(pair.after) };
        let country = |(country, (clients, moved)): (&Option<String>, &(f64, f64))| CountryTotal {
            country: country.clone(),
            clients: mean(*clients),
            moved: mean(*moved),
        };
        let mut countries: Vec<CountryTotal> = self.countries.iter().map(country).collect();
        sort_by_share(&mut countries, |row| (row.clients, row.clients));
        TotalReport {
            records: self.records,
            moved: mean(self.moved),
            sites,
            outcomes: self.outcomes.iter().map(outcome).collect(),
            countries,
        }
    }
}
