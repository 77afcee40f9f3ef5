"""The query parameters and answers of Jaeger's API v3 and of our log API, to and from values."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from otel.query.errors import MalformedTraceIdError
from otel.query.values import LogSearch, Operation, ServiceCount, TraceSearch, TraceSummary

_HEX = frozenset("0123456789abcdef")


def padded_trace_id(trace_id: str) -> str:
    """Give a trace id as 32 lower-case hex digits; raises MalformedTraceIdError."""
    lowered = trace_id.strip().lower()
    if not 1 <= len(lowered) <= 32 or not set(lowered) <= _HEX:
        raise MalformedTraceIdError(trace_id)
    return lowered.rjust(32, "0")


def rfc3339(unix_nano: int) -> str:
    """Write a time as RFC 3339 in UTC with nanoseconds."""
    seconds, nano = divmod(unix_nano, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nano:09d}Z"


def search_params(search: TraceSearch, now_unix_nano: int) -> dict[str, str]:
    """Write a search as query parameters; both times are always there, since Jaeger wants them."""
    until = search.start_time_max_unix_nano
    # A minute ahead, for clocks that run fast.
    until = now_unix_nano + 60_000_000_000 if until is None else until
    since = search.start_time_min_unix_nano
    since = max(0, until - int(search.lookback_s * 1e9)) if since is None else since
    optional = {
        "query.serviceName": search.service_name,
        "query.operationName": search.operation_name,
        "query.attributes": json.dumps(dict(search.attributes)) if search.attributes else "",
        "query.durationMin": _go_duration(search.duration_min_ns),
        "query.durationMax": _go_duration(search.duration_max_ns),
    }
    return {
        "query.startTimeMin": rfc3339(since),
        "query.startTimeMax": rfc3339(max(until, since + 1)),
        "query.searchDepth": str(search.limit),
        **{key: value for key, value in optional.items() if value},
    }


def log_params(search: LogSearch) -> dict[str, str]:
    """Write a search for log records as query parameters."""
    optional = {
        "traceId": search.trace_id and padded_trace_id(search.trace_id),
        "spanId": search.span_id,
        "serviceName": search.service_name,
        "severityMin": str(search.severity_min) if search.severity_min else "",
        "timeMin": "" if search.time_min_unix_nano is None else rfc3339(search.time_min_unix_nano),
        "timeMax": "" if search.time_max_unix_nano is None else rfc3339(search.time_max_unix_nano),
        "text": search.text,
        "cursor": search.cursor,
    }
    return {"limit": str(search.limit), **{key: value for key, value in optional.items() if value}}


def result_of(answer: Mapping[str, Any]) -> dict[str, Any]:
    """Take an answer out of the envelope that Jaeger puts around it, if there is one."""
    result = answer.get("result", answer)
    return result if isinstance(result, dict) else {}


def summaries_from(answer: Mapping[str, Any]) -> list[TraceSummary]:
    """Read trace summaries, newest start first. A missing number is 0, a missing list empty."""
    found = [_summary_from(item) for item in _objects(answer.get("summaries")) if item.get("traceId")]
    return sorted(found, key=lambda summary: (-summary.start_time_unix_nano, summary.trace_id))


def operations_from(answer: Mapping[str, Any]) -> list[Operation]:
    """Read operations, sorted by name, then kind."""
    found = {
        Operation(_text(item.get("name")), _text(item.get("spanKind"))) for item in _objects(answer.get("operations"))
    }
    return sorted(found, key=lambda operation: (operation.name, operation.span_kind))


def names_from(answer: Mapping[str, Any]) -> list[str]:
    """Read service names, sorted."""
    names = answer.get("services")
    return sorted({name for name in names if isinstance(name, str)}) if isinstance(names, list) else []


def _summary_from(item: Mapping[str, Any]) -> TraceSummary:
    services = [
        ServiceCount(_text(part.get("name")), _int(part.get("spanCount")), _int(part.get("errorSpanCount")))
        for part in _objects(item.get("services"))
    ]
    return TraceSummary(
        trace_id=_text(item.get("traceId")).lower().rjust(32, "0"),
        root_service_name=_text(item.get("rootServiceName")),
        root_operation_name=_text(item.get("rootOperationName")),
        start_time_unix_nano=_int(item.get("minStartTimeUnixNano")),
        end_time_unix_nano=_int(item.get("maxEndTimeUnixNano")),
        span_count=_int(item.get("spanCount")),
        error_span_count=_int(item.get("errorSpanCount")),
        orphan_span_count=_int(item.get("orphanSpanCount")),
        services=tuple(sorted(services, key=lambda service: service.name)),
    )


def _go_duration(duration_ns: int | None) -> str:
    return "" if duration_ns is None else f"{duration_ns}ns"


def _objects(value: object) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _int(value: object) -> int:
    try:
        return int(value) if isinstance(value, int | str) else 0
    except ValueError:
        return 0
