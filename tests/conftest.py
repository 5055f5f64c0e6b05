"""What the end-to-end suites share: nodes that end with their test, and PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.databases import postgres_cluster, postgres_url
from tests.support.node import MakeNode, Node

__all__ = ["make_node", "postgres_cluster", "postgres_url"]


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
