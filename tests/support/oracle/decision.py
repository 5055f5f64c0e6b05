"""What a steered rrset is decided to for a client: rule, pool, candidates with probabilities, ttl, scope.

Step by step as the contract tells it: an override stands above `status`, which stands above health; the first pool that can serve; the
record's word when none can; the least ttl bound on the way; the shortest prefix in which every address decides alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from ipaddress import ip_address, ip_network
from typing import Any

from tests.support.oracle import sticky
from tests.support.oracle.chances import inclusion
from tests.support.oracle.location import BITS, Facts, Intervals, Locations, Network, edges_of

STICKY_PREFIX = {4: 24, 6: 56}
TTL_MIN = 5
EARTH_RADIUS_KM = 6371.0
# Two places are equally far when no coordinate in millionths of a degree could tell them apart.
SAME_DISTANCE_KM = 1e-3


@dataclass(frozen=True)
class Entry:
    """What is in force on a value: the checks' word, and the operator's over it."""

    down: bool = False
    factor: int = 1000
    bound_s: int | None = None
    operator: str | None = None


@dataclass(frozen=True)
class Override:
    """`expires_in_s` None = until it is cleared; 0 or less = it has ended."""

    kind: str
    target: str
    state: str
    expires_in_s: float | None = None


@dataclass(frozen=True)
class Client:
    """An address with as many of its bits as are known. An IPv4-mapped one stands as IPv4."""

    family: int
    address: int
    length: int

    @staticmethod
    def parse(text: str) -> Client:
        """`ADDR`, a sender, or `ADDR/LEN`, a client subnet; bits beyond the prefix are cut off."""
        address_text, _, length_text = text.partition("/")
        address = ip_address(address_text)
        length = int(length_text) if length_text else address.max_prefixlen
        network = ip_network((int(address), length) if address.version == 4 else (address.packed, length), strict=False)
        cut, bits = int(network.network_address), network.max_prefixlen
        if bits == 128 and cut >> 32 == 0xFFFF:
            return Client(4, cut & 0xFFFFFFFF, max(length - 96, 0))
        return Client(4 if bits == 32 else 6, cut, length)


@dataclass(frozen=True)
class Value:
    """A distinct value of a pool with all that bears on it. `standing`: up, down or drained (drained ones are up)."""

    text: str
    weight: int
    status: str
    site: str
    place: tuple[float, float] | None
    entry: Entry
    standing: str
    counts: bool


@dataclass(frozen=True)
class Candidate:
    """A value that the answer may carry, with the probability that it does."""

    text: str
    chance: Fraction
    share: Fraction | None


@dataclass(frozen=True)
class Decision:
    """`source` is a pool, or how is answered when none can serve; `order` is given where only one is right (`sticky`)."""

    rule: int
    source: str
    pool: str | None
    candidates: tuple[Candidate, ...]
    answers: int
    order: tuple[str, ...] | None
    outcome: str
    ttl: int
    negative_ttl: int
    scope: int
    rule_scope: int
    verdicts: Mapping[str, str]


@dataclass
class World:
    """All that decisions of a moment depend on, besides the record and the client."""

    locations: Locations
    lists: Mapping[str, Sequence[Network]]
    overrides: Sequence[Override] = ()
    _rules: dict[tuple[str, int], Intervals[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Steered:
    """A steered record and what the checks say of its values, by (pool, value). `name` is absolute, without the final dot."""

    name: str
    data: Mapping[str, Any]
    verdicts: Mapping[tuple[str, str], Entry]

    @property
    def rtype(self) -> str:
        return str(self.data["type"])

    @property
    def own(self) -> list[str]:
        values = self.data.get("values", self.data.get("value"))
        return list(values) if isinstance(values, list | tuple) else [str(values)]

    @property
    def settings(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.data.get("octodns", {}).get("geodns", {})
        return found

    @property
    def rules(self) -> list[Mapping[str, Any]]:
        """In the order in which they are judged."""
        return [*self.settings.get("rules", []), *self.data["dynamic"]["rules"]]

    def chain(self, pool: str) -> list[str]:
        """A pool and its fallbacks. octoDNS takes a fallback of the name `default` for none."""
        names: list[str] = []
        following: str | None = pool
        while following is not None:
            names.append(following)
            following = self.data["dynamic"]["pools"][following].get("fallback")
            following = None if following == "default" else following
        return names


def decide(world: World, record: Steered, client: Client) -> Decision:
    """The whole of section 2 of the contract."""
    matched = _rules_of(world, record, client.family)
    rule = matched.at(client.address)
    chain = record.chain(record.rules[rule]["pool"])
    pools = {name: _values_of(world, record, name) for name in chain}
    source, pool, values = _choose_pool(record, chain, pools)
    select = record.settings.get("select", "weighted")
    wanted = record.settings.get("answers", 1)
    answers = len(values) if wanted == "all" else min(wanted, len(values))
    outcome = "answer"
    candidates: tuple[Candidate, ...]
    order: tuple[str, ...] | None = None
    if source in ("pool", "drained") or (source == "serve-all" and record.rtype == "CNAME"):
        candidates, order = _candidates(world, record, client, values, answers, select)
    elif source in ("serve-all", "values"):
        texts = [value.text for value in values] if source == "serve-all" else _own_values(world, record)
        candidates, answers = tuple(Candidate(text, Fraction(1), None) for text in texts), len(texts)
    else:
        candidates, answers, outcome = (), 0, source
        source = "nothing"
    rule_scope = matched.shortest_prefix(client.address)
    scope = rule_scope
    if select == "sticky":
        scope = max(scope, STICKY_PREFIX[client.family])
    elif select == "nearest":
        scope = max(scope, world.locations.coordinates_network(client.family, client.address))
    bounds = record.settings.get("ttl")
    return Decision(
        rule=rule,
        source=source,
        pool=pool,
        candidates=candidates,
        answers=answers,
        order=order,
        outcome=outcome,
        ttl=_ttl(record, chain, pools, pool if source in ("pool", "drained") else None),
        negative_ttl=TTL_MIN if bounds is None else _bounds(record)[0],
        scope=scope,
        rule_scope=rule_scope,
        verdicts=_pool_verdicts(record, chain, pools),
    )


# Step 2: the rule.


def _rules_of(world: World, record: Steered, family: int) -> Intervals[int]:
    """The index of the rule that decides, for every address of a family."""
    key = (repr(record.rules), family)
    if key not in world._rules:
        networks: list[Network] = []
        predicates = []
        for rule in record.rules:
            subnets = [ip_network(subnet) for subnet in rule.get("subnets", [])]
            for name in rule.get("lists", []):
                subnets += world.lists.get(name, ())
            subnets = [subnet for subnet in subnets if subnet.version == family]
            networks += subnets
            spans = [(int(subnet.network_address), int(subnet.broadcast_address)) for subnet in subnets]
            predicates.append((spans, rule))
        edges = {*edges_of(networks), *world.locations.joined[family].starts}

        def match(address: int) -> int:
            facts = world.locations.facts(family, address)
            return next(index for index, (spans, rule) in enumerate(predicates) if _matches(rule, spans, facts, address))

        world._rules[key] = Intervals.build(family, edges, match)
    return world._rules[key]


def _matches(rule: Mapping[str, Any], spans: Sequence[tuple[int, int]], facts: Facts, address: int) -> bool:
    if not any(key in rule for key in ("subnets", "lists", "asns", "geos")):
        return True
    return (
        any(first <= address <= last for first, last in spans)
        or facts.asn in rule.get("asns", [])
        or any(_is_in(facts, geo) for geo in rule.get("geos", []))
    )


def _is_in(facts: Facts, geo: str) -> bool:
    match geo.split("-"):
        case [continent]:
            return facts.continent == continent
        case [_, country]:
            return facts.country == country
        case [_, country, province]:
            return facts.country == country and province in facts.subdivisions
    raise AssertionError(geo)


# Steps 3, 4 and 6: values, pools, the operator.


def _values_of(world: World, record: Steered, pool: str) -> list[Value]:
    """Equal values count once, their weights added."""
    weights: dict[str, int] = {}
    statuses: dict[str, str] = {}
    for value in record.data["dynamic"]["pools"][pool]["values"]:
        weights[value["value"]] = weights.get(value["value"], 0) + value.get("weight", 1)
        statuses[value["value"]] = value.get("status", "obey")
    return [_value_of(world, record, pool, text, weight, statuses[text]) for text, weight in weights.items()]


def _value_of(world: World, record: Steered, pool: str, text: str, weight: int, status: str) -> Value:
    settings = record.settings.get("values", {}).get(text, {})
    own_weight = settings.get("weight")
    is_checked = status == "obey" and record.settings.get("healthcheck") != "off"
    entry = record.verdicts.get((pool, text), Entry()) if is_checked else Entry()
    word = _word(world, record, pool, text)
    if word is not None:
        left_s = None if word.expires_in_s is None else math.ceil(word.expires_in_s)
        entry = Entry(entry.down, entry.factor, left_s, word.state)
    # operator  status  health | live
    # down      any     any    | no
    # up        any     any    | yes
    # drain, -  down    any    | no
    # drain, -  up      any    | yes
    # drain, -  obey    up     | yes
    # drain, -  obey    down   | no
    is_live = entry.operator == "up" or (entry.operator != "down" and (status == "up" or (status == "obey" and not entry.down)))
    is_drained = entry.operator == "drain" or own_weight == 0
    place = (settings["latitude"], settings["longitude"]) if "latitude" in settings else None
    return Value(
        text,
        own_weight or weight,
        status,
        settings.get("site", ""),
        place,
        entry,
        "down" if not is_live else "drained" if is_drained else "up",
        counts=not is_drained and (status != "down" or entry.operator == "up"),
    )


def _word(world: World, record: Steered, pool: str | None, text: str) -> Override | None:
    """The override that counts, the most specific first; one that has ended is none."""
    full = f"{record.name}/{record.rtype}"
    site = record.settings.get("values", {}).get(text, {}).get("site")
    for kind, target in (("value", text), ("pool", f"{full}/{pool}" if pool else None), ("record", full), ("site", site)):
        for word in world.overrides:
            if target and (word.kind, word.target) == (kind, target) and (word.expires_in_s is None or word.expires_in_s > 0):
                return word
    return None


def _up_weight(values: Sequence[Value]) -> int:
    return sum(value.weight for value in values if value.standing == "up")


def _counted_weight(values: Sequence[Value]) -> int:
    return sum(value.weight for value in values if value.counts)


def _can_serve(record: Steered, values: Sequence[Value]) -> bool:
    min_up = Fraction(str(record.settings.get("min_up", 0)))
    return any(value.standing == "up" for value in values) and _up_weight(values) >= min_up * _counted_weight(values)


def _choose_pool(record: Steered, chain: Sequence[str], pools: Mapping[str, list[Value]]) -> tuple[str, str | None, list[Value]]:
    """Where the answer is taken from, the pool's name, and its values that can be answered."""
    serving = [name for name in chain if _can_serve(record, pools[name])]
    with_any_up = [name for name in chain if any(value.standing == "up" for value in pools[name])]
    for name in (*serving, *with_any_up):
        return "pool", name, [value for value in pools[name] if value.standing == "up"]
    for name in chain:
        if drained := [value for value in pools[name] if value.standing == "drained"]:
            return "drained", name, drained
    all_down = record.settings.get("all_down", "values")
    if all_down != "serve-all":
        return all_down, None, []
    whole = [value for value in pools[chain[0]] if value.status != "down" and value.entry.operator != "down"]
    return ("serve-all", chain[0], whole) if whole else ("values", None, [])


