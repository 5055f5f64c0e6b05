"""The collector that validation writes to, so that every problem of an input is reported at once and in one style.

Three words, because octoDNS's `lenient` softens only its own reasons:

| call | normally | lenient |
|---|---|---|
| `error` | error | error: nothing could be served, or the input means nothing |
| `fault` | error | warning: a reason that octoDNS turns into a warning too |
| `warn` | warning | warning |
"""

from __future__ import annotations

import enum
import reprlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from geodns.errors import Problem, Severity


class UnknownKeys(enum.Enum):
    """What an unknown key inside `dynamic` is: octoDNS ignores it, which lets a misspelt `weigth` pass unseen."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Policy:
    """How strictly an input is judged. `allow_loopback` and `denied` are the settings `prober.allow_loopback` and `prober.deny`."""

    lenient: bool = False
    unknown_keys: UnknownKeys = UnknownKeys.ERROR
    allow_loopback: bool = False
    denied: Sequence[IPv4Network | IPv6Network] = ()


STRICT = Policy()

MAX_QUOTED = 80

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = MAX_QUOTED
_SHORT.maxlevel = 3  # and so no nesting, however deep, runs out of stack


@dataclass(slots=True)
class Findings:
    """Problems found so far, in the order of the document. Pointers are RFC 6901, relative to the judged document."""

    lenient: bool = False
    problems: list[Problem] = field(default_factory=list)

    def error(self, pointer: str, code: str, message: str) -> None:
        """What refuses the input always."""
        self.problems.append(Problem(pointer, code, message))

    def fault(self, pointer: str, code: str, message: str) -> None:
        """What refuses the input unless it is judged leniently."""
        self.problems.append(Problem(pointer, code, message, Severity.WARNING if self.lenient else Severity.ERROR))

    def warn(self, pointer: str, code: str, message: str) -> None:
        """What is shown and lets the input pass."""
        self.problems.append(Problem(pointer, code, message, Severity.WARNING))

    def extend(self, problems: Iterable[Problem], below: str = "") -> None:
        """Problems that were found in a part of the document, which stands at the pointer `below`."""
        self.problems.extend(problem.below(below) for problem in problems)

    @property
    def refused(self) -> bool:
        """Whether at least one error was found."""
        return any(problem.severity is Severity.ERROR for problem in self.problems)


def token(key: object) -> str:
    """A mapping key as one reference token of an RFC 6901 §3 pointer."""
    return str(key).replace("~", "~0").replace("/", "~1")


def quote(value: object) -> str:
    """A value as a message shows it: shortened, because a message must stay a sentence whatever was sent."""
    try:
        text = _SHORT.repr(value)
    except ValueError:  # Python shows no integer of more than 4300 digits
        return "a huge number"
    return text if len(text) <= MAX_QUOTED else f"{text[: MAX_QUOTED - 3]}..."
