"""`geodns simulate`: what would be answered if a value, pool, record or site were down or drained, or a record were another."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, NoReturn, TextIO

import typer

from geodns.api.models import AssumedState
from geodns.cli.client import Target
from geodns.cli.context import ConfigOption, JsonOption, TokenOption, UrlOption, call
from geodns.cli.output import say, say_json
from geodns.cli.overrides import split_target
from geodns.cli.simulation import draw
from geodns.errors import InvalidInput, Problem
from geodns.zonefile.spool import Place
from geodns.zonefile.yamltree import BadYaml, read_entries

EPILOG = (
    "Examples:\n\n`geodns simulate --fail site/fra1`: an outage of a site, over every record that has it\n\n"
    "`geodns simulate www.example.com --drain pool/www.example.com/A/eu`\n\n"
    "`geodns simulate www.example.com A --record www.yaml --population clients.txt`\n\n"
    "`geodns simulate www.example.com --down value/192.0.2.10 --up value/192.0.2.11 --json`"
)

DATABASE = "database"
"""The population that is all networks of the location databases."""

TARGET = "value/…, pool/NAME/TYPE/POOL, record/NAME/TYPE or site/…"


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("simulate", epilog=EPILOG)(simulate)


def simulate(
    name: Annotated[
        str | None, typer.Argument(help="Name of one record; default: every steered record that is assumed something of.", metavar="NAME")
    ] = None,
    rtype: Annotated[str | None, typer.Argument(help="Its type; default: every steered type at the name.", metavar="TYPE")] = None,
    fail: Annotated[list[str] | None, typer.Option(help=f"Its checks fail, as in an outage: {TARGET}.", metavar="TARGET")] = None,
    down: Annotated[list[str] | None, typer.Option(help="An override forces it down.", metavar="TARGET")] = None,
    drain: Annotated[list[str] | None, typer.Option(help="An override drains it.", metavar="TARGET")] = None,
    up: Annotated[list[str] | None, typer.Option(help="An override forces it up.", metavar="TARGET")] = None,
    record: Annotated[
        Path | None, typer.Option(help="This record, as YAML or JSON, stands at the name; - is standard input.", metavar="FILE")
    ] = None,
    population: Annotated[
        str,
        typer.Option(
            help="The clients: `database` (all networks of the location databases by size) or a file of lines PREFIX [WEIGHT].",
            metavar="FILE|database",
        ),
    ] = DATABASE,
    ipv6_share: Annotated[float, typer.Option(help="Of all clients, with the location databases.", min=0, max=1)] = 0.5,
    seed: Annotated[int | None, typer.Option(help="Of whatever is drawn; default: another one each time.", min=0)] = None,
    as_json: JsonOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
    config: ConfigOption = None,
) -> None:
    """Say which clients would get what: shares per site and value before and after, and what moves where. Changes nothing.

    Worked out by the code that answers packets. docs/simulate.md says what the figures mean.
    """
    given = {AssumedState.FAIL: fail, AssumedState.DOWN: down, AssumedState.DRAIN: drain, AssumedState.UP: up}
    targets = [(target, state) for state, targets in given.items() for target in targets or []]
    for target, _ in targets:
        split_target(target)
    body: dict[str, Any] = {
        "name": name,
        "type": None if rtype is None else rtype.upper(),
        "assume": [{"target": target, "state": state.value} for target, state in targets],
        "ipv6_share": ipv6_share,
        "seed": seed,
    }
    if record is not None:
        body["record"] = read_record(record)
    if population != DATABASE:
        body["population"] = read_population(Path(population))
    document = call(Target(url, token), config, lambda client: client.request("POST", "simulate", body=body)).json()
    if as_json:
        say_json(document)
    else:
        say(draw(document))


def read_record(path: Path) -> dict[str, Any]:
    """The one record that a file is. Raises InvalidInput."""

    def refuse_include(written: str, place: Place, depth: int) -> tuple[Path, TextIO]:
        raise BadYaml("bad-include", "a record on its own includes nothing", place)

    try:
        return {str(key): node.plain() for key, node in read_entries(_read_text(path), path, refuse_include)}
    except BadYaml as error:
        _refuse("", error.code, f"{error.place}: {error}")


def read_population(path: Path) -> list[dict[str, Any]]:
    """Lines `PREFIX [WEIGHT]`, # begins a comment; the weight is 1 where there is none. Raises InvalidInput."""
    found: list[dict[str, Any]] = []
    for number, line in enumerate(_read_text(path).splitlines(), start=1):
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            weight = float(words[1]) if len(words) > 1 else 1.0
        except ValueError:
            weight = -1.0
        if len(words) > 2 or not 0 <= weight < float("inf"):
            _refuse("", "bad-line", f"{path}:{number}: a line is a prefix and its weight, such as 192.0.2.0/24 3")
        found.append({"prefix": words[0], "weight": weight})
    if not found:
        _refuse("", "nobody", f"{path} holds no prefix")
    return found


def _read_text(path: Path) -> str:
    try:
        return sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        _refuse("", "unreadable", f"{path} cannot be read: {getattr(error, 'strerror', None) or error}")


def _refuse(pointer: str, code: str, sentence: str) -> NoReturn:
    raise InvalidInput([Problem(pointer, code, sentence)], sentence) from None
