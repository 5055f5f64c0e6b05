"""Domain names: from an author's text to `dns.name.Name` and to wire form, and back.

The rules are the contract's ("Names"): `@`, the empty text and the zone's own name mean the apex; a name is relative unless it ends in a
dot; RFC 1035 §5.1 escapes; owner names are lower-case; what is not ASCII becomes A-labels (RFC 5891). Names inside rdata keep the case in
which they were written (RFC 4343 §3), so they have a function of their own.

It does not judge whether a name is a host name; `zones` warns about that.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Sequence

import dns.name
import idna

from geodns.errors import InvalidInput, Problem

Name = dns.name.Name

ROOT = dns.name.root

MAX_LABEL = 63  # RFC 1035 §2.3.4
MAX_NAME = 255  # RFC 1035 §2.3.4: wire form, root label included

_PLAIN = re.compile(r"[!-~]+\Z")
_SPECIAL = frozenset(b'"().;\\@$')  # RFC 1035 §5.1: these mean something in a master file


class BadName(ValueError):
    """A text that is no domain name; `code` and the sentence are those of the Problem that it becomes."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def parse_name(text: str, apex: Name | None) -> Name:
    """The absolute, lower-case owner name that `text` means in the zone `apex`; without an apex every name is absolute.

    Raises InvalidInput for what is no name and for a name outside the zone.
    """
    try:
        return _parse_owner(text, apex)
    except BadName as error:
        raise InvalidInput([Problem("", error.code, str(error))], f"{text!r} is not a usable name: {error}") from None


def parse_zone_name(text: str) -> Name:
    """A zone's name, with or without its final dot; `@` and `.` are the root. Raises InvalidInput."""
    return ROOT if text in ("@", ".") else parse_name(text, None)


def to_text(name: Name, apex: Name) -> str:
    """The name as the zone's records show it: `@`, relative, or absolute with a final dot when it lies outside the zone.

    A relative text that equals the zone's own name would be read as the apex, so such a name is shown absolute.
    """
    own = len(name.labels) - len(apex.labels)
    if own < 0 or name.labels[own:] != apex.labels:
        return name.to_text()
    if own == 0:
        return "@"
    labels = name.labels[:own]
    return _labels_to_text(name.labels[:-1]) + "." if _is_own_name(labels, apex) else _labels_to_text(labels)


def zone_text(apex: Name) -> str:
    """A zone's name without final dot; the root is `@`."""
    return "@" if apex == ROOT else apex.to_text(omit_final_dot=True)


def zone_file_stem(apex: Name) -> str:
    """The name of a zone's source without its suffix; `/` cannot stand in a file name (RFC 2317 zones have it)."""
    return zone_text(apex).replace("%", "%25").replace("/", "%2F")


def parse_zone_file_stem(stem: str) -> Name:
    """The reverse of `zone_file_stem`. Raises InvalidInput."""
    return parse_zone_name(stem.replace("%2F", "/").replace("%2f", "/").replace("%25", "%"))


def to_wire(text: str, origin: Name) -> bytes:
    """A name in rdata as uncompressed wire form, its case kept; relative names end in `origin`. Raises BadName."""
    if text == "@":
        return wire_of(origin)
    if text == ".":
        return b"\0"
    labels, absolute = split_labels(text)
    wire = b"".join([bytes((len(label),)) + label for label in labels]) + (b"\0" if absolute else wire_of(origin))
    if len(wire) > MAX_NAME:
        raise BadName("name-too-long", f"the name is {len(wire)} bytes long and {MAX_NAME} are allowed; shorten it")
    return wire


def wire_to_text(wire: bytes, start: int = 0) -> tuple[str, int]:
    """An uncompressed name in `wire` as absolute text with its final dot, and the offset behind it."""
    labels: list[bytes] = []
    position = start
    while length := wire[position]:
        labels.append(wire[position + 1 : position + 1 + length])
        position += 1 + length
    return _labels_to_text(labels) + ".", position + 1


def wire_of(name: Name) -> bytes:
    """The wire form of an absolute name, its case kept. dnspython's own takes ten times as long."""
    return b"".join([bytes((len(label),)) + label for label in name.labels])


def from_wire(wire: bytes) -> Name:
    """A name from its whole uncompressed wire form, which must be valid."""
    labels: list[bytes] = []
    position = 0
    while length := wire[position]:
        labels.append(wire[position + 1 : position + 1 + length])
        position += 1 + length
    labels.append(b"")
    return of_labels(labels)


# The one attribute of a name, set past dnspython's guard of immutability.
_set_labels: Callable[[Name, tuple[bytes, ...]], None] = inspect.getattr_static(Name, "labels").__set__


def of_labels(labels: Iterable[bytes]) -> Name:
    """A name of labels that are known to make a valid one. dnspython's constructor judges them again, in ten times the time: reading a
    large zone would consist of that."""
    name = Name.__new__(Name)
    _set_labels(name, tuple(labels))
    return name


