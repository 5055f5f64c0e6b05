"""The `octodns` block: octoDNS's own keys, and geodns' settings under `octodns.geodns`, which octoDNS carries through untouched.

octoDNS's part is judged as octoDNS judges it. In geodns' part every unknown key is an error, and so is a pool or value that the record
does not have: a setting that silently does nothing is worse than none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_network
from typing import Any

from geodns.model import healthcheck, rdata, steerable
from geodns.model.findings import Findings, quote, token
from geodns.model.healthcheck import SILENT, BadSetting, Block
from geodns.model.names import Name
from geodns.model.steering import AllDown, Network, Rule, RuleOrigin, Select

DEFAULT_TTL_MIN = 5  # seconds; health.md section 5
MAX_TTL = 2**31 - 1  # RFC 2181 §8
MAX_ANSWERS = 65535  # two bytes on the link; an rrset holds no more
MAX_SITE = 255  # bytes of UTF-8: one length byte on the link
MAX_OWN_WEIGHT = 65535

_LIST_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,254}")


@dataclass(frozen=True, slots=True)
class Owned:
    """What the settings may name: the record's pools, and the canonical texts of its values."""

    rtype: int
    apex: Name
    ttl: int
    pools: Collection[str]
    values: Collection[str]
    steered: bool


@dataclass(frozen=True, slots=True)
class ValueSettings:
    """What `octodns.geodns.values.<value>` says. `weight` 0 drains the value; another number takes the place of the pool's."""

    site: str = ""
    latitude: float | None = None
    longitude: float | None = None
    weight: int | None = None
    healthcheck: Block = SILENT


@dataclass(frozen=True, slots=True)
class Extension:
    """The judged block. `default_check` tells that the record has no health check of its own and gets octoDNS's default."""

    answers: int | None = 1
    select: Select = Select.WEIGHTED
    min_up: float = 0.0
    all_down: AllDown = AllDown.VALUES
    ttl_min: int | None = None
    ttl_max: int | None = None
    rules: tuple[Rule, ...] = ()
    octodns_healthcheck: Block = SILENT
    healthcheck: Block = SILENT
    pools: Mapping[str, Block] = field(default_factory=dict)
    values: Mapping[str, ValueSettings] = field(default_factory=dict)
    default_check: bool = True


def parse_extension(written: object, owned: Owned, findings: Findings) -> Extension:
    """Judge an `octodns` block. Pointers begin with "/octodns"."""
    if not isinstance(written, Mapping):
        findings.error("/octodns", "bad-octodns", f"{quote(written)} is not a mapping; write one, or remove it")
        return Extension()
    if not isinstance(written.get("lenient", False), int):
        findings.error("/octodns/lenient", "bad-lenient", f"{quote(written['lenient'])} is neither true nor false")
    octodns_check = written.get("healthcheck", {})
    if isinstance(octodns_check, Mapping):
        broad = healthcheck.parse_octodns_block(octodns_check, findings, "/octodns/healthcheck", steered=owned.steered)
    else:
        broad = SILENT
        findings.error(
            "/octodns/healthcheck",
            "bad-healthcheck",
            f"{quote(octodns_check)} is not a mapping and octoDNS fails on it; to check nothing write octodns.geodns.healthcheck: off",
        )
    own = written.get("geodns")
    if own is not None and not isinstance(own, Mapping):
        findings.error("/octodns/geodns", "bad-geodns", f"{quote(own)} is not a mapping; write one, or remove it")
    judge = _Judge(owned, findings)
    settings = judge.parse(own) if isinstance(own, Mapping) else {}
    has_check = bool(octodns_check) or "healthcheck" in settings
    return Extension(octodns_healthcheck=broad, default_check=not has_check, **settings)


