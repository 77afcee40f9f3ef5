"""Jaeger's query API v3: services, operations, summaries, a trace, search. Source: jaeger http_gateway.go (v2.20)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from opentelemetry.proto.trace.v1.trace_pb2 import TracesData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from otel.backend.api import parameters
from otel.backend.api.adjusters import adjusted
from otel.backend.api.answers import json_answer
from otel.backend.api.query_threads import asking_of
from otel.backend.codec.attribute_text import kind_name
from otel.backend.codec.otlp_json import to_json
from otel.backend.errors import MalformedParameterError, NotFoundError
from otel.backend.ports import TelemetryStore, TraceSearch, TraceSummary

DEFAULT_SEARCH_DEPTH = 100
# A search that asks for more gets this many: a page of results is for a person.
MAX_SEARCH_DEPTH = 1500
NO_TRACES = "No traces found"

T = TypeVar("T")


async def services(request: Request) -> Response:
    """`GET /api/v3/services`."""
    asking = asking_of(request)
    return json_answer({"services": await asking(asking.store.services)})


async def operations(request: Request) -> Response:
    """`GET /api/v3/operations?service&spanKind`: span names and kinds; unspecified counts as internal."""
    asking = asking_of(request)
    found = await asking(asking.store.operations, request.query_params.get("service", ""))
    wanted = parameters.first_set(request.query_params, "spanKind", "span_kind")[1]
    rows = {(operation.name, kind_name(operation.kind) or "internal") for operation in found}
    listed = [{"name": name, "spanKind": kind} for name, kind in sorted(rows) if not wanted or kind == wanted]
    return json_answer({"operations": listed})


async def trace_summaries(request: Request) -> Response:
    """`GET /api/v3/trace-summaries`: the search of the UI, newest start first."""
    asking = asking_of(request)
    found = await asking(asking.store.summaries, search_of(request.query_params))
    return json_answer({"summaries": [summary_json(summary) for summary in found]})


async def traces(request: Request) -> Response:
    """`GET /api/v3/traces`: search with full spans."""
    asking = asking_of(request)
    search = search_of(request.query_params)
    raw = _raw(request.query_params, "query.rawTraces", "query.raw_traces")
    found = await asking(_found_traces, asking.store, search, raw)
    if not found:
        raise NotFoundError(NO_TRACES)
    return json_answer({"result": {"resourceSpans": found}})


async def trace(request: Request) -> Response:
    """`GET /api/v3/traces/{trace_id}`: one trace as OTLP/JSON. The time parameters are hints and filter nothing."""
    asking = asking_of(request)
    try:
        trace_id = parameters.trace_id_of(request.path_params["trace_id"])
    except ValueError as error:
        raise _malformed("trace_id", error) from error
    _read(request.query_params, parameters.time_of, "startTime", "start_time")
    _read(request.query_params, parameters.time_of, "endTime", "end_time")
    raw = _raw(request.query_params, "rawTraces", "raw_traces")
    found = await asking(_trace_json, asking.store, trace_id, raw)
    if found is None:
        raise NotFoundError(NO_TRACES)
    return json_answer({"result": found})


ROUTES = [
    Route("/api/v3/services", services, methods=["GET"]),
    Route("/api/v3/operations", operations, methods=["GET"]),
    Route("/api/v3/trace-summaries", trace_summaries, methods=["GET"]),
    Route("/api/v3/traces", traces, methods=["GET"]),
    Route("/api/v3/traces/{trace_id:path}", trace, methods=["GET"]),
]


def search_of(query: Mapping[str, str]) -> TraceSearch:
    """Read the search parameters; MalformedParameterError names the one that is wrong."""
    start_min = _read(query, parameters.time_of, "query.startTimeMin", "query.start_time_min")
    start_max = _read(query, parameters.time_of, "query.startTimeMax", "query.start_time_max")
    if start_min is None or start_max is None:
        raise MalformedParameterError("query.startTimeMin", "query.startTimeMin and query.startTimeMax are required")
    if start_min >= start_max:
        raise MalformedParameterError("query.startTimeMin", "query.startTimeMin must be before query.startTimeMax")
    _raw(query, "query.rawTraces", "query.raw_traces")
    return TraceSearch(
        start_min_unix_nano=start_min,
        start_max_unix_nano=start_max,
        service=parameters.first_set(query, "query.serviceName", "query.service_name")[1],
        operation=parameters.first_set(query, "query.operationName", "query.operation_name")[1],
        attributes=_read(query, parameters.attributes_of, "query.attributes") or {},
        duration_min_ns=_read(query, parameters.duration_of, "query.durationMin", "query.duration_min") or 0,
        duration_max_ns=_read(query, parameters.duration_of, "query.durationMax", "query.duration_max") or 0,
        limit=_read(query, _depth, "query.searchDepth", "query.search_depth", "query.num_traces")
        or DEFAULT_SEARCH_DEPTH,
    )


def summary_json(summary: TraceSummary) -> dict[str, Any]:
    """Write a summary as v3 does: names that are not known and zero counts are left out."""
    out: dict[str, Any] = {"traceId": summary.trace_id.hex()}
    if summary.root_service:
        out["rootServiceName"] = summary.root_service
    if summary.root_operation:
        out["rootOperationName"] = summary.root_operation
    out["minStartTimeUnixNano"] = str(summary.min_start_unix_nano)
    out["maxEndTimeUnixNano"] = str(summary.max_end_unix_nano)
    out["spanCount"] = summary.span_count
    out |= _unless_zero("errorSpanCount", summary.error_span_count)
    out |= _unless_zero("orphanSpanCount", summary.orphan_span_count)
    out["services"] = [
        {"name": each.name, "spanCount": each.span_count} | _unless_zero("errorSpanCount", each.error_span_count)
        for each in summary.services
    ]
    return out


def _unless_zero(key: str, count: int) -> dict[str, int]:
    return {key: count} if count else {}


def _found_traces(store: TelemetryStore, search: TraceSearch, raw: bool) -> list[Any]:
    parts: list[Any] = []
    for summary in store.summaries(search):
        found = _trace_json(store, summary.trace_id, raw)
        if found is not None:
            parts.extend(found["resourceSpans"])
    return parts


def _trace_json(store: TelemetryStore, trace_id: bytes, raw: bool) -> dict[str, Any] | None:
    found: TracesData | None = store.trace(trace_id)
    if found is None:
        return None
    return to_json(found if raw else adjusted(found))


def _raw(query: Mapping[str, str], *names: str) -> bool:
    return bool(_read(query, parameters.boolean_of, *names))


def _depth(text: str) -> int:
    depth = parameters.integer_of(text)
    if depth <= 0:
        raise ValueError("search depth must be greater than 0")
    return min(depth, MAX_SEARCH_DEPTH)


def _read(query: Mapping[str, str], parse: Callable[[str], T], *names: str) -> T | None:
    name, text = parameters.first_set(query, *names)
    if not text:
        return None
    try:
        return parse(text)
    except ValueError as error:
        raise _malformed(name, error) from error


def _malformed(name: str, error: ValueError) -> MalformedParameterError:
    return MalformedParameterError(name, f"malformed parameter {name}: {error}")
