"""YAML with line numbers, entry by entry, safely.

PyYAML parses (its C parser where it is there); what is made of its events is ours, for three reasons: every value keeps the file and line
where it stands, the entries of a zone's mapping come one at a time, and a document can neither grow by aliases nor nest without end. Plain
scalars mean what PyYAML's safe loader makes of them, so that octoDNS and we read one value; dates stay texts.

`!include` and merge keys (`<<`) work as octoDNS has them: a value, a list's item, or a mapping's further keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TextIO

import yaml

from geodns.zonefile.spool import Place

MAX_DEPTH = 64  # a steered record is eight deep
MAX_PLAIN = 64  # a plain scalar that is longer is a text; no number that means anything is
MAX_NODES = 1_000_000  # in one entry, aliases counted as if written out; a record with 100,000 subnets has a tenth of it

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_CONSTRUCTOR = yaml.constructor.SafeConstructor()
_STR, _NULL = "tag:yaml.org,2002:str", "tag:yaml.org,2002:null"
_MERGE, _INCLUDE = "<<", "!include"
_CONSTRUCTED = frozenset(f"tag:yaml.org,2002:{kind}" for kind in ("bool", "int", "float", "null"))


class BadYaml(Exception):
    """The document is not usable; `place` says from where on."""

    def __init__(self, code: str, message: str, place: Place) -> None:
        super().__init__(message)
        self.code = code
        self.place = place


@dataclass(slots=True)
class Node:
    """A value with its place. `value` is a scalar, a list of nodes, or a dict of key to node; `size` counts the nodes in it."""

    value: Any
    place: Place
    size: int = 1

    def plain(self) -> Any:
        """The value without places."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def find(self, pointer: str) -> Node:
        """The node that an RFC 6901 pointer leads to, or the last one on the way that exists."""
        node = self
        for part in pointer.split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            inner = node.value.get(key) if isinstance(node.value, dict) else None
            if isinstance(node.value, list) and key.isdecimal() and int(key) < len(node.value):
                inner = node.value[int(key)]
            if inner is None:
                break
            node = inner
        return node


# Opens what an `!include` names, from the written path, where it stands, and how many files are open around it. Raises BadYaml.
Opener = Callable[[str, Place, int], tuple[Path, TextIO]]


def read_entries(stream: TextIO | str, path: Path, opener: Opener) -> Iterator[tuple[Any, Node]]:
    """The keys and values of the one mapping that a zone's document is, in order; nothing for an empty document.

    Raises BadYaml; entries before the broken one have been given.
    """
    return _Composer(stream, path, opener).read_mapping_entries()


