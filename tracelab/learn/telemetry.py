"""The one place where a lesson's own process meets its environment: the OTel SDK reads its endpoint there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final

from otel.instrument import Telemetry, TelemetrySettings, configure

SERVICE_NAME: Final = "lesson"
EXPORT_DELAY_MS: Final = "100"
_OF_THE_SHELL: Final = (
    "OTEL_",
    "LAB_INSTRUMENTATION",
    "LAB_LOGS_AS_SPAN_EVENTS",
    "LAB_MESSAGE_EVENTS",
    "LAB_GRPC_METRICS",
    "LAB_RUNTIME_METRICS",
    "LAB_STORE_URL",
    "LAB_QUERY_TOKEN",
)
"""How the names of variables begin that a lesson drops: it must show the same whatever a shell has set."""


def without_telemetry(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment without anybody's settings of telemetry; a lesson adds its own."""
    return {name: value for name, value in environ.items() if not name.startswith(_OF_THE_SHELL)}


def connect(otlp_endpoint: str, *, grpc_metrics: bool = False) -> Telemetry:
    """Set up this process's telemetry for a lesson's backend, with what gRPC's core counts if asked.

    Called once in a process, by a `main()`'s adapters.
    """
    for name in os.environ.keys() - without_telemetry(os.environ).keys():
        del os.environ[name]
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = otlp_endpoint
    os.environ["OTEL_BSP_SCHEDULE_DELAY"] = EXPORT_DELAY_MS
    os.environ["OTEL_BLRP_SCHEDULE_DELAY"] = EXPORT_DELAY_MS
    settings = TelemetrySettings(
        service_name=SERVICE_NAME, grpc_metrics=grpc_metrics, log_to_stdout=False, quiet_export=True
    )
    return configure(settings)
