"""Holds what the dataplane tells and answers against the oracle; every difference is a sentence.

judge_explanation   each decision on the path, field by field, and the possible answer
judge_message       rcode, values, ttls and scope of a reply, along the chain of aliases that it shows
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from ipaddress import ip_network

from tests.support.oracle.decision import Client, Decision, Entry, Override, Steered, World, decide
from tests.support.oracle.location import Locations
from tests.support.steered_plane import STATIC, Message, Plane, Question, read_possible
from tests.support.steering_worlds import ZONE, Document, absolute, full_name

SHARE_TOLERANCE = 1e-9
# The sender of a query with a client subnet, as our socket has it.
HERE = "127.0.0.1"


@dataclass
class Scene:
    """A world in a mood as the oracle sees it."""

    world: Document
    mood: Document

    @cached_property
    def oracle(self) -> World:
        networks = [each["networks"] for each in self.world["databases"]]
        lists = {name: [ip_network(text) for text in texts] for name, texts in self.world["lists"].items()}
        overrides = [Override(word["kind"], word["target"], word["state"], word["expires_in_s"]) for word in self.mood["overrides"]]
        return World(Locations.read(networks), lists, overrides)

    @cached_property
    def records(self) -> Mapping[tuple[str, str], Steered]:
        """By owner name and type."""
        verdicts: dict[str, dict[tuple[str, str], Entry]] = {}
        for each in self.mood["verdicts"]:
            entry = Entry(each.get("down", False), each.get("factor", 1000), each.get("bound"))
            verdicts.setdefault(each["record"], {})[each["pool"], each["value"]] = entry
        return {
            (absolute(record["name"]), record["data"]["type"]): Steered(
                absolute(record["name"]), record["data"], verdicts.get(full_name(record), {})
            )
            for record in self.world["records"]
        }

    @cached_property
    def names(self) -> frozenset[str]:
        """All owner names."""
        return frozenset({owner for owner, _ in self.records} | {absolute(name) for name in STATIC})

    def owner_of(self, name: str) -> str | None:
        """The name itself, or the wildcard that stands for it; None when neither is there."""
        wildcard = "*." + name.partition(".")[2]
        return name if name in self.names else wildcard if wildcard in self.names else None

    def find(self, owner: str, rtype: str) -> Steered | Document | None:
        """What answers at an owner name: the type itself, or an alias."""
        steered = self.records.get((owner, rtype)) or self.records.get((owner, "CNAME"))
        static = next((data for held, data in STATIC.items() if absolute(held) == owner and data["type"] == rtype), None)
        return steered or static


def client_of(question: Question) -> Client:
    """A client subnet of no bits is nobody's: the sender counts."""
    return Client.parse(HERE if question.client.endswith("/0") else question.client)


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


def judge_explanation(scene: Scene, question: Question, explanation: Document) -> Iterator[str]:
    """Differences between an explanation and the oracle."""
    decisions: list[Decision] = []
    yield from judge_message(scene, question, read_possible(explanation), decisions)
    told = [step["decision"] for step in explanation["path"] if step["step"] == "steered"]
    if len(told) != len(decisions):
        yield f"{len(told)} decisions on the path, not {len(decisions)}"
    for document, decision in zip(told, decisions, strict=False):
        yield from _judge_decision(document, decision, is_crowded=scene.world["crowded"])


def _judge_decision(told: Document, decision: Decision, *, is_crowded: bool) -> Iterator[str]:
    choice = told["choice"]
    candidates = {each["value"].removesuffix("."): each for each in choice["candidates"]}
    expected = {each.text.removesuffix("."): each for each in decision.candidates}
    facts = (
        ("rule", told["rule"], decision.rule),
        ("pool verdicts", {pool["pool"]: pool["verdict"] for pool in told["pools"]}, dict(decision.verdicts)),
        ("source", choice["from"], decision.source),
        ("pool", choice["pool"], decision.pool),
        ("answers", choice["answers"], decision.answers),
        ("candidates", sorted(candidates), sorted(expected)),
        ("outcome", told["outcome"], decision.outcome),
        ("ttl", told["ttl"]["seconds"], decision.ttl if decision.outcome == "answer" else told["ttl"]["seconds"]),
    )
    yield from (f"{what}: explain {found!r}, oracle {wanted!r}" for what, found, wanted in facts if found != wanted)
    yield from _judge_scope("rule scope", told["scope"]["rule"], decision.rule_scope, is_crowded=is_crowded)
    yield from _judge_scope("scope", told["scope"]["prefix"], decision.scope, is_crowded=is_crowded)
    for name in candidates.keys() & expected.keys():
        found, wanted = candidates[name]["probability"], expected[name].chance
        if found is None or abs(found - wanted) > SHARE_TOLERANCE:
            yield f"probability of {name}: explain {found}, oracle {float(wanted)}"
        share = expected[name].share
        if share is not None and abs(candidates[name]["share"] - share) > SHARE_TOLERANCE:
            yield f"share of {name}: explain {candidates[name]['share']}, oracle {float(share)}"


def _judge_scope(what: str, found: int | None, wanted: int | None, *, is_crowded: bool) -> Iterator[str]:
    """Past the limit of merged maps a scope may be longer than the shortest, never shorter."""
    is_longer = found is not None and wanted is not None and found > wanted
    if found != wanted and not (is_crowded and is_longer):
        yield f"{what}: {found}, oracle {wanted}"


