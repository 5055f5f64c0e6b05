"""Durations as operators write them: `90s`, `15m`, `2h`, `7d`, `1h30m`."""

from __future__ import annotations

import re

import typer

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}

MAX_DURATION_S = 10 * 365 * 86400
"""Ten years: what is meant to last longer is meant to have no end."""


def parse_duration(text: str) -> int:
    """Whole seconds; a usage error for anything else."""
    if re.fullmatch(r"([0-9]+[smhdw])+", text) is None:
        raise typer.BadParameter(f"{text!r} is not a duration; write 90s, 15m, 2h, 7d or 1h30m")
    seconds = sum(int(number) * UNITS[unit] for number, unit in re.findall(r"([0-9]{1,12})([smhdw])", text))
    if not 0 < seconds <= MAX_DURATION_S:
        raise typer.BadParameter(f"{text!r} is nothing, or longer than ten years")
    return seconds