def _pool_verdicts(record: Steered, chain: Sequence[str], pools: Mapping[str, list[Value]]) -> dict[str, str]:
    """What explain says of each pool of the chain; past the one that can serve none was reached."""
    verdicts: dict[str, str] = {}
    for name in chain:
        standings = {value.standing for value in pools[name]}
        if "serves" in verdicts.values():
            verdicts[name] = "not-reached"
        elif _can_serve(record, pools[name]):
            verdicts[name] = "serves"
        elif "up" in standings:
            verdicts[name] = "too-little-up"
        else:
            verdicts[name] = "only-drained" if "drained" in standings else "all-down"
    return verdicts


def _own_values(world: World, record: Steered) -> list[str]:
    """The record's whole `values`, less those forced down unless none would be left."""
    own = list(dict.fromkeys(record.own))
    words = {text: _word(world, record, None, text) for text in own}
    left = [text for text in own if (word := words[text]) is None or word.state != "down"]
    return left or own


# Step 5: the values.


def _candidates(
    world: World, record: Steered, client: Client, values: Sequence[Value], answers: int, select: str
) -> tuple[tuple[Candidate, ...], tuple[str, ...] | None]:
    weights = [value.weight * value.entry.factor for value in values]
    total = sum(weights)
    order: tuple[str, ...] | None = None
    if select == "sticky":
        order = tuple(live.name for live in sticky.order(_sticky_key(record, client), [_live(record, value) for value in values])[:answers])
        chances = [Fraction(value.text in order) for value in values]
    elif select == "nearest":
        chances = _nearest_chances(world, client, values, weights, answers)
    else:
        chances = inclusion(weights, [value.weight for value in values], answers)
    shares = [Fraction(weight, total) if total else None for weight in weights]
    return tuple(Candidate(value.text, chance, share) for value, chance, share in zip(values, chances, shares, strict=True)), order


