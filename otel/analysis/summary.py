"""The one sentence on where a trace's time went; its parts add up as printed."""

from __future__ import annotations

from otel.analysis.durations import scale_for
from otel.analysis.reading import TraceReading
from otel.analysis.rpc import operation

MOST_PARTS = 5


def path_parts(reading: TraceReading) -> list[tuple[str, int]]:
    """Sum the critical path by what it was spent on: label and nanoseconds, longest first. Adds up to the root."""
    by_label: dict[str, int] = {}
    for step in reading.path.steps:
        label = reading.step_label(step)
        by_label[label] = by_label.get(label, 0) + step.duration_ns
    return sorted(by_label.items(), key=lambda part: (-part[1], part[0]))


def summary_sentence(reading: TraceReading, subject: str = "", most_parts: int = MOST_PARTS) -> str:
    """Say `Report took 14.2 ms: 6.1 OrderService/ListOrders, 3.9 wire and queues, …`.

    `subject` defaults to the root's operation. The smallest parts are summed up as "other" beyond `most_parts`.
    """
    if reading.root is None:
        return "no spans"
    if not reading.root.has_time:
        return f"{subject or operation(reading.root)} has no time"
    parts = path_parts(reading)
    if len(parts) > most_parts:
        rest = parts[most_parts - 1 :]
        parts = [*parts[: most_parts - 1], (f"{len(rest)} other", sum(duration_ns for _, duration_ns in rest))]
    durations_ns = [duration_ns for _, duration_ns in parts]
    scale = scale_for(reading.root.duration_ns, least_decimals=1)
    printed = scale.parts(durations_ns)
    named = ", ".join(f"{number} {label}" for number, (label, _) in zip(printed, parts, strict=True))
    total = f"{scale.total(durations_ns)} {scale.unit}"
    return f"{subject or operation(reading.root)} took {total}" + (f": {named}" if named else "")
