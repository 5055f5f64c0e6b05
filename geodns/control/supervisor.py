"""The dataplane's keeper: finds one that runs or starts one, holds the link to it, starts it again when it dies, ends it last.

    what answers on the socket                         what is done
    nothing                                            start one
    our link version, our start settings               attach
    other version or settings, supervised              SIGTERM, wait, start
    other settings, standalone                         attach, and say so: whoever runs it must restart it
    other version, standalone                          nothing: it answers DNS, and cannot be spoken to

It does not know what is sent over the link (`node.py` is told of every new one), and it never kills a dataplane for being slow: a process
that answers DNS and not its link is still worth more than none.
"""

from __future__ import annotations

import asyncio
import enum
import itertools
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import assert_never

import structlog

from geodns.control.logtail import LogTail
from geodns.control.process import DataplaneProcess
from geodns.control.statedir import StateDirectory
from geodns.errors import DataplaneUnavailable, StartupError
from geodns.publish import frames
from geodns.publish.client import LinkClient
from geodns.publish.frames import Ownership, Role

log = structlog.get_logger(__name__)

# The first restart comes at once: most deaths are single. Then each waits twice as long, so that a dataplane that dies at its start does
# not take a core; ten seconds at most, because nothing answers meanwhile.
BACKOFF_S = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 10.0)
# One that has lived this long died of something new.
STEADY_S = 30.0
# Between two looks at a socket that nobody answers yet. A local connect costs microseconds.
RETRY_S = 0.02
# From here on a dataplane that runs and does not answer on its socket is a problem in `status`.
SILENT_S = 10.0
# Ctrl-C goes to the whole process group: a dataplane that ended by it must not be started again just before we read our own signal.
ASKED_TO_END = (0, -signal.SIGINT, -signal.SIGTERM)
ASKED_TO_END_S = 0.3
# Exit codes by which the dataplane says "I refuse to start", as opposed to dying: one sentence is on its standard error.
REFUSED_TO_START = (1, 2)


class Ending(enum.Enum):
    """What of the dataplane ends with control. A standalone one never does."""

    EVERYTHING = "everything"  # an orderly stop
    WHAT_WE_STARTED = "what we started"  # a start that failed: what ran before goes on
    NOTHING = "nothing"  # a defect of control: DNS goes on, and the next control attaches


@dataclass(frozen=True, slots=True)
class Program:
    """How to start a dataplane, and the digest by which one that runs with these settings is known."""

    command: Sequence[str]
    digest: bytes


