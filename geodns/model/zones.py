"""What records must not be to one another: the rules of a whole zone, and of one owner name.

Errors are states that a server cannot serve or that the RFCs forbid outright (RFC 1034 §3.6.2, RFC 2181 §5, §10.1, RFC 6672 §2.3, RFC 7505
§3). Warnings are what `named-checkzone` says of names that lead nowhere, and data that nobody will ever be given, such as what stands
below a DNAME (RFC 6672 §2.4 leaves it to the server whether to load such a zone; BIND does); such zones are served.

Rules are judged on the state after a change, so the order of changes does not matter. The SOA is the zone's and not among the rrsets.
Pointers are `/OWNER/TYPE`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from geodns.errors import Problem
from geodns.model import names, rdata
from geodns.model.findings import Findings, token
from geodns.model.names import Name
from geodns.model.rdata import AAAA, CNAME, DNAME, DS, MAX_RDATA, MX, NS, NSEC, NSEC3, RRSIG, SRV, A
from geodns.model.record import Rrset
from geodns.model.records import MAX_TTL

Labels = tuple[bytes, ...]

SIG, KEY, NXT, DNSKEY, NSEC3PARAM = 24, 25, 30, 48, 51

# DNSSEC data may stand beside a CNAME (RFC 4034 §2.5, RFC 4035 §2.5); SIG, KEY and NXT are their ancestors (RFC 2181 §10.1).
_BESIDE_CNAME = frozenset((RRSIG, NSEC, SIG, KEY, NXT))

# Signatures and proofs are data like any other here; nothing signs or looks at them yet.
_UNSIGNED = frozenset((RRSIG, NSEC, NSEC3, NSEC3PARAM))

# What is answered at or below a zone cut: the delegation itself, its DS, glue, and proofs about them (RFC 1034 §4.2.1, RFC 4035 §2.6).
_AT_CUT = frozenset((NS, DS, A, AAAA, RRSIG, NSEC, NSEC3, KEY))
_GLUE = frozenset((A, AAAA))

_HOST_TYPES = frozenset((A, AAAA, MX))
_HOST_LABEL = re.compile(rb"[a-z0-9]([-a-z0-9]*[a-z0-9])?\Z")  # RFC 952, RFC 1123 §2.1

_NULL_MX = b"\0\0\0"
_MAX_CHAIN = 16  # CNAMEs that an answer follows


def check_owner(apex: Name, owner: Name, rrsets: Sequence[Rrset]) -> list[Problem]:
    """The rules that one owner name's rrsets must keep."""
    check = _OwnerCheck(apex, owner, rrsets, Findings())
    check.run()
    return check.findings.problems


def check_zone(apex: Name, owners: Mapping[Name, Sequence[Rrset]], nameservers: Collection[Name]) -> list[Problem]:
    """All rules of a zone. `nameservers` are those of the setting `zones.nameservers`, which an apex without NS gets.

    `owners` is iterated twice and asked for single names; it need not be held in memory.
    """
    check = _ZoneCheck(apex, owners, Findings())
    check.collect()
    if not check.has_apex_ns and not nameservers:
        place = f"/@/{rdata.rtype_to_text(NS)}"
        check.findings.error(place, "missing-ns", "the apex has no NS; write them, or set zones.nameservers")
    check.run()
    return check.findings.problems


