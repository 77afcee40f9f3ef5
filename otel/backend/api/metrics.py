"""`GET /api/metrics/{latencies,calls,errors}`: what Jaeger's Monitor tab asks. Source: jaeger http_handler.go."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from otel.backend.api import parameters
from otel.backend.api.answers import legacy_document
from otel.backend.api.query_threads import asking_of
from otel.backend.api.red_metrics import (
    NANOS_PER_MS,
    ValueOf,
    Window,
    call_rate,
    error_ratio,
    latency_ms,
    metric_family,
)
from otel.backend.codec.attribute_text import KIND_NAMES
from otel.backend.errors import MalformedParameterError
from otel.backend.ports import TelemetryStore

DEFAULT_LOOKBACK_MS = 3600 * 1000
DEFAULT_STEP_MS = 5 * 1000
DEFAULT_RATE_PER_MS = 10 * 60 * 1000
# As Prometheus: more points than a screen has pixels help nobody.
MAX_POINTS = 11_000

T = TypeVar("T")


async def latencies(request: Request) -> Response:
    """`GET /api/metrics/latencies?quantile&…`: milliseconds."""
    text = request.query_params.get("quantile", "")
    quantile = _parse("quantile", text, _quantile)
    return await _answer(request, "latencies", f"{text}th quantile latency", lambda _: latency_ms(quantile))


async def calls(request: Request) -> Response:
    """`GET /api/metrics/calls?…`: calls per second."""
    return await _answer(request, "call_rate", "calls/sec", call_rate)


async def errors(request: Request) -> Response:
    """`GET /api/metrics/errors?…`: share of calls that failed."""
    return await _answer(
        request,
        "error_rate",
        "error rate, computed as a fraction of errors/sec over calls/sec",
        lambda _: error_ratio,
    )


ROUTES = [
    Route("/api/metrics/latencies", latencies, methods=["GET"]),
    Route("/api/metrics/calls", calls, methods=["GET"]),
    Route("/api/metrics/errors", errors, methods=["GET"]),
]


async def _answer(request: Request, name: str, description: str, value_of: Callable[[Window], ValueOf]) -> Response:
    services = frozenset(filter(None, request.query_params.getlist("service")))
    if not services:
        raise MalformedParameterError(
            "service", "unable to parse param 'service': please provide at least one service name"
        )
    by_operation = _one(request, "groupByOperation", parameters.boolean_of, False)
    kinds = frozenset(_kind(text) for text in request.query_params.getlist("spanKind") or ["server"])
    window = _window(request)
    asking = asking_of(request)
    prefix, grouping = ("service_operation", "service & operation") if by_operation else ("service", "service")

    def compute(store: TelemetryStore) -> dict[str, Any]:
        spans = store.measures(services, kinds, window.begin_unix_nano - window.rate_per_ns + 1, window.end_unix_nano)
        told = f"{description}, grouped by {grouping}"
        return metric_family(f"{prefix}_{name}", told, spans, window, value_of(window), by_operation=by_operation)

    return legacy_document(request, await asking(compute, asking.store))


def _window(request: Request) -> Window:
    end_ms = _one(request, "endTs", parameters.integer_of, time.time_ns() // NANOS_PER_MS)
    lookback_ms = _one(request, "lookback", _positive, DEFAULT_LOOKBACK_MS)
    step_ms = _one(request, "step", _positive, DEFAULT_STEP_MS)
    rate_per_ms = _one(request, "ratePer", _positive, DEFAULT_RATE_PER_MS)
    if lookback_ms // step_ms > MAX_POINTS:
        raise MalformedParameterError(
            "step", f"unable to parse param 'step': more than {MAX_POINTS} points; make step longer or lookback shorter"
        )
    return Window(end_ms * NANOS_PER_MS, lookback_ms * NANOS_PER_MS, step_ms * NANOS_PER_MS, rate_per_ms * NANOS_PER_MS)


def _quantile(text: str) -> float:
    try:
        quantile = float(text)
    except ValueError as error:
        raise ValueError(f"'{text[:40]}' is not a number") from error
    if not 0 <= quantile <= 1:
        raise ValueError(f"'{text[:40]}' is not between 0 and 1")
    return quantile


def _positive(text: str) -> int:
    number = parameters.integer_of(text)
    if number <= 0:
        raise ValueError(f"must be at least 1, is {number}")
    return number


def _kind(text: str) -> int:
    if text == "unspecified":
        return 0
    if not text or text not in KIND_NAMES:
        raise MalformedParameterError("spanKind", f"unable to parse param 'spanKind': unsupported span kind: '{text}'")
    return KIND_NAMES.index(text)


def _one(request: Request, name: str, parse: Callable[[str], T], default: T) -> T:
    text = request.query_params.get(name, "")
    return _parse(name, text, parse) if text else default


def _parse(name: str, text: str, parse: Callable[[str], T]) -> T:
    try:
        return parse(text)
    except ValueError as error:
        raise MalformedParameterError(name, f"unable to parse param '{name}': {error}") from error
