"""What the demo's screen says in words: the terms it uses, and where to go on."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from clients.errors import LabError
from clients.screen.console import console_for
from otel.analysis.example import example_trace, failing_trace
from otel.query import TraceQuery
from tracelab.commands.reading import StoredTelemetry, found_trace
from tracelab.demo.proof import ReadBack
from tracelab.demo.report import DemoReport
from tracelab.demo.target import DemoTarget


def shown(trace_and_logs: tuple[object, object], width: int = 80) -> str:
    stream = io.StringIO()
    console = console_for(stream, {})
    console.width = width
    trace, logs = trace_and_logs
    DemoReport(console).trace(ReadBack((trace,), tuple(logs)))  # type: ignore[arg-type]  # the examples are these
    return stream.getvalue()


def test_the_words_of_the_drawing_are_explained_where_they_stand() -> None:
    text = shown(example_trace())
    assert "wire and queues: from client to server and back" in text
    assert "outlives: " not in text


def test_a_span_that_outlives_its_parent_is_explained() -> None:
    text = shown(failing_trace())
    assert ("outlives its parent" in text) == ("outlives: " in text)


def test_no_line_ends_in_a_space() -> None:
    for width in (60, 80, 100):
        assert [line for line in shown(example_trace(), width).splitlines() if line != line.rstrip()] == []


def test_where_to_go_on_names_a_page_that_is_served() -> None:
    stream = io.StringIO()
    target = DemoTarget({}, "http://h:1", "http://h:5", {}, None, None, None, has_older_services=False)
    DemoReport(console_for(stream, {})).where_to_go_on("ab" * 16, target, stays=False)
    assert f"  page     http://h:5/trace/{'ab' * 16}\n" in stream.getvalue()
    assert "(`last` is the ranking, TopUsers, which came after it)" in stream.getvalue()


def test_a_trace_that_a_store_does_not_have_is_missed_in_that_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TraceQuery, "trace", lambda _self, _trace_id: None)
    monkeypatch.setattr(TraceQuery, "trace_summaries", lambda _self, _search: [])
    store = tmp_path / "telemetry.sqlite"
    with StoredTelemetry(store, "http://127.0.0.1:52753") as query, pytest.raises(LabError) as missed:
        found_trace(query, "ab")
    assert str(missed.value) == f"trace ab is not in {store}"
