"""What `--what-if` predicts by replaying the typical calls' traces, and how good that was where it was checked."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from otel.analysis.model import Span
from otel.analysis.reading import TraceReading
from otel.analysis.rpc import operation
from otel.analysis.what_if import scaled_operation, what_if
from tracelab.compare.question.errors import UsageError


@dataclass(frozen=True, slots=True)
class Question:
    """What if an operation's own time were `factor` times what it is?

    With `change_ns` the change is a time for each call of it, and the factor whatever that comes to.
    """

    operation: str
    factor: Fraction
    change_ns: int | None = None


@dataclass(frozen=True, slots=True)
class Prediction:
    """The answer for one variant, as means over its typical calls in nanoseconds.

    `measured_ns` is what a run with the change really took; None where it was not checked.
    """

    variant: str
    operation: str
    factor: float
    typical_ns: float
    predicted_ns: float
    span_ns: float
    measured_ns: float | None = None


def parse_question(text: str) -> Question:
    """Read `OrderService/ListOrders=0.5`; UsageError for anything else."""
    match = re.fullmatch(r"(\w+/\w+|[\w. -]+)=(\d+(?:\.\d+)?)", text.strip())
    if match is None:
        raise UsageError(f"--what-if: '{text}' is not like OrderService/ListOrders=0.5", "an operation, =, a factor")
    return Question(match[1], Fraction(match[2]))


def predict(variant: str, readings: Sequence[tuple[TraceReading, int]], question: Question) -> Prediction | None:
    """Replay each trace, given with its call's latency; None where none of them has the operation.

    `span_ns` is the operation's own time for each time that it is called, wire and queues included.
    """
    spans = [span for reading, _ in readings for span in reading.forest.spans if operation(span) == question.operation]
    if not spans:
        return None
    own_ns = sum(_own_ns(reading, question.operation) for reading, _ in readings)
    calls = max(1, sum(_is_call(span) for span in spans))
    factor = question.factor
    if question.change_ns is not None and own_ns:
        factor = 1 + Fraction(question.change_ns * calls, own_ns)
    factor_of = scaled_operation({question.operation: factor}, operation)
    latencies_ns = [latency_ns for _, latency_ns in readings]
    saved_ns = [what_if(reading, factor_of).saved_ns for reading, _ in readings]
    typical_ns = sum(latencies_ns) / len(readings)
    return Prediction(
        variant=variant,
        operation=question.operation,
        factor=float(factor),
        typical_ns=typical_ns,
        predicted_ns=typical_ns - sum(saved_ns) / len(readings),
        span_ns=own_ns / calls,
    )


def _own_ns(reading: TraceReading, name: str) -> int:
    return sum(reading.self_time_ns.get(span.span_id, 0) for span in reading.forest.spans if operation(span) == name)


def _is_call(span: Span) -> bool:
    return span.kind.name in {"SERVER", "INTERNAL", "UNSPECIFIED"}
