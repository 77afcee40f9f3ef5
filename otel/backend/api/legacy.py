"""Jaeger's legacy query API, which its UI and Grafana still use. Source: jaeger http_handler.go, query_parser.go."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import unquote_plus

from opentelemetry.proto.trace.v1.trace_pb2 import TracesData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from otel.backend.api import parameters
from otel.backend.api.answers import legacy_answer, legacy_error
from otel.backend.api.query_threads import asking_of
from otel.backend.api.v3 import DEFAULT_SEARCH_DEPTH, MAX_SEARCH_DEPTH
from otel.backend.codec.attribute_text import kind_name
from otel.backend.codec.legacy_json import traces_json
from otel.backend.codec.otlp_json import read_json
from otel.backend.errors import MalformedParameterError, MalformedTelemetryError, NotFoundError
from otel.backend.ports import TelemetryStore, TraceSearch

DEFAULT_LOOKBACK_NS = 48 * 3600 * 1_000_000_000
DEFAULT_DEPENDENCY_LOOKBACK_MS = 24 * 3600 * 1000
# What a person uploads to look at; far above any trace that a page can show.
MAX_TRANSFORM_BYTES = 64 * 1024 * 1024
TRACE_NOT_FOUND = "trace not found"

T = TypeVar("T")


async def services(request: Request) -> Response:
    """`GET /api/services`."""
    asking = asking_of(request)
    names = await asking(asking.store.services)
    return legacy_answer(request, names, total=len(names))


async def service_operations(request: Request) -> Response:
    """`GET /api/services/{service}/operations`: distinct names."""
    asking = asking_of(request)
    found = await asking(asking.store.operations, unquote_plus(request.path_params["service"]))
    names = sorted({operation.name for operation in found})
    return legacy_answer(request, names, total=len(names))


async def operations(request: Request) -> Response:
    """`GET /api/operations?service&spanKind`: names with kinds, "" for unspecified."""
    asking = asking_of(request)
    service = request.query_params.get("service", "")
    if not service:
        raise MalformedParameterError("service", "parameter 'service' is required")
    wanted = request.query_params.get("spanKind", "")
    found = [
        {"name": operation.name, "spanKind": kind_name(operation.kind)}
        for operation in await asking(asking.store.operations, service)
        if not wanted or kind_name(operation.kind) == wanted
    ]
    return legacy_answer(request, found, total=len(found))


async def trace(request: Request) -> Response:
    """`GET /api/traces/{id}`: a list of one trace. `start` and `end` are hints and filter nothing."""
    asking = asking_of(request)
    return legacy_answer(request, await asking(_traces, asking.store, [_trace_request(request)], _raw(request)))


async def archive(request: Request) -> Response:
    """`POST /api/archive/{id}`: there is no archive, as in a Jaeger that has none configured."""
    asking = asking_of(request)
    if await asking(asking.store.trace, _trace_request(request)) is None:
        raise NotFoundError(TRACE_NOT_FOUND)
    return legacy_error(500, "archive span storage was not configured")


async def transform(request: Request) -> Response:
    """`POST /api/transform`: OTLP/JSON in, legacy traces out, nothing stored."""
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MAX_TRANSFORM_BYTES:
            raise MalformedParameterError("body", f"cannot unmarshal OTLP : larger than {MAX_TRANSFORM_BYTES} bytes")
    asking = asking_of(request)
    return legacy_answer(request, await asking(_transformed, bytes(body)))


async def traces(request: Request) -> Response:
    """`GET /api/traces`: search, or the traces named by `traceID`."""
    asking = asking_of(request)
    named = [_read("traceID", text, parameters.hex_trace_id_of) for text in request.query_params.getlist("traceID")]
    search = _search_of(request, needs_service=not named)
    raw = _raw(request)
    if not named:
        return legacy_answer(request, await asking(_found_traces, asking.store, search, raw))
    documents: list[Any] = []
    errors: list[dict[str, Any]] = []
    for trace_id in named:
        try:
            documents += await asking(_traces, asking.store, [trace_id], raw)
        except NotFoundError as error:
            errors.append({"msg": str(error), "traceID": trace_id.hex()})
    return legacy_answer(request, documents, errors=errors or None)


async def dependencies(request: Request) -> Response:
    """`GET /api/dependencies?endTs&lookback&service`, in milliseconds: who calls whom, inside one service too."""
    asking = asking_of(request)
    end_ms = _read_one(request, "endTs", parameters.integer_of, time.time_ns() // 1_000_000)
    lookback_ms = _read_one(request, "lookback", parameters.integer_of, DEFAULT_DEPENDENCY_LOOKBACK_MS)
    if lookback_ms < 0:
        raise MalformedParameterError("lookback", "unable to parse param 'lookback': it must not be negative")
    calls = await asking(asking.store.calls, (end_ms - lookback_ms) * 1_000_000, end_ms * 1_000_000)
    service = request.query_params.get("service", "")
    found = [
        {"parent": call.parent, "child": call.child, "callCount": call.count}
        for call in calls
        if not service or service in (call.parent, call.child)
    ]
    return legacy_answer(request, found)


ROUTES = [
    Route("/api/services", services, methods=["GET"]),
    Route("/api/services/{service:path}/operations", service_operations, methods=["GET"]),
    Route("/api/operations", operations, methods=["GET"]),
    Route("/api/traces", traces, methods=["GET"]),
    Route("/api/traces/{trace_id:path}", trace, methods=["GET"]),
    Route("/api/archive/{trace_id:path}", archive, methods=["POST"]),
    Route("/api/transform", transform, methods=["POST"]),
    Route("/api/dependencies", dependencies, methods=["GET"]),
]


def _traces(store: TelemetryStore, trace_ids: Sequence[bytes], raw: bool) -> list[Any]:
    documents: list[Any] = []
    for trace_id in trace_ids:
        found = store.trace(trace_id)
        if found is None:
            raise NotFoundError(TRACE_NOT_FOUND)
        documents += traces_json(found, is_adjusted=not raw)
    return documents


def _found_traces(store: TelemetryStore, search: TraceSearch, raw: bool) -> list[Any]:
    documents: list[Any] = []
    for summary in store.summaries(search):
        found = store.trace(summary.trace_id)
        if found is not None:  # it may have expired since it was found
            documents += traces_json(found, is_adjusted=not raw)
    return documents


def _transformed(body: bytes) -> list[Any]:
    import orjson

    message = TracesData()
    try:
        read_json(orjson.loads(body), message)
    except (orjson.JSONDecodeError, MalformedTelemetryError) as error:
        raise MalformedParameterError("body", f"cannot unmarshal OTLP : {error}") from error
    return traces_json(message)


def _trace_request(request: Request) -> bytes:
    for name in ("start", "end"):
        _read_one(request, name, parameters.integer_of, 0)
    _raw(request)
    try:
        return parameters.trace_id_of(request.path_params["trace_id"])
    except ValueError as error:
        raise MalformedParameterError("traceID", f"trace id {error}") from error


def _search_of(request: Request, *, needs_service: bool) -> TraceSearch:
    service = request.query_params.get("service", "")
    now_us = time.time_ns() // 1000
    end_us = _read_one(request, "end", parameters.integer_of, now_us)
    start_us = _read_one(request, "start", parameters.integer_of, now_us - DEFAULT_LOOKBACK_NS // 1000)
    shortest_ns = _read_one(request, "minDuration", parameters.duration_of, 0)
    longest_ns = _read_one(request, "maxDuration", parameters.duration_of, 0)
    limit = _read_one(request, "limit", lambda text: parameters.integer_of(text, bits=32), DEFAULT_SEARCH_DEPTH)
    attributes = _tags_of(request)
    if needs_service and not service:
        raise MalformedParameterError("service", "parameter 'service' is required")
    if shortest_ns and longest_ns and longest_ns < shortest_ns:
        raise MalformedParameterError("maxDuration", "'maxDuration' should be greater than 'minDuration'")
    if limit <= 0:
        raise MalformedParameterError("limit", "search depth must be greater than 0")
    return TraceSearch(
        start_min_unix_nano=start_us * 1000,
        # The microsecond named is meant whole.
        start_max_unix_nano=end_us * 1000 + 999,
        service=service,
        operation=request.query_params.get("operation", ""),
        attributes=attributes,
        duration_min_ns=shortest_ns,
        duration_max_ns=longest_ns,
        limit=min(limit, MAX_SEARCH_DEPTH),
    )


def _tags_of(request: Request) -> dict[str, str]:
    attributes: dict[str, str] = {}
    for text in request.query_params.getlist("tag"):
        key, colon, value = text.partition(":")
        if not colon:
            raise MalformedParameterError(
                "tag", f"malformed 'tag' parameter, expecting key:value, received: {text[:80]}"
            )
        attributes[key] = value
    for text in request.query_params.getlist("tags"):
        try:
            attributes |= parameters.attributes_of(text)
        except ValueError as error:
            raise MalformedParameterError(
                "tags", f"malformed 'tags' parameter, cannot unmarshal JSON: {error}"
            ) from error
    return attributes


def _raw(request: Request) -> bool:
    return _read_one(request, "raw", parameters.boolean_of, False)


def _read_one(request: Request, name: str, parse: Callable[[str], T], default: T) -> T:
    text = request.query_params.get(name, "")
    return _read(name, text, parse) if text else default


def _read(name: str, text: str, parse: Callable[[str], T]) -> T:
    try:
        return parse(text)
    except ValueError as error:
        if name == "traceID":
            raise MalformedParameterError(name, f"cannot parse traceID param: {error}") from error
        raise MalformedParameterError(name, f"unable to parse param '{name}': {error}") from error
