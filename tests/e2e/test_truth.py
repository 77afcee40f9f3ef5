"""The matrix of endings, run for real: no corrected cell is wrong, and docs/truth.md says what a run says."""

from __future__ import annotations

import os
from dataclasses import asdict

import pytest

from tracelab.truth.core_run import core_can_be_asked
from tracelab.truth.document import DOCUMENT, document
from tracelab.truth.endings import Api
from tracelab.truth.judge import Cell
from tracelab.truth.matrix import Run, run_matrix


@pytest.fixture(scope="module")
def runs() -> dict[tuple[Api, str], Run]:
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "LAB_"))}
    return {(run.api, run.instrumentation): run for run in run_matrix(environ)}


@pytest.fixture(scope="module")
def cells(runs: dict[tuple[Api, str], Run]) -> list[Cell]:
    return [cell for run in runs.values() for cell in run.cells]


def test_no_corrected_cell_is_wrong_and_no_corrected_call_hangs(cells: list[Cell]) -> None:
    untrue = [asdict(cell) for cell in cells if cell.instrumentation == "corrected"]
    assert [cell for cell in untrue if cell["verdict"] in {"wrong", "hang"}] == []


@pytest.mark.parametrize("api", list(Api))
def test_no_corrected_span_is_left_open_when_its_process_ends(runs: dict[tuple[Api, str], Run], api: Api) -> None:
    assert runs[api, "corrected"].open_spans == ()
    assert runs[api, "stock"].open_spans != ()


@pytest.mark.parametrize(
    ("api", "endings"),
    [
        (Api.AIO, {"unhandled exception", "deadline", "rich status", "unknown method", "client writes"}),
        (Api.SYNC, {"unhandled exception", "deadline", "rich status", "unknown method", "stream dropped"}),
    ],
)
def test_the_stock_library_is_seen_to_be_wrong_so_that_the_matrix_can_fail(
    cells: list[Cell], api: Api, endings: set[str]
) -> None:
    stock = [cell for cell in cells if (cell.api, cell.instrumentation) == (api.value, "stock")]
    assert endings <= {cell.ending for cell in stock if cell.verdict == "wrong"}


@pytest.mark.skipif(not core_can_be_asked(), reason="gRPC's core can be asked on Linux alone")
@pytest.mark.parametrize("api", list(Api))
def test_core_proves_a_refusal_by_the_limit_and_of_a_request_too_large_only_that_it_came(
    cells: list[Cell], api: Api
) -> None:
    servers = [cell for cell in cells if (cell.api, cell.side) == (api.value, "server")]
    refused = {cell.core for cell in servers if cell.ending == "over the concurrency limit"}
    too_large = {cell.core for cell in servers if cell.ending == "request too large"}
    assert refused == {"1 call: RESOURCE_EXHAUSTED"}
    assert too_large == {"1 call, its status proves nothing"}
    assert all("core counted 1 call" in cell.happened for cell in servers if cell.verdict == "unknown")


def test_the_page_in_the_docs_is_what_a_run_says(cells: list[Cell]) -> None:
    said, seen = comparable(DOCUMENT.read_text(encoding="utf-8")), comparable(document(cells))
    assert said == seen, "run python -m tracelab.truth.document"


def comparable(page: str) -> list[list[str]]:
    """The page by lines and table cells, the stock column by its mark alone: how a broken call breaks may vary.

    Where gRPC's core cannot be asked, without what it counted.
    """
    rows = [line.split(" | ") for line in page.splitlines()]
    return [_comparable_row(row) if len(row) == 7 else row for row in rows]


def _comparable_row(row: list[str]) -> list[str]:
    ending, kind, side, happened, core, stock, corrected = row
    if not core_can_be_asked():
        happened, core = happened.partition("; core counted")[0], ""
    return [ending, kind, side, happened, core, stock[:1], corrected]
