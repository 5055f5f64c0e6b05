"""Puts the ratios of a result into the README, so that what it quotes is what was measured.

python -m bench.quote bench/results/2026-11-20-1330.txt
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from bench.report import ROOT

README = ROOT / "README.md"
BEGIN, END = "<!-- ratios: python -m bench.quote -->", "<!-- end of ratios -->"
# As `bench.goals.Ratio` is written: world, ours, case / theirs, ratio [low, high] <= bound.
LINE = re.compile(r"^  (\w+) +(\S+) (\S+) / (.+?) {2,}([\d.]+) (\[[\d., ]+\])", re.MULTILINE)


def table(name: str, result: str) -> str:
    """The ratios of a result's goals as a table of the README."""
    head = re.search(r"^geodns bench, (\S+) .*commit (\S+)$", result, re.MULTILINE)
    cpu = re.search(r'"cpu": "([^"]+)", "cores": (\d+)', result)
    if head is None or cpu is None:
        raise ValueError(f"{name} is no result of the bench")
    rows = [f"| {world} | {case} | {theirs} | {ratio} | {interval} |" for world, _, case, theirs, ratio, interval in LINE.findall(result)]
    told = f"CPU per answered query, geodns over the other, in one run on {cpu[1]} with {cpu[2]} cores ({head[1]}, commit {head[2]},"
    lines = [f"{told}", f"[bench/results/{name}](bench/results/{name}); [how](docs/performance.md)):", ""]
    lines += ["| world | case | over | ratio of medians | 95 % |", "|---|---|---|---|---|", *rows]
    return "\n".join(lines)


def quote(path: Path) -> None:
    """Rewrites the README between its two marks."""
    text = README.read_text()
    before, rest = text.split(BEGIN)
    _, after = rest.split(END)
    README.write_text(f"{before}{BEGIN}\n{table(path.name, path.read_text())}\n{END}{after}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m bench.quote", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("result", type=Path, metavar="FILE", help="of bench/results/")
    quote(parser.parse_args().result)
