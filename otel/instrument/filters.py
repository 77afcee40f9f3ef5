"""The library's filters under a name beside the corrected interceptors, which take them as they are."""

from opentelemetry.instrumentation.grpc.filters import (
    all_of,
    any_of,
    full_method_name,
    health_check,
    method_name,
    method_prefix,
    negate,
    service_name,
    service_prefix,
)

__all__ = [
    "all_of",
    "any_of",
    "full_method_name",
    "health_check",
    "method_name",
    "method_prefix",
    "negate",
    "service_name",
    "service_prefix",
]
