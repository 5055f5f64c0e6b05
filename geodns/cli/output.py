"""How verbs speak: results on standard output, for people or as JSON; everything else on standard error."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console, RenderableType
from rich.table import Table


def stdout() -> Console:
    """Made for each use, because tests and pipes replace sys.stdout. Lines are not wrapped where nobody looks at them."""
    console = Console(file=sys.stdout, highlight=False, soft_wrap=not sys.stdout.isatty())
    if not sys.stdout.isatty():
        console.width = 200
    return console


def complain(text: str) -> None:
    """One line of rich markup to standard error."""
    Console(file=sys.stderr, highlight=False, soft_wrap=True).print(text)


def say(renderable: RenderableType) -> None:
    """To standard output."""
    stdout().print(renderable)


def say_json(document: Any) -> None:
    """One JSON document, indented, as UTF-8."""
    sys.stdout.write(json.dumps(document, ensure_ascii=False, indent=2) + "\n")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Table:
    """A plain table without lines, which survives copying."""
    made = Table(box=None, pad_edge=False, header_style="bold", show_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    for row in rows:
        made.add_row(*("" if cell is None else str(cell) for cell in row))
    return made


def ago(text: str | None, now: datetime | None = None) -> str:
    """An RFC 3339 instant as people count: `3 min`, `2 h`, `5 d`; empty for none."""
    if not text:
        return ""
    seconds = ((now or datetime.now(UTC)) - datetime.fromisoformat(text)).total_seconds()
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if abs(seconds) >= length:
            return f"{int(abs(seconds) // length)} {unit}"
    return f"{int(abs(seconds))} s"
