"""Two traces that the query tests look for."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime

from tests.conformance.engine import Engine
from tests.contract.telemetry import MS, SECOND, resource_spans, span, trace_id


@dataclass(frozen=True)
class Stored:
    """A call over two services that the engine has, and another trace that failed."""

    number: int
    failed: int
    start: int
    client: str
    server: str

    @property
    def trace(self) -> str:
        return trace_id(self.number).hex()

    @property
    def failed_trace(self) -> str:
        return trace_id(self.failed).hex()

    @property
    def window(self) -> dict[str, str]:
        return {
            "query__startTimeMin": rfc3339(self.start - SECOND),
            "query__startTimeMax": rfc3339(self.start + SECOND),
        }


def rfc3339(unix_nano: int) -> str:
    seconds, nanos = divmod(unix_nano, SECOND)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanos:09d}Z"


def store_two_traces(engine: Engine) -> Stored:
    """Send a call over two services, and a trace that failed; return when the engine has both."""
    number, failed = engine.fresh(), engine.fresh()
    start = time.time_ns() // MS * MS - 10 * SECOND
    run = f"{number >> 64 & 0xFFFFFF:06x}"  # an engine may keep what earlier runs sent
    made = Stored(number, failed, start, f"report-{run}", f"user-{run}")
    called = span(
        number,
        3,
        2,
        name="GetUser",
        kind=2,
        start=start + 2 * MS,
        duration=5 * MS,
        attributes={"zone": "b", "big": 2**60, "ratio": 0.5, "retried": False, "list": ["x", 1], "raw": b"\1\2"},
        event_attributes={"cache": "miss"},
    )
    called.links.add(trace_id=trace_id(failed), span_id=span(failed, 1).span_id)
    called.trace_state = "vendor=1"
    caller = [
        span(number, 1, name="GetUserReport", kind=2, start=start, duration=20 * MS, attributes={"order": "7"}),
        span(number, 2, 1, name="GetUser", kind=3, start=start + MS, duration=7 * MS),
    ]
    failing = span(failed, 1, name="GetUserReport", kind=2, start=start + 30 * MS, duration=100 * MS, status=2)
    failing.status.message = "no such user"
    engine.send(
        resource_spans(made.client, [*caller, failing], scope="otel.instrument"),
        resource_spans(made.server, [called], scope="otel.instrument", resource={"host": "h1"}),
    )
    engine.arrived(made.trace, 3)
    engine.arrived(made.failed_trace, 1)
    return made


def found_by(engine: Engine, stored: Stored, **parameters: str) -> list[str]:
    """The traces of `stored` that a search finds, newest first."""
    answer = engine.json("/api/v3/trace-summaries", **{**stored.window, **parameters})
    ours = {stored.trace: "call", stored.failed_trace: "failed"}
    listed = sorted(answer["summaries"], key=lambda each: -int(each["minStartTimeUnixNano"]))
    return [ours[each["traceId"]] for each in listed if each["traceId"] in ours]
