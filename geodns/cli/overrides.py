"""`geodns override set|list|clear` and `geodns freeze on|off`: the operator's word over health."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from geodns.api.models import OverrideState
from geodns.cli.client import Target
from geodns.cli.context import ConfigOption, JsonOption, TokenOption, UrlOption, call
from geodns.cli.durations import parse_duration
from geodns.cli.output import ago, say, say_json, table
from geodns.errors import InvalidInput, Problem

KINDS = ("value", "pool", "record", "site")

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode="markdown",
    help="Force a value, pool, record or site up or down, or drain it, whatever health says.",
)
freeze_app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help="Stop all changes by health, or let them go on.")

TargetArgument = Annotated[
    str,
    typer.Argument(
        help="`value/192.0.2.10`, `pool/www.example.com/A/eu`, `record/www.example.com/A` or `site/fra1`; "
        "the more specific wins in this order.",
        metavar="TARGET",
    ),
]


def register(root: typer.Typer) -> None:
    """Adds the verbs below `override` and `freeze`."""
    root.add_typer(app, name="override")
    root.add_typer(freeze_app, name="freeze")


@app.command(
    "set",
    epilog="Examples:\n\n`geodns override set value/192.0.2.10 down --reason 'disk replaced' --expires 2h`\n\n"
    "`geodns override set site/fra1 drain`",
)
def set_(
    target: TargetArgument,
    state: Annotated[OverrideState, typer.Argument(help="`up`, `down` or `drain`.")],
    reason: Annotated[str, typer.Option(help="Why, for those who come after you.")] = "",
    expires: Annotated[str | None, typer.Option(help="How long it holds, such as 2h; default: until cleared.", metavar="DURATION")] = None,
    as_json: JsonOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
    config: ConfigOption = None,
) -> None:
    """Set an override, or replace the one that is there."""
    kind, name = split_target(target)
    expires_at = None if expires is None else (datetime.now(UTC) + timedelta(seconds=parse_duration(expires))).isoformat()
    body = {"state": state.value, "reason": reason, "expires_at": expires_at}
    done = call(Target(url, token), config, lambda client: client.request("PUT", "overrides", kind, name, body=body)).json()
    if as_json:
        say_json(done)
    else:
        say(f"{target} is {state.value}" + (f" until {done['expires_at']}" if done["expires_at"] else " until cleared"))


@app.command("list", epilog="Example:\n\n`geodns override list`")
def list_(as_json: JsonOption = False, url: UrlOption = None, token: TokenOption = None, config: ConfigOption = None) -> None:
    """List the overrides in force."""
    items = call(Target(url, token), config, lambda client: client.get_all("overrides"))
    if as_json:
        say_json({"items": items})
        return
    rows = [
        (f"{item['kind']}/{item['target']}", item["state"], ago(item["set_at"]), item["author"], item["expires_at"] or "", item["reason"])
        for item in items
    ]
    say(table(("TARGET", "STATE", "SINCE", "BY", "EXPIRES", "REASON"), rows) if rows else "no overrides")


@app.command(epilog="Example:\n\n`geodns override clear value/192.0.2.10`")
def clear(
    target: TargetArgument, as_json: JsonOption = False, url: UrlOption = None, token: TokenOption = None, config: ConfigOption = None
) -> None:
    """Clear an override: health decides again."""
    kind, name = split_target(target)
    gone = call(Target(url, token), config, lambda client: client.request("DELETE", "overrides", kind, name)).json()
    if as_json:
        say_json(gone)
    else:
        say(f"cleared {target}")


@freeze_app.command(epilog="Example:\n\n`geodns freeze on --reason 'network maintenance'`")
def on(
    reason: Annotated[str, typer.Option(help="Why, for those who come after you.")] = "",
    as_json: JsonOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
    config: ConfigOption = None,
) -> None:
    """Freeze: no verdict changes an answer any more. Overrides still work."""
    _freeze({"frozen": True, "reason": reason}, Target(url, token), config, as_json)


@freeze_app.command(epilog="Example:\n\n`geodns freeze off`")
def off(as_json: JsonOption = False, url: UrlOption = None, token: TokenOption = None, config: ConfigOption = None) -> None:
    """Thaw: health decides again, with what it has seen meanwhile."""
    _freeze({"frozen": False}, Target(url, token), config, as_json)


def _freeze(body: dict[str, Any], target: Target, config: ConfigOption, as_json: bool) -> None:
    done = call(target, config, lambda client: client.request("PUT", "health", "freeze", body=body)).json()
    if as_json:
        say_json(done)
    else:
        say("health is frozen" if done["frozen"] else "health is not frozen")


def split_target(target: str) -> tuple[str, str]:
    """`pool/www.example.com/A/eu` → kind and the rest, which the API splits further."""
    kind, _, name = target.partition("/")
    if kind not in KINDS or not name:
        sentence = f"{target!r} is not an override's target"
        raise InvalidInput([Problem("", "bad-target", sentence)], sentence, hint="write " + ", ".join(f"{word}/…" for word in KINDS))
    return kind, name
