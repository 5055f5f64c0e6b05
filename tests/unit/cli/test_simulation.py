"""How a simulation is drawn: what a tired operator must find, whatever else the document holds."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from geodns.cli.simulation import draw


def show(document: dict[str, Any]) -> str:
    console = Console(width=160, no_color=True)
    with console.capture() as captured:
        console.print(draw(document))
    return captured.get()


def make_report(**changes: Any) -> dict[str, Any]:
    """Half of the clients of fra move to nyc."""
    end = {"outcome": "answer", "value": "192.0.2.1", "site": "fra"}
    goal = {"outcome": "answer", "value": "192.0.2.2", "site": "nyc"}
    sites = [{"site": "fra", "before": 0.5, "after": 0.0}, {"site": "nyc", "before": 0.5, "after": 1.0}]
    report = {
        "name": "www.example.com.",
        "type": "A",
        "select": {"before": "weighted", "after": "weighted"},
        "sample": None,
        "error": 0.0,
        "moved": 0.5,
        "sites": sites,
        "values": [{**row, "value": f"192.0.2.{number}"} for number, row in enumerate(sites, start=1)],
        "outcomes": [{"outcome": "answer", "before": 1.0, "after": 1.0}],
        "pools": [{"from": "pool", "pool": "eu", "before": 1.0, "after": 1.0}],
        "rules": [],
        "moves": [{"from": end, "to": goal, "clients": 0.5}],
        "moves_left_out": 0.0,
        "countries": [{"country": "DE", "clients": 0.25, "moved": 0.125, "sites": sites, "outcomes": []}],
    }
    return {**report, **changes}


def make_document(*reports: dict[str, Any], **changes: Any) -> dict[str, Any]:
    total = {"records": len(reports), "moved": 0.25, "sites": reports[0]["sites"], "outcomes": reports[0]["outcomes"], "countries": []}
    document = {
        "assumptions": [{"target": "site/fra", "state": "fail", "values": 3, "unchecked": 0}],
        "changed": False,
        "notes": [],
        "population": {"source": "databases", "databases": ["/city.mmdb"], "prefixes": None, "weight": None, "ipv6_share": 0.5},
        "seed": 1,
        "records": list(reports),
        "total": total,
        "records_left_out": 0,
    }
    return {**document, **changes}


def test_one_record_is_shown_with_what_moves_where() -> None:
    text = show(make_document(make_report()))
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert lines[0].startswith("if site/fra fail (3 values); clients: all networks")
    for line in (
        "www.example.com. A, weighted: 50.0% of all clients get another answer",
        "fra 50.0% 0.0% -50.0%",
        "nyc 50.0% 100.0% +50.0%",
        "fra nyc 50.0%",
        "DE 25.0% 12.5% 50% nyc",
    ):
        assert line in lines, text
    assert "right to" not in text


def test_a_changed_record_is_said_first() -> None:
    assert show(make_document(make_report(), changed=True)).startswith("if the record were the given one, site/fra fail")


def test_what_nobody_gets_is_left_out() -> None:
    values = [{"value": "192.0.2.9", "site": "fra", "before": 0.0, "after": 0.0}]
    text = show(make_document(make_report(values=values)))
    assert "192.0.2.9" not in text
    assert "answered " not in text


def test_what_is_not_answered_and_what_was_drawn_is_said() -> None:
    outcomes = [{"outcome": "answer", "before": 1.0, "after": 0.9}, {"outcome": "nodata", "before": 0.0, "after": 0.1}]
    text = show(make_document(make_report(outcomes=outcomes, sample=200_000, error=0.0037), notes=["one [bold]thing[/]"]))
    for words in ("NODATA, because nothing is up", "±0.37% (200,000 clients were drawn)", "note: one [bold]thing[/]"):
        assert words in text


@pytest.mark.parametrize("source", ["addresses", "prefixes"])
def test_nothing_that_moves_is_said_too(source: str) -> None:
    population = {"source": source, "databases": [], "prefixes": 3, "weight": 3.0, "ipv6_share": None}
    text = show(make_document(make_report(moved=0.0, moves=[], countries=[]), population=population, assumptions=[]))
    assert "nobody gets another answer" in text
    assert "FROM" not in text.replace("ANSWERED FROM", "")


def test_many_records_are_a_line_each_the_most_moved_first() -> None:
    names = [f"r{number}.example.com." for number in range(50)]
    text = show(make_document(*(make_report(name=name, moved=number / 100) for number, name in enumerate(names))))
    assert text.index("r49.example.com.") < text.index("r30.example.com.")
    assert "and 10 more" in text
    assert "50 records, each counted alike: 25.0% of all clients" in text


def test_long_tables_are_cut() -> None:
    values = [{"value": f"192.0.2.{number}", "site": "fra", "before": 0.01, "after": 0.01} for number in range(40)]
    assert "and 28 more; --json shows all" in show(make_document(make_report(values=values)))
