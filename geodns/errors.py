"""Every exception that geodns raises on purpose, and the one value type for what is wrong with an input.

    GeodnsError                     a sentence for the operator, and a hint where there is one
    ├── InvalidInput                one or more Problems; nothing was stored            (422, exit 1)
    ├── NotFound                    the named object does not exist                     (404, exit 1)
    ├── Conflict                    the write contradicts what is                       (409, exit 1)
    │   ├── ForeignHistory          store and dataplane hold different histories
    │   ├── MirroredZone            the zone's truth is its file
    │   └── UnsafeChange            a brake that `force` releases
    ├── PreconditionFailed          If-Match or If-None-Match did not hold              (412, exit 1)
    ├── DatabaseUnavailable         away; the caller may retry                          (503 + Retry-After, exit 3)
    ├── SchemaTooNew                the database belongs to a newer program             (503, exit 1)
    ├── DataplaneUnavailable        not running or not answering                        (503, exit 3)
    ├── Busy                        too much of the same at a time                      (503 + Retry-After, exit 3)
    ├── Unauthorized, Forbidden     no token; a token without the role                  (401, 403; exit 1)
    └── StartupError                the process cannot start: one sentence              (exit 1)

Problems are values, never raised one by one: validation collects them all.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, replace


class Severity(enum.Enum):
    """An error refuses the input; a warning is shown and lets it pass."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with an input, placed where its author can find it.

    `pointer` is an RFC 6901 JSON pointer into the document that was judged ("" = the whole); `code` is stable and kebab-case; `source` is a
    file with line ("zones/example.com.zone:12") for input that came from a file.
    """

    pointer: str
    code: str
    message: str
    severity: Severity = Severity.ERROR
    source: str | None = None

    def below(self, prefix: str) -> Problem:
        """The same problem seen from an enclosing document; `prefix` is a pointer such as "/changes/3/record"."""
        return replace(self, pointer=prefix + self.pointer)

    def at(self, source: str) -> Problem:
        """The same problem with its file and line."""
        return replace(self, source=source)

    def __str__(self) -> str:
        place = " ".join(part for part in (self.source, self.pointer) if part)
        return f"{place}: {self.message}" if place else self.message


class GeodnsError(Exception):
    """Base of all: `str(error)` is a sentence for a person, `hint` says what to do, or is None."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class InvalidInput(GeodnsError):
    """The input has at least one error; `problems` holds all of them, warnings included."""

    def __init__(self, problems: Sequence[Problem], message: str | None = None, *, hint: str | None = None) -> None:
        self.problems = tuple(problems)
        errors = sum(problem.severity is Severity.ERROR for problem in self.problems)
        super().__init__(message or f"the input has {errors} problem{'s' if errors != 1 else ''}", hint=hint)


class NotFound(GeodnsError):
    """The named object does not exist."""


class Conflict(GeodnsError):
    """The write contradicts what is stored or served."""


class ForeignHistory(Conflict):
    """The store and the dataplane hold different histories: nothing is published (docs/operations.md, "Two histories")."""


class MirroredZone(Conflict):
    """The zone's truth is its file; writes through the API are refused."""


class UnsafeChange(Conflict):
    """A change that removes more than the brake allows; `force` releases it."""


class PreconditionFailed(GeodnsError):
    """If-Match or If-None-Match did not hold (RFC 9110 §13.1)."""


class DatabaseUnavailable(GeodnsError):
    """The database cannot be reached or refuses work; nothing was written."""


class SchemaTooNew(GeodnsError):
    """The database has been migrated by a newer geodns; this one must not write to it."""


class DataplaneUnavailable(GeodnsError):
    """The dataplane does not run or does not answer on its socket."""


class Busy(GeodnsError):
    """Too much of the same is being done already; nothing was begun."""


class Unauthorized(GeodnsError):
    """No valid token."""


class Forbidden(GeodnsError):
    """The token's role does not allow this."""


class StartupError(GeodnsError):
    """The process cannot start; the message is the one sentence that it prints."""


def errors_in(problems: Sequence[Problem]) -> list[Problem]:
    """The problems that refuse an input."""
    return [problem for problem in problems if problem.severity is Severity.ERROR]
