"""How many things one OTLP request may hold, whatever its size in bytes.

An empty resource takes two bytes on the wire and ten microseconds of Python: a mebibyte of them kept the event loop
busy for 5 to 14 seconds. What senders make is far below: a batch of an SDK has 512 spans, one of a Collector 8,192.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from otel.backend.errors import TelemetryTooLargeError

MAX_RESOURCES = 10_000
MAX_SCOPES = 20_000
MAX_RECORDS = 100_000


def refuse_too_many(resources: Collection[Any], scopes_field: str, records_field: str) -> None:
    """Raise TelemetryTooLargeError where a request holds more than it may; costs little also where it holds far more.

    `records_field` names the spans, log records or metrics of a scope; a metric counts with its data points.
    """
    _bound(len(resources), MAX_RESOURCES, "resources")
    scopes = [getattr(resource, scopes_field) for resource in resources]
    _bound(sum(map(len, scopes)), MAX_SCOPES, "scopes")
    records = [getattr(scope, records_field) for group in scopes for scope in group]
    _bound(sum(map(len, records)), MAX_RECORDS, records_field.replace("_", " "))
    if records_field == "metrics":
        _bound(sum(_point_count(metric) for group in records for metric in group), MAX_RECORDS, "data points")


def _point_count(metric: Any) -> int:
    kind = metric.WhichOneof("data")
    return len(getattr(metric, kind).data_points) if kind else 0


def _bound(count: int, most: int, things: str) -> None:
    if count > most:
        raise TelemetryTooLargeError(
            f"the request holds {count} {things}, more than the {most} that one may; send smaller batches"
        )
