"""One record: from a JSON or YAML object to an Rrset with every problem it has, and back.

The object is octoDNS's: `type`, `ttl`, `value` or `values`, and for A, AAAA and CNAME `dynamic` and `octodns`. What stands beside other
records in a zone is judged in `zones`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from geodns.errors import InvalidInput, Problem
from geodns.model import names, rdata
from geodns.model.assemble import assemble
from geodns.model.dynamic import DynamicDraft, parse_dynamic
from geodns.model.extension import Extension, Owned, parse_extension
from geodns.model.fields import BadRdata, whole_number
from geodns.model.findings import STRICT, Findings, Policy, quote, token
from geodns.model.names import Name
from geodns.model.record import Rrset
from geodns.model.steering import Steering

MAX_TTL = 2**31 - 1  # RFC 2181 §8
MAX_NAME_TEXT = 253  # octoDNS's word for the three types that it binds; a name of 254 would fit into 255 bytes of wire form

_GEO_KEY = re.compile(r"\w\w(-\w\w(-\w\w)?)?$")  # octoDNS's own pattern for `geo`
_SURROGATE = re.compile("[\ud800-\udfff]")

_PLAIN_KEYS = frozenset(("type", "ttl", "value", "values"))
_KEYS = _PLAIN_KEYS | {"dynamic", "octodns", "geo", "name", "revision"}

# Deeper than any real block, and shallow enough that no reader of the stored JSON runs out of stack.
MAX_DEPTH = 32
MAX_BITS = 1024  # of a number: what a JSON reader with doubles still takes


@dataclass(frozen=True, slots=True)
class Parsed:
    """The rrset, or None when there is an error among the problems."""

    rrset: Rrset | None
    problems: list[Problem]


def parse_record(
    apex: Name,
    name: str | Name,
    data: object,
    *,
    rtype: str | None = None,
    default_ttl: int = 3600,
    policy: Policy = STRICT,
) -> Parsed:
    """Judge one record of the zone `apex`. Pointers are relative to `data`; a problem of the name itself has the pointer "".

    `rtype` is the type that a URL or change names: `data` may then leave it out, and may not contradict it.
    """
    if not isinstance(data, Mapping):
        problem = Problem("", "bad-record", f"{quote(data)} is not a mapping; write type, ttl and value or values")
        return Parsed(None, [problem])
    findings = Findings(policy.lenient or _is_lenient(data))
    owner = _parse_owner(apex, name, data, findings)
    number = _parse_rtype(data, rtype, findings)
    if number is None:
        return Parsed(None, findings.problems)
    if number == rdata.CNAME and owner == apex:
        findings.fault("/type", "apex-cname", "a CNAME at the apex would stand beside SOA and NS (RFC 1034 §3.6.2); write A and AAAA")
    if number in rdata.STEERABLE and owner is not None and _is_long(owner):
        findings.fault("", "name-too-long", f"the name has more than {MAX_NAME_TEXT} characters with its final dot; shorten it")
    ttl = _parse_ttl(data, number, default_ttl, findings)
    rdatas = _parse_values(data, number, apex, findings)
    steering = None
    if not data.keys() <= _PLAIN_KEYS:
        _judge_other_keys(data, number, apex, findings)
        steering = _parse_steering(data, Rrset(owner or apex, number, ttl, rdatas), apex, findings, policy)
    if findings.refused or owner is None:
        return Parsed(None, findings.problems)
    return Parsed(Rrset(owner, number, ttl, rdatas, data.get("dynamic"), data.get("octodns"), steering), findings.problems)


def record_to_json(rrset: Rrset, apex: Name) -> dict[str, Any]:
    """The record as REST and YAML show it, without `revision`. `dynamic` and `octodns` are exactly as they were sent."""
    return {"name": names.to_text(rrset.owner, apex), "type": rdata.rtype_to_text(rrset.rtype), **record_to_input(rrset)}


def record_to_input(rrset: Rrset) -> dict[str, Any]:
    """The record as a PUT takes it: without its name and type."""
    values = rdata.to_json_values(rrset.rtype, rrset.rdatas)
    shown: dict[str, Any] = {"ttl": rrset.ttl}
    if rrset.rtype in rdata.SINGLE_VALUE and len(values) == 1:
        shown["value"] = values[0]
    else:
        shown["values"] = values
    if rrset.dynamic is not None:
        shown["dynamic"] = rrset.dynamic
    if rrset.octodns is not None:
        shown["octodns"] = rrset.octodns
    return shown


def _is_lenient(data: Mapping[str, object]) -> bool:
    octodns = data.get("octodns")
    return isinstance(octodns, Mapping) and isinstance(octodns.get("lenient"), int) and bool(octodns["lenient"])


def _is_long(owner: Name) -> bool:
    """Whether the text is longer than octoDNS takes. Most names are short enough even if each octet were written as `\\DDD`."""
    return 4 * sum(map(len, owner.labels)) + len(owner.labels) > MAX_NAME_TEXT and len(owner.to_text()) > MAX_NAME_TEXT


def _parse_owner(apex: Name, name: str | Name, data: Mapping[str, object], findings: Findings) -> Name | None:
    try:
        owner = name if isinstance(name, Name) else names.parse_name(name, apex)
        written = data.get("name", name)
        if written != name and (not isinstance(written, str) or names.parse_name(written, apex) != owner):
            findings.error("/name", "name-mismatch", f"`name` is {quote(written)} and the record is at {names.to_text(owner, apex)}")
    except InvalidInput as error:
        findings.extend(error.problems)
        return None
    return owner


def _parse_rtype(data: Mapping[str, object], named: str | None, findings: Findings) -> int | None:
    text = data.get("type", named)
    if not isinstance(text, str):
        findings.error("/type", "missing-type", "`type` is missing; write the record type, such as A")
        return None
    try:
        rtype = rdata.rtype_from_text(text)
        if named is not None and rdata.rtype_from_text(named) != rtype:
            findings.error("/type", "type-mismatch", f"`type` is {text} and the request names {named}; make them equal")
    except BadRdata as error:
        findings.error("/type", error.code, str(error))
        return None
    if rtype == rdata.SOA:
        findings.error("/type", "refused-type", "the SOA belongs to the zone; change it there")
    if text != text.upper():
        findings.error("/type", "lower-case-type", f"octoDNS knows {text.upper()} and not {quote(text)}; write upper case")
    return rtype


def _parse_ttl(data: Mapping[str, object], rtype: int, default_ttl: int, findings: Findings) -> int:
    """octoDNS takes what `int()` takes and knows no upper limit; for its three bound types too great a ttl is cut, not refused."""
    written = data.get("ttl", default_ttl)
    if type(written) is int and 0 <= written <= MAX_TTL:
        return written
    ttl = whole_number(written)
    if ttl is None:
        findings.error("/ttl", "bad-ttl", f"{quote(written)} is not a number of seconds; write one from 0 to {MAX_TTL}")
        return 0
    if ttl < 0:
        findings.fault("/ttl", "bad-ttl", f"the ttl {quote(ttl)} is below 0; write a number of seconds from 0 to {MAX_TTL}")
        return 0
    if ttl > MAX_TTL and rtype in rdata.STEERABLE:
        findings.warn("/ttl", "long-ttl", f"the ttl {quote(ttl)} is above {MAX_TTL} (RFC 2181 §8) and counts as that; write less")
    elif ttl > MAX_TTL:
        findings.error("/ttl", "bad-ttl", f"the ttl {quote(ttl)} is above {MAX_TTL} (RFC 2181 §8); write less")
    return min(ttl, MAX_TTL)


def _parse_values(data: Mapping[str, object], rtype: int, apex: Name, findings: Findings) -> tuple[bytes, ...]:
    before = len(findings.problems)
    rdatas: dict[bytes, None] = {}
    for pointer, value in _written_values(data, rtype):
        wire = rdata.parse_value(rtype, value, apex, findings, pointer)
        if wire is not None and wire in rdatas:
            findings.warn(pointer, "duplicate-value", f"{quote(value)} stands here twice and counts once; remove one")
        if wire is not None:
            rdatas[wire] = None
    if not rdatas and (findings.lenient or len(findings.problems) == before):
        findings.error(
            "/values" if "values" in data else "/value", "missing-values", "there is no value to serve; write `value` or `values`"
        )
    if len(rdatas) > 1 and rtype in rdata.SINGLE_VALUE:
        findings.error("/values", "several-values", f"{rdata.rtype_to_text(rtype)} has one value (RFC 2181 §10.1); remove the others")
    return tuple(rdatas)


def _written_values(data: Mapping[str, object], rtype: int) -> list[tuple[str, object]]:
    """Each value with its pointer. Where both keys stand, `values` counts, as in octoDNS; for CNAME octoDNS reads `value` alone."""
    key = "values" if "values" in data and rtype != rdata.CNAME else "value"
    written = data.get(key)
    if rtype == rdata.CNAME:
        return [("/value", written)]
    if isinstance(written, list | tuple):
        return [(f"/{key}/{index}", value) for index, value in enumerate(written)]
    return [] if written is None else [(f"/{key}", written)]


def _judge_other_keys(data: Mapping[str, object], rtype: int, apex: Name, findings: Findings) -> None:
    for key in data:
        if key not in _KEYS:
            findings.warn(f"/{token(key)}", "unknown-key", f"`{key}` is no key of a record and is ignored; remove it")
    for key in ("dynamic", "octodns"):
        if key in data and (reason := _why_not_json(data[key], MAX_DEPTH)):
            findings.error(f"/{key}", "not-json", f"`{key}` {reason}")
    if "geo" not in data or rtype not in rdata.STEERABLE:
        return
    if "dynamic" in data:
        findings.fault("/geo", "geo-with-dynamic", "a record has `dynamic` or octoDNS's older `geo`, not both; remove `geo`")
    if rtype != rdata.CNAME:  # octoDNS never gave `geo` to CNAME and does not look at it there
        _judge_geo(data["geo"], rtype, apex, findings)


def _judge_geo(written: object, rtype: int, apex: Name, findings: Findings) -> None:
    """octoDNS's deprecated `geo` is judged as octoDNS does, and not executed."""
    findings.warn("/geo", "geo-ignored", "octoDNS's older `geo` is not executed here; write `dynamic`")
    if not isinstance(written, Mapping):
        findings.error("/geo", "bad-geo-block", f"{quote(written)} is not a mapping of geo code to values")
        return
    for code, values in written.items():
        pointer = f"/geo/{token(code)}"
        if not _GEO_KEY.match(str(code)):
            findings.error(pointer, "bad-geo", f"{quote(code)} is not a geo code; write continent, country and province with hyphens")
        items = values if isinstance(values, list | tuple) else [values]
        if not items:
            findings.fault(pointer, "missing-values", "there is no value; write one, or remove the code")
        for index, value in enumerate(items):
            rdata.parse_value(rtype, value, apex, findings, f"{pointer}/{index}")