def _live(record: Steered, value: Value) -> sticky.Live:
    rdata = _name_wire(value.text) if record.rtype == "CNAME" else ip_address(value.text).packed
    return sticky.Live(value.text, rdata, value.site, value.weight * value.entry.factor, value.weight)


def _sticky_key(record: Steered, client: Client) -> int:
    bits, length = BITS[client.family], STICKY_PREFIX[client.family]
    network = client.address >> (bits - length) << (bits - length)
    return sticky.key_of(_name_wire(record.name).lower(), client.family, length, network.to_bytes(bits // 8, "big"))


def _name_wire(name: str) -> bytes:
    labels = [label.encode() for label in name.rstrip(".").split(".")]
    return b"".join(bytes((len(label),)) + label for label in labels) + b"\0"


def _nearest_chances(world: World, client: Client, values: Sequence[Value], weights: Sequence[int], answers: int) -> list[Fraction]:
    """The nearest first; equally near ones, and those without a place after all others, by weight."""
    here = world.locations.facts(client.family, client.address).coordinates
    distances = [math.inf if here is None or value.place is None else distance_km(here, value.place) for value in values]
    chances = [Fraction(0)] * len(values)
    rest = list(range(len(values)))
    slots = answers
    while rest and slots > 0:
        nearest = min(distances[index] for index in rest)
        tied = [index for index in rest if distances[index] == nearest or distances[index] - nearest < SAME_DISTANCE_KM]
        by_weight = inclusion([weights[index] for index in tied], [values[index].weight for index in tied], slots)
        for index, chance in zip(tied, by_weight, strict=True):
            chances[index] = chance
        rest = [index for index in rest if index not in tied]
        slots -= len(tied)
    return chances


def distance_km(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Great-circle distance by the haversine formula."""
    (lat_a, lon_a), (lat_b, lon_b) = ((math.radians(degrees) for degrees in place) for place in (a, b))
    half = math.sin((lat_b - lat_a) / 2) ** 2 + math.cos(lat_a) * math.cos(lat_b) * math.sin((lon_b - lon_a) / 2) ** 2
    return 2 * EARTH_RADIUS_KM * math.asin(min(1.0, math.sqrt(half)))


# Step 7: the ttl.


def _bounds(record: Steered) -> tuple[int, int]:
    """`max` is the record's ttl by default, `min` 5."""
    block = record.settings["ttl"]
    greatest = block.get("max", max(record.data["ttl"], block.get("min", 0)))
    return block.get("min", min(TTL_MIN, greatest)), greatest


def _ttl(record: Steered, chain: Sequence[str], pools: Mapping[str, list[Value]], served: str | None) -> int:
    """The least bound over the `obey` values from the rule's pool to the one that served, or of the whole chain."""
    if "ttl" not in record.settings:
        return int(record.data["ttl"])
    least, greatest = _bounds(record)
    on_the_way = chain if served is None else chain[: chain.index(served) + 1]
    values = [value for name in on_the_way for value in pools[name] if value.status == "obey" and value.entry.bound_s is not None]
    return min(greatest, max(least, min((value.entry.bound_s for value in values if value.entry.bound_s is not None), default=greatest)))
