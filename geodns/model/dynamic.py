"""octoDNS's `dynamic` block, judged as octoDNS 1.22 judges it: pools, then rules, every reason at once.

The result is a draft: what octoDNS alone would make of the block. `assemble` adds what `octodns.geodns` says.

A reason of octoDNS is a fault, which `lenient` turns into a warning; what makes octoDNS itself fail (a pool that is no mapping, a
province of a country that has none in its table) is an error even then. Where a lenient record leaves something that cannot be served,
the draft does without it: the comment at each place says how.

Intended difference: an unknown key is an error (`Policy.unknown_keys`), where octoDNS lets a misspelt `weigth` mean weight 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any

from geodns.model import geo, steerable
from geodns.model.fields import whole_number
from geodns.model.findings import Findings, Policy, UnknownKeys, quote, token
from geodns.model.names import Name
from geodns.model.steerable import SteerableValue
from geodns.model.steering import Network, Rule, RuleOrigin, Status

MIN_WEIGHT, MAX_WEIGHT = 1, 100  # octoDNS's
MAX_LENIENT_WEIGHT = 65535  # a lenient record may go beyond octoDNS's range, but not beyond what sums are sure to hold
MAX_POOL_NAME = 255  # bytes of UTF-8: one length byte on the link

_STATUSES = tuple(status.value for status in Status)


@dataclass(frozen=True, slots=True)
class ValueDraft:
    """One entry of a pool as written; `pointer` leads to its address or name."""

    value: SteerableValue
    weight: int
    status: Status
    pointer: str


@dataclass(frozen=True, slots=True)
class PoolDraft:
    """A pool as written; equal values are still apart."""

    name: str
    values: tuple[ValueDraft, ...]
    fallback: str | None


@dataclass(frozen=True, slots=True)
class DynamicDraft:
    """The block's meaning. In a lenient record either may be empty: then there is nothing to steer by."""

    pools: tuple[PoolDraft, ...]
    rules: tuple[Rule, ...]


@dataclass(slots=True)
class _Judge:
    """What the judging functions share."""

    rtype: int
    apex: Name
    findings: Findings
    unknown_keys: UnknownKeys

    def judge_keys(self, written: Mapping[str, object], known: Sequence[str], pointer: str) -> None:
        for key in written:
            if key not in known:
                report = self.findings.fault if self.unknown_keys is UnknownKeys.ERROR else self.findings.warn
                report(f"{pointer}/{token(key)}", "unknown-key", f"`{key}` is no key here; known are {', '.join(known)}")


def parse_dynamic(written: object, rtype: int, apex: Name, findings: Findings, policy: Policy) -> DynamicDraft:
    """Judge a `dynamic` block. Pointers begin with "/dynamic"."""
    if not isinstance(written, Mapping):
        findings.error("/dynamic", "bad-dynamic", f"{quote(written)} is not a mapping; write pools and rules")
        return DynamicDraft((), ())
    judge = _Judge(rtype, apex, findings, policy.unknown_keys)
    judge.judge_keys(written, ("pools", "rules"), "/dynamic")
    pools = written.get("pools", {})
    rules = written.get("rules", [])
    drafts = _parse_pools(pools, judge)
    names = pools.keys() if isinstance(pools, Mapping) else ()
    targets = _RuleJudge(judge, frozenset(name for name in names if isinstance(name, str)))
    parsed = targets.parse_rules(rules)
    if not isinstance(pools, Mapping | list | tuple | str) and targets.pools_seen:
        findings.error("/dynamic/pools", "bad-pools", f"{quote(pools)} can hold no pool that a rule names; write a mapping")
    _report_unused(pools, targets.pools_seen, findings)
    usable = {draft.name for draft in drafts}
    return DynamicDraft(_cut_loops(drafts), _close_rules([rule for rule in parsed if rule.pool in usable], findings))


