"""The `geodns` command: its verbs, and the one door through which every error leaves."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from geodns import __version__
from geodns.cli.exits import Exit, explain_error, explain_unexpected
from geodns.errors import GeodnsError
from geodns.settings import LogFormat, LogLevel
from geodns.telemetry import configure_logs

INTERRUPTED = 130
"""What shells expect of a process that ended by Ctrl-C: 128 and the signal's number."""


VERBS = {
    "serve": "serve",
    "check": "zones",
    "apply": "zones",
    "export": "zones",
    "explain": "explain",
    "simulate": "simulate",
    "status": "status",
    "override": "overrides",
    "freeze": "overrides",
    "list": "lists",
    "token": "tokens",
    "db": "database",
    "dataplane": "dataplane",
}
"""Each verb and its module. Only the module of the verb that is called is imported: all of them take a second, which a tired operator
feels."""


def make_app(verb: str | None = None) -> typer.Typer:
    """The command line, with the module of one verb or, where that is none of ours, with all; made anew for each use."""
    app = typer.Typer(
        name="geodns",
        help="Authoritative DNS load balancer: octoDNS dynamic records by weight, client location and health.",
        epilog="Exit codes: 0 done, 1 refused, 2 usage, 3 unreachable. See docs/cli.md.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="markdown",
        pretty_exceptions_enable=False,
    )
    app.callback()(_global_options)
    wanted = [VERBS[verb]] if verb in VERBS else list(dict.fromkeys(VERBS.values()))
    for name in wanted:
        importlib.import_module(f"geodns.cli.{name}").register(app)
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"geodns {__version__}\n")
        raise typer.Exit


def _global_options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)] = False,
) -> None:
    pass


def run(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line and gives its exit code."""
    # What a verb has to say goes to standard output; what happens meanwhile does not. `serve` sets its own level and form.
    configure_logs(LogLevel.WARNING, LogFormat.TEXT)
    try:
        given = list(sys.argv[1:] if arguments is None else arguments)
        make_app(given[0] if given else None)(args=given, prog_name="geodns")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else Exit.DONE if end.code is None else Exit.REFUSED
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read us has seen enough; the interpreter must not complain when it flushes at its end.
        sys.stdout = None
        return Exit.DONE
    except BaseExceptionGroup as group:
        return _explain_group(group)
    except GeodnsError as error:
        return explain_error(error)
    except Exception as error:  # the door itself
        return explain_unexpected(error)
    return Exit.DONE


def _explain_group(group: BaseExceptionGroup[BaseException]) -> int:
    """A task group ends with everything that went wrong in it; the first of ours is the one to name."""
    ours = group.subgroup(GeodnsError)
    leaf: BaseException = ours or group
    while isinstance(leaf, BaseExceptionGroup):
        leaf = leaf.exceptions[0]
    if isinstance(leaf, GeodnsError):
        return explain_error(leaf)
    return explain_unexpected(leaf) if isinstance(leaf, Exception) else INTERRUPTED
