"""Our own HTTP API beside Jaeger's: status, logs, analysis, diff. camelCase OTLP/JSON, errors as problem documents."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import TracesData
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from otel.analysis.model import LogRecord, Trace
from otel.backend.api import parameters
from otel.backend.api.answers import json_answer
from otel.backend.api.lab_parameters import read, refuse_unknown
from otel.backend.api.query_threads import asking_of
from otel.backend.codec.model_values import log_records_of, trace_of
from otel.backend.codec.otlp_json import to_json
from otel.backend.errors import MalformedParameterError, NotFoundError
from otel.backend.ports import LogPosition, LogSearch, TelemetryStore

DEFAULT_LOG_LIMIT = 100
MAX_LOG_LIMIT = 1000
# An analysis carries the logs of its trace; a trace with more shows the first of them.
MAX_ANALYSIS_LOGS = 20_000

LOG_PARAMETERS = (
    "traceId",
    "spanId",
    "serviceName",
    "severityMin",
    "timeMin",
    "timeMax",
    "text",
    "limit",
    "cursor",
)


async def logs(request: Request) -> Response:
    """`GET /api/lab/logs`: log records, oldest first, paged by `cursor`."""
    asking = asking_of(request)
    page = await asking(asking.store.logs, log_search_of(request.query_params))
    found = await asking(lambda: [to_json(entry) for entry in page.resource_logs])
    return json_answer({"result": {"resourceLogs": found}, "nextCursor": cursor_text(page.next_position)})


async def status(request: Request) -> Response:
    """`GET /api/lab/status`: whether what is sent is stored, and which damaged file was set aside at the start."""
    error = request.app.state.storage_error()
    set_aside = asking_of(request).store.set_aside
    storage = {"failing": bool(error), "error": error, "setAsideFile": set_aside.name if set_aside else ""}
    return json_answer({"storage": storage})


async def analysis(request: Request) -> Response:
    """`GET /api/lab/traces/{id}/analysis`: what `otel.analysis` says of a trace and its logs."""
    asking = asking_of(request)
    trace_id = trace_id_of(request.path_params["trace_id"], "trace id")
    return json_answer(await asking(trace_analysis, asking.store, trace_id))


async def diff(request: Request) -> Response:
    """`GET /api/lab/diff?a&b`: two traces, matched; `force=true` pairs the roots of different operations too."""
    asking = asking_of(request)
    first, second = (trace_id_of(request.query_params.get(name, ""), name) for name in ("a", "b"))
    force = read(request.query_params, "force", parameters.boolean_of, False)
    return json_answer(await asking(_diff, asking.store, first, second, force))


ROUTES = [
    Route("/api/lab/status", status, methods=["GET"]),
    Route("/api/lab/logs", logs, methods=["GET"]),
    Route("/api/lab/traces/{trace_id}/analysis", analysis, methods=["GET"]),
    Route("/api/lab/diff", diff, methods=["GET"]),
]


def log_search_of(query: Mapping[str, str]) -> LogSearch:
    """Read the parameters of a log search; MalformedParameterError names the one that is wrong or unknown."""
    refuse_unknown(query, LOG_PARAMETERS)
    return LogSearch(
        trace_id=read(query, "traceId", parameters.trace_id_of, b""),
        span_id=read(query, "spanId", parameters.span_id_of, b""),
        service=query.get("serviceName", ""),
        severity_min=read(query, "severityMin", _severity, 0),
        time_min_unix_nano=read(query, "timeMin", parameters.time_of, None),
        time_max_unix_nano=read(query, "timeMax", parameters.time_of, None),
        text=query.get("text", ""),
        limit=read(query, "limit", _limit, DEFAULT_LOG_LIMIT),
        after=read(query, "cursor", _position, None),
    )


def cursor_text(position: LogPosition | None) -> str:
    """Write a position as the opaque cursor that leads on from it; "" at the end."""
    if position is None:
        return ""
    text = f"{position.time_unix_nano}.{position.number}"
    return base64.urlsafe_b64encode(text.encode()).decode("ascii").rstrip("=")


def trace_analysis(store: TelemetryStore, trace_id: bytes) -> dict[str, Any]:
    """Analyse a stored trace with its logs; NotFoundError where it is not stored."""
    from otel.analysis.analysis_json import analysis_to_json

    trace, records = _trace_and_logs(store, trace_id)
    return analysis_to_json(trace, records)


def _diff(store: TelemetryStore, first: bytes, second: bytes, force: bool) -> dict[str, Any]:
    from otel.analysis.diff import RootsDifferError, diff_traces
    from otel.analysis.diff_json import diff_to_json
    from otel.analysis.reading import TraceReading

    found = [_trace_and_logs(store, trace_id) for trace_id in (first, second)]
    a, b = (TraceReading(trace, tuple(records)) for trace, records in found)
    try:
        return diff_to_json(diff_traces(a, b, force=force))
    except RootsDifferError as error:
        raise MalformedParameterError("comparison", f"{error}; force=true compares them all the same") from error


def _trace_and_logs(store: TelemetryStore, trace_id: bytes) -> tuple[Trace, list[LogRecord]]:
    found: TracesData | None = store.trace(trace_id)
    if found is None:
        raise NotFoundError(f"trace '{trace_id.hex()}' is not stored")
    page = store.logs(LogSearch(trace_id=trace_id, limit=MAX_ANALYSIS_LOGS))
    return trace_of(trace_id, found), log_records_of(page.resource_logs)


def trace_id_of(text: str, name: str) -> bytes:
    """Read a trace id from the parameter called `name`; MalformedParameterError says what is wrong with it."""
    try:
        return parameters.trace_id_of(text)
    except ValueError as error:
        raise MalformedParameterError(name, f"trace id {error}") from error


def _severity(text: str) -> int:
    number = parameters.integer_of(text)
    if not 0 <= number <= 24:
        raise ValueError(f"'{number}' is not one of OTLP's severity numbers, 1 to 24")
    return number


def _limit(text: str) -> int:
    number = parameters.integer_of(text)
    if number <= 0:
        raise ValueError(f"must be at least 1, is {number}")
    return min(number, MAX_LOG_LIMIT)


def _position(text: str) -> LogPosition:
    try:
        decoded = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode("ascii")
        time_text, _, number_text = decoded.partition(".")
        return LogPosition(int(time_text), int(number_text))
    except ValueError as error:
        raise ValueError(f"'{text[:40]}' is no cursor that an answer gave") from error
