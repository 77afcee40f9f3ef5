"""The arrows of the design: which part may import which, read from the syntax tree of every module."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# A part is a dotted prefix; the longest that fits names a module's part. Each maps to the parts that it may import,
# itself aside. What stands in no list is forbidden, so a new folder needs a line here.
_OTEL = frozenset({"otel.analysis", "otel.instrument", "otel.query"})
_COMPARE = "tracelab.compare"
ARROWS: dict[str, frozenset[str]] = {
    "generated": frozenset(),
    "services": frozenset({"generated", "otel.instrument", "otel.tls"}),
    "clients.errors": frozenset(),
    "clients.screen": frozenset(),
    "clients.discovery": frozenset({"clients.errors", "otel.tls"}),
    "clients": frozenset(
        {"clients.discovery", "clients.errors", "clients.screen", "generated", "otel.instrument", "otel.tls"}
    ),
    "clients.commands": frozenset({"clients", "clients.discovery", "clients.errors", "generated", "otel.tls"}),
    # The one door from the seed's command line to the tool behind it.
    "clients.cli": frozenset(
        {"clients", "clients.discovery", "clients.errors", "otel.instrument", "otel.tls"}
        | {"tracelab.command_table", "tracelab.fork_server", "tracelab.menu"}
    ),
    "tracelab": frozenset(),
    "tracelab.service_config": frozenset({"generated"}),
    "tracelab.command_table": frozenset({"clients.errors"}),
    "tracelab.fork_server": frozenset({"clients.discovery", "otel.tls"}),
    "tracelab.stack": frozenset({"clients.discovery", "clients.errors", "otel.tls", "tracelab.fork_server"}),
    "tracelab.menu": frozenset({"clients.discovery", "otel.tls", "tracelab.stack"}),
    "tracelab.render": frozenset({"clients.screen", "otel.analysis", "otel.query"}),
    "tracelab.demo": frozenset(
        {"clients", "clients.discovery", "clients.errors", "clients.screen", "otel.analysis", "otel.query"}
        | {"otel.tls", "tracelab.fork_server", "tracelab.render", "tracelab.stack"}
    ),
    "tracelab.truth": frozenset({"generated", "tracelab.fork_server", "tracelab.stack"}) | _OTEL,
    f"{_COMPARE}.question": frozenset({"clients.errors", "generated", "tracelab.own"}),
    f"{_COMPARE}.statistics": frozenset({f"{_COMPARE}.question"}),
    f"{_COMPARE}.measurement": frozenset(
        {f"{_COMPARE}.question", f"{_COMPARE}.statistics", "clients.discovery", "generated", "otel.instrument"}
        | {"clients.errors", "otel.tls", "tracelab.own", "tracelab.stack"}
    ),
    f"{_COMPARE}.explanation": frozenset(
        {f"{_COMPARE}.question", f"{_COMPARE}.statistics", "otel.analysis", "otel.query"}
    ),
    f"{_COMPARE}.results": frozenset(
        {f"{_COMPARE}.{room}" for room in ("question", "statistics", "measurement", "explanation")}
    ),
    f"{_COMPARE}.views": frozenset(
        {f"{_COMPARE}.{room}" for room in ("question", "statistics", "measurement", "explanation", "results")}
        | {"clients.screen"}
    ),
    _COMPARE: frozenset(
        {f"{_COMPARE}.{room}" for room in ("question", "statistics", "measurement", "explanation", "results", "views")}
        | {"clients.discovery", "otel.query", "otel.tls", "tracelab.own"}
    ),
    "tracelab.learn": frozenset(
        {"clients", "clients.discovery", "clients.errors", "clients.screen", "generated", "otel.viewer"}
        | {"tracelab.render"}
        | {f"{_COMPARE}.measurement", f"{_COMPARE}.statistics", "tracelab.fork_server", "tracelab.stack"}
        | _OTEL
    ),
    "tracelab.lessons": frozenset({"generated", "tracelab.learn", "tracelab.truth"}) | _OTEL,
    "tracelab.chaos": frozenset(
        {"clients.discovery", "clients.errors", "clients.screen", "generated", "otel.query", "tracelab.stack"}
    ),
    "tracelab.own": frozenset({"clients.errors", "otel.tls"}) | _OTEL,
    "tracelab.check": frozenset(
        {"clients.errors", "clients.screen", "otel.analysis", "otel.query", "tracelab.own", "tracelab.truth"}
    ),
    "tracelab.commands": frozenset(
        {"clients", "clients.discovery", "clients.errors", "clients.screen", "otel.viewer", "tracelab.demo"}
        | {
            "otel.tls",
            "tracelab.chaos",
            "tracelab.check",
            "tracelab.learn",
            "tracelab.own",
            "tracelab.render",
            "tracelab.stack",
            "tracelab.truth",
            _COMPARE,
        }
        | {f"{_COMPARE}.{room}" for room in ("question", "statistics", "measurement", "results", "views")}
        | _OTEL
    ),
    "otel": frozenset(),
    "otel.analysis": frozenset(),
    "otel.tls": frozenset(),
    "otel.query": frozenset({"otel.analysis", "otel.tls"}),
    "otel.instrument": frozenset({"otel.tls"}),
    "otel.backend": frozenset({"otel.analysis", "otel.tls", "otel.viewer"}),  # it serves the viewer's files
    "otel.viewer": frozenset(),
}
# These start whole programs as a person would, so they may look at everything.
UNBOUND = frozenset({"benchmarks", "tests"})
SERVICES = ("user_service", "order_service", "report_service")


def part_of(module: str) -> str | None:
    """Name the part that `module` belongs to; None for what is not ours."""
    fitting = [part for part in (*ARROWS, *UNBOUND) if module == part or module.startswith(part + ".")]
    return max(fitting, key=len, default=None)


def module_name(path: Path) -> str:
    names = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(names[:-1] if names[-1] == "__init__" else names)


def imported_by(path: Path) -> Iterator[str]:
    """Yield the full name of everything that a file imports, inside functions too; `from a import b` gives `a.b`."""
    tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
    package = module_name(path) if path.name == "__init__.py" else module_name(path).rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


MODULES = sorted(
    path
    for folder in {part.split(".")[0] for part in ARROWS}
    for path in (ROOT / folder).rglob("*.py")
    if "__pycache__" not in path.parts
)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: module_name(path))
def test_a_module_imports_only_where_an_arrow_points(path: Path) -> None:
    part = part_of(module_name(path))
    assert part is not None
    forbidden = sorted(
        name for name in imported_by(path) if part_of(name) not in {None, part, *ARROWS[part]} and not is_parent(name)
    )
    assert forbidden == []


def is_parent(name: str) -> bool:
    """`import otel` alone reaches nothing: the package file is empty."""
    return name == "otel"


def circles(arrows: Mapping[str, Iterable[str]]) -> list[str]:
    """The first circle among these arrows, as the names on the way round; empty where there is none."""
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_the_arrows_make_no_circle() -> None:
    assert circles(ARROWS) == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    names = {module_name(path) for path in MODULES}

    def module_of(name: str) -> str | None:
        while name and name not in names:
            name = name.rpartition(".")[0]
        return name or None

    imports = {
        module_name(path): {
            found for name in imported_by(path) if (found := module_of(name)) not in {None, module_name(path)}
        }
        for path in MODULES
    }
    assert circles({name: [each for each in found if each] for name, found in imports.items()}) == []


def test_a_circle_is_seen() -> None:
    assert set(circles({"a": ["b"], "b": ["c"], "c": ["a"]})) == {"a", "b", "c"}


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_imports_neither_another_service_nor_its_store(service: str) -> None:
    path = ROOT / "services" / f"{service}.py"
    domain = service.removesuffix("_service")
    others = [other.removesuffix("_service") for other in SERVICES if other != service]
    foreign = [
        name
        for name in imported_by(path)
        for other in others
        if name.startswith(f"services.{other}") or (name.startswith("services.stores.") and other in name.split(".")[2])
    ]
    assert foreign == [], f"{domain} reaches into another service"


@pytest.mark.parametrize("service", SERVICES)
def test_another_domain_is_reached_only_by_its_generated_stub(service: str) -> None:
    path = ROOT / "services" / f"{service}.py"
    domain = service.removesuffix("_service")
    foreign_stubs = {
        name.split(".")[1]
        for name in imported_by(path)
        if name.startswith("generated.") and not name.split(".")[1].startswith(domain)
    }
    assert {name.partition("_pb2")[0] for name in foreign_stubs} <= {"user", "order"}


def test_the_package_files_of_the_parts_hold_no_logic() -> None:
    allowed = (ast.Import, ast.ImportFrom, ast.Expr, ast.Assign, ast.AnnAssign)
    busy = [
        module_name(path)
        for path in MODULES
        if path.name == "__init__.py"
        and any(not isinstance(node, allowed) for node in ast.parse(path.read_text(encoding="utf-8")).body)
    ]
    assert busy == []


def test_a_relative_and_a_nested_import_are_both_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.ROOT", tmp_path)
    path = tmp_path / "otel" / "query" / "client.py"
    path.parent.mkdir(parents=True)
    path.write_text("def f():\n    from ..backend import app\n    import services.errors\nfrom . import errors\n")
    assert sorted(imported_by(path)) == ["otel.backend.app", "otel.query.errors", "services.errors"]
