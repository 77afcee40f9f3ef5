"""The names of `opentelemetry.instrumentation.grpc`, with its arguments and corrected behavior: change one import.

The distribution that `otel/distribution` builds has this module as its `__init__`.
"""

from otel.instrument import filters
from otel.instrument.instrumentors import (
    GrpcAioInstrumentorClient,
    GrpcAioInstrumentorServer,
    GrpcInstrumentorClient,
    GrpcInstrumentorServer,
)
from otel.instrument.interceptors import (
    aio_client_interceptors,
    aio_server_interceptor,
    client_interceptor,
    server_interceptor,
)

__all__ = [
    "GrpcAioInstrumentorClient",
    "GrpcAioInstrumentorServer",
    "GrpcInstrumentorClient",
    "GrpcInstrumentorServer",
    "aio_client_interceptors",
    "aio_server_interceptor",
    "client_interceptor",
    "filters",
    "server_interceptor",
]
