"""The one place where a lesson's own process meets its environment: the OTel SDK reads its endpoint there."""

from __future__ import annotations

import os
from typing import Final

from otel.instrument import Telemetry, TelemetrySettings, configure

SERVICE_NAME: Final = "lesson"
EXPORT_DELAY_MS: Final = "100"


def connect(otlp_endpoint: str) -> Telemetry:
    """Set up this process's telemetry for a lesson's backend. Called once in a process, by a `main()`'s adapters."""
    os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] = otlp_endpoint
    os.environ["OTEL_BSP_SCHEDULE_DELAY"] = EXPORT_DELAY_MS
    os.environ["OTEL_BLRP_SCHEDULE_DELAY"] = EXPORT_DELAY_MS
    return configure(TelemetrySettings(service_name=SERVICE_NAME, log_to_stdout=False, quiet_export=True))
