"""The rows of a waterfall, before anybody knows how wide it may be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from clients.screen import palette
from clients.screen.glyphs import Glyphs
from clients.screen.text import plain
from otel.analysis.attempts import retried_calls
from otel.analysis.durations import duration_text
from otel.analysis.model import LogRecord, Span, SpanKind
from otel.analysis.reading import TraceReading
from otel.analysis.rpc import error_type, operation, rpc_facts


@dataclass(frozen=True, slots=True)
class Note:
    """Something about a span that a person should know, in the colour that it deserves."""

    text: str
    style: str


@dataclass(frozen=True, slots=True)
class SpanRow:
    """A span. `branch` draws the tree in front of its name, `stem` in front of what stands below it."""

    span: Span
    depth: int
    branch: str
    stem: str
    name: str
    kind: str
    status: str
    logs: tuple[LogRecord, ...]
    notes: tuple[Note, ...]


def span_rows(reading: TraceReading, glyphs: Glyphs) -> Iterator[SpanRow]:
    """Give a row for each span, depth first."""
    notes = _notes(reading)
    for span, depth, trunk, is_last in _branches(reading, glyphs):
        branch = "" if depth == 0 else trunk + (glyphs.corner if is_last else glyphs.tee)
        below = trunk + (glyphs.gap if is_last else glyphs.pipe) if depth else ""
        has_children = bool(reading.forest.children_of(span))
        yield SpanRow(
            span=span,
            depth=depth,
            branch=branch,
            stem=below + (glyphs.pipe if has_children else glyphs.gap),
            name=plain(operation(span), glyphs),
            kind=span.kind.name.lower() if span.kind else "",
            status=plain(status_text(span), glyphs),
            logs=reading.logs_by_span.get(span.span_id, ()),
            notes=tuple(notes.get(span.span_id, ())),
        )


def status_text(span: Span) -> str:
    """Give the gRPC status code, or that there is none to know; for any other failed span its error type, or ERROR."""
    facts = rpc_facts(span)
    if facts and facts.status_code:
        return facts.status_code
    if facts and facts.cut_short:
        return "cut short"
    return (error_type(span) or "ERROR") if span.is_error else ""


def short_name(name: str) -> str:
    """Drop the gRPC service from an operation: the service column says who."""
    service, slash, method = name.rpartition("/")
    return method if slash and service.endswith("Service") else name


def _branches(reading: TraceReading, glyphs: Glyphs) -> Iterator[tuple[Span, int, str, bool]]:
    stack = [(head, 0, "", True) for head in reversed(reading.forest.heads)]
    while stack:
        span, depth, trunk, is_last = stack.pop()
        yield span, depth, trunk, is_last
        inner = trunk + (glyphs.gap if is_last else glyphs.pipe) if depth else ""
        children = reading.forest.children_of(span)
        last = len(children) - 1
        stack.extend((children[i], depth + 1, inner, i == last) for i in range(last, -1, -1))


def _notes(reading: TraceReading) -> dict[str, list[Note]]:
    notes: dict[str, list[Note]] = {}
    for span_id, text, style in _all_notes(reading):
        notes.setdefault(span_id, []).append(Note(text, style))
    return notes


def _all_notes(reading: TraceReading) -> Iterator[tuple[str, str, str]]:
    for span in reading.forest.spans:
        if not span.has_time:
            yield span.span_id, "no time: its start or its end was never set", palette.WARNING
        if span.is_error and span.status_message and not _child_says_the_same(reading, span):
            yield span.span_id, span.status_message, palette.ERROR
    for call in retried_calls(reading.forest):
        for attempt in call.attempts:
            waited = f", {duration_text(attempt.wait_ns)} after the one before" if attempt.wait_ns else ""
            yield attempt.server_span.span_id, f"attempt {attempt.number}{waited}", palette.QUIET
    for span_id, late_ns in reading.path.outlives_parent_ns.items():
        if not _only_tidied_up(reading, span_id):
            yield span_id, f"outlives its parent by {duration_text(late_ns)}", palette.WARNING
    for span in reading.forest.orphans_outside_circles:
        yield span.span_id, f"parent {span.parent_span_id} was not received", palette.WARNING
    for span in reading.forest.circles:
        text = f"its parent {span.parent_span_id} stands below it: they name each other in a circle"
        yield span.span_id, text, palette.WARNING
    for span_id, shift_ns in reading.skew.shifts_ns.items():
        yield span_id, f"moved by {shift_ns / 1e6:+.1f} ms, its host's clock differs", palette.WARNING


def _only_tidied_up(reading: TraceReading, span_id: str) -> bool:
    # A client that got its answer was not left waiting; what its server still did is nobody's surprise.
    server, client = reading.forest.by_id[span_id], reading.forest.parents[span_id]
    return server.kind is SpanKind.SERVER and client.kind is SpanKind.CLIENT and status_text(client) in ("", "OK")


def _child_says_the_same(reading: TraceReading, span: Span) -> bool:
    return any(child.status_message == span.status_message for child in reading.forest.children_of(span))
