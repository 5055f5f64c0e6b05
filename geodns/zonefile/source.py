"""What both readers of zone sources share: what they put things into, and how they reach other files."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from geodns.errors import Problem, Severity
from geodns.model.findings import STRICT, Policy
from geodns.model.names import Name
from geodns.model.record import Soa
from geodns.zonefile.spool import Place, Spool

DEFAULT_TTL = 3600  # octoDNS's default, and that of a zone made through the API

MAX_PROBLEMS = 1000  # of one zone: a file of another kind should not be told line by line
MAX_INCLUDE_DEPTH = 10  # files within files; deeper is a circle
MAX_INCLUDES = 1000  # of one zone; ten files deep and ten wide would be ten thousand million
PROGRESS_STEP = 50_000  # records between two calls of a progress callback

# Called now and then with the number of records read so far.
Progress = Callable[[int], None]


class TooManyProblems(Exception):
    """Reading ends here; the problems so far are told."""


class BadInclude(Exception):
    """A file that may not or cannot be included; the message says why."""


@dataclass(slots=True)
class Sink:
    """Where one zone's records and problems go while its sources are read.

    `directory` is the zones directory, the only place that may be included from; None where there is none, as in an import.
    """

    apex: Name
    spool: Spool
    directory: Path | None
    policy: Policy = STRICT
    progress: Progress | None = None
    problems: list[Problem] = field(default_factory=list)
    soa: Soa | None = None
    serial: int | None = None
    default_ttl: int | None = None
    records: int = 0
    includes: int = 0

    def report(self, place: Place, code: str, message: str, severity: Severity = Severity.ERROR) -> None:
        self.add_problem(Problem("", code, message, severity, str(place)))

    def add_problem(self, problem: Problem) -> None:
        """Raises TooManyProblems when it is the last that is told."""
        self.problems.append(problem)
        if len(self.problems) >= MAX_PROBLEMS:
            message = f"there are {MAX_PROBLEMS} problems, and the rest of the source is not read; mend these first"
            self.problems.append(Problem("", "too-many-problems", message, source=problem.source))
            raise TooManyProblems

    def count_record(self) -> None:
        self.records += 1
        if self.progress and self.records % PROGRESS_STEP == 0:
            self.progress(self.records)

    def find_include(self, written: str, beside: Path, depth: int) -> Path:
        """The file that an include means, relative to the including one. Raises BadInclude."""
        if self.directory is None:
            raise BadInclude("other files cannot be included here; send the whole zone")
        if depth >= MAX_INCLUDE_DEPTH:
            raise BadInclude(f"files are included {MAX_INCLUDE_DEPTH} deep; do two of them include each other?")
        self.includes += 1
        if self.includes > MAX_INCLUDES:
            raise BadInclude(f"the zone includes more than {MAX_INCLUDES} files; do some include each other?")
        path = beside.parent / written
        try:
            resolved = path.resolve(strict=True)
            inside = resolved.is_relative_to(self.directory.resolve(strict=True))
        except (OSError, ValueError, RuntimeError):
            raise BadInclude(f"{written!r} does not exist beside {beside.name}; correct its name") from None
        if not inside:
            raise BadInclude(f"{written!r} lies outside the zones directory; move it there")
        if not resolved.is_file():
            raise BadInclude(f"{written!r} is not a file")
        return path


def read_lines(path: Path, limit: int) -> Iterator[str]:
    """The lines of a file; one that is longer than `limit` characters comes in pieces.

    Bytes that are not UTF-8 come through as surrogates, and go out again as the bytes that they were (see `fields.unquote`).
    """
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="\n") as file:
        while line := file.readline(limit):
            yield line
