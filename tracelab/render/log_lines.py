"""Log records one below the other, for `lab logs`: when, who, how bad, what, and in which span.

Shows itself: `python -m tracelab.render.log_lines`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.text import Text

from clients.screen import palette
from clients.screen.console import console_for
from clients.screen.glyphs import Glyphs, glyphs_for
from clients.screen.text import left, plain, wrap_words
from otel.analysis.example import failing_trace
from otel.analysis.model import LogRecord, Trace
from otel.analysis.rpc import operation
from tracelab.render.log_text import record_words, severity_mark, severity_style

_WIDTH_OF_SPANS = 100
_SEVERITY_NAMES = ((21, "FATAL"), (17, "ERROR"), (13, "WARN"), (9, "INFO"), (5, "DEBUG"), (1, "TRACE"))


@dataclass(frozen=True)
class LogLines:
    """A renderable. `operations` maps span ids to what they do, for the column that is given up below 100 cells.

    Without it that column has the start of the trace's id and the span's.
    """

    records: Sequence[LogRecord]
    operations: Mapping[str, str] = field(default_factory=dict)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Print one record after the other; facts that don't fit continue below."""
        glyphs = glyphs_for(ascii_only=options.ascii_only)
        services = [plain(record.service_name, glyphs) for record in self.records]
        service_cells = min(14, max(map(cell_len, services), default=0))
        names = [plain(self._span_name(record), glyphs) for record in self.records]
        span_cells = min(32, max(map(cell_len, names), default=0)) if options.max_width >= _WIDTH_OF_SPANS else 0
        for record, service, name in zip(self.records, services, names, strict=True):
            yield from _lines(record, service, service_cells, name, span_cells, options.max_width, glyphs)

    def _span_name(self, record: LogRecord) -> str:
        if not self.operations and record.trace_id:  # of many traces: what `lab trace` finds it by, then the span
            return f"{record.trace_id[:8]}/{record.span_id}"
        return self.operations.get(record.span_id, record.span_id) or "-"


def operations_of(trace: Trace) -> dict[str, str]:
    """Name what each span does, for `LogLines`."""
    return {span.span_id: operation(span) for span in trace.spans}


def severity_name(record: LogRecord) -> str:
    """Give `INFO`, `WARN`, …: the record's own text, else from its number."""
    known = next((name for least, name in _SEVERITY_NAMES if record.severity_number >= least), "-")
    return record.severity_text.upper() or known


def _lines(
    record: LogRecord, service: str, service_cells: int, name: str, span_cells: int, width: int, glyphs: Glyphs
) -> Iterator[Text]:
    moment = datetime.fromtimestamp(record.time_unix_nano // 1_000_000_000, UTC)
    clock = f"{moment:%H:%M:%S}.{record.time_unix_nano // 1000 % 1_000_000:06d} "
    head = Text.assemble((clock, palette.QUIET))
    head.append(left(service, service_cells, glyphs), palette.service_style(record.service_name))
    head.append(f" {severity_mark(record, glyphs)} ", severity_style(record))
    head.append(left(plain(severity_name(record), glyphs), 5, glyphs) + " ", severity_style(record))
    if span_cells:
        head.append(left(name, span_cells, glyphs) + "  ", palette.QUIET)
    indent = head.cell_len
    for number, part in enumerate(wrap_words(record_words(record, glyphs), max(20, width - indent), glyphs)):
        line = head if number == 0 else Text(" " * indent)
        line.append(part)
        yield line


def main() -> None:
    """Print the example's log records on standard output."""
    trace, logs = failing_trace()
    console_for(sys.stdout, os.environ).print(LogLines(logs, operations_of(trace)))


if __name__ == "__main__":
    main()