def _parse_pools(pools: object, judge: _Judge) -> list[PoolDraft]:
    findings = judge.findings
    if not isinstance(pools, Mapping):
        findings.fault("/dynamic/pools", "bad-pools", f"{quote(pools)} is not a mapping of pool name to pool")
        return []
    if not pools:
        findings.fault("/dynamic/pools", "missing-pools", "there are no pools; write at least one")
    drafts: list[PoolDraft] = []
    for name, pool in sorted(pools.items(), key=lambda item: str(item[0])):
        pointer = f"/dynamic/pools/{token(name)}"
        if not isinstance(name, str) or len(name.encode(errors="replace")) > MAX_POOL_NAME:
            findings.error(pointer, "bad-pool-name", f"{quote(name)} is not a text of at most {MAX_POOL_NAME} bytes; rename the pool")
        elif not isinstance(pool, Mapping):
            findings.error(pointer, "bad-pool", f"pool {quote(name)} is not a mapping; write its values")
        elif "values" not in pool:
            findings.error(pointer, "missing-pool-values", f"pool {quote(name)} has no `values`; write a list of them")
        else:
            drafts.append(_parse_pool(name, pool, pools, judge, pointer))
    return drafts


def _parse_pool(name: str, pool: Mapping[str, object], pools: Mapping[str, object], judge: _Judge, pointer: str) -> PoolDraft:
    judge.judge_keys(pool, ("fallback", "values"), pointer)
    written = pool["values"]
    if isinstance(written, list | tuple):
        entries: Sequence[object] = written
    else:
        entries = ()
        report = judge.findings.warn if written in ("", {}) else judge.findings.error
        report(f"{pointer}/values", "bad-pool-values", f"the values of pool {quote(name)} are not a list; write one")
    if not entries:
        judge.findings.warn(f"{pointer}/values", "empty-pool", f"pool {quote(name)} has no values and can never serve; give it one")
    drafts = [_parse_entry(entry, judge, f"{pointer}/values/{index}", len(entries) == 1) for index, entry in enumerate(entries)]
    fallback = _parse_fallback(name, pool, pools, judge.findings, pointer)
    return PoolDraft(name, tuple(draft for draft in drafts if draft), fallback)


def _parse_entry(entry: object, judge: _Judge, pointer: str, alone: bool) -> ValueDraft | None:
    if not isinstance(entry, Mapping):
        judge.findings.error(pointer, "bad-pool-value", f"{quote(entry)} is not a mapping; write {{value: …}}")
        return None
    judge.judge_keys(entry, ("status", "value", "weight"), pointer)
    weight = _parse_weight(entry.get("weight", 1), judge.findings, f"{pointer}/weight")
    if alone and entry.get("weight", 1) != 1:  # octoDNS compares what is written, so the text "1" is refused too
        judge.findings.fault(f"{pointer}/weight", "lone-weight", "a pool with one value has weight 1; remove the weight")
        weight = 1
    status = _parse_status(entry.get("status", "obey"), judge.findings, f"{pointer}/status")
    value = _parse_pool_value(entry, judge, f"{pointer}/value")
    return ValueDraft(value, weight, status, f"{pointer}/value") if value else None


def _parse_weight(written: object, findings: Findings, pointer: str) -> int:
    """octoDNS judges `int(weight)`; where `int` refuses the type, or infinity, octoDNS fails. A lenient weight below 1 counts as 1."""
    weight = whole_number(written)
    if weight is None and (not isinstance(written, float | str) or written == float("inf") or written == float("-inf")):
        findings.error(pointer, "bad-weight", f"{quote(written)} is not a weight; write a number from {MIN_WEIGHT} to {MAX_WEIGHT}")
        return MIN_WEIGHT
    if weight is None or not MIN_WEIGHT <= weight <= MAX_WEIGHT:
        findings.fault(pointer, "bad-weight", f"{quote(written)} is not a weight; write a number from {MIN_WEIGHT} to {MAX_WEIGHT}")
    return min(max(weight or MIN_WEIGHT, MIN_WEIGHT), MAX_LENIENT_WEIGHT)


def _parse_status(written: object, findings: Findings, pointer: str) -> Status:
    """A lenient status that is none counts as obey."""
    if written in _STATUSES:
        return Status(written)
    findings.fault(pointer, "bad-status", f"{quote(written)} is not a status; write one of {', '.join(_STATUSES)}")
    return Status.OBEY


def _parse_pool_value(entry: Mapping[str, object], judge: _Judge, pointer: str) -> SteerableValue | None:
    """A pool's value must be one even in a lenient record: octoDNS fails on an empty one when it builds the pool."""
    if entry.get("value") in (None, ""):
        judge.findings.error(pointer, "missing-value", "the value is missing; write an address or, for CNAME, a name")
        return None
    if isinstance(entry["value"], list | tuple):
        judge.findings.error(pointer, "bad-value", f"{quote(entry['value'])} is a list; write one value, and one entry for each")
        return None
    return steerable.parse(judge.rtype, entry["value"], judge.apex, judge.findings, pointer)


