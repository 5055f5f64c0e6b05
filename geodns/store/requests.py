"""What can be asked of the one write path, and what it answers. Plain values: REST, CLI, files and every later way in build these.

Preconditions are HTTP's (RFC 9110 §13.1) because REST needs them, but mean the store's revisions.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field

import dns.name

from geodns.errors import PreconditionFailed, Problem
from geodns.model.findings import Policy
from geodns.model.prefixes import Prefixes
from geodns.model.record import JsonObject, Rrset, ZoneContents

Name = dns.name.Name


@dataclass(frozen=True, slots=True)
class WritePolicy:
    """How inputs are judged, from the settings. `nameservers` are those that a zone without apex NS gets."""

    records: Policy = field(default_factory=Policy)
    nameservers: tuple[Name, ...] = ()


@dataclass(frozen=True, slots=True)
class Precondition:
    """If-Match and If-None-Match against an object's revision, None for an object that is not there.

    | field | header | holds when |
    |---|---|---|
    | `revisions` | If-Match: "7", "9" | the object is there with one of these revisions |
    | `exists=True` | If-Match: * | it is there |
    | `exists=False` | If-None-Match: * | it is not there |
    | `not_revisions` | If-None-Match: "7" | it is at none of these revisions |
    """

    revisions: frozenset[int] | None = None
    exists: bool | None = None
    not_revisions: frozenset[int] = frozenset()

    def check(self, what: str, revision: int | None) -> None:
        """Raise PreconditionFailed unless it holds."""
        if self.revisions is not None and revision not in self.revisions:
            state = "does not exist" if revision is None else f"is at revision {revision}"
            raise PreconditionFailed(f"{what} {state}", hint="read it again and repeat the change")
        if revision in self.not_revisions:
            raise PreconditionFailed(f"{what} is at revision {revision}")
        if self.exists is not None and self.exists != (revision is not None):
            raise PreconditionFailed(f"{what} {'does not exist' if self.exists else 'exists already'}")


ALWAYS = Precondition()


@dataclass(frozen=True, slots=True)
class Pointers:
    """Where the parts of a change stand in the document that its author sent; "" for what the URL says, or the whole body."""

    name: str = ""
    rtype: str = ""
    record: str = ""


@dataclass(frozen=True, slots=True)
class Upsert:
    """Put one rrset in place of whatever is at (name, type). `record` is the contract's JSON, or an rrset that was judged before."""

    name: str
    rtype: str | None
    record: JsonObject | Rrset
    pointers: Pointers = Pointers()
    precondition: Precondition = ALWAYS


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove one rrset; what is absent is no change, unless `missing_ok` is False (NotFound)."""

    name: str
    rtype: str
    pointers: Pointers = Pointers()
    precondition: Precondition = ALWAYS
    missing_ok: bool = True


@dataclass(frozen=True, slots=True)
class ChangeRecords:
    """An atomic changeset on one zone, judged by its end state; the order of `changes` means nothing."""

    apex: Name
    changes: Sequence[Upsert | Delete]
    precondition: Precondition = ALWAYS
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class CreateZone:
    """A zone that is not there yet, Conflict otherwise. `seed`: one that is there, or ever was, is left as it is (no change)."""

    contents: ZoneContents
    seed: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class ReplaceZone:
    """Make the zone equal to its source (import, apply, mirror); it is created when absent.

    Its SOA changes only when the source has one, its default ttl never. Removing more than 30 % of at least 10 rrsets is an UnsafeChange
    without `force`. `mirror` marks the zone as one whose truth is a file.
    """

    contents: ZoneContents
    force: bool = False
    mirror: bool = False
    precondition: Precondition = ALWAYS
    dry_run: bool = False


@dataclass(frozen=True, slots=True)
class PatchZone:
    """Change the SOA or the default ttl; None keeps what is. A `serial` must be newer than the present one (RFC 1982 §3.2)."""

    apex: Name
    mname: Name | None = None
    rname: Name | None = None
    refresh: int | None = None
    retry: int | None = None
    expire: int | None = None
    minimum: int | None = None
    soa_ttl: int | None = None
    serial: int | None = None
    default_ttl: int | None = None
    precondition: Precondition = ALWAYS


@dataclass(frozen=True, slots=True)
class DeleteZone:
    """Remove the zone; a tombstone keeps it from being seeded again."""

    apex: Name
    precondition: Precondition = ALWAYS


@dataclass(frozen=True, slots=True)
class PutList:
    """Put a named CIDR list in place of whatever has that name."""

    name: str
    prefixes: Prefixes
    precondition: Precondition = ALWAYS


@dataclass(frozen=True, slots=True)
class DeleteList:
    """Remove a named CIDR list; Conflict while a record uses it, unless forced."""

    name: str
    force: bool = False
    precondition: Precondition = ALWAYS


ChangeRequest = ChangeRecords | CreateZone | ReplaceZone | PatchZone | DeleteZone | PutList | DeleteList


class Operation(enum.Enum):
    """What a change did to one rrset."""

    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Step:
    """One rrset that a change touched, or in a dry run would touch."""

    operation: Operation
    owner: Name
    rtype: int


@dataclass(frozen=True, slots=True)
class Committed:
    """What a request did.

    `revision` is the one that it took; without a change the store's present one, and `changed` is False. `serial` is the zone's afterwards,
    None for lists and deleted zones. `created`: the single object that was asked for (rrset, zone, list) was not there before. `steps` are
    the rrsets touched, at most `MAX_STEPS` of the `counts`. `problems` are warnings. In a dry run everything says what would be.
    """

    revision: int
    changed: bool
    serial: int | None = None
    created: bool = False
    steps: tuple[Step, ...] = ()
    counts: tuple[tuple[Operation, int], ...] = ()
    problems: tuple[Problem, ...] = ()


MAX_STEPS = 1000
