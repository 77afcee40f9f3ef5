"""What `lab call` prints: a listing, the status of a call with its details, and all of it as JSON."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

from otel.analysis.durations import duration_text
from otel.analysis.reading import TraceReading
from tracelab.own.calling import MetadataPairs
from tracelab.own.contract import Method
from tracelab.own.session import Called, Listing
from tracelab.own.status_details import detail_lines, status_details

_PLUMBING = ("grpc.reflection.", "grpc.health.")


def listing_lines(listing: Listing) -> list[str]:
    """One line a method, under its service; what every server has stands last."""
    lines: list[str] = []
    for name in sorted(listing.services, key=lambda name: (name.startswith(_PLUMBING), name)):
        lines += [*([""] if lines else []), name, *(f"  {_signature(method)}" for method in listing.services[name])]
    return lines


def listing_json(listing: Listing) -> dict[str, Any]:
    """The same as JSON values."""
    return {
        "services": [
            {
                "name": name,
                "methods": [
                    {
                        "name": method.full_name,
                        "kind": method.kind.value,
                        "request_type": method.request_type.DESCRIPTOR.full_name,
                        "response_type": method.response_type.DESCRIPTOR.full_name,
                    }
                    for method in methods
                ],
            }
            for name, methods in listing.services.items()
        ]
    }


def failure_lines(called: Called) -> list[str]:
    """The status of a failed call, `NOT_FOUND: no such user`, then a line for each detail."""
    outcome = called.outcome
    details = status_details(outcome.trailing_metadata, called.contract.pool)
    first = f"{outcome.code.name}: {outcome.message or 'no message'}"
    return [first, *(f"  {line}" for line in detail_lines(details))]


def ending_sentence(called: Called) -> str:
    """How the call went, such as `OK after 3.2 ms, 12 messages`."""
    outcome = called.outcome
    count = outcome.response_count
    messages = f", {count} message{'' if count == 1 else 's'}" if called.method.answers_with_a_stream else ""
    return f"{outcome.code.name} after {duration_text(round(outcome.duration_s * 1e9))}{messages}"


def called_json(
    called: Called, responses: Sequence[Any], target: str, trace_id: str, reading: TraceReading | None
) -> dict[str, Any]:
    """All that is known of a call, as JSON values; lengths of time in milliseconds."""
    outcome = called.outcome
    return {
        "target": target,
        "method": called.method.full_name,
        "kind": called.method.kind.value,
        "status": {
            "code": outcome.code.name,
            "message": outcome.message,
            "details": status_details(outcome.trailing_metadata, called.contract.pool),
        },
        "responses": list(responses),
        "initial_metadata": _metadata_json(outcome.initial_metadata),
        "trailing_metadata": _metadata_json(outcome.trailing_metadata),
        "duration_ms": round(outcome.duration_s * 1e3, 3),
        "trace_id": trace_id,
        "span_count": len(reading.forest.spans) if reading else 0,
        "log_count": len(reading.logs) if reading else 0,
        "trace_services": list(reading.services) if reading else [],
    }


def _signature(method: Method) -> str:
    def side(name: str, is_stream: bool) -> str:
        return f"({'stream ' if is_stream else ''}{name})"

    asked = side(method.request_type.DESCRIPTOR.full_name, method.takes_a_stream)
    answered = side(method.response_type.DESCRIPTOR.full_name, method.answers_with_a_stream)
    return f"{method.full_name.rpartition('/')[2]}{asked} returns {answered}"


def _metadata_json(pairs: MetadataPairs) -> list[dict[str, str]]:
    return [
        {"key": key, "value": base64.b64encode(value).decode() if isinstance(value, bytes) else value}
        for key, value in pairs
    ]
