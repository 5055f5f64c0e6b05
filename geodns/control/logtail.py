"""The dataplane's standard error, passed on to our log line by line, and kept from growing without bound.

The dataplane appends to a file (see `process.py` for why not a pipe). Lines that it wrote while no control ran stay in the file and are not
repeated. The file is emptied when it has been read and is large; the dataplane appends, so emptying it is safe.
"""

from __future__ import annotations

import asyncio
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

log = structlog.get_logger("geodns.dataplane")

POLL_S = 0.25
# A page or two of history for somebody who looks into the file itself.
KEEP_BYTES = 1024 * 1024
# A dataplane that complains faster than this is told by its last lines alone.
READ_BYTES = 256 * 1024
TAIL_BYTES = 8192


class LogTail:
    """Follows one file from its present end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._offset = _size(path)
        self._rest = b""

    async def run(self) -> None:
        while True:
            self.pass_on()
            await asyncio.sleep(POLL_S)

    def pass_on(self) -> None:
        """Whatever was written since the last call."""
        size = _size(self.path)
        if size < self._offset:
            self._offset, self._rest = 0, b""
        if size > self._offset:
            with suppress(OSError), self.path.open("rb") as file:
                skipped = max(0, size - self._offset - READ_BYTES)
                file.seek(self._offset + skipped)
                data = file.read(READ_BYTES)
                self._offset = file.tell()
                self._emit(data)
        if self._offset > KEEP_BYTES and _size(self.path) == self._offset:
            with suppress(OSError):
                os.truncate(self.path, 0)
                self._offset = 0

    def last_line(self) -> str | None:
        """The last thing that was written: the sentence of a dataplane that did not start."""
        with suppress(OSError), self.path.open("rb") as file:
            file.seek(max(0, _size(self.path) - TAIL_BYTES))
            lines = [line for line in file.read().decode(errors="replace").splitlines() if line.strip()]
            if lines:
                return _message(lines[-1])[0].removeprefix("geodns-dataplane: ")
        return None

    def _emit(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for raw in lines:
            line = raw.decode(errors="replace").strip()
            if line:
                message, level, fields = _message(line)
                getattr(log, level)(message, **fields)


def _message(line: str) -> tuple[str, str, dict[str, Any]]:
    """Text, level and fields of a line, which may be a JSON object with `message` and `level`, or plain text."""
    with suppress(ValueError, RecursionError):
        document = json.loads(line)
        if isinstance(document, dict) and isinstance(document.get("message"), str):
            message = document.pop("message")
            level = str(document.pop("level", "info")).lower()
            for ours in ("event", "timestamp"):
                document.pop(ours, None)
            return message, level if level in ("debug", "info", "warning", "error") else "warning", document
    return line, "info", {}


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
