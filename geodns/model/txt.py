"""TXT and SPF rdata between wire form and octoDNS's text (RFC 1035 §3.3.14, RFC 7208 §3.3).

octoDNS writes one text without quotes, in which `;` is `\\;` and every other character is itself, and cuts it into strings of 255 bytes.
Rdata that was cut elsewhere or has bytes beyond printable ASCII cannot be told in that form; it is shown as quoted strings, which are
read as presentation form, so nothing is lost between a master file, the store and JSON.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from geodns.model.fields import BadRdata, escape_text, quotable, split_at_quotes, unquote

CHUNK = 255  # RFC 1035 §3.3: a character-string has one length byte

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


def from_json(text: str) -> bytes:
    """Wire form of octoDNS's text, or of quoted strings in presentation form."""
    if text[:1] == '"':
        return from_tokens(_split_quoted(text))
    octets = text.replace("\\;", ";").encode()
    return _join([octets[at : at + CHUNK] for at in range(0, len(octets), CHUNK)] or [b""])


def to_json(wire: bytes) -> str:
    """octoDNS's text where it says everything, else quoted strings."""
    strings = split(wire)
    octets = b"".join(strings)
    cut_as_octodns = all(len(string) == CHUNK for string in strings[:-1]) and (len(strings) == 1 or strings[-1])
    if cut_as_octodns and octets[:1] != b'"' and octets.isascii() and octets.decode().isprintable():
        return octets.decode().replace(";", "\\;")
    return to_text(wire).replace(";", "\\;")


def from_tokens(tokens: Sequence[str]) -> bytes:
    """Wire form of presentation tokens, each one character-string."""
    if not tokens:
        raise BadRdata("short-rdata", "at least one text is needed; write it in quotes")
    return _join([unquote(token) for token in split_at_quotes(tokens)])


def to_text(wire: bytes) -> str:
    """Presentation form: quoted strings."""
    return " ".join([f'"{quotable(escape_text(string))}"' for string in split(wire)])


def split(wire: bytes) -> list[bytes]:
    """The character-strings of a valid rdata."""
    strings: list[bytes] = []
    at = 0
    while at < len(wire):
        end = at + 1 + wire[at]
        strings.append(wire[at + 1 : end])
        at = end
    return strings


def _split_quoted(text: str) -> list[str]:
    if _QUOTED.sub("", text).strip():
        raise BadRdata("bad-quotes", "the text begins with a quote but is not a row of quoted strings; close the quotes or remove them")
    return _QUOTED.findall(text)


def _join(strings: Sequence[bytes]) -> bytes:
    for string in strings:
        if len(string) > CHUNK:
            raise BadRdata("string-too-long", f"a quoted string is {len(string)} bytes long and {CHUNK} are allowed; cut it in two")
    return b"".join([bytes((len(string),)) + string for string in strings])
