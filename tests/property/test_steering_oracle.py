"""The decision against an independent oracle, and explain against the wire, on random records, health, overrides, locations and clients.

The system under test is the real dataplane process, fed by the code that control uses for it; the oracle (`tests/support/oracle`) is
written from the pages. A disagreement is cut down to the smallest world that still shows it, and printed whole.
"""

from __future__ import annotations

import copy
import itertools
import json
import random
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from tests.support import oracle
from tests.support.oracle import sticky
from tests.support.steered_plane import Plane, Question, running_plane
from tests.support.steering_judge import Scene, judge_explanation, judge_message
from tests.support.steering_worlds import Document, absolute, clients, is_valid, mood, world

SEED = 7871
MOODS = 3
SAMPLE = {"worlds": 3, "count": 230}
WHOLE = {"worlds": 45, "count": 750}
# Every so many worlds there are more sets of rules than merged maps.
CROWDED_EVERY = 3
BATCH = 64


@dataclass(frozen=True)
class Case:
    """One question in one world and mood."""

    world: Document
    mood: Document
    question: Question

    def __str__(self) -> str:
        return json.dumps({"world": self.world, "mood": self.mood, "question": asdict(self.question)}, ensure_ascii=False)


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


@dataclass(slots=True)
class Tally:
    """What was judged, and in which of the ways that there are it was decided: a sample that reaches only some of them proves little."""

    cases: int = 0
    replies: int = 0
    ways: set[tuple[str, object]] = field(default_factory=set)

    def note(self, explanation: Document) -> None:
        for step in explanation["path"]:
            self.ways.add(("step", step["step"]))
            if step["step"] == "steered":
                decision = step["decision"]
                self.ways |= {("verdict", pool["verdict"]) for pool in decision["pools"]}
                self.ways |= {("from", decision["choice"]["from"]), ("select", decision["choice"]["select"])}
                self.ways |= {
                    ("outcome", decision["outcome"]),
                    ("ttl", decision["ttl"]["because"]),
                    ("scope", decision["scope"]["because"]),
                }


EVERY_WAY = {
    *(("step", step) for step in ("exact", "wildcard", "absent", "static", "steered", "nodata")),
    *(("verdict", verdict) for verdict in ("serves", "too-little-up", "only-drained", "all-down", "not-reached")),
    *(("from", source) for source in ("pool", "drained", "serve-all", "values", "nothing")),
    *(("select", select) for select in ("weighted", "sticky", "nearest", None)),
    *(("outcome", outcome) for outcome in ("answer", "nodata", "servfail")),
    *(("ttl", because) for because in ("record", "max", "min", "bound")),
    *(("scope", because) for because in ("everybody", "rule", "sticky-prefix", "location-network")),
}  # fmt: skip


async def judge(plane: Plane, scene: Scene, asked: Sequence[Question], tally: Tally) -> dict[Question, list[str]]:
    """The differences of each question, where there are any."""
    found: dict[Question, list[str]] = defaultdict(list)
    # Nobody can be asked for by no bits at all: the sender counts, whom EXPLAIN does not know.
    explained = [question for question in asked if not question.client.endswith("/0")]
    for question, explanation in zip(explained, await plane.explain(explained), strict=True):
        if "error" in explanation:
            found[question].append(f"explain refuses: {explanation['error']}")
        else:
            found[question] += [f"explain: {each}" for each in judge_explanation(scene, question, explanation)]
            tally.note(explanation)
    sent = [question for question in asked if "/" in question.client or question.client.startswith("127.")]
    for question, reply in zip(sent, await plane.ask(sent), strict=True):
        found[question] += [f"wire: {each}" for each in judge_message(scene, question, reply, [])]
    tally.cases += len(asked)
    tally.replies += len(sent)
    return {question: differences for question, differences in found.items() if differences}


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


# Cutting down.


async def differences_of(plane: Plane, case: Case) -> list[str]:
    """A case alone, a few times: what is drawn differs."""
    await plane.load(case.world)
    plane.feel(case.mood)
    for _ in range(5):
        if differences := await judge(plane, Scene(case.world, case.mood), [case.question], Tally()):
            return differences[case.question]
    return []


async def shrink(plane: Plane, case: Case) -> Case:
    """Leaves out whatever is not needed for some difference."""
    document = {"world": case.world, "mood": case.mood}
    for _ in range(2):
        for path in [path for path in containers(document) if len(path) > 1]:
            document = await _shrink_at(plane, case.question, document, path)
    return Case(document["world"], document["mood"], case.question)


async def _shrink_at(plane: Plane, question: Question, document: Document, path: Sequence[Any]) -> Document:
    """Leaves out halves, quarters and at last single items of one mapping or list, as long as a difference stays."""
    try:
        size = len(at(document, path))
    except LookupError:
        return document  # left out already
    while size:
        start = 0
        while start < len(at(document, path)):
            smaller = without(document, path, start, start + size)
            if await still_differs(plane, Case(smaller["world"], smaller["mood"], question)):
                document = smaller
            else:
                start += size
        size //= 2
    return document


def without(document: Document, path: Sequence[Any], start: int, end: int) -> Document:
    """A copy that lacks some items of the mapping or list at a place."""
    smaller = copy.deepcopy(document)
    held = at(smaller, path)
    for key in list(held)[start:end] if isinstance(held, dict) else [slice(start, end)]:
        del held[key]
    return smaller


def containers(document: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all mappings and lists, outer ones first."""
    if isinstance(document, dict | list):
        yield path
        for key, held in document.items() if isinstance(document, dict) else enumerate(document):
            yield from containers(held, (*path, key))


def at(document: Any, path: Sequence[Any]) -> Any:
    for key in path:
        document = document[key]
    return document


async def still_differs(plane: Plane, case: Case) -> bool:
    """Whether a cut-down case is one that can be played, and shows a difference."""
    try:
        is_valid_still = all(is_valid(record["name"], record["data"]) for record in case.world["records"])
        return is_valid_still and bool(await differences_of(plane, case))
    except (AssertionError, AttributeError, LookupError, TypeError, ValueError):
        return False
