"""A zone's SOA as a request gives it: some parts, or none."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import dns.name

from geodns.api.common import at_pointer
from geodns.api.models import SoaFields
from geodns.errors import InvalidInput, Problem
from geodns.model import names, soa
from geodns.model.record import Soa


def make_soa(apex: dns.name.Name, given: SoaFields, nameservers: Sequence[dns.name.Name]) -> Soa | None:
    """The SOA of a new zone; None where nothing was given, so that the store makes it as for any other zone without one."""
    numbers = {key: value for key, value in given.model_dump(exclude={"mname", "rname"}).items() if value is not None}
    if given.mname is None and given.rname is None and not numbers:
        return None
    if given.mname is None and not nameservers:
        raise InvalidInput([Problem("/soa/mname", "missing", "without nameservers the SOA needs an mname")])
    made = soa.make_soa(apex, nameservers)
    mname = made.mname if given.mname is None else at_pointer("/soa/mname", parse_host, given.mname)
    rname = made.rname if given.rname is None else at_pointer("/soa/rname", parse_mailbox, given.rname)
    return dataclasses.replace(made, mname=mname, rname=rname, **numbers)


def parse_host(text: str) -> dns.name.Name:
    """A name that stands alone: absolute, with or without its final dot. Raises InvalidInput."""
    return names.parse_name(text, None)


def parse_mailbox(text: str) -> dns.name.Name:
    """RFC 1035 §3.3.13: `dns-admin@example.com` or the name `dns-admin.example.com`; dots before the @ are part of the first label."""
    local, at, host = text.rpartition("@")
    if not at:
        return parse_host(text)
    if not local or "@" in local or "\\" in local:
        sentence = f"{text!r} is not a mailbox; write hostmaster@example.com"
        raise InvalidInput([Problem("", "bad-mailbox", sentence)], sentence)
    return parse_host(local.replace(".", "\\.") + "." + host)
