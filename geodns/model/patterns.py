"""Regular expressions that operators write into checks: one engine, one set of limits, at write and at every attempt.

The engine is RE2, whose time grows with the length of the text and never by backtracking: Python's own lets `(a+)+$` stand still for
hours on thirty bytes of a target's choice, and with it the event loop that runs every other check. The price is that there are no back
references and no look-around, which a health page does not need (docs/decisions/0005-linear-regular-expressions.md).
"""

from __future__ import annotations

import functools

import re2

MAX_PROGRAM = 256
"""Instructions of the compiled expression. The worst that we found for this size takes 45 ms for the 5 KiB that are read of a body, most
take microseconds; an ordinary expression has fewer than 100."""

MAX_MEMORY_BYTES = 256 * 1024
"""Of one expression with its cache of states. Past it RE2 forgets states and goes on more slowly; less would slow down honest ones."""


class Pattern:
    """A compiled expression."""

    def __init__(self, expression: str) -> None:
        """Raises ValueError with the reason when it does not compile, or could cost too much."""
        self._compiled = _compile(expression)

    def is_in(self, text: str) -> bool:
        """Whether it matches anywhere in the text."""
        return self._compiled.search(text) is not None


@functools.lru_cache(maxsize=1024)
def _compile(expression: str) -> re2._Regexp:
    options = re2.Options()
    options.max_mem = MAX_MEMORY_BYTES
    options.log_errors = False
    try:
        compiled = re2.compile(expression, options)
    except re2.error as error:
        reason = error.args[0]
        raise ValueError(reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)) from None
    if compiled.programsize > MAX_PROGRAM:
        raise ValueError("it is too large: counted repetitions such as {100} are written out")
    return compiled
