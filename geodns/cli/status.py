"""`geodns status`: what is wrong first, then how the node is. With control dead the dataplane is asked itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.tree import Tree

from geodns.cli import delegation, link
from geodns.cli.client import Target
from geodns.cli.context import ConfigOption, JsonOption, TokenOption, UrlOption, call
from geodns.cli.exits import Unreachable
from geodns.cli.output import say, say_json
from geodns.errors import DatabaseUnavailable, DataplaneUnavailable, Unauthorized
from geodns.settings import Settings

EPILOG = "Examples:\n\n`geodns status`\n\n`geodns status --json | jq .problems`\n\n`geodns status --delegation lb.example.org`"


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("status", epilog=EPILOG)(status)


def status(
    delegation_of: Annotated[
        str | None,
        typer.Option(
            "--delegation", help="Check instead how this zone is delegated: parent's NS set, glue, each server, serials.", metavar="ZONE"
        ),
    ] = None,
    parent: Annotated[
        str | None, typer.Option(help="With --delegation: ask this server as the parent's, instead of finding them.", metavar="ADDRESS")
    ] = None,
    as_json: JsonOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
    config: ConfigOption = None,
) -> None:
    """Show how the node is: problems first."""
    target = Target(url, token)
    if delegation_of is not None:
        delegation.check(delegation_of, Settings.load(file=config), parent, as_json)
        return
    try:
        document = call(target, config, lambda client: client.get("status"))
    except (Unreachable, DatabaseUnavailable, Unauthorized) as error:
        if url is not None:
            raise
        document = ask_dataplane(Settings.load(file=config), error)
    if as_json:
        say_json(document)
    else:
        show(document)


def ask_dataplane(settings: Settings, error: Exception) -> dict[str, Any]:
    """The same document, as far as the dataplane knows it. Raises Unreachable when it is dead too."""
    try:
        dataplane = link.status(settings)
    except DataplaneUnavailable:
        raise Unreachable(
            str(error), hint="the dataplane does not answer either: is `geodns serve` running, with this state.directory?"
        ) from None
    return {"problems": [f"control could not be asked: {error}"], "dataplane": {"connected": False, **dataplane}}


def show(document: Mapping[str, Any]) -> None:
    """Problems, then everything else as a tree: a key that this program does not know is shown like any other."""
    problems = document.get("problems") or []
    if problems:
        say(f"[bold red]{len(problems)} problem{'s' if len(problems) != 1 else ''}[/]")
        for problem in problems:
            say(f"  [red]x[/] {escape(str(problem))}")
    else:
        say("[bold green]no problems[/]")
    tree = Tree("", hide_root=True, guide_style="dim")
    for key, value in document.items():
        if key != "problems":
            _grow(tree, key, without_zeros(value) if key == "dataplane" else value)
    say(tree)


def without_zeros(dataplane: Any) -> Any:
    """The dataplane's own document has a counter for everything; those that never moved say nothing."""
    if not isinstance(dataplane, Mapping) or not isinstance(dataplane.get("counters"), Mapping):
        return dataplane
    counters: dict[str, Any] = {}
    for name, value in dataplane["counters"].items():
        kept = {label: total for label, total in value.items() if total} if isinstance(value, Mapping) else value
        if kept:
            counters[name] = kept
    return {**dataplane, "counters": counters}


def _grow(tree: Tree, key: str, value: Any) -> None:
    label = escape(key.replace("_", " "))
    match value:
        case Mapping() | list() if not value:
            tree.add(f"{label}: [dim]none[/]")
        case Mapping():
            branch = tree.add(f"[bold]{label}[/]")
            for inner, item in value.items():
                _grow(branch, str(inner), item)
        case list() if all(isinstance(item, Mapping) for item in value):
            branch = tree.add(f"[bold]{label}[/]")
            for item in value:
                branch.add(", ".join(f"{escape(inner)} {_show(cell)}" for inner, cell in item.items()))
        case list():
            tree.add(f"{label}: {', '.join(_show(item) for item in value)}")
        case _:
            tree.add(f"{label}: {_show(value)}")


def _show(value: Any) -> str:
    match value:
        case None:
            return "[dim]none[/]"
        case True:
            return "[green]yes[/]"
        case False:
            return "[yellow]no[/]"
        case float():
            return f"{value:g}"
        case _:
            return escape(str(value))