def _parse_fallback(name: str, pool: Mapping[str, object], pools: Mapping[str, object], findings: Findings, pointer: str) -> str | None:
    """The fallback's name. One called `default` means none, as octoDNS has it; its pool can be a rule's target but nobody's fallback."""
    fallback = pool.get("fallback")
    if fallback is None:
        return None
    place = f"{pointer}/fallback"
    if not isinstance(fallback, str):
        # To octoDNS a number is a pool that is not there; on a list or a mapping it fails.
        judge = findings.error if isinstance(fallback, list | tuple | Mapping) else findings.fault
        judge(place, "bad-fallback", f"{quote(fallback)} is not the name of a pool; write one in quotes")
        return None
    if fallback not in pools:
        findings.fault(place, "undefined-fallback", f"{quote(fallback)} is not a pool of this record; name one, or remove the fallback")
        return None
    if loop := _find_loop(name, pools):
        findings.fault(place, "fallback-loop", f"the fallbacks go in a circle: {' -> '.join(loop)}; remove one of them")
    if fallback == "default":
        findings.warn(place, "default-fallback", "octoDNS takes a fallback called `default` for none, and so it is; rename the pool")
        return None
    return fallback


def _find_loop(name: str, pools: Mapping[str, object]) -> list[str]:
    """The chain of fallbacks from a pool until it meets itself, or nothing when it ends."""
    chain = [name]
    while (pool := pools.get(chain[-1])) and isinstance(pool, Mapping) and isinstance(following := pool.get("fallback"), str):
        chain.append(following)
        if following in chain[:-1]:
            return chain
    return []


def _cut_loops(drafts: Sequence[PoolDraft]) -> tuple[PoolDraft, ...]:
    """Lenient records may have loops; the first fallback, in order of names, that would close one is left out."""
    fallbacks: dict[str, str] = {}
    kept: list[PoolDraft] = []
    for draft in drafts:
        end = draft.fallback
        while end is not None and end != draft.name:
            end = fallbacks.get(end)
        if draft.fallback is not None and end is None:
            fallbacks[draft.name] = draft.fallback
        kept.append(PoolDraft(draft.name, draft.values, fallbacks.get(draft.name)))
    return tuple(kept)


def _report_unused(pools: object, targets: set[str], findings: Findings) -> None:
    if not isinstance(pools, Mapping):
        return
    fallbacks = {pool.get("fallback") for pool in pools.values() if isinstance(pool, Mapping) and isinstance(pool.get("fallback"), str)}
    for name, pool in pools.items():
        if isinstance(pool, Mapping) and "values" in pool and name not in targets and name not in fallbacks:
            findings.fault(
                f"/dynamic/pools/{token(name)}",
                "unused-pool",
                f"pool {quote(name)} is used by no rule of `dynamic` and is nobody's fallback; use it or remove it",
            )


@dataclass(frozen=True, slots=True)
class _SeenNetwork:
    network: Network
    rule: int