def judge_message(scene: Scene, question: Question, seen: Message, decisions: list[Decision]) -> Iterator[str]:
    """Differences between an answer and what the oracle allows; `decisions` gets those on its way."""
    client = client_of(question)
    if seen.rcode == "SERVFAIL":
        yield from _judge_failure(scene, question, seen, decisions)
        return
    rest = list(seen.answer)
    name, rcode, scope = question.name, "NOERROR", 0
    while True:
        owner = scene.owner_of(name)
        held = None if owner is None else scene.find(owner, question.rtype)
        if held is None:
            rcode = "NXDOMAIN" if owner is None else "NOERROR"
            break
        rtype = held.rtype if isinstance(held, Steered) else held["type"]
        here = [record for record in rest if record[:2] == (name, rtype)]
        rest = [record for record in rest if record not in here]
        values = [value for *_, value in here]
        if not isinstance(held, Steered):
            wanted = [(name, rtype, held["ttl"], value) for value in held["values"]]
            if here != wanted:
                yield f"static {name}: {here}"
            break
        decision = decide(scene.oracle, held, client)
        decisions.append(decision)
        scope = max(scope, decision.scope)
        if decision.outcome != "answer":
            rcode = "NOERROR" if decision.outcome == "nodata" else "SERVFAIL"
            yield from (f"{decision.outcome}, and yet {record}" for record in here)
            yield from _judge_denial(seen.authority, decision)
            break
        yield from (f"ttl of {record}: oracle {decision.ttl}" for record in here if record[2] != decision.ttl)
        yield from _judge_draw(values, decision)
        if rtype != "CNAME" or question.rtype == "CNAME" or not values:
            break
        name = values[0]
        if not f".{name}".endswith(f".{ZONE}"):
            break
    if rest:
        yield f"answered beside the point: {rest}"
    if seen.rcode != rcode:
        yield f"rcode {seen.rcode}, oracle {rcode}"
    yield from _judge_scope("reply's scope", seen.scope, _told(question, client, scope), is_crowded=scene.world["crowded"])


def _judge_failure(scene: Scene, question: Question, seen: Message, decisions: list[Decision]) -> Iterator[str]:
    """A SERVFAIL shows no aliases, so that any way may have led to it; an explanation tells which."""
    client = client_of(question)
    ways = [
        way for way in _failing_ways(scene, question.name, question.rtype, client) if seen.way in (None, tuple(name for name, _ in way))
    ]
    if not ways or seen.answer:
        yield f"SERVFAIL with {seen.answer} by {len(ways)} ways"
        return
    scopes = [_told(question, client, max(decision.scope for _, decision in way)) for way in ways]
    scope = seen.scope if seen.scope in scopes else scopes[0]
    decisions += [decision for _, decision in ways[scopes.index(scope)]]
    yield from _judge_scope("reply's scope", seen.scope, scope, is_crowded=scene.world["crowded"])


def _failing_ways(scene: Scene, name: str, rtype: str, client: Client) -> Iterator[list[tuple[str, Decision]]]:
    """Names and decisions along each chain of aliases that ends in a SERVFAIL."""
    owner = scene.owner_of(name)
    held = None if owner is None else scene.find(owner, rtype)
    if not isinstance(held, Steered):
        return
    decision = decide(scene.oracle, held, client)
    if decision.outcome == "servfail":
        yield [(name, decision)]
    elif held.rtype == "CNAME" and rtype != "CNAME":
        for candidate in decision.candidates:
            if candidate.chance:
                for way in _failing_ways(scene, candidate.text.removesuffix("."), rtype, client):
                    yield [(name, decision), *way]


def _told(question: Question, client: Client, scope: int) -> int | None:
    """The scope as the reply gives it: a mapped client subnet counts its bits as IPv6 (RFC 7871 §6 knows families, not their mapping)."""
    if "/" not in question.client:
        return None
    if question.client.endswith("/0"):
        return 0
    is_mapped = client.family == 4 and ":" in question.client
    return scope + 96 if is_mapped and scope else scope


def _judge_denial(authority: Sequence[tuple[str, str, int, str]], decision: Decision) -> Iterator[str]:
    soas = [record for record in authority if record[1] == "SOA"]
    if len(soas) != 1 or soas[0][2] > decision.negative_ttl:
        yield f"NODATA with {authority}: the negative ttl is at most {decision.negative_ttl}"


def _judge_draw(values: Sequence[str], decision: Decision) -> Iterator[str]:
    """Whether an answer's values are a possible draw."""
    chances = {each.text.removesuffix("."): each.chance for each in decision.candidates}
    if len(values) != decision.answers or len(set(values)) != len(values):
        yield f"{values}: oracle wants {decision.answers} different values"
    yield from (f"{value} cannot be drawn from {sorted(chances)}" for value in values if not chances.get(value))
    yield from (f"{value} is always drawn, but not in {values}" for value, chance in chances.items() if chance == 1 and value not in values)
    if decision.order is not None and [value.removesuffix(".") for value in decision.order] != list(values):
        yield f"order {values}, oracle {list(decision.order)}"
