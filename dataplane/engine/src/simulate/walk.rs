//! The walk over a population: pieces in which every address is decided alike on both sides, but for the key of `sticky`.

use std::net::IpAddr;

use super::population::{Block, Span};
use super::{Budget, Case, GroupKey, SimulationFault, Subject};
use crate::location::address::Address;
use crate::location::{Family, Matched};
use crate::spec::Select;
use crate::steer::SteeringTables;

/// What is walked over, for what.
pub(super) struct Walk<'a> {
    pub tables: &'a SteeringTables,
    pub case: &'a Case<'a>,
    pub blocks: &'a [Block],
    /// Weight of all blocks.
    pub whole: f64,
    pub known_only: bool,
    pub budget: &'a Budget,
}

/// Receives a piece, what its clients have in common, and its share of all clients.
pub(super) type Visit<'v> = dyn FnMut(&Span, &GroupKey, f64) -> Result<(), SimulationFault> + 'v;

impl Walk<'_> {
    /// Every piece, in order of blocks and addresses.
    pub(super) fn run(&self, visit: &mut Visit<'_>) -> Result<(), SimulationFault> {
        for block in self.blocks {
            let per_address = block.per_address / self.whole;
            match block.span {
                Span::V4(first, last) => self.run_family(first, last, &mut |first, last, key| {
                    visit(&Span::V4(first, last), key, first.count_to(last) * per_address)
                })?,
                Span::V6(first, last) => self.run_family(first, last, &mut |first, last, key| {
                    visit(&Span::V6(first, last), key, first.count_to(last) * per_address)
                })?,
            }
        }
        Ok(())
    }

    fn run_family<A: Family>(
        &self,
        first: A,
        last: A,
        visit: &mut impl FnMut(A, A, &GroupKey) -> Result<(), SimulationFault>,
    ) -> Result<(), SimulationFault> {
        let locations = self.tables.locations();
        let needs_direction = self.case.uses(Select::Nearest);
        let mut next = Some(first);
        while let Some(here) = next.filter(|here| *here <= last) {
            let stretch = locations.stretch(here);
            let end = stretch.last.min(last);
            if stretch.is_known || !self.known_only {
                let direction = if needs_direction { locations.take_bearing(here.to_ip()).direction } else { None };
                let key = GroupKey { rules: (0, 0), direction, country: stretch.facts.country };
                self.cut_by_rules(here, end, key, visit)?;
            }
            self.budget.spend(1)?;
            next = end.after();
        }
        Ok(())
    }

    /// Cuts a stretch where the rule of either side may change: at the end of the scope that its match announces.
    fn cut_by_rules<A: Family>(
        &self,
        first: A,
        last: A,
        mut key: GroupKey,
        visit: &mut impl FnMut(A, A, &GroupKey) -> Result<(), SimulationFault>,
    ) -> Result<(), SimulationFault> {
        let mut next = Some(first);
        while let Some(here) = next.filter(|here| *here <= last) {
            self.budget.spend(1)?;
            let before = match_rule(self.tables, &self.case.before.subject, here.to_ip());
            let after = match_rule(self.tables, &self.case.after.subject, here.to_ip());
            key.rules = (before.rule, after.rule);
            let end = here.broadcast(before.scope.max(after.scope)).min(last);
            visit(here, end, &key)?;
            next = end.after();
        }
        Ok(())
    }
}

/// The rule that an address matches; an rrset without rules has one for everybody.
pub(super) fn match_rule(tables: &SteeringTables, subject: &Subject<'_>, addr: IpAddr) -> Matched {
    match subject {
        Subject::Steered(steered) => tables.match_rule(steered, addr),
        Subject::Absent | Subject::Static(_) => Matched { rule: 0, scope: 0 },
    }
}
