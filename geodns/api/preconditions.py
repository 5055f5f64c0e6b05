"""Conditional requests: ETag, If-Match and If-None-Match (RFC 9110 §8.8.3, §13.1).

An ETag is the revision of an object's own last change in quotation marks, always strong. What a condition is compared with is known
only inside the transaction that writes, so this module parses, and the store judges.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from http import HTTPStatus

from multidict import CIMultiDictProxy

from geodns.api.problems import ErrorReply

# RFC 9110 §8.8.3: entity-tag = [ "W/" ] DQUOTE *etagc DQUOTE
ENTITY_TAG = re.compile(r'(W/)?("[\x21\x23-\x7e\x80-\xff]*")')
OUR_TAG = re.compile(r'"(0|[1-9][0-9]{0,18})"')


@dataclass(frozen=True, slots=True)
class Preconditions:
    """What a write requires. `if_match` None = nothing; an empty set = no revision can satisfy it; `must_exist` = `If-Match: *`."""

    if_match: frozenset[int] | None = None
    must_exist: bool = False
    create_only: bool = False
    if_none_match: frozenset[int] = frozenset()

    @classmethod
    def read(cls, headers: CIMultiDictProxy[str]) -> Preconditions:
        """Raises ErrorReply 400 for a header that is not a list of entity tags."""
        match = _parse(headers.getall("If-Match", []), "If-Match")
        none_match = _parse(headers.getall("If-None-Match", []), "If-None-Match")
        return cls(
            # RFC 9110 §13.1.1: If-Match compares strongly, so a weak tag matches nothing.
            if_match=None if match is None or match.anything else frozenset(_revisions(tag for tag in match.tags if not tag.weak)),
            must_exist=match is not None and match.anything,
            create_only=none_match is not None and none_match.anything,
            if_none_match=frozenset() if none_match is None else frozenset(_revisions(none_match.tags)),
        )


@dataclass(frozen=True, slots=True)
class _Tag:
    """One entity tag; `opaque` with its quotation marks."""

    opaque: str
    weak: bool


@dataclass(frozen=True, slots=True)
class _Condition:
    """A header's value: `*`, or tags."""

    anything: bool
    tags: tuple[_Tag, ...] = ()


def matches_none(values: Iterable[str], etag: str) -> bool:
    """Whether If-None-Match of a GET names this tag, or `*`; compared weakly (RFC 9110 §13.1.2)."""
    parsed = _parse(list(values), "If-None-Match")
    return parsed is not None and (parsed.anything or any(tag.opaque == etag for tag in parsed.tags))


def _parse(values: list[str], header: str) -> _Condition | None:
    if not values:
        return None
    text = ",".join(values).strip()
    if text == "*":
        return _Condition(anything=True)
    tags: list[_Tag] = []
    position = 0
    while position < len(text):
        if text[position] in ", \t":
            position += 1
            continue
        match = ENTITY_TAG.match(text, position)
        if match is None:
            detail = f'{header} is not a list of entity tags; write "17" with its quotation marks'
            raise ErrorReply(HTTPStatus.BAD_REQUEST, "malformed-header", detail)
        tags.append(_Tag(match[2], match[1] is not None))
        position = match.end()
    return _Condition(anything=False, tags=tuple(tags))


def _revisions(tags: Iterable[_Tag]) -> Iterable[int]:
    """The revisions among the tags; a tag that we never gave out names no object of ours."""
    for tag in tags:
        match = OUR_TAG.fullmatch(tag.opaque)
        if match is not None:
            yield int(match[1])
