"""Nodes, nginx servers and location databases for the end-to-end tests; everything that starts here ends here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.node import Node

MakeNode = Callable[..., Node]


@pytest.fixture
def make_node(tmp_path: Path) -> Iterator[MakeNode]:
    """Makes nodes that are ended with the test, in the reverse order of their making."""
    nodes: list[Node] = []

    def make(name: str = "node", *, zones: Mapping[str, str] | None = None, settings: Mapping[str, str] | None = None) -> Node:
        node = Node(tmp_path / name, zones=zones, settings=settings)
        nodes.append(node)
        return node

    yield make
    for node in reversed(nodes):
        node.stop()
