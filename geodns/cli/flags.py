"""Flags that mirror the settings: one for each, made from the settings themselves, so that none can be forgotten."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from geodns.settings import Settings, known_settings


def with_settings_flags(verb: Callable[[Settings], None], *, only: Callable[[str], bool] = lambda key: True) -> Callable[..., None]:
    """A typer command that loads the settings with its flags on top and hands them to `verb`; `only` chooses keys."""
    settings = [setting for setting in known_settings() if only(setting.key)]
    keys = {setting.key.replace(".", "_"): setting.key for setting in settings}

    def command(config: Path | None = None, **flags: str | None) -> None:
        verb(Settings.load(flags_to_keys(flags, keys), file=config))

    parameters = [_parameter("config", Annotated[Path | None, typer.Option("--config", help="Settings file; default: geodns.toml.")])]
    for setting in settings:
        metavar = "LIST" if setting.is_list else setting.key.rpartition(".")[2].upper()
        text = f"{setting.description} Default: {setting.default}."
        option = typer.Option(setting.flag, help=text, metavar=metavar, rich_help_panel="Settings")
        parameters.append(_parameter(setting.key.replace(".", "_"), Annotated[str | None, option]))
    # Typer reads a command's options from its signature.
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    command.__doc__ = verb.__doc__
    return command


def _parameter(name: str, annotation: Any) -> inspect.Parameter:
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def flags_to_keys(flags: Mapping[str, str | None], keys: Mapping[str, str]) -> dict[str, object]:
    """Option names to dotted keys; what was not given is left out."""
    return {keys[name]: value for name, value in flags.items() if value is not None}
