"""Master files as entries: RFC 1035 §5.1 lines joined over parentheses, cut into tokens, comments gone.

A token is the raw text between white space, quotes and escapes included (see `model.fields`). Lines are read one at a time; an entry is
limited, so that an unclosed parenthesis at the top of a huge file is an error and not a huge entry.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

# The longest legal entry is 65,535 bytes of rdata written as \\DDD, four characters each, with room for parentheses and white space.
MAX_ENTRY = 1024 * 1024

# Lines with none of these are cut at white space. What is not ASCII counts too: Python's idea of white space is wider than RFC 1035's.
_SPECIAL = re.compile(r'["();\\]|[^\t\n\r -~]')
_TOKEN = re.compile(
    r"""
    (?P<space>[ \t\r\n\f]+)
  | (?P<comment>;.*)
  | (?P<open>\()
  | (?P<close>\))
  | (?P<token>(?:[^ \t\r\n\f;()"\\]|\\.|"(?:[^"\\\n]|\\.)*")+)
  | (?P<broken>.)
    """,
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry: `line` is where it begins, `indented` tells that its owner is the one before. `fault` is set instead of tokens."""

    line: int
    tokens: list[str]
    indented: bool
    fault: str | None = None


def read_entries(lines: Iterable[str]) -> Iterator[Entry]:
    """Cut lines into entries; empty ones are left out."""
    open_entry: _OpenEntry | None = None
    number = 0
    for number, line in enumerate(lines, start=1):
        if open_entry is None and not _SPECIAL.search(line):
            if tokens := line.split():
                yield Entry(number, tokens, line[0] in " \t")
            continue
        open_entry = open_entry or _OpenEntry(number, line[:1] in (" ", "\t"))
        entry = open_entry.take(line)
        if entry is not None:
            open_entry = None
            if entry.tokens or entry.fault:
                yield entry
    if open_entry is not None:
        yield Entry(open_entry.line, [], False, "a parenthesis is opened here and never closed; close it")


class _OpenEntry:
    """An entry whose parentheses may still be open."""

    def __init__(self, line: int, indented: bool) -> None:
        self.line = line
        self.indented = indented
        self._tokens: list[str] = []
        self._depth = 0
        self._size = 0

    def take(self, line: str) -> Entry | None:
        """The entry when this line ends it, or None."""
        self._size += len(line)
        if self._size > MAX_ENTRY:
            return self._broken(f"the entry is longer than {MAX_ENTRY} characters; close its parenthesis")
        for match in _TOKEN.finditer(line):
            match match.lastgroup:
                case "token":
                    self._tokens.append(match[0])
                case "open":
                    self._depth += 1
                case "close":
                    self._depth -= 1
                    if self._depth < 0:
                        return self._broken("a parenthesis is closed that was not opened; remove it")
                case "broken":
                    return self._broken(
                        "a quote is opened and not closed on its line; close it" if match[0] == '"' else "a stray backslash"
                    )
        return None if self._depth else Entry(self.line, self._tokens, self.indented)

    def _broken(self, fault: str) -> Entry:
        return Entry(self.line, [], self.indented, fault)
