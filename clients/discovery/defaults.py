"""Where everything stands unless something else was said: processes, their modules, usual ports, variables. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

BACKEND: Final = "backend"
SERVICES: Final = ("user", "order", "report")
PROCESSES: Final = (BACKEND, *SERVICES)
LOOPBACK: Final = "127.0.0.1"

DEFAULT_PORTS: Final[Mapping[str, Mapping[str, int]]] = MappingProxyType(
    {
        BACKEND: MappingProxyType({"otlp_grpc": 4317, "otlp_http": 4318, "query": 16686}),
        "user": MappingProxyType({"grpc": 50051}),
        "order": MappingProxyType({"grpc": 50052}),
        "report": MappingProxyType({"grpc": 50053}),
    }
)
ADDRESS_VARIABLES: Final[Mapping[str, str]] = MappingProxyType(
    {"user": "USER_ADDRESS", "order": "ORDER_ADDRESS", "report": "REPORT_ADDRESS"}
)

MODULES: Final = {
    BACKEND: "otel.backend",
    "user": "services.user_service",
    "order": "services.order_service",
    "report": "services.report_service",
}
