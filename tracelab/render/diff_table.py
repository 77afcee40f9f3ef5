"""Two traces compared, as a tree with the time that each path gained or lost; the deltas add up as printed.

Shows itself: `python -m tracelab.render.diff_table`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from clients.screen import palette
from clients.screen.console import console_for
from clients.screen.glyphs import Glyphs, glyphs_for
from clients.screen.tables import Cell, Column, PlainTable
from clients.screen.text import plain, wrap_words
from otel.analysis.diff import Change, DiffNode, TraceDiff, diff_traces
from otel.analysis.durations import DurationScale, duration_text, scale_for
from otel.analysis.example import example_trace, failing_trace
from otel.analysis.reading import TraceReading

_COLUMNS = (
    Column("service"),
    Column("operation", is_flexible=True),
    Column("kind", give_up=2),
    Column("count", is_number=True),
    Column("status", give_up=1),
)


@dataclass(frozen=True)
class DiffTable:
    """A renderable. Rows below 1 % of the larger root fold into one, unless `show_all`; `by_delta` sorts them."""

    diff: TraceDiff
    show_all: bool = False
    by_delta: bool = False

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw at the console's width."""
        glyphs = glyphs_for(ascii_only=options.ascii_only)
        diff = self.diff
        scale = scale_for(max(diff.a_duration_ns, diff.b_duration_ns), least_decimals=1)
        for part in wrap_words(plain(diff_sentence(diff), glyphs).split(" "), options.max_width, glyphs):
            yield Text(part, palette.STRONG)
        yield Text(f"A {diff.a_trace_id}", palette.QUIET)
        yield Text(f"B {diff.b_trace_id}", palette.QUIET)
        yield Text("")
        yield PlainTable(
            (*_COLUMNS, *(Column(title, is_number=True) for title in (f"A {scale.unit}", "B", "delta"))),
            list(self._rows(scale, glyphs)),
        )
        for note in _notes(diff, glyphs):
            for number, part in enumerate(wrap_words(note.split(" "), options.max_width - 2, glyphs)):
                yield Text(part if number == 0 else f"  {part}", palette.QUIET)

    def _rows(self, scale: DurationScale, glyphs: Glyphs) -> Iterator[list[Cell | str]]:
        diff = self.diff
        nodes = list(diff.nodes if self.show_all else diff.main_nodes())
        if self.by_delta:
            nodes.sort(key=lambda node: -abs(node.delta_ns))
        folded = len(diff.nodes) - len(nodes)
        columns = [_printed(scale, times, total) for times, total in _sums(diff, nodes)]
        for node, *numbers in zip(nodes, *columns, strict=False):
            yield _node_row(node, numbers, glyphs, is_tree=not self.by_delta)
        if folded:
            a_rest, b_rest, delta_rest = (column[-2] for column in columns)
            yield ["", f"{folded} other", "", "", "", a_rest, b_rest, _signed(delta_rest, glyphs)]
        a_sum, b_sum, delta_sum = (column[-1] for column in columns)
        yield [Cell("sum", palette.STRONG), "", "", "", "", a_sum, b_sum, _delta_cell(delta_sum, diff.delta_ns, glyphs)]


def _sums(diff: TraceDiff, nodes: list[DiffNode]) -> list[tuple[list[int], int]]:
    return [
        ([node.a.critical_time_ns for node in nodes], diff.a_duration_ns),
        ([node.b.critical_time_ns for node in nodes], diff.b_duration_ns),
        ([node.delta_ns for node in nodes], diff.delta_ns),
    ]


def _printed(scale: DurationScale, times_ns: list[int], total_ns: int) -> list[str]:
    parts = [*times_ns, total_ns - sum(times_ns)]
    return [*scale.parts(parts), scale.total(parts)]


def diff_sentence(diff: TraceDiff) -> str:
    """Say `B took 70.0 ms less (100 ms, then 30.0 ms), most of it in OrderService/ListOrders (report)`."""
    if not diff.delta_ns:
        return f"both took {duration_text(diff.a_duration_ns)}"
    word = "longer" if diff.delta_ns > 0 else "less"
    size = duration_text(abs(diff.delta_ns))
    main = max(diff.nodes, key=lambda node: (abs(node.delta_ns), -node.depth))
    a_text, b_text = duration_text(diff.a_duration_ns), duration_text(diff.b_duration_ns)
    return (
        f"B took {size} {word} ({a_text}, then {b_text}), most of it in {main.key.operation} ({main.key.service_name})"
    )


def _node_row(node: DiffNode, numbers: list[str], glyphs: Glyphs, *, is_tree: bool) -> list[Cell | str]:
    marks = {Change.SAME: " ", Change.ADDED: "+", Change.REMOVED: "-"}
    moved = " (moved)" if node.moved else ""
    indent = "  " * min(node.depth, 8) if is_tree else ""
    arrow = "->" if glyphs.is_ascii else "→"
    both = node.a.count == node.b.count
    count = f"x{node.a.count}" if both else f"x{node.a.count} {arrow} x{node.b.count}"
    status = node.b.worst_status or node.a.worst_status
    if node.change is Change.SAME and node.a.worst_status != node.b.worst_status:
        status = f"{node.a.worst_status} {arrow} {node.b.worst_status}"
    return [
        Cell(node.key.service_name, palette.service_style(node.key.service_name)),
        f"{marks[node.change]} {indent}{node.key.operation}{moved}",
        node.key.kind.name.lower(),
        count,
        status,
        numbers[0],
        numbers[1],
        _delta_cell(numbers[2], node.delta_ns, glyphs),
    ]


def _delta_cell(text: str, delta_ns: int, glyphs: Glyphs) -> Cell:
    return Cell(_signed(text, glyphs), palette.SLOWER if delta_ns > 0 else palette.FASTER if delta_ns < 0 else "")


def _signed(text: str, glyphs: Glyphs) -> str:
    if text.startswith("-"):
        return glyphs.minus + text[1:]
    return text if not text.strip("0.") else f"+{text}"


def _notes(diff: TraceDiff, glyphs: Glyphs) -> Iterator[str]:
    arrow = "->" if glyphs.is_ascii else "→"
    for node in diff.main_nodes():
        pair = node.worst_pair
        differences = pair.differences if pair else ()
        changes = [f"{key} {before or '-'} {arrow} {after or '-'}" for key, before, after in differences]
        if changes:
            who = f"{node.key.operation} ({node.key.kind.name.lower()})"
            yield f"{glyphs.note} " + " ".join(plain(text, glyphs) for text in (f"{who}:", ", ".join(changes)))
    counts = [f"{plain(name, glyphs)} x{before} {arrow} x{after}" for name, before, after in diff.log_counts]
    if counts:
        yield f"{glyphs.log} log records: " + ", ".join(counts)


def main() -> None:
    """Compare the example traces on standard output."""
    before, after = (TraceReading(*make()) for make in (example_trace, failing_trace))
    console_for(sys.stdout, os.environ).print(DiffTable(diff_traces(before, after)))


if __name__ == "__main__":
    main()