class _Composer:
    """Makes nodes of one file's events. An included file has a composer of its own: `files` are open around it, `depth` nodes deep."""

    def __init__(self, stream: TextIO | str, path: Path, opener: Opener, files: int = 0, depth: int = 0) -> None:
        self._parser = _Loader(stream)
        self._path = path
        self._opener = opener
        self._files = files
        self._depth = depth
        self._anchors: dict[str, Node] = {}

    def read_mapping_entries(self) -> Iterator[tuple[Any, Node]]:
        try:
            if not self._begin_document():
                return
            event = self._next()
            if isinstance(event, yaml.ScalarEvent) and self._scalar(event).value is None:
                return
            if not isinstance(event, yaml.MappingStartEvent):
                raise BadYaml("not-a-mapping", "a zone is a mapping of owner name to records", self._place(event))
            yield from self._entries()
            self._end_document()
        except yaml.YAMLError as error:
            raise self._translate(error) from None
        finally:
            self._parser.dispose()

    def read_whole(self) -> Node:
        """The one value of an included file."""
        try:
            if not self._begin_document():
                return Node(None, Place(self._path, 1))
            node = self._node(self._next(), self._depth)
            self._end_document()
            return node
        except yaml.YAMLError as error:
            raise self._translate(error) from None
        finally:
            self._parser.dispose()

    def _begin_document(self) -> bool:
        self._next()  # the start of the stream
        return not isinstance(self._next(), yaml.StreamEndEvent)

    def _end_document(self) -> None:
        self._next()
        event = self._next()
        if not isinstance(event, yaml.StreamEndEvent):
            raise BadYaml("several-documents", "a zone is one YAML document; remove the second", self._place(event))

    def _next(self) -> Any:
        return self._parser.get_event()

    def _place(self, event: Any) -> Place:
        return Place(self._path, event.start_mark.line + 1)

    def _translate(self, error: yaml.YAMLError) -> BadYaml:
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
        return BadYaml("bad-yaml", f"this is not YAML: {problem}", Place(self._path, mark.line + 1 if mark else 1))

    def _entries(self) -> Iterator[tuple[Any, Node]]:
        """The top mapping's entries; keys that merges bring come where the merge stands, unless the mapping has them itself before."""
        seen: set[Any] = set()
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key, is_merge = self._key(event, seen)
            node = self._node(self._next(), 1)
            brought = self._merged(node) if is_merge else {key: node}
            for name, inner in brought.items():
                if name not in seen:
                    seen.add(name)
                    yield name, inner

    def _key(self, event: Any, seen: Any) -> tuple[Any, bool]:
        if not isinstance(event, yaml.ScalarEvent):
            raise BadYaml("bad-key", "a key is a plain value", self._place(event))
        if event.value == _MERGE and event.implicit[0]:
            return _MERGE, True
        key = self._scalar(event).value
        if key in seen:
            raise BadYaml(
                "duplicate-key",
                f"the key {key!r} stands twice; YAML keeps one and loses the other, so put them together",
                self._place(event),
            )
        return key, False

    def _node(self, event: Any, depth: int) -> Node:
        if depth > MAX_DEPTH:
            raise BadYaml("too-deep", f"the document is nested more than {MAX_DEPTH} deep", self._place(event))
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event)
        if isinstance(event, yaml.ScalarEvent):
            node = self._include(event, depth) if event.tag == _INCLUDE else self._scalar(event)
        elif event.tag not in (None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
            raise BadYaml("bad-tag", f"the tag {event.tag} means nothing here; remove it", self._place(event))
        elif isinstance(event, yaml.SequenceStartEvent):
            node = self._sequence(event, depth)
        else:
            node = self._mapping(event, depth)
        if node.size > MAX_NODES:
            raise BadYaml("too-large", f"the entry has more than {MAX_NODES} values, aliases counted as written out", self._place(event))
        if event.anchor is not None:
            self._anchors[event.anchor] = node
        return node

    def _alias(self, event: Any) -> Node:
        if event.anchor not in self._anchors:
            raise BadYaml("bad-alias", f"the alias *{event.anchor} has no anchor before it, or stands inside its own", self._place(event))
        return self._anchors[event.anchor]

    def _sequence(self, start: Any, depth: int) -> Node:
        items: list[Node] = []
        size = 1
        while not isinstance(event := self._next(), yaml.SequenceEndEvent):
            items.append(self._node(event, depth + 1))
            size += items[-1].size
            self._check_size(size, start)
        return Node(items, self._place(start), size)

    def _mapping(self, start: Any, depth: int) -> Node:
        own: dict[Any, Node] = {}
        inherited: dict[Any, Node] = {}
        size = 1
        while not isinstance(event := self._next(), yaml.MappingEndEvent):
            key, is_merge = self._key(event, own)
            node = self._node(self._next(), depth + 1)
            size += 1 + node.size
            self._check_size(size, start)
            if is_merge:
                inherited |= {name: inner for name, inner in self._merged(node).items() if name not in inherited}
            else:
                own[key] = node
        return Node(inherited | own, self._place(start), size)

    def _check_size(self, size: int, event: Any) -> None:
        if size > MAX_NODES:
            raise BadYaml("too-large", f"the entry has more than {MAX_NODES} values, aliases counted as written out", self._place(event))

    def _merged(self, node: Node) -> dict[Any, Node]:
        """The keys that a merge brings: of a mapping, or of a list of them, earlier ones first in rank."""
        if isinstance(node.value, dict):
            return node.value
        merged: dict[Any, Node] = {}
        if isinstance(node.value, list) and all(isinstance(item.value, dict) for item in node.value):
            for item in reversed(node.value):
                merged |= item.value
            return merged
        raise BadYaml("bad-merge", "a merge key takes a mapping or a list of mappings", node.place)

    def _include(self, event: Any, depth: int) -> Node:
        path, file = self._opener(event.value, self._place(event), self._files)
        with file:
            return _Composer(file, path, self._opener, self._files + 1, depth + 1).read_whole()

    def _scalar(self, event: Any) -> Node:
        place = Place(self._path, event.start_mark.line + 1)
        tag = event.tag
        if tag is None:
            is_plain = event.implicit[0] and len(event.value) <= MAX_PLAIN
            return Node(_resolve(event.value) if is_plain else event.value, place)
        if tag in ("!", _STR):
            return Node(event.value, place)
        if tag not in _CONSTRUCTED:
            raise BadYaml("bad-tag", f"the tag {tag} means nothing here; remove it", place)
        return Node(_construct(tag, event.value, place), place)


@lru_cache(maxsize=4096)
def _resolve(text: str) -> Any:
    """What a plain scalar means to PyYAML's safe loader. Keys and common values repeat, so they are remembered."""
    resolvers = yaml.SafeLoader.yaml_implicit_resolvers.get(text[:1], [])
    for tag, pattern in resolvers:
        if pattern.match(text):
            return _construct(tag, text, None) if tag in _CONSTRUCTED else text
    return text


def _construct(tag: str, text: str, place: Place | None) -> Any:
    kind = tag.rpartition(":")[2]
    try:
        if tag == _NULL:
            return None
        return getattr(_CONSTRUCTOR, f"construct_yaml_{kind}")(yaml.ScalarNode(tag, text))
    except (ValueError, KeyError, LookupError):
        if place is None:
            return text
        raise BadYaml("bad-scalar", f"{text!r} is no {kind}", place) from None
