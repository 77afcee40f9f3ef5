"""A trace as a waterfall: each span with its bar on one time axis, its log records below it.

Shows itself: `python -m tracelab.render.waterfall`.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from clients.screen import palette
from clients.screen.console import console_for
from clients.screen.glyphs import Glyphs, glyphs_for
from clients.screen.text import left, plain, right, wrap_words
from otel.analysis.critical_path import PathStep
from otel.analysis.durations import scale_for
from otel.analysis.example import example_trace, failing_trace
from otel.analysis.model import LogRecord
from otel.analysis.reading import TraceReading
from otel.analysis.rpc import operation
from tracelab.render.log_text import record_words, repeated_facts, severity_mark, severity_style, severity_word
from tracelab.render.waterfall_columns import MOST_CELLS_OF_A_BRANCH, columns_for
from tracelab.render.waterfall_rows import SpanRow, short_name, span_rows

MOST_SPANS = 300


@dataclass(frozen=True)
class Waterfall:
    """A renderable; print it on any rich console. Spans beyond `most_spans` are counted, not drawn.

    `marks` says by span id what a reader should notice on that span.
    """

    reading: TraceReading
    has_logs: bool = True
    most_spans: int = MOST_SPANS
    marks: Mapping[str, str] = field(default_factory=dict)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw at the console's width, in its encoding."""
        glyphs = glyphs_for(ascii_only=options.ascii_only)
        yield from _Drawing(self, options.max_width, glyphs).lines()


