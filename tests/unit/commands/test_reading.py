"""How the reading commands find what a person names: a trace by the start of its id, a method as screens show it."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest

from clients import cli, output
from clients.errors import LabError
from clients.screen.console import console_for
from otel.analysis.example import TRACE_ID, example_trace
from otel.analysis.model import Trace
from otel.analysis.reading import TraceReading
from otel.query import Operation, TraceQuery, TraceSearch, TraceSummary
from tracelab.commands import logs, traces
from tracelab.commands.reading import found_trace
from tracelab.render.log_lines import LogLines

OTHER_ID = TRACE_ID[:4] + "0" * 28
FULL_NAME = "tracelab.report.v1.ReportService/TopUsers"


def summary(trace_id: str) -> TraceSummary:
    return TraceSummary(trace_id, "demo", FULL_NAME, 1, 2, 1, 0, 0, ())


class Stored(TraceQuery):
    """A backend that has the example trace, and summaries of the ids that it is made with."""

    def __init__(self, *trace_ids: str) -> None:
        super().__init__("http://127.0.0.1:1")
        self._ids = trace_ids

    def trace(self, trace_id: str) -> Trace | None:
        return example_trace()[0] if trace_id == TRACE_ID else None

    def trace_summaries(self, search: TraceSearch = TraceSearch()) -> list[TraceSummary]:  # noqa: B008  # frozen
        is_wanted = search.operation_name in {"", FULL_NAME}
        return [summary(trace_id) for trace_id in self._ids] if is_wanted else []

    def services(self) -> list[str]:
        return ["demo", "report"]

    def operations(self, service_name: str) -> list[Operation]:
        return [Operation(FULL_NAME, "server"), Operation(f"my{FULL_NAME}", "server")] if service_name else []


def test_a_trace_is_found_by_the_start_of_its_id() -> None:
    with Stored(TRACE_ID, "f" * 32) as query:
        assert found_trace(query, TRACE_ID[:6].upper()).trace_id == TRACE_ID


def test_a_start_that_several_traces_have_is_not_guessed_at() -> None:
    with Stored(TRACE_ID, OTHER_ID) as query, pytest.raises(LabError, match="2 traces begin with"):
        found_trace(query, TRACE_ID[:4])


def test_who_gives_a_start_that_nothing_has_is_told_where_it_is_looked_for() -> None:
    with Stored() as query, pytest.raises(LabError) as started:
        found_trace(query, TRACE_ID[:4])
    with Stored() as query, pytest.raises(LabError) as whole:
        found_trace(query, OTHER_ID)
    assert "among the newest of a week" in started.value.hint
    assert "week" not in whole.value.hint


def test_a_method_is_found_by_the_name_that_screens_show() -> None:
    search = TraceSearch(operation_name="ReportService/TopUsers")
    with Stored(TRACE_ID) as query:
        assert query.trace_summaries(search) == []
        assert [hit.trace_id for hit in traces.of_full_names(query, search)] == [TRACE_ID]
        assert [hit.trace_id for hit in traces.of_full_names(query, replace(search, operation_name="TopUsers"))] == [
            TRACE_ID
        ]
        for part in ("Service/TopUsers", "Users"):
            assert traces.of_full_names(query, replace(search, operation_name=part)) == []


def test_lines_of_many_traces_say_what_each_is_found_by() -> None:
    stream = io.StringIO()
    console = console_for(stream, {})
    _, records = example_trace()
    console.print(LogLines(records[:1]))
    assert f" {TRACE_ID[:8]}/{records[0].span_id} " in stream.getvalue()


def test_a_count_of_lines_holds_for_one_trace_too_and_the_rest_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trace, records = example_trace()
    monkeypatch.setattr(output, "_muted", [])  # by what another test said with --quiet
    monkeypatch.setattr(logs, "opened", lambda _store: Stored(TRACE_ID))
    monkeypatch.setattr(logs, "read_trace", lambda _query, _id: TraceReading(trace, tuple(records)))
    assert cli.main(["logs", "last", "--limit", "1", "--json"]) == 0
    assert capsys.readouterr().out.count('"uid"') == 1
    assert cli.main(["logs", "last", "--limit", "1"]) == 0
    assert capsys.readouterr().err == "the first 1; --limit shows more\n"
