"""What runs inside a service or client: providers, corrected gRPC interceptors, structured logs.

`configure(TelemetrySettings(...))` in a `main()` is all that a program needs; `testing` has the same without exporters.
"""

from otel.instrument.exceptions import exception_was_logged, mark_exception_logged
from otel.instrument.interceptors import (
    aio_client_interceptors,
    aio_server_interceptor,
    client_interceptor,
    server_interceptor,
)
from otel.instrument.settings import SettingsError, TelemetrySettings
from otel.instrument.telemetry import Telemetry, configure

__all__ = [
    "SettingsError",
    "Telemetry",
    "TelemetrySettings",
    "aio_client_interceptors",
    "aio_server_interceptor",
    "client_interceptor",
    "configure",
    "exception_was_logged",
    "mark_exception_logged",
    "server_interceptor",
]
