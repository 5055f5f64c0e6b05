"""Exit codes, and the one place where an exception becomes a sentence, a hint and a code. A traceback is never shown unasked."""

from __future__ import annotations

import enum
import os
import traceback
from collections.abc import Sequence

from rich.markup import escape

from geodns.cli.output import complain
from geodns.errors import Busy, DatabaseUnavailable, DataplaneUnavailable, GeodnsError, InvalidInput, Problem, Severity

MAX_SHOWN = 50
"""Problems shown; past a screenful nobody reads on, and `--json` has them all."""


class Exit(enum.IntEnum):
    """What a verb ends with."""

    DONE = 0
    REFUSED = 1
    USAGE = 2
    UNREACHABLE = 3


class Unreachable(GeodnsError):
    """Nobody answers where the API should be."""


UNREACHABLE = (Unreachable, DatabaseUnavailable, DataplaneUnavailable, Busy)


def code_for(error: GeodnsError) -> Exit:
    """3 when another try may succeed, else 1."""
    return Exit.UNREACHABLE if isinstance(error, UNREACHABLE) else Exit.REFUSED


def explain_error(error: GeodnsError) -> Exit:
    """Prints a sentence, the problems if there are any, and a hint; gives the exit code."""
    problems = error.problems if isinstance(error, InvalidInput) else ()
    single = len(problems) == 1 and str(error) in _sentences(problems[0])
    complain(f"[bold red]geodns:[/] {escape(str(error))}")
    if not single:
        show_problems(problems)
    if error.hint:
        complain(f"[dim]hint:[/] {escape(error.hint)}")
    return code_for(error)


def _sentences(problem: Problem) -> tuple[str, ...]:
    """The forms in which an error's own sentence may already say all of its only problem."""
    return str(problem), problem.message, f"{problem.source}: {problem.message}"


def show_problems(problems: Sequence[Problem]) -> None:
    """One a line: place, severity, sentence, code."""
    for problem in problems[:MAX_SHOWN]:
        place = " ".join(part for part in (problem.source, problem.pointer) if part)
        colour = "red" if problem.severity is Severity.ERROR else "yellow"
        where = escape(f"{place}: ") if place else ""
        complain(f"  {where}[{colour}]{problem.severity.value}[/] {escape(problem.message)} [dim]({problem.code})[/]")
    if len(problems) > MAX_SHOWN:
        complain(f"  and {len(problems) - MAX_SHOWN} more; --json shows all")


def explain_unexpected(error: Exception) -> Exit:
    """A bug of ours: still one sentence, and the traceback for who asks for it."""
    complain(f"[bold red]geodns:[/] an internal error, which is a bug: {escape(type(error).__name__)}: {escape(str(error))}")
    if os.environ.get("GEODNS_LOG_LEVEL", "").lower() == "debug":
        complain(escape("".join(traceback.format_exception(error))))
    else:
        complain("[dim]hint:[/] with GEODNS_LOG_LEVEL=debug it shows where; please report that")
    return Exit.REFUSED
