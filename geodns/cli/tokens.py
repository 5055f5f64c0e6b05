"""`geodns token create|list|revoke`: who may use the API."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from geodns.api.auth import Role
from geodns.cli.client import Target
from geodns.cli.context import ConfigOption, JsonOption, TokenOption, UrlOption, call
from geodns.cli.durations import parse_duration
from geodns.cli.output import ago, complain, say, say_json, table

app = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown", help="Make, list and revoke API tokens.")


def register(root: typer.Typer) -> None:
    """Adds the verbs below `token`."""
    root.add_typer(app, name="token")


@app.command(epilog="Examples:\n\n`geodns token create deploy --role write`\n\n`geodns token create dashboard --role read --expires 90d`")
def create(
    name: Annotated[str, typer.Argument(help="Whose it is; the audit trail shows it.")],
    role: Annotated[Role, typer.Option(help="`read` < `write` < `admin`; `report` may push reports and nothing else.")] = Role.READ,
    expires: Annotated[str | None, typer.Option(help="Lifetime, such as 12h or 90d; default: none.", metavar="DURATION")] = None,
    as_json: JsonOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
    config: ConfigOption = None,
) -> None:
    """Make a token and show it, this once."""
    expires_at = None if expires is None else (datetime.now(UTC) + timedelta(seconds=parse_duration(expires))).isoformat()
    body = {"name": name, "role": role.value, "expires_at": expires_at}
    made = call(Target(url, token), config, lambda client: client.request("POST", "tokens", body=body)).json()
    if as_json:
        say_json(made)
        return
    complain(f"token {made['id']} for {name} with role {role.value}; it is shown this once:")
    say(made["token"])


@app.command("list", epilog="Example:\n\n`geodns token list --json`")
def list_(as_json: JsonOption = False, url: UrlOption = None, token: TokenOption = None, config: ConfigOption = None) -> None:
    """List the tokens, without their secrets."""
    items = call(Target(url, token), config, lambda client: client.get_all("tokens"))
    if as_json:
        say_json({"items": items})
        return
    rows = [
        (
            item["id"],
            item["name"],
            item["role"],
            ago(item["created_at"]),
            item["created_by"],
            ago(item["last_used_at"]) or "never",
            item["expires_at"],
        )
        for item in items
    ]
    say(table(("ID", "NAME", "ROLE", "AGE", "MADE BY", "LAST USED", "EXPIRES"), rows))


@app.command(epilog="Example:\n\n`geodns token revoke 3f9a`")
def revoke(
    token_id: Annotated[str, typer.Argument(help="The id that `geodns token list` shows.", metavar="ID")],
    as_json: JsonOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
    config: ConfigOption = None,
) -> None:
    """Revoke a token, at once."""
    gone = call(Target(url, token), config, lambda client: client.request("DELETE", "tokens", token_id)).json()
    if as_json:
        say_json(gone)
    else:
        say(f"revoked {token_id}")
