"""`geodns list …`: named CIDR lists, which rules of steered records refer to."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from geodns.cli.client import Target
from geodns.cli.context import ConfigOption, JsonOption, TokenOption, UrlOption, call
from geodns.cli.output import ago, say, say_json, table
from geodns.errors import InvalidInput, Problem

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help="Named CIDR lists, which rules of steered records refer to.")

NameArgument = Annotated[str, typer.Argument(help="The list's name.", metavar="NAME")]


def register(root: typer.Typer) -> None:
    """Adds the verbs below `list`."""
    root.add_typer(app, name="list")


@app.command("list", epilog="Example:\n\n`geodns list list`")
def list_(as_json: JsonOption = False, url: UrlOption = None, token: TokenOption = None, config: ConfigOption = None) -> None:
    """Show every list and its size."""
    items = call(Target(url, token), config, lambda client: client.get_all("lists"))
    if as_json:
        say_json({"items": items})
        return
    rows = [(item["name"], item["size"], ago(item["changed_at"]), item["revision"]) for item in items]
    say(table(("NAME", "PREFIXES", "CHANGED", "REVISION"), rows) if rows else "no lists")


@app.command(epilog="Example:\n\n`geodns list show office`")
def show(
    name: NameArgument, as_json: JsonOption = False, url: UrlOption = None, token: TokenOption = None, config: ConfigOption = None
) -> None:
    """Show the prefixes of a list, one a line."""
    found = call(Target(url, token), config, lambda client: client.get("lists", name))
    if as_json:
        say_json(found)
    else:
        sys.stdout.writelines(f"{prefix}\n" for prefix in found["prefixes"])


@app.command(epilog="Examples:\n\n`geodns list put office 192.0.2.0/24 2001:db8::/32`\n\n`geodns list put scanners --file prefixes.txt`")
def put(
    name: NameArgument,
    prefixes: Annotated[list[str] | None, typer.Argument(help="Its prefixes.", metavar="PREFIX…")] = None,
    file: Annotated[
        Path | None, typer.Option(help="Read them from this file, one a line, # begins a comment; - is standard input.")
    ] = None,
    as_json: JsonOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
    config: ConfigOption = None,
) -> None:
    """Make a list, or replace its prefixes."""
    wanted = [*(prefixes or []), *(read_prefixes(file) if file is not None else [])]
    raw = ("text/plain", "\n".join(wanted).encode())
    done = call(Target(url, token), config, lambda client: client.request("PUT", "lists", name, raw=raw)).json()
    if as_json:
        say_json(done)
    else:
        say(f"{name} has {len(wanted)} prefixes" + ("" if done["changed"] else ", as before") + _not_served(done["applied"]))


@app.command(epilog="Example:\n\n`geodns list delete office`")
def delete(
    name: NameArgument, as_json: JsonOption = False, url: UrlOption = None, token: TokenOption = None, config: ConfigOption = None
) -> None:
    """Delete a list that no record uses."""
    done = call(Target(url, token), config, lambda client: client.request("DELETE", "lists", name)).json()
    if as_json:
        say_json(done)
    else:
        say(f"deleted {name}" + _not_served(done["applied"]))


def read_prefixes(path: Path) -> list[str]:
    """One prefix a line. Raises InvalidInput when the file cannot be read."""
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        sentence = f"{path} cannot be read: {getattr(error, 'strerror', None) or error}"
        raise InvalidInput([Problem("", "unreadable", sentence)], sentence) from None
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line]


def _not_served(applied: bool) -> str:
    return "" if applied else " (stored; this node does not serve it yet)"
