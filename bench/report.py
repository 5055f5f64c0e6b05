"""What the parts of the bench hand in and how it is shown: progress while they run (standard error), the findings as they come (standard
output), and in the end one text with machine, commit, command and a verdict on every goal."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
import time
import traceback
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from bench.goals import Key, Measured, Outcome, judge_all, sum_up
from bench.measure import estimate

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "bench/results"


class Report:
    """One run."""

    def __init__(self, command: Sequence[str]) -> None:
        self.cost_us: dict[Key, list[float]] = defaultdict(list)
        self._figures: dict[tuple[str, str], Sequence[float]] = {}
        self._lines: list[str] = []
        self._begun: list[str] = []
        self._failed: list[str] = []
        self._begun_s = time.monotonic()
        self._begun_at = datetime.now(UTC)
        self.add(
            f"geodns bench, {self._begun_at:%Y-%m-%d %H:%M} UTC, commit {commit_of()}",
            f"machine {hostless_description()}; load before {os.getloadavg()[0]:.1f}",
            f"command {shlex.join(['python', '-m', 'bench', *command])}",
            f"versions {versions()}",
        )

    def add(self, *lines: str) -> None:
        """Text as it is."""
        self._lines += lines
        print(*lines, sep="\n", flush=True)

    def begin(self, part: str, about: str) -> None:
        """The heading of a part."""
        self._begun.append(part)
        self.add("", f"== {part}: {about}")

    def note(self, part: str, what: str, unit: str, *samples: float) -> None:
        """One figure, of one measurement or of several rounds."""
        self._figures[part, what] = samples
        found = estimate(samples)
        self.add(f"  {what:72} {str(found) if len(samples) > 1 else f'{found.median:.3f}':>24} {unit}".rstrip())

    def fail(self, part: str, error: Exception) -> None:
        """A part that broke off; what the others find is worth having."""
        traceback.print_exception(error)
        self._failed.append(part)
        self.add(f"  broke off: {type(error).__name__}: {next(iter(str(error).splitlines()), '')}")

    def progress(self, text: str) -> None:
        """Where the run is."""
        elapsed_s = int(time.monotonic() - self._begun_s)
        print(f"[{elapsed_s // 60:2}:{elapsed_s % 60:02}] {text}", file=sys.stderr, flush=True)

    def end(self, output: Path | None) -> bool:
        """Judges, writes the text to `output` (None: a new file of bench/results/), and tells whether all that was measured holds."""
        verdicts = judge_all(Measured(self.cost_us, self._figures), self._begun)
        self.add(
            "",
            "== goals of what was run: medians [95 % interval]; of ratios, the interval of the ratios within a round",
            *map(str, verdicts),
        )
        self.add("", f"{time.monotonic() - self._begun_s:.0f} s in all, load after {os.getloadavg()[0]:.1f}")
        self.add(sum_up(verdicts) + (f"; broke off: {', '.join(self._failed)}" if self._failed else ""))
        path = output or RESULTS / f"{self._begun_at:%Y-%m-%d-%H%M}.txt"
        path.write_text("\n".join(self._lines) + "\n")
        self.progress(f"written to {path}")
        return not self._failed and all(verdict.outcome is not Outcome.MISSED for verdict in verdicts)


def versions() -> dict[str, str]:
    """What each installed peer calls itself."""
    commands = {
        "nsd": ["nsd", "-v"],
        "knot": ["knotd", "-V"],
        "bind": ["named", "-v"],
        "gdnsd": ["gdnsd", "-h"],
        "pdns": ["pdns_server", "--version"],
        "dnsperf": ["dnsperf", "-h"],
    }
    found = {}
    for name, command in commands.items():
        program = shutil.which(command[0], path="/usr/sbin:/usr/bin")
        if program is None:
            continue
        done = subprocess.run([program, *command[1:]], capture_output=True, text=True, check=False, timeout=10)
        match = re.search(r"\d+\.\d+\.\d+", done.stdout + done.stderr)
        found[name] = match.group(0) if match else "unknown"
    return found


def commit_of() -> str:
    """The commit that is measured, and whether the tree differs from it."""
    command = ["git", "describe", "--always", "--dirty", "--exclude", "*"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return found.stdout.strip() or "unknown"


def hostless_description() -> str:
    """The machine as results name it: processor, cores and kernel, no host name."""
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return json.dumps(
        {"cpu": model.group(1) if model else "unknown", "cores": os.cpu_count(), "kernel": os.uname().release, "socket": socket.SOMAXCONN}
    )
