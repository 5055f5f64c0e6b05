"""How a simulation is drawn (docs/simulate.md): what moves first, then where it goes, for eyes that are tired.

Red loses, green gains; every figure also stands without its colour. What is long is cut, and `--json` has it whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from geodns.cli.output import table

MAX_ROWS = 12
"""Of a table: what fits beside the others on one screen."""

MAX_RECORDS = 40
"""Lines of the overview of many records."""

UNCHANGED = 0.00005
"""Below it a difference is not shown as one: it would be printed as 0.0 %."""

OUTCOMES = {
    "answer": "answered",
    "nodata": "NODATA, because nothing is up",
    "servfail": "SERVFAIL, because nothing is up",
    "absent": "no such record",
}

SOURCES = {
    "pool": "pool {pool}",
    "drained": "drained values of pool {pool}",
    "serve-all": "everything of pool {pool} (all_down)",
    "values": "the record's own values (all_down)",
    "nothing": "nothing (all_down)",
    "static": "the record without steering",
    "absent": "no such record",
}


def draw(document: Mapping[str, Any]) -> Group:
    """The whole document."""
    parts: list[RenderableType] = [_draw_question(document)]
    parts += [Text.from_markup(f"[yellow]note:[/] {escape(note)}") for note in document["notes"]]
    records = document["records"]
    if len(records) == 1:
        parts += _draw_record(records[0])
    else:
        parts += _draw_records(records, document["total"])
    return Group(*parts)


def _draw_question(document: Mapping[str, Any]) -> Text:
    said = [f"{escape(each['target'])} {each['state']} ({each['values']} values)" for each in document["assumptions"]]
    if document["changed"]:
        said.insert(0, "the record were the given one")
    population = document["population"]
    clients = {
        "databases": "all networks of the location databases by size",
        "addresses": "all addresses, because there is no location database",
        "prefixes": f"{population['prefixes']} prefixes by weight",
    }[population["source"]]
    return Text.from_markup(f"[bold]if[/] {', '.join(said[:MAX_ROWS]) or 'nothing were assumed'}; [bold]clients:[/] {clients}")


def _draw_record(report: Mapping[str, Any]) -> list[RenderableType]:
    select = report["select"]
    methods = " then ".join(dict.fromkeys(method or "without steering" for method in (select["before"], select["after"])))
    parts: list[RenderableType] = [
        Text.from_markup(f"\n[bold]{escape(report['name'])} {report['type']}[/], {methods}: {_describe_moved(report['moved'])}"),
        *_section("SITE", ((row["site"], row) for row in report["sites"])),
    ]
    if any(row["site"] for row in report["values"]):
        parts += _section("VALUE", ((f"{row['value']} ({row['site'] or 'no site'})", row) for row in report["values"]))
    parts += _draw_outcomes(report["outcomes"])
    parts += _section("ANSWERED FROM", ((SOURCES[row["from"]].format(pool=row["pool"]), row) for row in report["pools"]))
    parts += _draw_moves(report)
    parts += _draw_countries(report["countries"])
    if report["error"]:
        size = "" if report["sample"] is None else f" ({report['sample']:,} clients were drawn)"
        parts.append(Text.from_markup(f"[dim]shares are right to ±{report['error']:.2%}{size}[/]"))
    return parts


def _draw_records(records: Sequence[Mapping[str, Any]], total: Mapping[str, Any]) -> list[RenderableType]:
    """One line a record, what moves most first, and the sum."""
    ranked = sorted(records, key=lambda report: -report["moved"])
    rows = [(f"{report['name']} {report['type']}", f"{report['moved']:.1%}", _name_movement(report)) for report in ranked[:MAX_RECORDS]]
    parts: list[RenderableType] = [
        Text.from_markup(f"\n[bold]{total['records']} records[/], each counted alike: {_describe_moved(total['moved'])}"),
        *_section("SITE", ((row["site"], row) for row in total["sites"])),
        *_draw_outcomes(total["outcomes"]),
        Text(),
        table(("RECORD", "MOVE", "MOST OF THEM"), rows),
    ]
    if len(ranked) > MAX_RECORDS:
        parts.append(Text.from_markup(f"[dim]and {len(ranked) - MAX_RECORDS} more; --json shows all[/]"))
    return parts


def _describe_moved(moved: float) -> str:
    if moved < UNCHANGED:
        return "[green]nobody gets another answer[/]"
    return f"[bold yellow]{moved:.1%} of all clients[/] get another answer"


def _name_movement(report: Mapping[str, Any]) -> str:
    if not report["moves"]:
        return ""
    row = report["moves"][0]
    return f"{_name_end(row['from'])} → {_name_end(row['to'])} {row['clients']:.1%}"


def _name_end(end: Mapping[str, Any]) -> str:
    if end["value"] is None:
        return OUTCOMES[end["outcome"]]
    return f"{end['value']} ({end['site']})" if end["site"] else str(end["value"])


def _section(title: str, rows: Iterable[tuple[str, Mapping[str, Any]]]) -> list[RenderableType]:
    """Shares before and after, the largest first; what nobody gets on either side is left out."""
    all_rows = [(label, row) for label, row in rows if max(row["before"], row["after"]) >= UNCHANGED]
    made = _shares_table(title)
    for label, row in all_rows[:MAX_ROWS]:
        made.add_row(Text(label), *_figures(row["before"], row["after"]))
    return [Text(), made, *_cut(len(all_rows))]


def _shares_table(title: str, *further: str) -> Table:
    made = table((title,), ())
    for column in ("BEFORE", "AFTER", "CHANGE", *further):
        made.add_column(column, justify="right")
    return made


def _figures(before: float, after: float) -> tuple[Text, Text, Text]:
    change = after - before
    shown = Text("")
    if abs(change) >= UNCHANGED:
        shown = Text(f"{change:+.1%}", style="green" if change > 0 else "red")
    return Text(f"{before:.1%}"), Text(f"{after:.1%}"), shown


def _draw_outcomes(outcomes: Sequence[Mapping[str, Any]]) -> list[RenderableType]:
    """Only where somebody gets no answer: that everybody gets one is no news."""
    if all(row["outcome"] == "answer" for row in outcomes):
        return []
    return _section("OUTCOME", ((OUTCOMES[row["outcome"]], row) for row in outcomes))


def _draw_moves(report: Mapping[str, Any]) -> list[RenderableType]:
    """By site, where values have one."""
    sums: dict[tuple[str, str], float] = {}
    for row in report["moves"]:
        key = tuple(end["site"] or _name_end(end) for end in (row["from"], row["to"]))
        sums[key[0], key[1]] = sums.get((key[0], key[1]), 0.0) + row["clients"]
    if report["moves_left_out"] >= UNCHANGED:
        sums["others", "others"] = report["moves_left_out"]
    ranked = sorted(sums.items(), key=lambda item: -item[1])
    if not ranked:
        return []
    made = table(("FROM", "TO"), ())
    made.add_column("CLIENTS", justify="right")
    for (source, destination), clients in ranked[:MAX_ROWS]:
        made.add_row(Text(source), Text(destination), Text(f"{clients:.1%}"))
    return [Text(), made, *_cut(len(ranked))]


def _draw_countries(countries: Sequence[Mapping[str, Any]]) -> list[RenderableType]:
    """Those in which most clients move."""
    moving = sorted((row for row in countries if row["moved"] >= UNCHANGED), key=lambda row: -row["moved"])
    if not moving:
        return []
    made = table(("COUNTRY",), ())
    for column in ("CLIENTS", "MOVE", "OF ITS OWN", "MOSTLY TO"):
        made.add_column(column, justify="right")
    for row in moving[:MAX_ROWS]:
        gains = max(row["sites"], key=lambda site: site["after"] - site["before"], default=None)
        goal = gains["site"] if gains is not None and gains["after"] > gains["before"] else ""
        part = row["moved"] / row["clients"] if row["clients"] else 0.0
        made.add_row(
            Text(row["country"] or "unknown"), Text(f"{row['clients']:.1%}"), Text(f"{row['moved']:.1%}"), Text(f"{part:.0%}"), Text(goal)
        )
    return [Text(), made, *_cut(len(moving))]


def _cut(rows: int) -> list[RenderableType]:
    return [Text.from_markup(f"[dim]and {rows - MAX_ROWS} more; --json shows all[/]")] if rows > MAX_ROWS else []