def wildcard_below(name: Name) -> Name:
    """The wildcard directly below a name; the root's own name, which is no name's child, when that would be too long."""
    labels = (b"*", *name.labels)
    return Name(labels) if sum(map(len, labels)) + len(labels) <= MAX_NAME else ROOT


def sort_key(name: Name) -> bytes:
    """Compares as RFC 4034 §6.1 orders names: label by label from the right. A name's descendants directly follow it.

    0x00 separates labels, so the bytes 0x00 and 0x01 within labels are escaped in a way that keeps their order.
    """
    labels = [label.lower().replace(b"\1", b"\1\2").replace(b"\0", b"\1\1") for label in reversed(name.labels[:-1])]
    return b"\0".join(labels)


def split_labels(text: str) -> tuple[list[bytes], bool]:
    """The labels of a text, case kept, without the root label, and whether it was absolute. Raises BadName."""
    if not text.isascii():
        text = to_ascii(text)
    absolute = text.endswith(".") and not text.endswith("\\.")
    if "\\" in text:
        labels, absolute = _split_escaped(text)
    elif _PLAIN.match(text):
        labels = (text[:-1] if absolute else text).encode().split(b".")
    else:
        raise BadName("bad-name", f"{text!r} has white space or a control character; write it as \\DDD or remove it")
    for label in labels:
        _check_label(label, text)
    return labels, absolute


def _parse_owner(text: str, apex: Name | None) -> Name:
    if apex is not None and text in ("", "@"):
        return apex
    if text == ".":
        name = ROOT
    else:
        labels, absolute = split_labels(text)
        labels = [label.lower() for label in labels]
        labels += (b"",) if absolute or apex is None or _is_own_name(labels, apex) else apex.labels
        if sum(map(len, labels)) + len(labels) > MAX_NAME:
            raise BadName("name-too-long", f"the name is longer than {MAX_NAME} bytes with its zone; shorten it")
        name = of_labels(labels)
    if apex is not None and name.labels[-len(apex.labels) :] != apex.labels:
        raise BadName("outside-zone", f"{text!r} is not in the zone {zone_text(apex)}; remove the final dot or write it to its own zone")
    return name


def _is_own_name(labels: Sequence[bytes], apex: Name) -> bool:
    return tuple(labels) == apex.labels[:-1]


def _check_label(label: bytes, text: str) -> None:
    if not label:
        raise BadName("empty-label", f"{text!r} has an empty label; remove the extra dot")
    if len(label) > MAX_LABEL:
        raise BadName("label-too-long", f"a label of {text!r} is {len(label)} bytes long and {MAX_LABEL} are allowed; shorten it")


def _split_escaped(text: str) -> tuple[list[bytes], bool]:
    """Labels of a text with RFC 1035 §5.1 escapes: `\\X` is X itself, `\\DDD` the byte of that decimal number."""
    labels = [bytearray()]
    position = 0
    while position < len(text):
        char = text[position]
        if char == ".":
            labels.append(bytearray())
            position += 1
        elif char == "\\":
            byte, position = unescape(text, position)
            labels[-1].append(byte)
        elif "!" <= char <= "~":
            labels[-1].append(ord(char))
            position += 1
        else:
            raise BadName("bad-name", f"{text!r} has white space or a control character; write it as \\DDD or remove it")
    absolute = len(labels) > 1 and not labels[-1]
    return [bytes(label) for label in (labels[:-1] if absolute else labels)], absolute


def unescape(text: str, position: int) -> tuple[int, int]:
    """The byte that the escape at `position` stands for, and the position behind it. Raises BadName."""
    digits = text[position + 1 : position + 4]
    if digits[:1].isdigit():
        if len(digits) < 3 or not digits.isdecimal() or int(digits) > 255:
            raise BadName("bad-escape", f"\\{digits} is not an escape; write three digits, 000 to 255")
        return int(digits), position + 4
    if not digits:
        raise BadName("bad-escape", "the text ends in a backslash; write two for one")
    if not digits[0].isascii():
        raise BadName("bad-escape", f"\\{digits[0]} is not an escape; write the bytes as \\DDD")
    return ord(digits[0]), position + 2


def to_ascii(text: str) -> str:
    """Labels that are not ASCII as A-labels, label by label, so that `*` and `_` may stand beside them. Raises BadName."""
    try:
        return ".".join(label if label.isascii() else idna.encode(label.lower()).decode() for label in text.split("."))
    except UnicodeError as error:  # which idna's own errors are
        raise BadName("bad-idn", f"{text!r} is not an internationalised name ({error}); write its A-labels") from None


def _labels_to_text(labels: Sequence[bytes]) -> str:
    return ".".join([_label_to_text(label) for label in labels])


_PLAIN_LABEL = re.compile(rb"[-*_0-9A-Za-z/]+\Z")


def _label_to_text(label: bytes) -> str:
    if _PLAIN_LABEL.match(label):
        return label.decode()
    return "".join(f"\\{chr(byte)}" if byte in _SPECIAL else chr(byte) if 0x20 < byte < 0x7F else f"\\{byte:03d}" for byte in label)
