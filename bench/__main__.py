"""`make bench`: what geodns costs, beside its peers and by itself, and which goals hold.

    make bench                                               everything
    make bench BENCH="peers --cases static,country --servers geodns,gdnsd,echo --rounds 3"
    make bench BENCH="overload change --writes 500"
    make bench BENCH="health --values 1000 --output health.txt"

Progress goes to standard error, the findings to standard output and with machine, commit and command into a new file of bench/results/.
The last line sums up, and the exit status is 1 when a goal was missed or a part broke off. Everything takes half an hour on two
cores that have nothing else to do; on a busy machine only the ratios are worth something.

parts:
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from bench import change, health, overload, queries
from bench.measure import PROGRAMS
from bench.report import Report
from geodns.control.binary import find_binary
from geodns.errors import StartupError

PARTS: dict[str, tuple[str, Callable[[argparse.Namespace, Path, Report], None]]] = {
    **{world.name: (world.about, partial(queries.measure, world)) for world in queries.WORLDS},
    overload.PART: ("a tenth of a core, offered three times what that can answer", overload.measure),
    change.PART: ("what writes, imports, starts and a million names cost", change.measure),
    health.PART: ("what checking 10,000 servers costs, and how soon a result is on the wire", health.measure),
}


def main() -> int:
    """Runs the parts one after the other; 0 when no goal was missed."""
    arguments = make_parser().parse_args()
    if complaint := what_is_missing():
        print(complaint, file=sys.stderr)
        return 2
    report = Report(sys.argv[1:])
    for part in dict.fromkeys(arguments.parts or PARTS):
        _, measure = PARTS[part]
        with tempfile.TemporaryDirectory(prefix=f"geodns-bench-{part}-") as scratch:
            Path(scratch).chmod(0o755)  # for peers that change their user
            try:
                measure(arguments, Path(scratch), report)
            except Exception as error:  # whatever it is, the other parts are worth having
                report.fail(part, error)
    return 0 if report.end(arguments.output) else 1


def make_parser() -> argparse.ArgumentParser:
    """All options; the defaults are what the goals are for."""
    told = "".join(f"  {part:9} {about}\n" for part, (about, _) in PARTS.items())
    lists = {"cases": queries.CASE_NAMES, "servers": queries.SERVER_NAMES, "steps of change": tuple(change.STEPS)}
    told += "".join(f"\n{what}: {', '.join(names)}" for what, names in lists.items())
    parser = argparse.ArgumentParser(
        prog="python -m bench", description=f"{__doc__}{told}", formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("parts", nargs="*", metavar="PART", type=name_of(tuple(PARTS)), help="which parts, in this order (all)")
    parser.add_argument("--output", type=Path, metavar="FILE", help="where the report goes (a new file of bench/results/)")
    asked = parser.add_argument_group("all parts but change and health")
    asked.add_argument("--rounds", metavar="N", type=int, default=25, help="rounds (25)")
    asked.add_argument("--seconds", metavar="S", type=float, default=0.3, help="of one server with one case in a round (0.3)")
    asked.add_argument("--cases", metavar="CASE,…", type=names_of(queries.CASE_NAMES), help="only these (all)")
    asked.add_argument("--servers", metavar="SERVER,…", type=names_of(queries.SERVER_NAMES), help="only these (all that are installed)")
    changed = parser.add_argument_group("change")
    changed.add_argument("--names", metavar="N", type=int, default=1_000_000, help="static names in the zone (1000000)")
    changed.add_argument("--writes", metavar="N", type=int, default=10_000, help="single writes, each a delta (10000)")
    changed.add_argument("--import", metavar="N", dest="imported", type=int, default=100_000, help="rrsets of the imports (100000)")
    changed.add_argument(
        "--steps", metavar="STEP,…", type=names_of(tuple(change.STEPS)), help="only these; seed is the first (all but large)"
    )
    checked = parser.add_argument_group("health")
    checked.add_argument("--values", metavar="N", type=int, default=10_000, help="servers that are checked (10000)")
    checked.add_argument("--interval", metavar="S", type=float, default=10.0, help="between two checks of one (10)")
    checked.add_argument("--routine", metavar="S", type=float, default=30.0, help="of the routine whose CPU is measured (30)")
    checked.add_argument("--singles", metavar="N", type=int, default=300, help="servers that fall one by one (300)")
    checked.add_argument("--together", metavar="N", type=int, default=2_000, help="servers that fall at once (2000)")
    return parser


def name_of(known: tuple[str, ...]) -> Callable[[str], str]:
    """Reads one of these names; argparse shows what is said of any other."""

    def read(text: str) -> str:
        if text not in known:
            raise argparse.ArgumentTypeError(f"there is no {text}; there are {', '.join(known)}")
        return text

    return read


def names_of(known: tuple[str, ...]) -> Callable[[str], list[str]]:
    """Reads some of these names, with commas between them."""
    read_one = name_of(known)
    return lambda text: [read_one(name) for name in text.split(",")]


def what_is_missing() -> str | None:
    """What the bench cannot do without, in words; a peer that is missing is only left out."""
    lines = [f"{program} is not installed: apt-get install {program}" for program in ("dnsperf",) if shutil.which(program) is None]
    lines += [
        f"{PROGRAMS / program} is not built: cd bench/echo && cargo build --release --locked"
        for program in ("geodns-bench-echo", "geodns-bench-once", "geodns-bench-checked")
        if not (PROGRAMS / program).exists()
    ]
    try:
        find_binary()
    except StartupError as error:
        lines.append(f"{error}: make bench builds it and names it")
    return "\n".join(lines) or None


if __name__ == "__main__":
    sys.exit(main())