class _SeenNetworks:
    """Networks of earlier rules by family, length and leading bits, so that ten thousand subnets are judged in a moment."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, int, int], _SeenNetwork] = {}
        self._lengths: dict[int, set[int]] = {4: set(), 6: set()}

    def add(self, network: Network, rule: int) -> None:
        self._lengths[network.version].add(network.prefixlen)
        self._seen[self._key(network, network.prefixlen)] = _SeenNetwork(network, rule)

    def find(self, network: Network) -> _SeenNetwork | None:
        """The widest seen network that holds this one."""
        for length in sorted(self._lengths[network.version]):
            if length <= network.prefixlen and (found := self._seen.get(self._key(network, length))):
                return found
        return None

    @staticmethod
    def _key(network: Network, length: int) -> tuple[int, int, int]:
        return network.version, length, int(network.network_address) >> (network.max_prefixlen - length)


@dataclass(slots=True)
class _RuleJudge:
    """What has been seen in earlier rules, against which later ones are judged."""

    judge: _Judge
    pools: frozenset[str]
    pools_seen: set[str] = field(default_factory=set)
    networks_seen: _SeenNetworks = field(default_factory=_SeenNetworks)
    geos_seen: dict[str, int] = field(default_factory=dict)
    catch_all_seen: bool = False

    def parse_rules(self, rules: object) -> list[Rule]:
        findings = self.judge.findings
        if not isinstance(rules, list | tuple):
            report = findings.error if isinstance(rules, str | Mapping) and rules else findings.fault
            report("/dynamic/rules", "bad-rules", f"{quote(rules)} is not a list of rules")
            return []
        if not rules:
            findings.fault("/dynamic/rules", "missing-rules", "there are no rules; write at least the catch-all, {pool: …}")
            return []
        parsed: list[Rule] = []
        previous: Mapping[str, object] = {}
        for index, rule in enumerate(rules):
            pointer = f"/dynamic/rules/{index}"
            if not isinstance(rule, Mapping):
                findings.error(pointer, "bad-rule", f"{quote(rule)} is not a mapping; write {{pool: …}}")
                continue
            parsed += self._parse_rule(rule, previous, index, pointer)
            previous = rule
        last = rules[-1]
        if isinstance(last, Mapping) and (last.get("subnets") or last.get("geos")):
            findings.fault(
                f"/dynamic/rules/{len(rules) - 1}",
                "no-catch-all",
                "the last rule has subnets or geos, so some clients match nothing; add a rule with a pool alone",
            )
        return parsed

    def _parse_rule(self, rule: Mapping[str, object], previous: Mapping[str, object], index: int, pointer: str) -> Iterator[Rule]:
        """The rule, unless it names no pool, or leniently lost every predicate it had and would turn into a catch-all."""
        findings = self.judge.findings
        self.judge.judge_keys(rule, ("geos", "pool", "subnets"), pointer)
        if "pool" not in rule:
            findings.fault(f"{pointer}/pool", "missing-pool", "the rule has no `pool`; name one")
            for key in ("geos", "subnets"):  # octoDNS passes over such a rule, and fails later on lists that it cannot sort
                self._items(rule.get(key, []), key, f"{pointer}/{key}")
            return
        targeted = bool(rule.get("subnets", []) or rule.get("geos", []))
        pool = self._parse_target(rule["pool"], targeted, f"{pointer}/pool")
        self._judge_order(rule, previous, pointer)
        if not targeted:
            if self.catch_all_seen:
                findings.fault(pointer, "second-catch-all", "an earlier rule already catches all clients; remove one of them")
            self.catch_all_seen = True
        subnets = self._parse_subnets(rule.get("subnets", []), index, f"{pointer}/subnets")
        geos = self._parse_geos(rule.get("geos", []), index, f"{pointer}/geos")
        if pool is not None and (subnets or geos or not targeted):
            yield Rule(RuleOrigin.DYNAMIC, pool, geos=geos, subnets=subnets)

    def _parse_target(self, pool: object, targeted: bool, pointer: str) -> str | None:
        findings = self.judge.findings
        if not isinstance(pool, str):
            findings.fault(pointer, "bad-rule-pool", f"{quote(pool)} is not the name of a pool; write one in quotes")
            return None
        if pool not in self.pools:
            findings.fault(pointer, "undefined-pool", f"{quote(pool)} is not a pool of this record; define it or name another")
        elif pool in self.pools_seen and targeted:
            findings.fault(
                pointer, "reused-pool", f"an earlier rule already leads to pool {quote(pool)}; put the subnets and geos into one rule"
            )
        self.pools_seen.add(pool)
        return pool

    def _judge_order(self, rule: Mapping[str, object], previous: Mapping[str, object], pointer: str) -> None:
        """Subnets alone, then subnets with geos, then geos alone. octoDNS compares only with the rule directly before.

        | this rule       | the one before       | verdict |
        |-----------------|----------------------|---------|
        | subnets, geos   | geos alone           | fault   |
        | subnets         | geos, or both        | fault   |
        | anything else   |                      | fine    |
        """
        if not rule.get("subnets", []) or not previous.get("geos", []):
            return
        if not rule.get("geos", []):
            self.judge.findings.fault(pointer, "rule-order", "a rule with subnets alone stands before all rules with geos; move it up")
        elif not previous.get("subnets", []):
            self.judge.findings.fault(pointer, "rule-order", "a rule with subnets and geos stands before rules with geos alone; move it up")

    def _parse_subnets(self, written: object, index: int, pointer: str) -> tuple[Network, ...]:
        findings = self.judge.findings
        networks: list[tuple[Network, str]] = []
        for place, subnet in self._items(written, "subnets", pointer):
            try:
                networks.append((_parse_network(subnet), place))
            except ValueError:
                findings.fault(
                    place, "bad-subnet", f"{quote(subnet)} is not a network; write an address with a prefix length and no bits beyond it"
                )
        networks.sort(key=lambda item: (item[0].version, item[0]))  # wide before narrow, so that a list may be judged against itself
        for network, place in networks:
            if (found := self.networks_seen.find(network)) is not None:
                relation = "stands already" if found.network == network else f"lies in {found.network}, which stands already"
                findings.fault(
                    place, "repeated-subnet", f"{network} {relation} in rule {found.rule}; remove it, or put the narrow one first"
                )
            self.networks_seen.add(network, index + 1)
        return tuple(network for network, _ in networks)

    def _parse_geos(self, written: object, index: int, pointer: str) -> tuple[str, ...]:
        findings = self.judge.findings
        codes: list[str] = []
        for place, code in sorted(self._items(written, "geos", pointer), key=lambda item: str(item[1])):
            if not isinstance(code, str):
                findings.error(place, "bad-geo", f"{quote(code)} is not a geo code; write one in quotes")
                continue
            if reason := geo.why_not_geo(code):
                report = findings.error if _octodns_fails_on(code) else findings.fault
                report(place, "bad-geo", f"{quote(code)} {reason}")
            else:
                codes.append(code)
            if seen := next((part for part in _ancestors(code) if part in self.geos_seen), None):
                relation = "stands already" if code == seen else f"lies in {seen}, which stands already"
                where = self.geos_seen[seen]
                findings.fault(place, "repeated-geo", f"{code} {relation} in rule {where}; remove it, or put the narrow one first")
            self.geos_seen[code] = index + 1
        return tuple(codes)

    def _items(self, written: object, key: str, pointer: str) -> list[tuple[str, object]]:
        """The items of a list with their pointers. A lenient text counts as a list of one; octoDNS fails on what it cannot sort."""
        findings = self.judge.findings
        if isinstance(written, list | tuple):
            if not _can_be_sorted(written):
                findings.error(pointer, f"bad-{key}", f"`{key}` mixes texts with other values; put each in quotes")
            return [(f"{pointer}/{index}", item) for index, item in enumerate(written)]
        report = findings.fault if isinstance(written, str | Mapping) else findings.error
        report(pointer, f"bad-{key}", f"{quote(written)} is not a list; write [{quote(written)}]")
        return [(pointer, written)] if isinstance(written, str) and written and findings.lenient else []


def _close_rules(rules: Sequence[Rule], findings: Findings) -> tuple[Rule, ...]:
    """Rules that end in one catch-all. A lenient record may lack it, then its last pool takes all; what follows one is never reached."""
    closed: list[Rule] = []
    for rule in rules:
        closed.append(rule)
        if not rule.geos and not rule.subnets:
            return tuple(closed)
    if closed and findings.lenient:
        closed.append(Rule(RuleOrigin.DYNAMIC, closed[-1].pool))
    return tuple(closed)


def _parse_network(written: object) -> Network:
    """What octoDNS's `ip_network(written)` gives, which takes numbers too, but for a zone index: no client has one. Raises ValueError."""
    network = ip_network(int(written) if isinstance(written, int) else str(written))
    if isinstance(network, IPv4Network):
        return network
    return IPv6Network((int(network.network_address), network.prefixlen))


def _ancestors(code: str) -> list[str]:
    """A geo code's continent, country and itself, the widest first."""
    parts = code.split("-")
    return ["-".join(parts[:length]) for length in range(1, len(parts) + 1)]


def _octodns_fails_on(code: str) -> bool:
    """octoDNS looks for provinces in a country that has none in its table."""
    parts = code.split("-")
    return len(parts) == 3 and parts[1] in geo.continents().get(parts[0], ()) and parts[1] not in geo.provinces()


def _can_be_sorted(items: Sequence[Any]) -> bool:
    try:
        sorted(items)
    except TypeError:
        return False
    return True