@dataclass(slots=True)
class _OwnerCheck:
    apex: Name
    owner: Name
    rrsets: Sequence[Rrset]
    findings: Findings

    def run(self) -> None:
        self._judge_company()
        for rrset in self.rrsets:
            self._judge_size(rrset)
            self._judge_type(rrset)

    def _place(self, rtype: int) -> str:
        return place_of(self.apex, self.owner, rtype)

    def _judge_company(self) -> None:
        """Which types may stand together.

        | beside       | CNAME | DNAME | NS below the apex |
        |--------------|-------|-------|-------------------|
        | CNAME        | error | error | error             |
        | DNAME        | error | error | warned of         |
        | DNSSEC types | fine  | fine  | fine              |
        | others       | error | fine  | warned of by the zone |
        """
        types = [rrset.rtype for rrset in self.rrsets]
        if len(types) == 1:
            if types[0] == CNAME and self.owner == self.apex:
                self.findings.error(
                    self._place(CNAME), "apex-cname", "the apex has SOA and NS, which a CNAME must not stand beside; remove it"
                )
            return
        for rtype in {rtype for rtype in types if types.count(rtype) > 1}:
            self.findings.error(self._place(rtype), "repeated-rrset", "the rrset stands twice; put its values into one")
        others = [rtype for rtype in types if rtype not in _BESIDE_CNAME and rtype != CNAME]
        if CNAME in types and (others or self.owner == self.apex):
            beside = ", ".join(rdata.rtype_to_text(rtype) for rtype in others) or "the SOA"
            self.findings.error(
                self._place(CNAME), "cname-and-other-data", f"a CNAME stands alone, and here is {beside}; remove one of them"
            )
        if DNAME in types and NS in types and self.owner != self.apex:
            self.findings.warn(self._place(DNAME), "dname-at-cut", "a DNAME at a delegation is never answered; remove one of them")

    def _judge_size(self, rrset: Rrset) -> None:
        if not rrset.rdatas:
            self.findings.error(self._place(rrset.rtype), "missing-values", "the rrset has no values; write one, or delete it")
        if len(rrset.rdatas) > 1 and rrset.rtype in rdata.SINGLE_VALUE:
            name = rdata.rtype_to_text(rrset.rtype)
            self.findings.error(self._place(rrset.rtype), "several-values", f"{name} has one value (RFC 2181 §10.1); remove the others")
        size = sum(map(len, rrset.rdatas))
        if size > MAX_RDATA:
            self.findings.error(
                self._place(rrset.rtype), "rrset-too-large", f"the values have {size} bytes and {MAX_RDATA} fit into a message; remove some"
            )
        if not 0 <= rrset.ttl <= MAX_TTL:
            self.findings.error(self._place(rrset.rtype), "bad-ttl", f"the ttl {rrset.ttl} is not from 0 to {MAX_TTL} (RFC 2181 §8)")

    def _judge_type(self, rrset: Rrset) -> None:
        rtype, place = rrset.rtype, self._place
        if rtype in _HOST_TYPES and not all(map(_HOST_LABEL.match, self._host_labels())):
            self.findings.warn(place(rtype), "not-a-host-name", "the owner name is no host name (RFC 1123 §2.1); some clients refuse it")
        elif rtype in _UNSIGNED:
            self.findings.warn(place(rtype), "plain-dnssec-data", "kept as plain data; answers are not signed")
        elif rtype == DS and self.owner == self.apex:
            self.findings.warn(place(DS), "apex-ds", "a DS belongs into the parent zone (RFC 4034 §5); move it there")
        elif rtype in (NS, DNAME) and self.owner.is_wild():
            self.findings.warn(place(rtype), "odd-wildcard", "what a wildcard of this type means is undefined (RFC 4592 §4); remove it")
        if rtype == MX and len(rrset.rdatas) > 1 and _NULL_MX in rrset.rdatas:
            self.findings.warn(place(MX), "null-mx-and-others", "a null MX stands alone (RFC 7505 §3); remove it or the others")
        if rtype in rdata.DOUBTS:
            for doubt in dict.fromkeys(filter(None, map(rdata.DOUBTS[rtype], rrset.rdatas))):
                self.findings.warn(place(rtype), "doubtful-value", doubt)

    def _host_labels(self) -> Sequence[bytes]:
        """The labels below the apex; a leading `*` is a wildcard, not a host's."""
        labels = self.owner.labels[: len(self.owner.labels) - len(self.apex.labels)]
        return labels[1:] if labels[:1] == (b"*",) else labels


