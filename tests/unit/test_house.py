"""Rules of the house as tests: import arrows, module docstrings, reserved names and prefixes in examples, links in the docs."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "geodns"

# model ← zonefile, store, publish, prober ← control ← api, cli. What every layer may use: errors, settings and telemetry are leaves.
LEAVES = {"errors", "settings", "telemetry", "__version__"}
ALLOWED: dict[str, set[str]] = {
    "model": {"model"},
    "zonefile": {"model", "zonefile"},
    "store": {"model", "store"},
    "publish": {"model", "publish"},
    "prober": {"model", "prober"},
    "control": {"model", "zonefile", "store", "publish", "prober", "control"},
    "api": {"model", "zonefile", "store", "publish", "prober", "control", "api"},
    "cli": {"model", "zonefile", "store", "publish", "prober", "control", "api", "cli"},
}
MODULES = sorted(PACKAGE.rglob("*.py"))


def imported(path: Path) -> set[str]:
    """The folders of geodns that the module imports from."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names = [f"{node.module}.{alias.name}" if node.module == "geodns" else node.module for alias in node.names]
        found |= {name.split(".")[1] for name in names if name.startswith("geodns.")}
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_follow_the_arrows(path: Path) -> None:
    folder = path.relative_to(PACKAGE).parts[0]
    if folder in ALLOWED:
        assert imported(path) - LEAVES <= ALLOWED[folder]
    elif folder.removesuffix(".py") in LEAVES:
        assert imported(path) <= {"errors", "model", "settings", "__version__"}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_modules_say_what_they_are_for(path: Path) -> None:
    assert len(ast.get_docstring(ast.parse(path.read_text())) or "") > 20


def test_model_does_no_io() -> None:
    forbidden = {"asyncio", "socket", "time", "os", "subprocess", "threading", "urllib", "aiohttp", "sqlalchemy"}
    for path in (PACKAGE / "model").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and node.module:
                names = [node.module]
            roots = {name.split(".")[0] for name in names if name != "urllib.parse"}
            assert not roots & forbidden, path


def test_links_in_the_docs_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "bench/results/README.md"]
    for page in pages:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.relative_to(ROOT)} links to {target}"


def test_every_file_and_symbol_in_the_rfc_page_exists() -> None:
    """`path` and `path:symbol` in docs/rfc.md, below the root or below dataplane/."""
    mentions = re.findall(r"`([\w./-]+\.(?:rs|py|zone))(?::(\w+))?`", (ROOT / "docs/rfc.md").read_text())
    assert len(mentions) > 100
    for name, symbol in mentions:
        found = [path for path in (ROOT / name, ROOT / "dataplane" / name) if path.is_file()]
        assert found, f"docs/rfc.md names {name}"
        assert re.search(rf"\b{symbol}\b", found[0].read_text()), f"docs/rfc.md names {name}:{symbol}"


def test_examples_use_reserved_names_only() -> None:
    """RFC 2606 and RFC 6761 names in zones and docs, so that an example never points at somebody."""
    for path in [*(ROOT / "zones").iterdir(), *(ROOT / "docs").glob("*.md"), ROOT / "README.md"]:
        if not path.is_file():
            continue
        for name in re.findall(r"\b(?:[a-z0-9-]+\.)+(?:com|net|org)\b", path.read_text()):
            domain = ".".join(name.split(".")[-2:])
            assert domain in {"example.com", "example.net", "example.org"}, f"{path.relative_to(ROOT)} names {name}"
