"""How an explanation is drawn (docs/explain.md): the answer first, then the way to it, for eyes that are tired.

Green serves, red is down, yellow is drained or was passed over; every word also stands without its colour. A step or a key that this
program does not know is drawn by its own name, so that a newer dataplane is still understood.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from rich.markup import escape
from rich.tree import Tree

from geodns.cli.output import ago

STATE_COLOURS = {"up": "green", "down": "red", "drained": "yellow"}

POOL_VERDICTS = {
    "serves": "[green]serves[/]",
    "too-little-up": "[yellow]passed over: too little is up[/]",
    "only-drained": "[yellow]passed over: all that is up is drained[/]",
    "all-down": "[red]passed over: nothing is up[/]",
    "not-reached": "[dim]not reached[/]",
}

RULE_VERDICTS = {"decides": "[green]decides[/]", "matches-later": "[dim]matches, but later[/]", "no-match": "[dim]no match[/]"}

CHOICES = {
    "pool": "from pool {pool}",
    "drained": "[yellow]from drained values of pool {pool}, because nothing else is up[/]",
    "serve-all": "[yellow]everything of pool {pool}, because nothing is up (all_down)[/]",
    "values": "[yellow]the record's own values, because nothing is up (all_down)[/]",
    "nothing": "[red]nothing, because nothing is up (all_down)[/]",
}

TTL_REASONS = {
    "record": "the record's own",
    "max": "the ttl block's max: no change is near",
    "min": "the ttl block's min: a change may come any time",
    "bound": "a change is near",
}

SCOPE_REASONS = {
    "everybody": "every client gets this decision",
    "rule": "the shortest prefix around the client in which the same rule decides",
    "sticky-prefix": "the client prefix that sticky keeps together",
    "location-network": "the location database's network",
}


def draw(document: Mapping[str, Any]) -> Tree:
    """The whole document."""
    tree = Tree(_title(document), guide_style="dim")
    _draw_answer(tree, document["answer"])
    way = tree.add("[bold]why[/]")
    for step in document["path"]:
        _draw_step(way, step)
    return tree


def _title(document: Mapping[str, Any]) -> str:
    question, client = document["question"], document["client"]
    is_subnet = client["seen_as"] == "client subnet"
    whom = f"{client['address']}/{client['prefix']}" if is_subnet else client["address"]
    return (
        f"[bold]{escape(question['name'])} {escape(question['type'])}[/] for {escape(whom)} "
        f"({escape(client['seen_as'])}), {_place(client['location'])}"
    )


def _place(location: Mapping[str, Any]) -> str:
    """Where the client is, and which file says so."""
    parts = [part for part in (location["continent"], location["country"], *location["subdivisions"]) if part]
    said = [f"in {'-'.join(parts)}"] if parts else []
    if location["asn"] is not None:
        said.append(f"AS{location['asn']}")
    if location["latitude"] is not None and location["longitude"] is not None:
        said.append(f"at {location['latitude']:g} {location['longitude']:g}")
    if not said:
        return "location unknown"
    sources = sorted({source for fact in ("country", "asn", "coordinates") if (source := location["from"][fact])})
    return escape(", ".join(said) + (f" by {', '.join(sources)}" if sources else ""))


def _draw_answer(tree: Tree, answer: Mapping[str, Any]) -> None:
    colour = "green" if answer["rcode"] == "NOERROR" and answer["answer"] else "yellow"
    label = answer["rcode"] if answer["answer"] or answer["rcode"] != "NOERROR" else "NOERROR without an answer"
    scope = "" if answer["scope"] is None else f", scope /{answer['scope']}"
    branch = tree.add(f"[bold]answer[/]: [{colour}]{label}[/]{', authoritative' if answer['authoritative'] else ''}{scope}")
    for record in (*answer["answer"], *answer["authority"]):
        branch.add(escape(f"{record['name']} {record['ttl']} {record['type']} {record['data']}"))


def _draw_step(tree: Tree, step: Mapping[str, Any]) -> None:
    match step:
        case {"step": "search", "name": name, "zone": None}:
            tree.add(f"{escape(name)} lies in none of our zones")
        case {"step": "search", "name": name, "zone": zone}:
            tree.add(f"{escape(name)} lies in zone {escape(zone)}")
        case {"step": "exact", "rrsets": rrsets}:
            tree.add(f"the name is there, with {_count(rrsets, 'rrset')}" + ("" if rrsets else " (an empty non-terminal)"))
        case {"step": "wildcard", "rrsets": rrsets}:
            tree.add(f"a wildcard stands for the name, with {_count(rrsets, 'rrset')}")
        case {"step": "absent"}:
            tree.add("the name does not exist")
        case {"step": "delegation", "cut": cut}:
            tree.add(f"{escape(cut)} is delegated")
        case {"step": "dname", "owner": owner}:
            tree.add(f"a DNAME at {escape(owner)} redirects")
        case {"step": "static", "type": rtype, "ttl": ttl}:
            tree.add(f"{escape(rtype)} without steering, ttl {ttl}")
        case {"step": "steered", "type": rtype, "decision": Mapping() as decision}:
            _draw_decision(tree.add(f"[bold]{escape(rtype)} is steered[/]"), decision)
        case {"step": "nodata"}:
            tree.add("NODATA: the name exists, the type does not or is not given")
        case {"step": "loop"}:
            tree.add("[red]the chain of aliases comes back to itself, or is too long[/]")
        case _:
            tree.add(escape(", ".join(f"{key} {value}" for key, value in step.items())))


def _draw_decision(tree: Tree, decision: Mapping[str, Any]) -> None:
    rules = tree.add(f"rules: number {decision['rule']} decides")
    for rule in decision["rules"]:
        verdict = RULE_VERDICTS.get(rule["verdict"], escape(rule["verdict"]))
        because = escape("; ".join(rule["because"]))
        rules.add(f"{rule['rule']} to pool {escape(rule['pool'])}: {verdict} ({because}) [dim]{escape(rule['origin'])}[/]")
    pools = tree.add("pools: the rule's, then its fallbacks")
    chances = {candidate["value"]: candidate for candidate in decision["choice"]["candidates"]}
    for pool in decision["pools"]:
        _draw_pool(pools, pool, chances if pool["served"] else {})
    _draw_choice(tree, decision["choice"], shown=any(pool["served"] for pool in decision["pools"]))
    _draw_ttl(tree, decision["ttl"])
    scope = decision["scope"]
    tree.add(f"scope /{scope['prefix']}: {SCOPE_REASONS.get(scope['because'], escape(scope['because']))}")


def _draw_pool(tree: Tree, pool: Mapping[str, Any], chances: Mapping[str, Mapping[str, Any]]) -> None:
    share = "" if pool["live_share"] is None else f", {pool['live_share']:.0%} of its weight is up"
    wanted = f" ({pool['min_up']:.0%} wanted)" if pool["min_up"] else ""
    verdict = POOL_VERDICTS.get(pool["verdict"], escape(pool["verdict"]))
    branch = tree.add(f"[bold]{escape(pool['pool'])}[/]: {verdict}{share}{wanted}")
    for value in pool["values"]:
        branch.add(_describe_value(value, chances.get(value["value"])))


def _describe_value(value: Mapping[str, Any], candidate: Mapping[str, Any] | None) -> str:
    colour = STATE_COLOURS.get(value["state"], "default")
    parts = [f"[{colour}]{escape(value['value'])} {value['state']}[/] ({escape(value['because'])})"]
    if value["since_ms"] is not None:
        parts.append(f"for {ago(datetime.fromtimestamp(value['since_ms'] / 1000, UTC).isoformat())}")
    if value.get("override_set"):
        parts.append(_describe_override(value["override_set"]))
    if value.get("cause"):
        parts.append(escape(str(value["cause"])))
    weight = f"weight {value['weight']}"
    if value["effective_weight"] != value["weight"]:
        weight += f" (now {value['effective_weight']:g})"
    parts.append(weight)
    if value["site"]:
        parts.append(f"site {escape(value['site'])}")
    if candidate is not None:
        parts.append(_describe_chance(candidate))
    return ", ".join(parts)


def _describe_override(override: Mapping[str, Any]) -> str:
    """Whom to ask: who said it, of what, why, and until when."""
    until = "" if override["expires_at"] is None else f" until {override['expires_at']}"
    return escape(f"by {override['author']} for {override['kind']} {override['target']}{until}: {override['reason']}")


def _describe_chance(candidate: Mapping[str, Any]) -> str:
    if candidate["probability"] is None:
        return f"share {candidate['share']:.1%}"
    text = f"[bold]probability {candidate['probability']:.1%}[/]"
    return text if candidate["distance_km"] is None else f"{text}, {candidate['distance_km']} km away"


def _draw_choice(tree: Tree, choice: Mapping[str, Any], *, shown: bool) -> None:
    source = CHOICES.get(choice["from"], escape(choice["from"])).format(pool=escape(choice["pool"] or ""))
    how = f", {choice['answers']} of {len(choice['candidates'])}, {choice['select']}" if choice["select"] else ""
    branch = tree.add(f"choice: {source}{how}")
    if not shown:
        for candidate in choice["candidates"]:
            branch.add(f"{escape(candidate['value'])}, {_describe_chance(candidate)}")
    if choice["chosen"]:
        branch.add(f"this time: {escape(', '.join(choice['chosen']))}")


def _draw_ttl(tree: Tree, ttl: Mapping[str, Any]) -> None:
    reason = TTL_REASONS.get(ttl["because"], escape(ttl["because"]))
    bound = ttl["bound"]
    near = "" if bound is None else f" ({escape(bound['value'])} in pool {escape(bound['pool'])}: {bound['seconds']} s)"
    tree.add(f"ttl {ttl['seconds']} s: {reason}{near}")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
