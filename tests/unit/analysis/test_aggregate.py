"""The critical path over many traces."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from otel.analysis.aggregate import aggregate_critical_paths
from otel.analysis.model import Trace
from otel.analysis.reading import TraceReading
from tests.unit.analysis import building as b
from tests.unit.analysis.building import CLIENT, MS, SERVER, span, trace
from tests.unit.analysis.forests import traces


def named(number: int, given_trace: Trace) -> TraceReading:
    return TraceReading(replace(given_trace, trace_id=f"{number:032x}"))


def test_means_and_counts_are_over_all_traces_with_an_exemplar_for_each() -> None:
    slow = trace(span("P", 0, 90, kind=SERVER), span("L", 10, 70, "P", CLIENT, operation="ListOrders"))
    fast = trace(span("P", 0, 30, kind=SERVER), span("L", 10, 20, "P", CLIENT, operation="ListOrders"))
    without = trace(span("P", 0, 30, kind=SERVER))

    found = aggregate_critical_paths([named(1, slow), named(2, fast), named(3, without), TraceReading(trace())])

    root, calls = found.shares
    assert (found.trace_count, found.duration_ns) == (3, 150 * MS)
    assert [key.operation for key in calls.path] == ["P", "ListOrders"]
    assert (calls.critical_time_ns, calls.span_count, calls.trace_count) == (70 * MS, 2, 2)
    assert found.mean_ns(calls) == Fraction(70 * MS, 3)
    assert (calls.median_trace_id[-1], calls.worst_trace_id[-1]) == ("2", "1")
    assert (root.critical_time_ns, root.trace_count) == (80 * MS, 3)


def test_all_calls_of_a_fan_out_are_one_share() -> None:
    (_, calls) = aggregate_critical_paths([TraceReading(b.FAN_OUT)]).shares

    assert (calls.critical_time_ns, calls.span_count) == (80 * MS, 8)


@given(st.lists(traces(), max_size=4))
def test_the_shares_sum_to_the_time_of_all_roots(many: list[Trace]) -> None:
    found = aggregate_critical_paths([named(number, one) for number, one in enumerate(many)])

    assert sum(share.critical_time_ns for share in found.shares) == found.duration_ns
