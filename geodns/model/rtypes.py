"""Record types by name and number: dnspython's registry, the few that it lacks, and those that are refused with a reason."""

from __future__ import annotations

from functools import lru_cache

import dns.exception
import dns.rdatatype

from geodns.model.fields import BadRdata
from geodns.model.findings import quote

# RFC 6895 §3.1: question and meta types are no data; the dataplane refuses the same ones. NULL, which RFC 1035 §3.3.10 keeps out of master
# files, has the form of unknown types.
META_TYPES = frozenset((0, 41)) | frozenset(range(128, 256))

_REFUSED = {
    "ALIAS": "ALIAS is no DNS type; write A and AAAA records at the apex, steered if they must follow another name",
    "URLFWD": "URLFWD is a web redirect of one vendor, not DNS data; run the redirect on a web server and point an A record at it",
}

# Mnemonics that dnspython lacks.
_OWN_NAMES = {
    31: "EID", 32: "NIMLOC", 34: "ATMA", 40: "SINK", 57: "RKEY", 58: "TALINK", 100: "UINFO", 101: "UID", 102: "GID", 259: "DOA",
}  # fmt: skip
# The common ones stand here for their shortcut.
_BY_NAME = {name: number for number, name in _OWN_NAMES.items()} | {
    "A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28, "SRV": 33,
}  # fmt: skip


def from_text(text: str) -> int:
    """A type's number from its mnemonic or `TYPEn`, in any case. Raises BadRdata, with a reason for those that are refused."""
    upper = text.upper()
    if (known := _BY_NAME.get(upper)) is not None:
        return known
    if upper in _REFUSED:
        raise BadRdata("refused-type", _REFUSED[upper])
    try:
        rtype = int(dns.rdatatype.from_text(upper.replace("_", "-")))
    except (dns.exception.DNSException, ValueError):
        raise BadRdata("unknown-type", f"{quote(text)} is not a record type; write its name, or TYPE with its number") from None
    if rtype in META_TYPES:
        raise BadRdata("refused-type", f"{upper} is not a type of data; remove it")
    return rtype


@lru_cache(maxsize=512)
def to_text(rtype: int) -> str:
    """A type's mnemonic, else `TYPEn`."""
    if own := _OWN_NAMES.get(rtype):
        return own
    return dns.rdatatype.to_text(dns.rdatatype.RdataType.make(rtype)).replace("_", "-")
