"""The matrix of endings, run for real: no corrected cell is wrong, and docs/truth.md says what a run says."""

from __future__ import annotations

import os
from dataclasses import asdict

import pytest

from tracelab.truth.document import DOCUMENT, document
from tracelab.truth.endings import ENDINGS
from tracelab.truth.judge import Cell
from tracelab.truth.matrix import Run, run_matrix


@pytest.fixture(scope="module")
def runs() -> dict[str, Run]:
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "LAB_"))}
    return {run.instrumentation: run for run in run_matrix(environ, ENDINGS)}


@pytest.fixture(scope="module")
def cells(runs: dict[str, Run]) -> list[Cell]:
    return [cell for run in runs.values() for cell in run.cells]


def test_no_corrected_cell_is_wrong_and_no_corrected_call_hangs(cells: list[Cell]) -> None:
    untrue = [asdict(cell) for cell in cells if cell.instrumentation == "corrected"]
    assert [cell for cell in untrue if cell["verdict"] in {"wrong", "hang"}] == []


def test_no_corrected_span_is_left_open_when_its_process_ends(runs: dict[str, Run]) -> None:
    assert runs["corrected"].open_spans == ()
    assert runs["stock"].open_spans != ()


def test_the_stock_library_is_seen_to_be_wrong_so_that_the_matrix_can_fail(cells: list[Cell]) -> None:
    wrong = {cell.ending for cell in cells if cell.instrumentation == "stock" and cell.verdict == "wrong"}
    assert {"unhandled exception", "deadline", "rich status", "unknown method", "client writes"} <= wrong


def test_the_page_in_the_docs_is_what_a_run_says(cells: list[Cell]) -> None:
    said, seen = comparable(DOCUMENT.read_text(encoding="utf-8")), comparable(document(cells))
    assert said == seen, "run python -m tracelab.truth.document"


def comparable(page: str) -> list[list[str]]:
    """The page by lines and table cells, the stock column by its mark alone: how a broken call breaks may vary."""
    rows = [line.split(" | ") for line in page.splitlines()]
    return [[*row[:4], row[4][:1], *row[5:]] if len(row) == 6 else row for row in rows]
