"""The decision against an independent oracle, and explain against the wire, on random records, health, overrides, locations and clients.

The system under test is the real dataplane process, fed by the code that control uses for it; the oracle (`tests/support/oracle`) is
written from the pages. A disagreement is cut down to the smallest world that still shows it, and printed whole.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator, Sequence
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from tests.support import oracle
from tests.support.oracle import sticky
from tests.support.steered_plane import Question, running_plane
from tests.support.steering_judge import Scene, Tally, judge
from tests.support.steering_shrink import Case, differences_of, shrink
from tests.support.steering_worlds import Document, absolute, clients, mood, world

SEED = 7871
MOODS = 3
SAMPLE = {"worlds": 3, "count": 230}
WHOLE = {"worlds": 45, "count": 750}
# Every so many worlds there are more sets of rules than merged maps.
CROWDED_EVERY = 3
BATCH = 64


def questions(rng: random.Random, drawn: Document, count: int) -> list[Question]:
    """So many questions, evenly over the records."""
    sources = [(record, clients(rng, drawn, record)) for record in drawn["records"]]
    found: list[Question] = []
    for record, source in itertools.islice(itertools.cycle(sources), count):
        name = absolute(record["name"]).replace("*", rng.choice(("a", "b")))
        rtype = record["data"]["type"]
        if rtype == "CNAME":
            rtype = rng.choice(("A", "A", "AAAA", "CNAME"))
        found.append(Question(name, rtype, next(source)))
    return found


EVERY_WAY = {
    *(("step", step) for step in ("exact", "wildcard", "absent", "static", "steered", "nodata")),
    *(("verdict", verdict) for verdict in ("serves", "too-little-up", "only-drained", "all-down", "not-reached")),
    *(("from", source) for source in ("pool", "drained", "serve-all", "values", "nothing")),
    *(("select", select) for select in ("weighted", "sticky", "nearest", None)),
    *(("outcome", outcome) for outcome in ("answer", "nodata", "servfail")),
    *(("ttl", because) for because in ("record", "max", "min", "bound")),
    *(("scope", because) for because in ("everybody", "rule", "sticky-prefix", "location-network")),
}  # fmt: skip


async def run(directory: Path, *, worlds: int, count: int) -> Tally:
    """Judges `count` questions in each mood of each world."""
    tally = Tally()
    async with running_plane(directory) as plane:
        for number in range(worlds):
            rng = random.Random(f"{SEED}/{number}")  # noqa: S311 # cases, not secrets
            drawn = world(rng, crowded=number % CROWDED_EVERY == CROWDED_EVERY - 1)
            await plane.load(drawn)
            for _ in range(MOODS):
                felt = mood(rng, drawn)
                plane.feel(felt)
                scene = Scene(drawn, felt)
                for batch in batches(questions(rng, drawn, count)):
                    if differences := await judge(plane, scene, batch, tally):
                        question, told = next(iter(differences.items()))
                        case = await shrink(plane, Case(drawn, felt, question))
                        pytest.fail("\n".join((f"world {number}:", *told, "cut down:", *await differences_of(plane, case), str(case))))
    return tally


@pytest.mark.timeout(300)
async def test_the_engine_decides_as_the_oracle_and_explain_agrees_with_the_wire(tmp_path: Path) -> None:
    tally = await run(tmp_path, **SAMPLE)
    assert not EVERY_WAY - tally.ways


@pytest.mark.soak
@pytest.mark.timeout(3600)
async def test_the_engine_decides_as_the_oracle_in_a_hundred_thousand_cases(tmp_path: Path) -> None:
    tally = await run(tmp_path, **WHOLE)
    assert not EVERY_WAY - tally.ways
    assert tally.cases >= 100_000
    print(f"{tally.cases} cases explained, {tally.replies} of them asked over UDP too")


def test_the_oracle_knows_nothing_of_the_product() -> None:
    for path in Path(oracle.__file__).parent.glob("*.py"):
        imported = [line for line in path.read_text().splitlines() if line.startswith(("import ", "from "))]
        assert imported or path.name == "__init__.py"
        assert not [line for line in imported if "geodns" in line], path


def test_the_oracle_computes_the_vectors_of_the_page_on_sticky_answers() -> None:
    page = Path(__file__).parents[2] / "docs" / "sticky.md"
    values = [
        sticky.Live(text, ip_address(text).packed, site, weight, weight)
        for text, site, weight in (("192.0.2.1", "fra1", 3), ("192.0.2.2", "fra1", 1), ("192.0.2.3", "nyc1", 2), ("192.0.2.4", "", 1))
    ]
    vectors = re.findall(r"^\| `(\S+)` \| `([0-9a-f]{16})` \| ([0-9. ]+) \|$", page.read_text(), re.MULTILINE)
    assert len(vectors) == 12
    for client, key, order in vectors:
        network = ip_network(f"{client}/{24 if '.' in client else 56}", strict=False)
        found = sticky.key_of(b"\3www\7example\3com\0", network.version, network.prefixlen, network.network_address.packed)
        assert f"{found:016x}" == key
        assert [value.name for value in sticky.order(found, values)] == order.split()


def batches(asked: Sequence[Question]) -> Iterator[Sequence[Question]]:
    """As many as a socket's receive buffer surely holds the replies of."""
    return (asked[start : start + BATCH] for start in range(0, len(asked), BATCH))
