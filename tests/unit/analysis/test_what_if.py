"""Replaying a trace with an operation made faster."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given

from otel.analysis.model import Span, Trace
from otel.analysis.reading import TraceReading
from otel.analysis.what_if import scaled_operation, what_if
from tests.unit.analysis import building as b
from tests.unit.analysis.building import MS
from tests.unit.analysis.forests import traces


def name_of(span: Span) -> str:
    return span.name


@pytest.mark.parametrize(
    ("example", "operation", "expected_ms"),
    [
        pytest.param(b.OVERLAPPING, "B", 90, id="2, the call on the path: another decides then"),
        pytest.param(b.OVERLAPPING, "A", 100, id="2, a call off the path buys nothing"),
        pytest.param(b.FAN_OUT, "ListOrders", 60, id="5, all calls of a fan-out"),
        pytest.param(b.LEVELS, "DB", 180, id="7, three levels down: O1 then decides"),
    ],
)
def test_halving_an_operation_replays_the_waits(example: Trace, operation: str, expected_ms: float) -> None:
    replay = what_if(TraceReading(example), scaled_operation({operation: Fraction(1, 2)}, name_of))

    assert replay.replayed_duration_ns == expected_ms * MS


@given(traces())
def test_changing_nothing_gives_the_same_duration_for_nested_calls(given_trace: Trace) -> None:
    reading = TraceReading(given_trace)
    replay = what_if(reading, lambda span: Fraction(1))

    assert replay.duration_ns == (reading.root.duration_ns if reading.root else 0)
    assert replay.saved_ns == 0
