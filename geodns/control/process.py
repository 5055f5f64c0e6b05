"""One dataplane process, ours or one that we found: is it there, tell me when it ends, end it.

A process is watched through a pidfd, which works for children and strangers alike and never means another process that got the same pid
later. It deliberately binds nothing to control's life: no parent-death signal, no pipe, no session of its own.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import structlog

from geodns.errors import StartupError

log = structlog.get_logger(__name__)

# What SIGTERM may take: the dataplane answers what it has received and syncs its journal; more is a process that hangs.
TERMINATE_S = 8.0


class DataplaneProcess:
    """A handle on a running process; `close` gives the handle back without touching the process."""

    def __init__(self, pid: int, child: subprocess.Popen[bytes] | None = None) -> None:
        """Raises ProcessLookupError when there is no such process."""
        self.pid = pid
        self.child = child
        self._pidfd: int | None = os.pidfd_open(pid)
        self._exited = asyncio.Event()
        asyncio.get_running_loop().add_reader(self._pidfd, self._note_exit)

    @classmethod
    def start(cls, command: Sequence[str], log_file: Path) -> DataplaneProcess:
        """Starts the binary in our process group, its standard error appended to a file: a file neither fills up like a pipe nor breaks
        when its reader is killed. Raises StartupError."""
        try:
            descriptor = os.open(log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StartupError(f"{log_file} cannot be written: {error.strerror}") from error
        try:
            child = subprocess.Popen(  # noqa: S603 - our own binary, arguments from checked settings
                command, stdin=subprocess.DEVNULL, stdout=descriptor, stderr=descriptor, cwd="/"
            )
        except OSError as error:
            raise StartupError(f"the dataplane {command[0]} cannot be started: {error.strerror}") from error
        finally:
            os.close(descriptor)
        return cls(child.pid, child)

    @property
    def exited(self) -> bool:
        return self._exited.is_set()

    @property
    def exit_code(self) -> int | None:
        """As subprocess gives it, negative for a signal; None while it runs or when it was not our child."""
        return None if self.child is None else self.child.poll()

    async def wait(self, timeout_s: float) -> bool:
        """Whether it has ended within the time."""
        with suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._exited.wait()
        return self.exited

    async def terminate(self) -> None:
        """SIGTERM, patience, SIGKILL; returns when it is gone."""
        self._signal(signal.SIGTERM)
        if not await self.wait(TERMINATE_S):
            log.error("the dataplane does not end on SIGTERM and is killed", pid=self.pid)
            self._signal(signal.SIGKILL)
            await self.wait(TERMINATE_S)

    def let_go(self) -> None:
        """Stops watching a process that is to outlive us: whatever it ends with is not ours to collect."""
        self.close()
        if self.child is not None and self.child.returncode is None:
            self.child.returncode = 0  # else the interpreter complains about a child that still runs

    def close(self) -> None:
        """Stops watching."""
        if self._pidfd is not None:
            asyncio.get_running_loop().remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = None

    def _signal(self, number: signal.Signals) -> None:
        if self._pidfd is not None and not self.exited:
            with suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)

    def _note_exit(self) -> None:
        if self.child is not None:
            self.child.wait()
        self._exited.set()
        self.close()