def _parse_steering(data: Mapping[str, object], rrset: Rrset, apex: Name, findings: Findings, policy: Policy) -> Steering | None:
    """What `dynamic` and `octodns` mean together; both are judged even when one of them is already wrong."""
    steered = "dynamic" in data
    draft = DynamicDraft((), ())
    if steered and rrset.rtype not in rdata.STEERABLE:
        findings.error("/dynamic", "not-steerable", "only A, AAAA and CNAME can be steered; remove `dynamic`")
        steered = False
    elif steered:
        draft = parse_dynamic(data["dynamic"], rrset.rtype, apex, findings, policy)
    extension = Extension()
    if "octodns" in data:
        extension = parse_extension(data["octodns"], _owned(data, rrset, apex, draft, steered), findings)
    return assemble(draft, extension, rrset.owner, findings, policy) if steered else None


def _owned(data: Mapping[str, object], rrset: Rrset, apex: Name, draft: DynamicDraft, steered: bool) -> Owned:
    """What `octodns.geodns` may name. A pool that is itself broken counts as named: one mistake is told once."""
    dynamic = data.get("dynamic")
    pools = dynamic.get("pools") if isinstance(dynamic, Mapping) else None
    values = {entry.value.text for pool in draft.pools for entry in pool.values}
    if rrset.rtype in rdata.STEERABLE:
        values |= {rdata.to_text(rrset.rtype, wire).lower() for wire in rrset.rdatas}
    names_of_pools = frozenset(pools) if isinstance(pools, Mapping) and steered else frozenset[str]()
    return Owned(rrset.rtype, apex, rrset.ttl, names_of_pools, values, steered)


def _why_not_json(value: object, depth: int) -> str | None:
    """What keeps a value from being stored as JSON and given back as it was sent."""
    if depth == 0:
        return f"is nested more than {MAX_DEPTH} deep; write it flatter"
    match value:
        case None | bool():
            return None
        case int():
            return None if value.bit_length() <= MAX_BITS else "has a number of more than 300 digits; write it as a text"
        case str():
            return None if value.isascii() or not _SURROGATE.search(value) else "has half of a surrogate pair, which is no character"
        case float():
            return None if math.isfinite(value) else f"has the number {value}, which JSON does not know"
        case list() | tuple():
            return next((reason for item in value if (reason := _why_not_json(item, depth - 1))), None)
        case Mapping():
            if bad := [key for key in value if not isinstance(key, str)]:
                return f"has the key {quote(bad[0])}, which is no text; put it in quotes"
            return next((reason for item in value.values() if (reason := _why_not_json(item, depth - 1))), None)
    return f"has {quote(value)}, which JSON does not know; put it in quotes"