@dataclass(slots=True)
class _Judge:
    """Judges `octodns.geodns`; each key has a parser that returns the fields of Extension that it fills."""

    owned: Owned
    findings: Findings

    def parse(self, written: Mapping[str, object]) -> dict[str, Any]:
        parsers: dict[str, Callable[[Any], dict[str, Any]]] = {
            "answers": self._answers,
            "select": lambda value: {"select": _choice(Select, value)},
            "min_up": lambda value: {"min_up": _number(value, 0, 1)},
            "all_down": lambda value: {"all_down": _choice(AllDown, value)},
            "ttl": self._ttl,
            "rules": self._rules,
            "healthcheck": lambda value: {"healthcheck": healthcheck.parse_block(value, self.findings, "/octodns/geodns/healthcheck")},
            "pools": self._pools,
            "values": self._values,
        }
        settings: dict[str, Any] = {}
        for key, value in written.items():
            place = f"/octodns/geodns/{token(key)}"
            if key not in parsers:
                self.findings.error(place, "unknown-key", f"`{key}` is no setting of geodns; known are {', '.join(parsers)}")
                continue
            try:
                settings |= parsers[key](value)
            except BadSetting as error:
                self.findings.error(place + error.pointer, f"bad-{key.replace('_', '-')}", f"{quote(value)} is not usable: `{key}` {error}")
        return settings

    def _answers(self, value: object) -> dict[str, Any]:
        if value == "all":
            answers = None
        elif isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_ANSWERS:
            answers = value
        else:
            raise BadSetting(f"is a number from 1 to {MAX_ANSWERS}, or all")
        if self.owned.rtype == rdata.CNAME and answers != 1:
            raise BadSetting("is 1 for CNAME, which has one target (RFC 2181 §10.1)")
        return {"answers": answers}

    def _ttl(self, value: object) -> dict[str, Any]:
        """`max` defaults to the record's ttl, `min` to 5 or to a smaller `max`."""
        if not isinstance(value, Mapping) or set(value) - {"min", "max"}:
            raise BadSetting("is a mapping with min and max")
        for key, seconds in value.items():
            if isinstance(seconds, bool) or not isinstance(seconds, int) or not 0 <= seconds <= MAX_TTL:
                raise BadSetting(f"takes whole seconds from 0 to {MAX_TTL}", f"/{key}")
        greatest = value.get("max", max(self.owned.ttl, value.get("min", 0)))
        least = value.get("min", min(DEFAULT_TTL_MIN, greatest))
        if least > greatest:
            raise BadSetting("has a min above its max", "/min")
        return {"ttl_min": least, "ttl_max": greatest}

    def _rules(self, value: object) -> dict[str, Any]:
        if not isinstance(value, list | tuple):
            raise BadSetting("is a list of rules")
        rules: list[Rule] = []
        for index, rule in enumerate(value):
            try:
                rules.append(self._rule(rule))
            except BadSetting as error:
                self.findings.error(f"/octodns/geodns/rules/{index}{error.pointer}", "bad-own-rule", f"{quote(rule)}: the rule {error}")
        return {"rules": tuple(rules)}

    def _rule(self, rule: object) -> Rule:
        if not isinstance(rule, Mapping):
            raise BadSetting("is a mapping with pool and asns, lists or subnets")
        if unknown := [key for key in rule if key not in ("asns", "lists", "pool", "subnets")]:
            raise BadSetting("has the keys asns, lists, pool, subnets; geos belong into dynamic.rules", f"/{token(unknown[0])}")
        pool = rule.get("pool")
        if not isinstance(pool, str) or pool not in self.owned.pools:
            raise BadSetting("names no pool of this record; write one of dynamic.pools", "/pool")
        asns = tuple(_asn(item, f"/asns/{index}") for index, item in _items(rule, "asns"))
        lists = tuple(_list_name(item, f"/lists/{index}") for index, item in _items(rule, "lists"))
        subnets = tuple(_subnet(item, f"/subnets/{index}") for index, item in _items(rule, "subnets"))
        if not (asns or lists or subnets):
            raise BadSetting("matches every client; give it asns, lists or subnets, or use dynamic.rules")
        return Rule(RuleOrigin.OWN, pool, subnets=subnets, asns=asns, lists=lists)

    def _pools(self, value: object) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise BadSetting("is a mapping of pool to its settings")
        blocks: dict[str, Block] = {}
        for name, settings in value.items():
            place = f"/octodns/geodns/pools/{token(name)}"
            if name not in self.owned.pools:
                self.findings.error(place, "undefined-pool", f"{quote(name)} is not a pool of this record; remove it")
            elif not isinstance(settings, Mapping):
                self.findings.error(place, "bad-pool-settings", f"{quote(settings)} is not a mapping; write {{healthcheck: …}}")
            else:
                for key in settings:
                    if key != "healthcheck":
                        self.findings.error(
                            f"{place}/{token(key)}", "unknown-key", f"`{key}` is no setting of a pool; known is healthcheck"
                        )
                blocks[name] = healthcheck.parse_block(settings.get("healthcheck"), self.findings, f"{place}/healthcheck")
        return {"pools": blocks}

    def _values(self, value: object) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise BadSetting("is a mapping of value to its settings")
        settings: dict[str, ValueSettings] = {}
        for written, entry in value.items():
            place = f"/octodns/geodns/values/{token(written)}"
            text = steerable.canonical(self.owned.rtype, str(written), self.owned.apex)
            if text is None or text not in self.owned.values:
                self.findings.error(place, "undefined-value", f"{quote(written)} is not a value of this record; remove it")
            elif text in settings:
                self.findings.error(place, "repeated-value", f"{quote(written)} stands here twice; write one entry for {text}")
            elif not isinstance(entry, Mapping):
                self.findings.error(place, "bad-value-settings", f"{quote(entry)} is not a mapping; write {{site: …}}")
            else:
                settings[text] = self._value(entry, place)
        return {"values": settings}

    def _value(self, entry: Mapping[str, object], place: str) -> ValueSettings:
        parsers: dict[str, Callable[[object], Any]] = {
            "site": _site,
            "latitude": lambda value: _number(value, -90, 90),
            "longitude": lambda value: _number(value, -180, 180),
            "weight": _own_weight,
            "healthcheck": lambda value: healthcheck.parse_block(value, self.findings, f"{place}/healthcheck"),
        }
        settings: dict[str, Any] = {}
        for key, value in entry.items():
            if key not in parsers:
                self.findings.error(
                    f"{place}/{token(key)}", "unknown-key", f"`{key}` is no setting of a value; known are {', '.join(parsers)}"
                )
                continue
            try:
                settings[key] = parsers[key](value)
            except BadSetting as error:
                self.findings.error(f"{place}/{key}", f"bad-{key}", f"{quote(value)} is not usable: `{key}` {error}")
        if ("latitude" in entry) != ("longitude" in entry):
            self.findings.error(place, "half-coordinates", "a place needs both latitude and longitude; write the other one")
        return ValueSettings(**settings)


