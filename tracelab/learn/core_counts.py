"""What gRPC's own core counted during a lesson, read back from the lesson's backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Final

from opentelemetry.sdk.metrics import MeterProvider

from otel.query import MetricSearch, TraceQuery, UnknownMetricError
from tracelab.learn.lab import Lab

WHOLE_HOUR_S: Final = 3600.0
ATTEMPTS: Final = "grpc.client.attempt.started"
WIRE_BYTES: Final = "grpc.client.attempt.sent_total_compressed_message_size"
MESSAGE_BYTES: Final = "tracelab.rpc.client.sent_message_size"
SERVED: Final = "grpc.server.call.duration"
CORE_METHOD: Final = "grpc.method"
CORE_STATUS: Final = "grpc.status"


def core_is_counted() -> bool:
    """Whether gRPC's core can be asked on this machine: there is a library for Linux alone."""
    return find_spec("grpc_observability") is not None


async def core_counts(
    lab: Lab, name: str, by: str, until: Callable[[Mapping[str, int]], bool], *, is_histogram: bool = False
) -> Mapping[str, int]:
    """Read what a metric came to in this lesson, by an attribute, once `until` holds: a sum, or how often it measured.

    `is_histogram` counts measurements instead of adding them. LessonError if `until` does not come to hold.
    """
    providers = lab.telemetry.providers

    def read(query: TraceQuery) -> Mapping[str, int]:
        if isinstance(providers.meter_provider, MeterProvider):
            providers.meter_provider.force_flush()
        aggregate, factor = ("rate", WHOLE_HOUR_S) if is_histogram else ("sum", 1.0)
        try:
            lines = query.metrics.query(MetricSearch(name, aggregate, (by,), step_s=WHOLE_HOUR_S)).lines
        except UnknownMetricError:
            return {}
        return {line.attributes[by]: round((line.values[0] or 0) * factor) for line in lines}

    return await lab.ask(read, until)
