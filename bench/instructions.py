"""The instructions that eleven representative queries cost, counted by callgrind: the same on a busy machine as on an idle one.

    python -m bench.instructions            prints what is counted beside what is recorded
    python -m bench.instructions --record   makes that the record (`bench/instructions.json`): after a change that is worth its cost

`dataplane/serve/examples/instructions.rs` answers; callgrind collects inside its function `answer_many` alone and makes a dump each time
it is left, so start-up does not count and one run does for all cases. Only instructions of the program itself count: the C library picks
its copying routines by the processor, and what it does for us is a few copies. So the numbers depend on the source, the compiler and the
architecture, and the record names the latter two.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DATAPLANE = ROOT / "dataplane"
PROGRAM = DATAPLANE / "target/release/examples/instructions"
RECORD = ROOT / "bench/instructions.json"
WATCHED = "instructions::answer_many"

# A change that nobody meant to be slower stays below this.
ROOM = 0.05
# Another version of the compiler lays out and unrolls differently: a few per cent up or down without any change of ours.
ROOM_OTHER_COMPILER = 0.25
# Another architecture counts differently altogether; what doubles is still seen.
ROOM_OTHER_ARCHITECTURE = 1.0


@dataclass(frozen=True, slots=True)
class Count:
    """Instructions per query by case, and what made the program."""

    rustc: str
    architecture: str
    per_query: dict[str, float]

    def room(self, record: Count) -> float:
        """The share by which a case may exceed the record."""
        if self.architecture != record.architecture:
            return ROOM_OTHER_ARCHITECTURE
        return ROOM if self.rustc == record.rustc else ROOM_OTHER_COMPILER

    def dearer(self, record: Count) -> list[str]:
        """A line for each case that costs more than the record and its room, or that has no counterpart."""
        room = self.room(record)
        lines = [
            f"{case}: {count:.0f} instructions a query, recorded {record.per_query[case]:.0f}, room {room:.0%}"
            for case, count in self.per_query.items()
            if case in record.per_query and count > record.per_query[case] * (1 + room)
        ]
        return lines + [f"{case}: only counted or only recorded" for case in sorted(self.per_query.keys() ^ record.per_query.keys())]


def count() -> Count:
    """Builds the program and counts. Needs cargo and valgrind."""
    build = [
        "cargo",
        "build",
        "--release",
        "--locked",
        "--quiet",
        "--target-dir",
        "target",
        "-p",
        "geodns-serve",
        "--example",
        PROGRAM.name,
    ]
    subprocess.run(build, cwd=DATAPLANE, check=True)
    version = subprocess.run(["rustc", "--version", "--verbose"], cwd=DATAPLANE, capture_output=True, text=True, check=True).stdout
    release, host = (re.findall(rf"^{key}: (\S+)", version, re.MULTILINE)[0] for key in ("release", "host"))
    with tempfile.TemporaryDirectory(prefix="geodns-instructions-") as scratch:
        out = Path(scratch) / "out"
        options = [f"--callgrind-out-file={out}", "--collect-atstart=no", f"--toggle-collect={WATCHED}", f"--dump-after={WATCHED}"]
        done = subprocess.run(["valgrind", "--tool=callgrind", *options, PROGRAM], capture_output=True, text=True, check=False, timeout=300)
        if done.returncode != 0:
            raise RuntimeError(f"valgrind failed:\n{done.stderr}")
        per_query = {}
        for part, line in enumerate(done.stdout.splitlines(), start=1):
            case, queries = line.split()
            per_query[case] = round(own_instructions(Path(f"{out}.{part}").read_text()) / int(queries), 1)
    return Count(rustc=release, architecture=host.partition("-")[0], per_query=per_query)


def own_instructions(profile: str) -> int:
    """Self cost, in the program's own object, of all functions of a profile in callgrind's format."""
    names: dict[str, str] = {}
    is_own = False
    is_of_callee = False  # the line after `calls=` is the callee's inclusive cost, which stands under the callee too
    total = 0
    for line in profile.splitlines():
        if match := re.match(r"(c?ob)=\((\d+)\)(?: (.*))?", line):
            kind, number, name = match.groups()
            names.setdefault(number, name)
            if kind == "ob":
                is_own = names[number].endswith(f"/{PROGRAM.name}")
        elif line.startswith("calls="):
            is_of_callee = True
        elif re.match(r"[+\-*\d]", line):
            if is_own and not is_of_callee:
                total += int(line.split()[1])
            is_of_callee = False
    return total


def recorded() -> Count:
    """The record."""
    return Count(**json.loads(RECORD.read_text()))


def main() -> int:
    """Counts and prints; 1 when a case costs more than its room."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", action="store_true", help="make what is counted the record")
    arguments = parser.parse_args()
    now = count()
    before = recorded() if RECORD.exists() else now
    print(f"{'':14} {'counted':>8} {'recorded':>8}   rustc {now.rustc}, recorded with {before.rustc}")
    for case, number in now.per_query.items():
        print(f"{case:14} {number:8.0f} {before.per_query.get(case, number):8.0f}")
    if arguments.record:
        document = {"rustc": now.rustc, "architecture": now.architecture, "per_query": now.per_query}
        RECORD.write_text(json.dumps(document, indent=2) + "\n")
        return 0
    return 1 if now.dearer(before) else 0


if __name__ == "__main__":
    sys.exit(main())
