"""The diagrams of the architecture page follow the imports, and the guide for contributors names what exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.unit.test_arrows import MODULES, ROOT, imported_by, module_name

PAGE = ROOT / "docs" / "architecture.md"
GUIDE = ROOT / "CONTRIBUTING.md"
NODE = re.compile(r'(\w+)\["([\w.]+)"\]')
ARROW = re.compile(r'^\s*(\w+)(?:\["[\w.]+"\])? (-->|-\. ".+" \.->) (\w+)(?:\["[\w.]+"\])?$', re.MULTILINE)
FILE = re.compile(r"`([\w./-]+\.\w+|[\w./-]+/)`")
TO_BE_MADE = ("NAME",)


def diagrams() -> list[str]:
    return re.findall(r"^```mermaid\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("diagram", diagrams(), ids=["span", "comparison"])
def test_every_solid_arrow_of_a_diagram_is_an_import(diagram: str) -> None:
    paths = {module_name(path): path for path in MODULES}
    nodes = dict(NODE.findall(diagram))
    drawn = [(nodes[start], kind, nodes[end]) for start, kind, end in ARROW.findall(diagram)]
    assert len(drawn) == diagram.count("->")
    assert sorted(name for name in nodes.values() if name not in paths) == []
    missing = [
        f"{start} does not import {end}"
        for start, kind, end in drawn
        if kind == "-->" and not any(reaches(name, end) for name in imported_by(paths[start]))
    ]
    assert missing == []


def reaches(name: str, module: str) -> bool:
    """Whether importing `name` loads `module`: itself, something in it, or a package that passes it on."""
    if name == module or name.startswith(module + "."):
        return True
    package = name.rpartition(".")[0]
    init = ROOT.joinpath(*package.split("."), "__init__.py")
    return module.startswith(package + ".") and init.is_file() and passes_on(init, module, name.rpartition(".")[2])


def passes_on(init: Path, module: str, name: str) -> bool:
    return any(
        isinstance(node, ast.ImportFrom) and node.module == module and name in {alias.name for alias in node.names}
        for node in ast.parse(init.read_text(encoding="utf-8")).body
    )


@pytest.mark.parametrize("page", [PAGE, GUIDE], ids=["architecture", "contributing"])
def test_every_file_and_folder_that_is_named_exists(page: Path) -> None:
    named = {name for name in FILE.findall(page.read_text(encoding="utf-8")) if not any(w in name for w in TO_BE_MADE)}
    roots = (ROOT, ROOT / "tracelab", ROOT / "clients")
    assert sorted(name for name in named if not any((root / name).exists() for root in roots)) == []


def test_every_room_of_the_design_has_a_row() -> None:
    rows = re.findall(r"^\| (`[^|]+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    named = {name.rstrip("/") for row in rows for name in re.findall(r"`([\w/]+)`", row)}
    rooms = {path.name for path in (ROOT / "tracelab").iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert {f"tracelab/{room}" for room in rooms} <= named
    assert {"proto", "generated", "services", "clients", "findings"} <= named
    assert {f"otel/{room}" for room in ("instrument", "backend", "query", "analysis", "viewer")} <= named