def _choice(kind: type[Select] | type[AllDown], value: object) -> Select | AllDown:
    try:
        return kind(value)
    except ValueError:
        raise BadSetting(f"is one of {', '.join(str(member.value) for member in kind)}") from None


def _number(value: object, low: float, high: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise BadSetting(f"is a number from {low} to {high}")
    return float(value)


def _own_weight(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_OWN_WEIGHT:
        raise BadSetting(f"is 0 to drain the value, or a number up to {MAX_OWN_WEIGHT}")
    return value


def _site(value: object) -> str:
    if not isinstance(value, str) or not value or not value.isprintable() or len(value.encode(errors="replace")) > MAX_SITE:
        raise BadSetting(f"is a name of 1 to {MAX_SITE} bytes")
    return value


def _asn(value: object, pointer: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**32:
        raise BadSetting(f"takes AS numbers from 0 to {2**32 - 1}", pointer)
    return value


def _list_name(value: object, pointer: str) -> str:
    if not isinstance(value, str) or not _LIST_NAME.fullmatch(value):
        raise BadSetting("takes names of CIDR lists: letters, digits, dots, hyphens and underscores", pointer)
    return value


def _subnet(value: object, pointer: str) -> Network:
    try:
        if isinstance(value, str) and "%" not in value:
            return ip_network(value)
    except ValueError:
        pass
    raise BadSetting("takes subnets: an address with a prefix length and no bits beyond it", pointer)


def _items(rule: Mapping[str, object], key: str) -> list[tuple[int, object]]:
    items = rule.get(key, [])
    if not isinstance(items, list | tuple):
        raise BadSetting(f"has `{key}` that is not a list", f"/{key}")
    return list(enumerate(items))
