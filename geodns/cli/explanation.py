"""How an explanation is drawn: a tree for tired eyes, the answer first. The document's keys are those of docs/explain.md.

What this program does not know is drawn by its own name, so that a newer dataplane is still understood.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.markup import escape
from rich.tree import Tree


def draw(document: Mapping[str, Any]) -> Tree:
    """The whole document."""
    tree = Tree("[bold]explanation[/]", guide_style="dim")
    for key, value in document.items():
        grow(tree, key, value)
    return tree


def grow(tree: Tree, key: str, value: Any) -> None:
    """One member, whatever it is."""
    label = escape(key.replace("_", " "))
    match value:
        case Mapping() if value:
            branch = tree.add(f"[bold]{label}[/]")
            for inner, item in value.items():
                grow(branch, str(inner), item)
        case list() if any(isinstance(item, Mapping | list) for item in value):
            branch = tree.add(f"[bold]{label}[/]")
            for item in value:
                if isinstance(item, Mapping):
                    branch.add(", ".join(f"{escape(str(inner))} {escape(str(cell))}" for inner, cell in item.items()))
                else:
                    branch.add(escape(str(item)))
        case list():
            tree.add(f"{label}: {escape(', '.join(map(str, value)))}")
        case _:
            tree.add(f"{label}: {escape(str(value))}")