class _Drawing:
    def __init__(self, waterfall: Waterfall, width: int, glyphs: Glyphs) -> None:
        self._reading = waterfall.reading
        self._has_logs = waterfall.has_logs
        self._marks = waterfall.marks
        self._width = width
        self._glyphs = glyphs
        self._rows = list(islice(span_rows(self._reading, glyphs), waterfall.most_spans))
        self._left_out = len(self._reading.forest.spans) - len(self._rows)
        self._start = self._reading.start_time_unix_nano
        self._length_ns = max(1, self._reading.end_time_unix_nano - self._start)
        self._scale = scale_for(self._length_ns, least_decimals=1)
        self._columns = columns_for(self._rows, width, self._duration_cells(), self._text_cells())
        self._has_marks = any(row.status not in ("", "OK") for row in self._rows)
        self._critical: dict[str, list[PathStep]] = {}
        for step in self._reading.path.steps:
            self._critical.setdefault(step.span.span_id, []).append(step)

    def lines(self) -> Iterator[Text]:
        if not self._rows:
            yield Text("no spans")
            return
        yield from self._title()
        yield self._header()
        for row in self._rows:
            yield self._span_line(row)
            yield from self._note_lines(row)
            for record in row.logs if self._has_logs else ():
                yield from self._log_lines(row, record)
        yield from self._footer()

    def _title(self) -> Iterator[Text]:
        reading, root = self._reading, self._reading.root
        errors = sum(span.is_error for span in reading.forest.spans)
        facts = [
            plain(operation(root), self._glyphs) if root else "",
            plain(self._scale.text(root.duration_ns if root else 0), self._glyphs),
            counted(len(reading.forest.spans), "span"),
            counted(len(reading.services), "service"),
            counted(len(reading.logs), "log record"),
            *([f"{self._glyphs.error} {counted(errors, 'error')}"] if errors else []),
        ]
        for number, part in enumerate(self._separated(facts)):
            line = Text(part)
            line.stylize(palette.STRONG, 0, len(facts[0]) if number == 0 else 0)
            line.highlight_regex(f"{re.escape(self._glyphs.error)} .*", palette.ERROR)
            yield line
        moment = datetime.fromtimestamp(self._start // 1_000_000_000, UTC)
        clock = f"{moment:%Y-%m-%d %H:%M:%S}.{self._start // 1_000_000 % 1000:03d} UTC" if self._start else "no time"
        for part in self._separated([f"trace {reading.trace.trace_id}", clock]):
            yield Text(part, palette.QUIET)
        yield Text("")

    def _separated(self, facts: list[str]) -> list[str]:
        words = [f"{fact} {self._glyphs.separator}" for fact in facts[:-1]] + facts[-1:]
        return wrap_words(words, self._width, self._glyphs)

    def _header(self) -> Text:
        columns, scale = self._columns, self._scale
        cells = [left("service", columns.service, self._glyphs), left("operation", columns.name, self._glyphs)]
        if columns.kind:
            cells.append(left("kind" if columns.kind > 1 else "", columns.kind, self._glyphs))
        if columns.status:
            cells.append(left(("  " if self._has_marks else "") + "status", columns.status, self._glyphs))
        cells.append(right(plain(scale.unit, self._glyphs), columns.duration, self._glyphs))
        line = " ".join(cells)
        if columns.bar:
            line += "  " + self._axis()
        return Text(line.rstrip(), palette.QUIET)

    def _axis(self) -> str:
        width, end = self._columns.bar, plain(self._scale.text(self._length_ns), self._glyphs)
        if width < len(end) + 2:
            return right(end, width, self._glyphs) if width >= len(end) else ""
        return "0" + right(end, width - 1, self._glyphs)

    def _span_line(self, row: SpanRow) -> Text:
        columns, glyphs, span = self._columns, self._glyphs, row.span
        style = palette.service_style(span.service_name)
        name = short_name(row.name) if columns.has_short_names else row.name
        line = Text.assemble((left(plain(span.service_name, glyphs) or "?", columns.service, glyphs), style))
        line.append(" ")
        branch = self._nearest(row.branch)
        line.append(branch, palette.QUIET)
        line.append(left(name, columns.name - len(branch), glyphs), palette.STRONG if row.depth == 0 else "")
        if columns.kind:
            kind = row.kind if columns.kind > 1 else row.kind[:1].upper()
            line.append(" " + left(kind, columns.kind, glyphs), palette.QUIET)
        if columns.status:
            line.append(" ")
            line.append(left(self._marked_status(row), columns.status, glyphs), self._status_style(row))
        length = self._scale.number(span.duration_ns) if span.has_time else "-"
        line.append(" " + right(length, columns.duration, glyphs))
        if columns.bar:
            line.append("  ")
            line.append(self._bar(row), style)
        line.rstrip()
        return line

    def _nearest(self, tree: str) -> str:
        most = MOST_CELLS_OF_A_BRANCH
        return tree if len(tree) <= most else self._glyphs.ellipsis + tree[1 - most :]

    def _marked_status(self, row: SpanRow) -> str:
        if not self._has_marks:
            return row.status
        mark = " "
        if row.span.is_error:
            mark = self._glyphs.error
        elif row.status not in ("", "OK"):
            mark = self._glyphs.warning
        return f"{mark} {row.status}"

    def _status_style(self, row: SpanRow) -> str:
        if row.span.is_error:
            return palette.ERROR
        return palette.QUIET if row.status in ("", "OK") else palette.WARNING

    def _bar(self, row: SpanRow) -> str:
        cells = [" "] * self._columns.bar
        if not row.span.has_time:
            return ""
        first, last = self._cells_between(row.span.start_time_unix_nano, row.span.end_time_unix_nano)
        cells[first : last + 1] = self._glyphs.bar * (last + 1 - first)
        for step in self._critical.get(row.span.span_id, ()):
            first, last = self._cells_between(step.start_time_unix_nano, step.end_time_unix_nano)
            cells[first : last + 1] = self._glyphs.critical * (last + 1 - first)
        return "".join(cells)

    def _cells_between(self, start: int, end: int) -> tuple[int, int]:
        width, offset = self._columns.bar, start - self._start
        first = min(width - 1, max(0, offset * width // self._length_ns))
        last = min(width - 1, max(first, -(-(end - self._start) * width // self._length_ns) - 1))
        return first, last

    def _note_lines(self, row: SpanRow) -> Iterator[Text]:
        for note in row.notes:
            yield from self._noted(row, note.text, self._glyphs.note, note.style)
        if mark := self._marks.get(row.span.span_id):
            yield from self._noted(row, mark, self._glyphs.arrow_right, palette.STRONG)

    def _noted(self, row: SpanRow, note: str, sign: str, style: str) -> Iterator[Text]:
        indent = " " * (self._columns.service + 1) + self._nearest(row.stem)
        room = max(20, self._width - len(indent) - 2)
        for number, part in enumerate(wrap_words(plain(note, self._glyphs).split(" "), room, self._glyphs)):
            yield Text.assemble((indent, palette.QUIET), ((f"{sign} " if number == 0 else "  ") + part, style))

    def _log_lines(self, row: SpanRow, record: LogRecord) -> Iterator[Text]:
        columns, glyphs = self._columns, self._glyphs
        stem = self._nearest(row.stem)
        room = max(20, columns.text - len(stem) - 2)
        words = _log_words(record, row, glyphs)
        time = self._reading.log_time_unix_nano(record)
        for number, part in enumerate(wrap_words(words, room, glyphs)):
            line = Text.assemble((" " * (columns.service + 1) + stem, palette.QUIET))
            line.append(severity_mark(record, glyphs) + " " if number == 0 else "  ", severity_style(record))
            line.append(left(part, room, glyphs), severity_style(record) or "italic")
            if number == 0:
                offset = f"+{self._scale.number(time - self._start)}" if self._start else ""
                line.append(" " + right(offset, columns.duration, glyphs), palette.QUIET)
                if columns.bar:
                    at, _ = self._cells_between(time, time)
                    line.append("  " + " " * at + glyphs.log, palette.service_style(record.service_name))
            line.rstrip()
            yield line

    def _footer(self) -> Iterator[Text]:
        reading, glyphs = self._reading, self._glyphs
        if self._left_out:
            yield Text(f"{glyphs.ellipsis} and {counted(self._left_out, 'more span')}", palette.WARNING)
        for record in reading.loose_logs if self._has_logs else ():
            words = record_words(record, glyphs)
            name = plain(record.service_name, glyphs)
            text = f"{glyphs.warning} log record of a span that was not received: {name} {' '.join(words)}"
            for part in wrap_words(text.split(" "), self._width, glyphs):
                yield Text(part, palette.WARNING)
        if reading.skew.note:
            for part in wrap_words(f"{glyphs.warning} {reading.skew.note}".split(" "), self._width, glyphs):
                yield Text(part, palette.WARNING)
        if self._columns.bar:
            marks = f"{glyphs.critical * 2} on the critical path  {glyphs.bar * 2} not"
            logs = f"  {glyphs.log} log record" if reading.logs and self._has_logs else ""
            yield Text(" " * (self._columns.service + 1) + marks + logs, palette.QUIET)

    def _text_cells(self) -> int:
        if not self._has_logs:
            return 0
        lines = ((row, " ".join(_log_words(record, row, self._glyphs))) for row in self._rows for record in row.logs)
        return max((len(self._nearest(row.stem)) + 2 + cell_len(text) for row, text in lines), default=0)

    def _duration_cells(self) -> int:
        longest = self._scale.number(self._length_ns)
        return max(len(longest) + (1 if self._has_logs and self._reading.logs else 0), len(self._scale.unit))


def _log_words(record: LogRecord, row: SpanRow, glyphs: Glyphs) -> list[str]:
    word = severity_word(record)
    return ([word] if word else []) + record_words(record, glyphs, repeated_facts(record, row.span))


def counted(number: int, noun: str) -> str:
    """Say `1 span`, `2 spans`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def main() -> None:
    """Draw the example traces on standard output."""
    console = console_for(sys.stdout, os.environ)
    for make in (example_trace, failing_trace):
        trace, logs = make()
        console.print(Waterfall(TraceReading(trace, logs)))
        console.print()


if __name__ == "__main__":
    main()
