"""`geodns explain`: why a client gets the answer it gets, as a tree that can be read at three in the morning."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from geodns.api.explain import DEFAULT_CLIENT, parse_client, refuse_fault
from geodns.cli import link
from geodns.cli.client import Target
from geodns.cli.context import ConfigOption, JsonOption, TokenOption, UrlOption, call
from geodns.cli.exits import Unreachable
from geodns.cli.explanation import draw
from geodns.cli.output import complain, say, say_json
from geodns.errors import DatabaseUnavailable, DataplaneUnavailable, Unauthorized
from geodns.model import names
from geodns.settings import Settings

EPILOG = (
    "Examples:\n\n`geodns explain www.example.com`\n\n`geodns explain www.example.com AAAA --client 192.0.2.1`\n\n"
    "`geodns explain www.example.com A --client 203.0.113.0/24 --json`"
)


def register(app: typer.Typer) -> None:
    """Adds the verb."""
    app.command("explain", epilog=EPILOG)(explain)


def explain(
    name: Annotated[str, typer.Argument(help="The name that is asked for.", metavar="NAME")],
    rtype: Annotated[str, typer.Argument(help="The type that is asked for.", metavar="TYPE")] = "A",
    client: Annotated[
        str, typer.Option(help="ADDR is a sender, ADDR/LEN a client subnet (EDNS).", metavar="ADDR|ADDR/LEN")
    ] = DEFAULT_CLIENT,
    as_json: JsonOption = False,
    url: UrlOption = None,
    token: TokenOption = None,
    config: ConfigOption = None,
) -> None:
    """Say why a client gets its answer: rule, pool, values with their probabilities, ttl, scope. Asked of the code that answers packets.

    With control dead the dataplane is asked itself.
    """
    question = names.parse_name(name, None).to_text()
    parsed = parse_client(client)
    query = {"name": question, "type": rtype.upper(), "client": parsed}
    try:
        document = call(Target(url, token), config, lambda api: api.get("explain", query=query))
    except (Unreachable, DatabaseUnavailable, Unauthorized) as error:
        if url is not None:
            raise
        document = ask_dataplane(Settings.load(file=config), query, error)
        refuse_fault(document)
    if as_json:
        say_json(document)
    else:
        say(draw(document))


def ask_dataplane(settings: Settings, query: dict[str, str], error: Exception) -> dict[str, Any]:
    """The same, over the dataplane's socket. Raises the first error when it does not answer either."""
    try:
        document = link.explain(settings, query["name"], query["type"], query["client"])
    except DataplaneUnavailable:
        raise error from None
    complain(f"[yellow]control could not be asked ({error}); the dataplane was asked itself[/]")
    return document
