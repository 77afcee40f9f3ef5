"""The documents agree with the repository: links lead somewhere, indexes are whole, settings are the code's."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
ADR = DOCS / "adr"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md"), ROOT / "findings" / "README.md"])
DECISIONS = sorted(path for path in ADR.glob("*.md") if path.name != "README.md")
ADR_SECTIONS = ["Context", "Decision", "Measured", "Consequences", "Refused"]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
VARIABLE = re.compile(r"\b(?:LAB_[A-Z_]*[A-Z]|(?:USER|ORDER|REPORT)_ADDRESS)\b")
EVENT = re.compile(r"[a-z_]+(\.[a-z_]+)+")
LOG_METHODS = {"debug", "info", "warning", "error", "critical", "exception"}
# Set by ours for another process, never by a person: the profile of a container, what `lab run` tells its program.
INTERNAL_VARIABLES = {"LAB_RUN_INSTALL", "LAB_RUN_PACKAGES", "LAB_RUN_ROOT"}
# Read by tests only; the code may name them in a hint.
TEST_VARIABLES = {"LAB_OTHER_PYTHON", "LAB_OTLP_ENDPOINT"}


def prose(path: Path) -> str:
    return FENCE.sub("", path.read_text(encoding="utf-8"))


def anchors(path: Path) -> set[str]:
    """Name the anchors of a page as the usual renderers make them from headings."""
    headings = re.findall(r"^#+ (.+)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_inside_the_repository_leads_somewhere(page: Path) -> None:
    broken = []
    for target in LINK.findall(prose(page)):
        if target.startswith(("http://", "https://", "mailto:")):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        if not path.exists() or (anchor and path.suffix == ".md" and anchor not in anchors(path)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_has_one_title_and_no_level_is_jumped(page: Path) -> None:
    levels = [len(marks) for marks in re.findall(r"^(#+) ", prose(page), re.MULTILINE)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))


def test_the_index_of_the_documentation_names_every_page() -> None:
    linked = {(DOCS / target).resolve() for target in LINK.findall(prose(DOCS / "README.md"))}
    pages = {path for path in DOCS.glob("*.md") if path.name != "README.md"} | {ADR / "README.md"}
    assert sorted(path.name for path in pages - linked) == []


def index_rows() -> Iterator[tuple[str, str, str, str]]:
    for line in (ADR / "README.md").read_text(encoding="utf-8").splitlines():
        row = re.fullmatch(r"\| \[(\d{3})\]\(([^)]+)\) \| (.+) \| (\w+).* \|", line)
        if row:
            yield row[1], row[2], row[3], row[4]


def test_the_index_of_decisions_names_each_once_in_order_with_its_title_and_status() -> None:
    expected = []
    for path in DECISIONS:
        text = path.read_text(encoding="utf-8")
        title = re.match(r"# (\d{3}) (.+)\n\nStatus: (\w+)", text)
        assert title, f"{path.name} opens with neither number and title nor status"
        expected.append((title[1], path.name, title[2], title[3]))
    assert list(index_rows()) == expected


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_has_its_number_its_date_and_its_sections_on_one_page(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.match(rf"# {path.name[:3]} .+\n\nStatus: \w+, \d{{4}}-\d{{2}}-\d{{2}}", text)
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == ADR_SECTIONS
    assert len(text.splitlines()) <= 70


def variables_in_code() -> set[str]:
    sources = [path for folder in ("services", "clients", "tracelab", "otel") for path in (ROOT / folder).rglob("*.py")]
    return {name for path in sources for name in VARIABLE.findall(path.read_text(encoding="utf-8"))}


def test_every_variable_of_ours_is_documented_and_every_documented_one_exists() -> None:
    rows = re.findall(r"^\| `([A-Z_]+)`", (DOCS / "configuration.md").read_text(encoding="utf-8"), re.MULTILINE)
    documented = {name for name in rows if VARIABLE.fullmatch(name)}
    assert documented - TEST_VARIABLES == variables_in_code() - INTERNAL_VARIABLES - TEST_VARIABLES


def logged_events() -> set[str]:
    """Collect the first argument of every logging call that names an event, and the events that are named elsewhere."""
    found = {"export.failed", "export.recovered", "telemetry.dropped", "rpc.server.call.exception"}
    found |= {"metadata.large", "baggage.dropped", "tls.refused"}
    for path in [*(ROOT / "services").rglob("*.py"), *(ROOT / "otel" / "backend").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args):
                continue
            first = node.args[0]
            if node.func.attr in LOG_METHODS and isinstance(first, ast.Constant) and isinstance(first.value, str):
                found.add(first.value)
    return {name for name in found if EVENT.fullmatch(name)}


def test_every_log_event_is_documented_once_and_every_documented_one_is_written() -> None:
    documented = re.findall(r"^\| `([a-z_.]+)` \|", (DOCS / "logs.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert len(documented) == len(set(documented))
    assert set(documented) == logged_events()


def test_the_changelog_opens_with_what_is_not_released_in_known_sections() -> None:
    headings = re.findall(r"^#+ (.+)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[:2] == ["Changelog", "Unreleased"]
    assert set(headings[2:]) <= {"Added", "Changed", "Fixed", "Removed"} | {h for h in headings if h[0].isdigit()}


def test_no_page_names_a_place_on_somebodys_machine() -> None:
    named = [page.name for page in PAGES if re.search(r"(?<![\w.])/(root|home|work|Users)/", page.read_text("utf-8"))]
    assert named == []