class Supervisor:
    """Call `start` once, then `run` in a task, and `stop` at the end."""

    def __init__(self, program: Program, directory: StateDirectory) -> None:
        self.program = program
        self.directory = directory
        self.link: LinkClient | None = None
        self.hello: frames.Hello | None = None
        self.problem: str | None = None
        self.restarts = 0
        self._attached: Callable[[LinkClient], None] = _nobody_listens
        self._process: DataplaneProcess | None = None
        self._started_at_s = 0.0
        self._delays = _delays()
        self._tail = LogTail(directory.dataplane_log)
        self._stopping = False

    @property
    def connected(self) -> bool:
        return self.link is not None and not self.link.closed

    @property
    def started_here(self) -> bool:
        """Whether the running dataplane was started by this very process."""
        return self._process is not None and self._process.child is not None

    def tell(self, attached: Callable[[LinkClient], None]) -> None:
        """From now on `attached` hears of every new link; of the one that is there already, at once."""
        self._attached = attached
        if self.link is not None:
            attached(self.link)

    async def start(self) -> None:
        """Returns when a dataplane has said HELLO, or a standalone one runs that cannot be spoken to. Raises StartupError when ours refuses
        to start."""
        link = await self._find(first=True)
        self._take(link)

    async def run(self) -> None:
        """Holds the link for ever; cancel it to end."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._tail.run())
            group.create_task(self._hold())

    async def stop(self, ending: Ending = Ending.EVERYTHING) -> None:
        """Closes the link, and ends the dataplane as far as `ending` says."""
        self._stopping = True
        if self.link is not None:
            self.link.close("control stops")
        process = self._process
        if process is not None:
            if self._ends(process, ending):
                await process.terminate()
            process.let_go()
        self._tail.pass_on()

    def _ends(self, process: DataplaneProcess, ending: Ending) -> bool:
        if self.hello is not None and self.hello.ownership is Ownership.STANDALONE:
            return False
        match ending:
            case Ending.EVERYTHING:
                return True
            case Ending.WHAT_WE_STARTED:
                return process.child is not None
            case Ending.NOTHING:
                return False
            case _:
                assert_never(ending)

    async def _hold(self) -> None:
        while True:
            if self.link is not None:
                await self.link.run()
                log.warning("the link to the dataplane is lost", reason=self.link.lost)
                self.link = None
            self._take(await self._find(first=False))

    def _take(self, link: LinkClient | None) -> None:
        if link is None:
            return
        self.link, self.hello = link, link.hello
        self.problem = self._judge_digest(link.hello)
        log.info(
            "attached to the dataplane", pid=link.hello.pid, served=str(link.hello.served), ownership=link.hello.ownership.name.lower()
        )
        self._attached(link)

    def _judge_digest(self, hello: frames.Hello) -> str | None:
        if hello.digest == self.program.digest:
            return None
        return "the standalone dataplane runs with other start settings than control: restart it (systemctl restart geodns-dataplane)"

    async def _find(self, *, first: bool) -> LinkClient | None:
        """The next link, whatever it takes. None only at the first start, beside a standalone dataplane of another link version."""
        silent_since_s = time.monotonic()
        while True:
            link = await self._connect()
            if link is not None:
                verdict = await self._welcome(link)
                if verdict is not None:
                    return verdict
                if first and self.problem is not None:
                    return None
            elif self._may_start():
                await self._start_again(first=first)
                silent_since_s = time.monotonic()
            elif time.monotonic() - silent_since_s > SILENT_S:
                self._report_silence()
            await self._pause()

    async def _connect(self) -> LinkClient | None:
        try:
            return await LinkClient.connect(self.directory.socket, Role.PUBLISHER)
        except DataplaneUnavailable:
            return None

    async def _welcome(self, link: LinkClient) -> LinkClient | None:
        """The link if it may be used; otherwise its dataplane is on its way out, or must be left alone."""
        hello = link.hello
        speaks = hello.version == frames.LINK_VERSION
        if speaks and (hello.digest == self.program.digest or hello.ownership is Ownership.STANDALONE):
            self._watch(link.peer_pid)
            return link
        link.close("another link version or other start settings")
        if hello.ownership is Ownership.STANDALONE:
            versions = f"link version {hello.version}, control {frames.LINK_VERSION}"
            self.problem = f"the standalone dataplane speaks {versions}: it answers what it has until it is upgraded and restarted"
            log.error("the standalone dataplane cannot be spoken to", version=hello.version, ours=frames.LINK_VERSION)
            await asyncio.sleep(1.0)
            return None
        log.info("replacing the running dataplane: its link version or start settings differ", pid=hello.pid)
        self._watch(link.peer_pid)
        if self._process is not None:
            await self._process.terminate()
        return None

    def _watch(self, pid: int) -> None:
        if self._process is not None and self._process.pid == pid and not self._process.exited:
            return
        if self._process is not None:
            self._process.close()
        self._process = None
        self._started_at_s = time.monotonic()
        # It may have ended since its HELLO; then the link is lost too, and we start one. Pid 0 is a process of another pid namespace.
        with suppress(ProcessLookupError):
            self._process = DataplaneProcess(pid) if pid else None

    def expect_end(self) -> None:
        """Control is about to stop: a dataplane that ends from now on is not started again."""
        self._stopping = True

    def _may_start(self) -> bool:
        """Nothing answers: start one, unless ours is still on its way, or somebody else's was here and is theirs to bring back."""
        if self._stopping:
            return False
        if self.hello is not None and self.hello.ownership is Ownership.STANDALONE:
            self.problem = "the standalone dataplane is gone: start it again (systemctl start geodns-dataplane)"
            return False
        return self._process is None or self._process.exited

    async def _start_again(self, *, first: bool) -> None:
        ended = self._process
        if ended is not None:
            await self._judge_end(ended, first=first)
            if self._stopping:
                return
        if time.monotonic() - self._started_at_s > STEADY_S:
            self._delays = _delays()
        delay_s = next(self._delays)
        if delay_s:
            said = self._tail.last_line()
            self.problem = f"the dataplane ended again and is restarted in {delay_s} s" + (f"; it said: {said}" if said else "")
            await asyncio.sleep(delay_s)
            if self._stopping:
                return
        self._tail.pass_on()
        self._started_at_s = time.monotonic()
        try:
            self._process = DataplaneProcess.start(self.program.command, self.directory.dataplane_log)
        except StartupError as error:
            if first:
                raise
            self._process = None
            self.problem = str(error)
            log.error("the dataplane cannot be started again", reason=str(error))
        else:
            log.info("started the dataplane", pid=self._process.pid)

    async def _judge_end(self, ended: DataplaneProcess, *, first: bool) -> None:
        """Raises StartupError when the very first one refused to start; otherwise says that it ended."""
        code = ended.exit_code
        ended.close()
        if first and code in REFUSED_TO_START:
            raise StartupError(self._tail.last_line() or f"the dataplane ended with exit code {code}")
        self.restarts += 1
        log.error("the dataplane ended and is started again", pid=ended.pid, exit_code=code, said=self._tail.last_line())
        if code in ASKED_TO_END:
            await asyncio.sleep(ASKED_TO_END_S)

    def _report_silence(self) -> None:
        sentence = f"the dataplane runs (pid {self._process.pid if self._process else '?'}) and does not answer on {self.directory.socket}"
        if self.problem != sentence:
            log.error("the dataplane does not answer on its socket", socket=str(self.directory.socket))
        self.problem = sentence

    async def _pause(self) -> None:
        """A short wait that ends early when the process does."""
        if self._process is not None and not self._process.exited:
            await self._process.wait(RETRY_S)
        else:
            await asyncio.sleep(RETRY_S)


def _nobody_listens(link: LinkClient) -> None:
    """Before `tell` was called."""


def _delays() -> Iterator[float]:
    return itertools.chain(BACKOFF_S, itertools.repeat(BACKOFF_S[-1]))
