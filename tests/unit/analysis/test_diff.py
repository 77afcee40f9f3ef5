"""Trace against trace."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from otel.analysis.diff import Change, RootsDifferError, diff_traces
from otel.analysis.example import example_trace, failing_trace
from otel.analysis.model import SpanKind, Trace
from otel.analysis.reading import TraceReading
from tests.unit.analysis import building as b
from tests.unit.analysis.building import CLIENT, MS, SERVER, record, span, trace
from tests.unit.analysis.forests import traces

BATCH = trace(span("P", 0, 30, kind=SERVER), span("Batch", 5, 25, "P", CLIENT))


def test_the_worked_example_shares_out_the_difference() -> None:
    diff = diff_traces(TraceReading(b.FAN_OUT), TraceReading(BATCH))

    assert diff.delta_ns == -70 * MS
    assert [(n.key.operation, n.change, n.a.count, n.b.count, n.delta_ns / MS) for n in diff.nodes] == [
        ("P", Change.SAME, 1, 1, -10),
        ("ListOrders", Change.REMOVED, 8, 0, -80),
        ("Batch", Change.ADDED, 0, 1, 20),
    ]


def test_different_roots_are_refused_by_name_unless_forced() -> None:
    other = trace(span("Q", 0, 10, kind=SERVER))

    with pytest.raises(RootsDifferError, match=r"different operations: svc P \(server\) and svc Q \(server\)"):
        diff_traces(TraceReading(BATCH), TraceReading(other))

    assert diff_traces(TraceReading(BATCH), TraceReading(other), force=True).delta_ns == -20 * MS


def test_what_was_removed_here_and_added_there_is_marked_as_moved() -> None:
    before = trace(span("P", 0, 30), span("A", 1, 20, "P"), span("X", 21, 25, "P"))
    after = trace(span("P", 0, 30), span("A", 1, 20, "P"), span("X", 5, 9, "A"))

    diff = diff_traces(TraceReading(before), TraceReading(after))

    assert [(node.key.operation, node.moved) for node in diff.nodes] == [
        ("P", False),
        ("A", False),
        ("X", True),
        ("X", True),
    ]


def test_equal_counts_name_the_pair_that_differs_most() -> None:
    before = trace(span("P", 0, 30), span("A1", 0, 5, "P", operation="A"), span("A2", 5, 10, "P", operation="A"))
    after = trace(
        span("P", 0, 30),
        span("A1", 0, 5, "P", operation="A"),
        span("A2", 5, 14, "P", operation="A", attributes={"cache": "miss"}),
    )

    pair = diff_traces(TraceReading(before), TraceReading(after)).nodes[1].worst_pair

    assert pair is not None
    assert (pair.a_span_id, pair.delta_ns, pair.differences) == ("A2", 4 * MS, (("cache", "", "miss"),))


def test_unequal_counts_are_never_paired() -> None:
    assert diff_traces(TraceReading(b.FAN_OUT), TraceReading(BATCH)).nodes[1].worst_pair is None


def test_log_events_are_counted_where_they_differ() -> None:
    before = TraceReading(BATCH, tuple(record("P", 5, "order.listed") for _ in range(8)))
    after = TraceReading(BATCH, (record("P", 5, "order.listed"),))

    assert diff_traces(before, after).log_counts == (("order.listed", 8, 1),)


def test_rows_below_one_per_cent_fold_away_but_never_a_changed_status() -> None:
    diff = diff_traces(TraceReading(*example_trace()), TraceReading(*failing_trace()))

    assert [node.key.operation for node in diff.main_nodes()] == [
        "ReportService/GetUserReport",
        "ReportService/GetUserReport",
        "OrderService/ListOrders",
        "OrderService/ListOrders",
    ]


@given(traces(), traces())
def test_the_deltas_sum_to_the_difference_of_the_roots(a: Trace, b_trace: Trace) -> None:
    a_reading, b_reading = TraceReading(a), TraceReading(b_trace)
    if a_reading.root is None or b_reading.root is None:
        return

    diff = diff_traces(a_reading, b_reading, force=True)

    assert sum(node.delta_ns for node in diff.nodes) == diff.delta_ns


@given(traces())
def test_a_trace_does_not_differ_from_itself(given_trace: Trace) -> None:
    reading = TraceReading(given_trace)
    if reading.root is None:
        return
    diff = diff_traces(reading, TraceReading(replace(given_trace, spans=given_trace.spans[::-1])))

    assert {node.delta_ns for node in diff.nodes} == {0}
    assert all(node.change is Change.SAME and node.key.kind in SpanKind for node in diff.nodes)