@dataclass(slots=True)
class _ZoneCheck:
    """`cuts` are the delegated names, `dnames` those whose subtree is elsewhere; both are few even in a zone of millions.

    They are kept by their labels, whose hashes Python remembers: that of a dnspython name is computed octet by octet each time.
    """

    apex: Name
    owners: Mapping[Name, Sequence[Rrset]]
    findings: Findings
    cuts: set[Labels] = field(default_factory=set)
    dnames: set[Labels] = field(default_factory=set)
    has_apex_ns: bool = False

    def collect(self) -> None:
        for owner, rrsets in self.owners.items():
            for rrset in rrsets:
                if rrset.rtype == NS and owner != self.apex:
                    self.cuts.add(owner.labels)
                elif rrset.rtype == NS:
                    self.has_apex_ns = True
                elif rrset.rtype == DNAME:
                    self.dnames.add(owner.labels)

    def run(self) -> None:
        for owner, rrsets in self.owners.items():
            if owner.labels[-len(self.apex.labels) :] != self.apex.labels:
                self.findings.error(self._place(owner, rrsets[0].rtype), "outside-zone", "the owner name is not in the zone; remove it")
                continue
            _OwnerCheck(self.apex, owner, rrsets, self.findings).run()
            if self.cuts or self.dnames:
                self._judge_ancestors(owner, rrsets)
            for rrset in rrsets:
                if rrset.rtype in _TARGET_OFFSETS:
                    self._judge_targets(owner, rrset)

    def _place(self, owner: Name, rtype: int) -> str:
        return place_of(self.apex, owner, rtype)

    def _judge_ancestors(self, owner: Name, rrsets: Sequence[Rrset]) -> None:
        for ancestor in self._above(owner):
            if ancestor in self.dnames:
                dname = names.to_text(names.of_labels(ancestor), self.apex)
                self.findings.warn(
                    self._place(owner, rrsets[0].rtype),
                    "below-dname",
                    f"the DNAME at {dname} hides everything below it (RFC 6672 §2.4); remove one of them",
                )
        at_cut = owner.labels in self.cuts
        if not at_cut and self._cut_above(owner) is None:
            return
        for rrset in rrsets:
            if rrset.rtype not in (_AT_CUT if at_cut else _GLUE):
                self.findings.warn(
                    self._place(owner, rrset.rtype),
                    "below-cut",
                    "the name is delegated, so this is never answered; move it to the child zone",
                )

    def _judge_targets(self, owner: Name, rrset: Rrset) -> None:
        """Where NS, MX, SRV and CNAME lead. Steered CNAMEs lead out of the zone by nature; their targets are judged all the same."""
        offset = _TARGET_OFFSETS[rrset.rtype]
        for wire in rrset.rdatas:
            if wire[offset:] == b"\0":
                continue
            target = names.from_wire(wire[offset:].lower())
            if rrset.rtype == MX and self._is_address(target):
                message = f"{names.to_text(target, self.apex)} is an address, and a mail exchange is a host name; write its name"
                self.findings.warn(self._place(owner, rrset.rtype), "target-is-address", message)
                continue
            if target.labels[-len(self.apex.labels) :] != self.apex.labels:
                continue
            reason = self._why_astray(owner, rrset.rtype, target)
            if reason:
                code, message = reason
                self.findings.warn(self._place(owner, rrset.rtype), code, f"{names.to_text(target, self.apex)} {message}")

    def _is_address(self, target: Name) -> bool:
        """Whether four numbers were written where a name belongs, with a final dot or without."""
        depth = len(self.apex.labels) if target.labels[-len(self.apex.labels) :] == self.apex.labels else 1
        own = target.labels[: len(target.labels) - depth]
        return len(own) == 4 and all(label.isdigit() for label in own)

    def _why_astray(self, owner: Name, rtype: int, target: Name) -> tuple[str, str] | None:
        """The code and sentence for a target in the zone.

        | target                        | CNAME         | NS, MX, SRV        |
        |-------------------------------|---------------|--------------------|
        | does not exist                | dangling      | no address         |
        | is a CNAME                    | loop, perhaps | is a CNAME         |
        | exists without A and AAAA     | fine          | no address         |
        | below a cut, without address  | fine          | NS there: no glue  |
        """
        found = self._find(target)
        types = {rrset.rtype for rrset in found}
        cut = target.labels if target.labels in self.cuts else self._cut_above(target)
        if cut is not None and not types & _GLUE:
            needs_glue = rtype == NS and cut == owner.labels
            return ("missing-glue", "lies below the delegation and has no address here; add its A or AAAA") if needs_glue else None
        if rtype == CNAME:
            if not found and not self._is_below_dname(target):
                return "dangling-cname", "does not exist in this zone; write it, or correct the target"
            return self._find_loop(owner, target)
        if CNAME in types:
            return "target-is-cname", "is a CNAME, which NS, MX and SRV must not lead to (RFC 2181 §10.3); write the name it leads to"
        if not types & _GLUE and not self._is_below_dname(target):
            return "target-without-address", "has no address in this zone; write its A or AAAA"
        return None

    def _find(self, name: Name) -> Sequence[Rrset]:
        """The rrsets at a name, or at the wildcard that would answer for it (RFC 4592 §3.3.1), empty non-terminals aside."""
        if rrsets := self.owners.get(name):
            return rrsets
        for ancestor in ancestors(name, self.apex):
            if rrsets := self.owners.get(names.wildcard_below(ancestor)):
                return rrsets
            if ancestor in self.owners:
                return ()
        return ()

    def _find_loop(self, owner: Name, target: Name) -> tuple[str, str] | None:
        seen = {owner}
        for _ in range(_MAX_CHAIN):
            if target in seen:
                return "cname-loop", "leads back to where it began; break the circle"
            seen.add(target)
            chain = [rrset for rrset in self._find(target) if rrset.rtype == CNAME and rrset.rdatas]
            if not chain:
                return None
            target = names.from_wire(chain[0].rdatas[0].lower())
            if target.labels[-len(self.apex.labels) :] != self.apex.labels:
                return None
        return "cname-chain", f"begins a chain of more than {_MAX_CHAIN} CNAMEs, which is cut off there; shorten it"

    def _above(self, name: Name) -> Iterator[Labels]:
        """The labels of the names above `name`, up to and with the apex."""
        return (name.labels[start:] for start in range(1, len(name.labels) - len(self.apex.labels) + 1))

    def _cut_above(self, name: Name) -> Labels | None:
        return next((ancestor for ancestor in self._above(name) if ancestor in self.cuts), None) if self.cuts else None

    def _is_below_dname(self, name: Name) -> bool:
        return bool(self.dnames) and any(ancestor in self.dnames for ancestor in self._above(name))


# Where the target name begins in the rdata.
_TARGET_OFFSETS = {NS: 0, CNAME: 0, MX: 2, SRV: 6}


def ancestors(name: Name, apex: Name) -> list[Name]:
    """The names above `name`, up to and with the apex."""
    return [names.of_labels(name.labels[start:]) for start in range(1, len(name.labels) - len(apex.labels) + 1)]


def place_of(apex: Name, owner: Name, rtype: int) -> str:
    """The pointer of an rrset in its zone."""
    return f"/{token(names.to_text(owner, apex))}/{rdata.rtype_to_text(rtype)}"
