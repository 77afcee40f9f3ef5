"""Where a comparison's results go: the screen, JSON or CSV on standard output or in a file, and a page beside it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from clients.screen.console import console_for
from clients.screen.tables import Column, PlainTable
from tracelab.compare.results.comparison_run import ComparisonRun
from tracelab.compare.results.csv_form import run_to_csv
from tracelab.compare.results.json_form import run_to_json
from tracelab.compare.results.run_to_run import compare_runs, run_to_run_to_json
from tracelab.compare.results.saved_runs import SavedRuns, write_whole
from tracelab.compare.results.sweep import Sweep
from tracelab.compare.views.html_page import page_of
from tracelab.compare.views.progress_line import ProgressLine
from tracelab.compare.views.sweep_screen import print_sweep, sweep_to_json
from tracelab.compare.views.terminal import print_run, print_run_to_run


@dataclass(frozen=True, slots=True)
class Report:
    """How results are printed. `output` is a file, or "-" for standard output; `html` a page that is written too."""

    output: str
    as_json: bool
    as_csv: bool
    html: Path | None
    quiet: bool
    no_color: bool
    cumulative: bool = False

    def progress(self, precision: float) -> ProgressLine:
        """The line that shows how far a measurement is, on standard error."""
        return ProgressLine(console_for(sys.stderr, os.environ, no_color=self.no_color), precision, self.quiet)

    def note(self, text: str) -> None:
        """Tell the person something that is not the result."""
        if not self.quiet:
            print(text, file=sys.stderr, flush=True)

    def show(self, run: ComparisonRun, earlier: Sequence[ComparisonRun] = (), name: str = "") -> None:
        """Print a run, write its page, and compare it with earlier runs of that name."""
        against = compare_runs([run], earlier) if earlier else []
        if self.html is not None:
            write_whole(self.html, page_of(run))
            self.note(f"page: {self.html}")
        with self._stream() as stream:
            if self.as_json:
                more = {"against": run_to_run_to_json(against, "this run", name)} if earlier else {}
                _print_json(stream, {**run_to_json(run), **more})
            elif self.as_csv:
                stream.write(run_to_csv(run))
            else:
                console = console_for(stream, os.environ, no_color=self.no_color)
                print_run(console, run, cumulative=self.cumulative)
                if earlier:
                    console.print()
                    print_run_to_run(console, against, "this run", name)

    def show_sweep(self, sweep: Sweep) -> None:
        """Print a sweep."""
        with self._stream() as stream:
            if self.as_json:
                _print_json(stream, sweep_to_json(sweep))
            else:
                print_sweep(console_for(stream, os.environ, no_color=self.no_color), sweep)

    def show_against(self, now: Sequence[ComparisonRun], then: Sequence[ComparisonRun], first: str, other: str) -> None:
        """Print saved runs against earlier ones."""
        results = compare_runs(now, then)
        with self._stream() as stream:
            if self.as_json:
                _print_json(stream, run_to_run_to_json(results, first, other))
            else:
                print_run_to_run(console_for(stream, os.environ, no_color=self.no_color), results, first, other)

    def list_runs(self, runs: SavedRuns) -> None:
        """Print the saved runs, one a line."""
        found = [(name, runs.load(name)) for name in runs.names()]
        with self._stream() as stream:
            if self.as_json:
                _print_json(
                    stream,
                    [{"name": name, "started_time": run.started_time, "question": run.question} for name, run in found],
                )
            elif found:
                rows = [[name, run.started_time, run.question] for name, run in found]
                columns = [Column("name"), Column("started"), Column("question", is_flexible=True)]
                console_for(stream, os.environ, no_color=self.no_color).print(PlainTable(columns, rows))
            else:
                stream.write("no run is saved yet; ./lab compare A B --save NAME saves one\n")

    @contextmanager
    def _stream(self) -> Iterator[IO[str]]:
        if self.output == "-":
            yield sys.stdout
            return
        with Path(self.output).open("w", encoding="utf-8") as stream:
            yield stream


def _print_json(stream: IO[str], content: Any) -> None:
    json.dump(content, stream, ensure_ascii=False)
    stream.write("\n")
