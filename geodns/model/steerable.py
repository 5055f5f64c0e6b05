"""Values of A, AAAA and CNAME as octoDNS 1.22 judges them: its verdict binds for these three types given as JSON or YAML.

A reason of octoDNS is a fault (lenient makes it a warning) unless octoDNS itself then fails on the value, or no rdata could hold it;
that is always an error. What octoDNS takes and DNS cannot carry, the zone index of an IPv6 address, is dropped with a warning.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address

from geodns.model import names
from geodns.model.fields import pack_ipv4
from geodns.model.findings import Findings, quote
from geodns.model.names import BadName, Name

A, CNAME, AAAA = 1, 5, 28

# What octoDNS takes for a target: two labels or more of letters, digits, hyphens and underscores, no hyphen at either end of a label.
_HOST_LABEL = re.compile(r"(?!-)[-_a-z0-9]{1,63}(?<!-)\Z", re.IGNORECASE)
_MAX_TARGET = 253


@dataclass(frozen=True, slots=True)
class SteerableValue:
    """One valid value: its canonical text (an address, or an absolute lower-case name) and its rdata, the case of a name kept."""

    text: str
    rdata: bytes


def parse(rtype: int, value: object, apex: Name, findings: Findings, pointer: str) -> SteerableValue | None:
    """The value, or None when it has an error or is, leniently, empty; problems go to `findings`."""
    if rtype == CNAME:
        return _parse_target(value, apex, findings, pointer)
    return _parse_address(IPv4Address if rtype == A else IPv6Address, value, findings, pointer)


def canonical(rtype: int, text: str, apex: Name) -> str | None:
    """The canonical text of a value as a key names it, or None when it is no such value."""
    parsed = parse(rtype, text, apex, Findings(lenient=True), "")
    return parsed.text if parsed else None


def warn_of_relative_name(text: str, apex: Name, findings: Findings, pointer: str) -> None:
    """A name with several labels and no final dot is read as relative, which is seldom what was meant."""
    if "." in text and not text.endswith("."):
        meant = f"{text}.{names.zone_text(apex)}."
        findings.warn(pointer, "relative-target", f"{quote(text)} has no final dot and so means {meant}; write {text}. if that was meant")


def _parse_address(kind: type[IPv4Address] | type[IPv6Address], value: object, findings: Findings, pointer: str) -> SteerableValue | None:
    if value is None or value == "":
        findings.fault(pointer, "missing-value", "the value is empty; write an address or remove it")
        return None
    if kind is IPv4Address and isinstance(value, str) and (packed := pack_ipv4(value)):
        return SteerableValue(value, packed)
    try:
        address = kind(value if isinstance(value, str) else "")  # octoDNS makes texts of other values, none of which is an address
    except AddressValueError:
        family = "IPv4" if kind is IPv4Address else "IPv6"
        findings.error(pointer, "bad-address", f"{quote(value)} is not an {family} address; write one")
        return None
    if isinstance(address, IPv6Address) and address.scope_id:
        findings.warn(pointer, "scope-id", f"{quote(value)} has a zone index, which DNS cannot carry; it is dropped")
        address = IPv6Address(int(address))
    return SteerableValue(str(address), address.packed)


def _parse_target(value: object, apex: Name, findings: Findings, pointer: str) -> SteerableValue | None:
    if not value or not isinstance(value, str):
        findings.error(pointer, "missing-target", f"{quote(value)} is not a target; write a host name with its final dot")
        return None
    try:
        wire = names.to_wire(value, apex)
    except BadName as error:
        findings.error(pointer, error.code, str(error))
        return None
    if "{" in value and "}" in value:
        findings.warn(pointer, "template", f"{quote(value)} looks like an octoDNS template, which is served as it is written")
    elif reason := _why_no_host(value):
        findings.fault(pointer, "bad-target", f"{quote(value)} {reason}")
    warn_of_relative_name(value, apex, findings, pointer)
    return SteerableValue(names.wire_to_text(wire.lower())[0], wire)  # length bytes are below 64, so lower() leaves them alone


def _why_no_host(target: str) -> str | None:
    try:
        text = target.lower() if target.isascii() else names.to_ascii(target)
    except BadName as error:
        return f"is not a host name: {error}"
    absolute = text.endswith(".")
    text = text.removesuffix(".")
    labels = text.split(".")
    if len(text) > _MAX_TARGET:
        return f"is longer than {_MAX_TARGET} characters; shorten it"
    if not all(_HOST_LABEL.match(label) for label in labels):
        return "is not a host name; use letters, digits, hyphens and underscores"
    if len(labels) < 2:
        return "is not a full name; write it with its zone and a final dot" if not absolute else "is a single label; write a full name"
    return None
