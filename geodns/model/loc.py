"""LOC rdata between presentation form and octoDNS's structured value (RFC 1876 §3).

Degrees, minutes and seconds are kept apart, as octoDNS does; metres are floats. Ranges are octoDNS's, which are the RFC's.
"""

from __future__ import annotations

from collections.abc import Mapping

import dns.rdata
import dns.rdataclass
import dns.rdatatype
from dns.rdtypes.ANY.LOC import LOC

from geodns.model.fields import BadRdata, whole_number
from geodns.model.findings import quote

_WHOLE = {"lat_degrees": 90, "lat_minutes": 59, "long_degrees": 180, "long_minutes": 59}
_FRACTIONS: dict[str, tuple[float, float]] = {
    "lat_seconds": (0, 59.999),
    "long_seconds": (0, 59.999),
    "altitude": (-100000.0, 42849672.95),
    "size": (0, 90000000.0),
    "precision_horz": (0, 90000000.0),
    "precision_vert": (0, 90000000.0),
}
# RFC 1876 §2: thousandths of a second of arc, 2^31 being the equator and the prime meridian.
_EQUATOR, _DEGREE = 1 << 31, 3_600_000
_DIRECTIONS = {"lat_direction": "NS", "long_direction": "EW"}


def to_presentation(value: Mapping[str, object]) -> tuple[str, list[BadRdata]]:
    """Presentation form of a structured value, and every fault; the text is of use only without faults."""
    faults: list[BadRdata] = []
    shown = {key: _show(key, value.get(key), faults) for key in (*_WHOLE, *_FRACTIONS, *_DIRECTIONS)}
    order = ("lat_degrees", "lat_minutes", "lat_seconds", "lat_direction", "long_degrees", "long_minutes", "long_seconds", "long_direction")
    metres = ("altitude", "size", "precision_horz", "precision_vert")
    return " ".join([*(shown[key] for key in order), *(f"{shown[key]}m" for key in metres)]), faults


def to_mapping(wire: bytes) -> dict[str, object]:
    """The structured value of a valid rdata."""
    loc = dns.rdata.from_wire(dns.rdataclass.IN, dns.rdatatype.LOC, wire, 0, len(wire))
    assert isinstance(loc, LOC)  # noqa: S101 - tells the type checker what the type number above means
    latitude, longitude = loc.latitude, loc.longitude
    return {
        "lat_degrees": latitude[0],
        "lat_minutes": latitude[1],
        "lat_seconds": latitude[2] + latitude[3] / 1000,
        "lat_direction": "N" if latitude[4] > 0 else "S",
        "long_degrees": longitude[0],
        "long_minutes": longitude[1],
        "long_seconds": longitude[2] + longitude[3] / 1000,
        "long_direction": "E" if longitude[4] > 0 else "W",
        "altitude": loc.altitude / 100,
        "size": loc.size / 100,
        "precision_horz": loc.horizontal_precision / 100,
        "precision_vert": loc.vertical_precision / 100,
    }


def why_not_on_earth(wire: bytes) -> str | None:
    """Degrees beyond the poles or the date line, and sizes above the greatest (RFC 1876 §2), all of which the wire form can hold."""
    latitude, longitude = (abs(int.from_bytes(wire[at : at + 4]) - _EQUATOR) for at in (4, 8))
    if latitude > 90 * _DEGREE or longitude > 180 * _DEGREE:
        return "latitudes end at 90 degrees and longitudes at 180"
    if any(octet >> 4 > 9 or octet & 0x0F > 9 for octet in wire[1:4]):
        return "sizes and precisions are at most 90000000.00m"
    return None


def _show(key: str, value: object, faults: list[BadRdata]) -> str:
    if value is None:
        faults.append(BadRdata("missing-field", f"`{key}` is missing", f"/{key}"))
        return "0"
    if key in _DIRECTIONS:
        return _show_direction(key, str(value), faults)
    number = whole_number(value) if key in _WHOLE else _fraction(value)
    low, high = (0, _WHOLE[key]) if key in _WHOLE else _FRACTIONS[key]
    if number is None or not low <= number <= high:
        faults.append(BadRdata("bad-number", f"{quote(value)} is not a number from {low} to {high}", f"/{key}"))
        return "0"
    return str(number) if key in _WHOLE else f"{number:.3f}" if key.endswith("seconds") else f"{number:.2f}"


def _show_direction(key: str, value: str, faults: list[BadRdata]) -> str:
    choices = _DIRECTIONS[key]
    if value not in choices or len(value) != 1:
        faults.append(BadRdata("bad-direction", f"{quote(value)} is not a direction; write {choices[0]} or {choices[1]}", f"/{key}"))
    return value


def _fraction(value: object) -> float | None:
    try:
        return float(value) if isinstance(value, int | float | str) else None
    except (ValueError, OverflowError):
        return None
