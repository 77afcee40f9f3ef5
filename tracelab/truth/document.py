"""Writes `docs/truth.md` from a run of the matrix: `python -m tracelab.truth.document`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final, NoReturn

from tracelab.truth.endings import ENDINGS
from tracelab.truth.judge import Cell
from tracelab.truth.matrix import run_matrix
from tracelab.truth.report import matrix_markdown, summary

DOCUMENT: Final = Path(__file__).resolve().parents[2] / "docs" / "truth.md"

_INTRODUCTION: Final = """\
# Does the trace tell the truth?

Every kind of RPC and every way it can end, told by the untouched `opentelemetry-instrumentation-grpc` {library}
(*stock*) and by its corrected form (*corrected*, the default), with grpcio {grpcio}. What happened is known from
witnesses that use no telemetry: what the servicer wrote down, what the caller received, and the clock around it.

This page is made by `python -m tracelab.truth.document` from a real run; a test runs the matrix again and compares.
`./lab truth` prints it, `./lab truth deadline` shows one ending as two waterfalls with the witness between.

✔ true · ✘ wrong, and why · ? the side cannot know, and says nothing · ∞ the call hangs under this instrumentation

"""
_UNKNOWN: Final = """
## What stays unknown

- A call that gRPC refuses before any servicer sees it (a request too large, the concurrency limit) looks the same to
  Python as one whose client left early: the server's span is there, without a status code.
- A call cut short while its servicer waits for the next request of a stream: the client may have cancelled, or gRPC may
  have refused a request that is too large. The servicer is shown the very same, so the server's span has no status code
  and `tracelab.rpc.cut_short`; the client's span has the code. Once the requests have ended, a cancel reads CANCELLED.
- A server that was killed or is frozen can say nothing; the missing span is the truth.
"""


def document(cells: Sequence[Cell]) -> str:
    """The whole page. Cells of both instrumentations; what varies from run to run is left out of the cells already."""
    head = _INTRODUCTION.format(library=version("opentelemetry-instrumentation-grpc"), grpcio=version("grpcio"))
    tallies = "".join(f"- {summary(cells, instrumentation)}\n" for instrumentation in ("stock", "corrected"))
    return f"{head}{tallies}\n{matrix_markdown(cells)}{_UNKNOWN}"


def verdicts(cells: Iterable[Cell]) -> dict[tuple[str, str, str, str], str]:
    """The verdict of each cell by instrumentation, ending, kind and side."""
    return {(cell.instrumentation, cell.ending, cell.kind, cell.side): cell.verdict for cell in cells}


def main() -> NoReturn:
    """Run the matrix and write the page."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "LAB_"))}
    cells = [cell for run in run_matrix(environ, ENDINGS) for cell in run.cells]
    DOCUMENT.write_text(document(cells), encoding="utf-8")
    sys.stdout.write(f"wrote {DOCUMENT.name}: {summary(cells, 'stock')}; {summary(cells, 'corrected')}\n")
    raise SystemExit(0)


if __name__ == "__main__":
    main()
