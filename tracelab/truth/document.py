"""Writes `docs/truth.md` from a run of the matrix: `python -m tracelab.truth.document`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Final, NoReturn

from tracelab.truth.judge import Cell
from tracelab.truth.matrix import run_matrix
from tracelab.truth.report import matrix_markdown, summaries

DOCUMENT: Final = Path(__file__).resolve().parents[2] / "docs" / "truth.md"

_INTRODUCTION: Final = """\
# Does the trace tell the truth?

Every kind of RPC and every way it can end, told by the untouched `opentelemetry-instrumentation-grpc` {library}
(*stock*) and by its corrected form (*corrected*, the default), with grpcio {grpcio}, in both of its APIs: grpc.aio and
the synchronous one with its pool of threads. What happened is known from
witnesses that use no telemetry: what the servicer wrote down, what the caller received, and the clock around it.
One more, *core counted*, is gRPC's own core, asked on Linux of the endings where that says something: the same call
made once more, untraced, by a process that counts ([metrics.md](metrics.md)): attempts on the client's side, calls that
came in on the server's, and their statuses.

This page is made by `python -m tracelab.truth.document` from a real run; a test runs the matrix again and compares,
on CPython 3.11 and, where there is one, on 3.13, which say the same.
`./lab truth` prints it, `./lab truth deadline` shows one ending as two waterfalls with the witness between.

✔ true · ✘ wrong, and why · ? the side cannot know, and says nothing · ∞ the call hangs under this instrumentation

"""
_TITLES: Final = {"aio": "grpc.aio", "sync": "The synchronous API"}
_UNKNOWN: Final = """
## What stays unknown

- A call that gRPC refuses before any servicer sees it (a request too large, the concurrency limit) looks the same to
  Python as one whose client left early: the server's span is there, without a status code. Core's count proves the
  refusal by the limit, with its status. It proves nothing of a request too large, but that the call came in: the
  server's core counts OK for it, as for a call that was cancelled or past its deadline. So it is a witness of how many,
  and of the client's status, and no judge of the server's: its status is told only where the client's is the same.
- A call cut short while its servicer waits for the next request of a stream: the client may have cancelled, or gRPC may
  have refused a request that is too large. The servicer is shown the very same, so the server's span has no status code
  and `tracelab.rpc.cut_short`; the client's span has the code. Once the requests have ended, a cancel reads CANCELLED.
- A call whose deadline passes in the queue of a busy pool: no servicer is called, and only its context would tell the
  deadline. The server's span is there from the call's arrival, without a status code. (With a stream of requests gRPC
  calls the servicer all the same, and the span says DEADLINE_EXCEEDED.)
- A synchronous client whose iterator of requests raises: its own span says UNKNOWN, as the caller is told; on the wire
  it is a cancel while a request is awaited, and so nothing on the server.
- A server that was killed or is frozen can say nothing; the missing span is the truth.
"""


def document(cells: Sequence[Cell]) -> str:
    """The whole page. Cells of both instrumentations; what varies from run to run is left out of the cells already."""
    head = _INTRODUCTION.format(library=version("opentelemetry-instrumentation-grpc"), grpcio=version("grpcio"))
    tallies = "".join(f"- {line}\n" for line in summaries(cells))
    tables = "".join(
        f"\n## {title}\n\n{matrix_markdown([cell for cell in cells if cell.api == api])}"
        for api, title in _TITLES.items()
    )
    return f"{head}{tallies}{tables}{_UNKNOWN}"


def verdicts(cells: Iterable[Cell]) -> dict[tuple[str, str, str, str, str], str]:
    """The verdict of each cell by instrumentation, API, ending, kind and side."""
    return {(cell.instrumentation, cell.api, cell.ending, cell.kind, cell.side): cell.verdict for cell in cells}


def main() -> NoReturn:
    """Run the matrix and write the page."""
    environ = {key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "LAB_"))}
    cells = [cell for run in run_matrix(environ) for cell in run.cells]
    DOCUMENT.write_text(document(cells), encoding="utf-8")
    sys.stdout.write(f"wrote {DOCUMENT.name}: {'; '.join(summaries(cells))}\n")
    raise SystemExit(0)


if __name__ == "__main__":
    main()
