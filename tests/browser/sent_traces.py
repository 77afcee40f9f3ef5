"""Traces for the page's tests, and how they are sent to a backend by OTLP/HTTP in JSON."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import httpx

from otel.analysis import example
from otel.analysis.model import Attributes, LogRecord, Resource, Scope, Span, SpanEvent, SpanKind, StatusCode, Trace
from otel.analysis.otlp_json_writing import log_records_to_otlp_json, spans_to_otlp_json

MS = 1_000_000
"""Nanoseconds in a millisecond."""

HOSTILE_NAMES = {
    "script": "<script>window.hacked=1</script><img src=x onerror=window.hacked=2>",
    "right_to_left": "safe\u202egnp.exe\u2066 \u05d0\u05d1\u05d2",
    "long": "n" * 10_240,
    "terminal": "\x1b[31mred\x1b[0m\x07\x00 ]8;;http://evil.example\x1b\\",
    "proto": "__proto__",
}


@dataclass(frozen=True)
class Sent:
    """A trace as it was sent: its id and the spans and log records in it."""

    trace_id: str
    spans: tuple[Span, ...]
    logs: tuple[LogRecord, ...]


def send(otlp_http: str, sent: Sent) -> Sent:
    """Post spans and log records to the OTLP/HTTP receiver at `otlp_http` (host:port) and return them."""
    headers = {"content-type": "application/json"}
    bodies = [("traces", spans_to_otlp_json(sent.spans)), ("logs", log_records_to_otlp_json(sent.logs))]
    for signal, body in bodies:
        if signal == "logs" and not sent.logs:
            continue
        answer = httpx.post(f"http://{otlp_http}/v1/{signal}", content=json.dumps(body), headers=headers, timeout=30)
        assert answer.status_code == 200, answer.text
        assert not answer.json().get("partialSuccess"), answer.text
    return sent


def again(trace: Trace, logs: Iterable[LogRecord], number: int, *, ago_s: float = 1.0, slower: float = 1.0) -> Sent:
    """Make trace number `number` of the shape of `trace`, begun `ago_s` ago, all lengths times `slower`."""
    trace_id = f"{number:08x}{trace.trace_id[8:]}"
    begin = min(span.start_time_unix_nano for span in trace.spans)
    start = time.time_ns() - int(ago_s * 1e9)

    def at(unix_nano: int) -> int:
        return start + int((unix_nano - begin) * slower)

    def event(one: SpanEvent) -> SpanEvent:
        return replace(one, time_unix_nano=at(one.time_unix_nano))

    spans = tuple(
        replace(
            span,
            trace_id=trace_id,
            start_time_unix_nano=at(span.start_time_unix_nano),
            end_time_unix_nano=at(span.end_time_unix_nano),
            events=tuple(event(one) for one in span.events),
        )
        for span in trace.spans
    )
    records = tuple(
        replace(
            log,
            trace_id=trace_id,
            time_unix_nano=at(log.time_unix_nano),
            attributes={**log.attributes, "log.record.uid": f"{number}-{index}"},
        )
        for index, log in enumerate(logs)
    )
    return Sent(trace_id, spans, records)


def report(number: int = 1, *, ago_s: float = 1.0, slower: float = 1.0) -> Sent:
    """Make the demo's report call: six spans, four services, six log lines, no failure."""
    return again(*example.example_trace(), number, ago_s=ago_s, slower=slower)


def failing(number: int = 2, *, ago_s: float = 1.0) -> Sent:
    """Make a call that met its deadline after a retry, with an orphan and a line outside of any span."""
    return again(*example.failing_trace(), number, ago_s=ago_s)


def streaming(number: int = 3, *, ago_s: float = 1.0) -> Sent:
    """Make a server stream of five messages, with an event for each on both sides."""
    start = time.time_ns() - int(ago_s * 1e9)
    trace_id = f"{number:08x}{'c0ffee' * 4}"

    def side(span_id: str, parent: str, service: str, kind: SpanKind, lag: int, event_name: str) -> Span:
        name = "tracelab.order.v1.OrderService/StreamOrders"
        events = tuple(
            SpanEvent(event_name, start + (4 + 3 * index + lag) * MS, {"sequence-number": index, "message-size": 120})
            for index in range(5)
        )
        counts: dict[str, int] = {"sent": 5, "received": 1} if kind is SpanKind.SERVER else {"sent": 1, "received": 5}
        attributes: Attributes = {
            "rpc.system.name": "grpc",
            "rpc.method": name,
            "rpc.response.status_code": "OK",
            **{f"tracelab.rpc.{way}_message_count": count for way, count in counts.items()},
        }
        return Span(
            trace_id, span_id, parent, name, kind, start + lag * MS, start + (24 - lag) * MS, attributes, events,
            resource=example.resource(service), scope=Scope("otel.instrument"),
        )  # fmt: skip

    client = side("a" * 16, "", "report", SpanKind.CLIENT, 1, "Inbound message")
    server = side("b" * 16, "a" * 16, "order", SpanKind.SERVER, 2, "Outbound message")
    return Sent(trace_id, (replace(client, start_time_unix_nano=start, end_time_unix_nano=start + 25 * MS), server), ())


def hostile(number: int = 4, *, ago_s: float = 1.0) -> Sent:
    """Make a trace whose every name, value and log line is one of `HOSTILE_NAMES`."""
    start = time.time_ns() - int(ago_s * 1e9)
    trace_id = f"{number:08x}{'bad0' * 6}"
    spans = []
    logs = []
    for index, text in enumerate(HOSTILE_NAMES.values()):
        resource = Resource({"service.name": text, text: text})
        spans.append(
            Span(
                trace_id, f"{index + 1:016x}", "" if index == 0 else f"{1:016x}", text, SpanKind.SERVER,
                start + index * MS, start + 40 * MS, {text: text, "list": (text, 1, True)},
                (SpanEvent(text, start + 2 * MS, {text: text}),),
                status_code=StatusCode.ERROR, status_message=text, resource=resource, scope=Scope(text),
            )
        )  # fmt: skip
        logs.append(
            LogRecord(
                start + 3 * MS, severity_number=17, severity_text=text, body=text, attributes={text: text},
                trace_id=trace_id, span_id=f"{index + 1:016x}", resource=resource,
            )
        )  # fmt: skip
    return Sent(trace_id, tuple(spans), tuple(logs))


def from_elsewhere(number: int = 6, *, ago_s: float = 1.0) -> Sent:
    """Make what other senders send: a span without a time, a call whose sides share one id, a circle of parents."""
    start = time.time_ns() - int(ago_s * 1e9)
    trace_id = f"{number:08x}{'e15e' * 6}"

    def made(span_id: str, parent: str, name: str, kind: SpanKind, service: str, begin_ms: int, end_ms: int) -> Span:
        return Span(
            trace_id, span_id * 16, parent * 16, name, kind, start + begin_ms * MS, start + end_ms * MS,
            resource=Resource({"service.name": service}),
        )  # fmt: skip

    timeless = made("d", "a", "audit", SpanKind.INTERNAL, "shop", 0, 0)
    spans = (
        made("a", "", "GET /cart", SpanKind.SERVER, "shop", 0, 40),
        made("b", "a", "stock.Stock/Find", SpanKind.CLIENT, "shop", 5, 30),
        made("b", "a", "stock.Stock/Find", SpanKind.SERVER, "stock", 8, 28),
        made("c", "b", "SELECT stock", SpanKind.CLIENT, "stock", 10, 20),
        replace(timeless, start_time_unix_nano=0, end_time_unix_nano=0),
        made("e", "f", "retry", SpanKind.INTERNAL, "shop", 31, 35),
        made("f", "e", "backoff", SpanKind.INTERNAL, "shop", 32, 34),
    )
    log = LogRecord(
        start + 12 * MS, severity_number=9, body="stock.found", trace_id=trace_id, span_id="b" * 16,
        resource=Resource({"service.name": "stock"}),
    )  # fmt: skip
    return Sent(trace_id, spans, (log,))


def large(span_count: int, number: int = 5, *, ago_s: float = 2.0) -> Sent:
    """Make a trace of so many spans: a root with calls that have calls, seven deep, every tenth with a log line."""
    rng = random.Random(7)
    start = time.time_ns() - int(ago_s * 1e9)
    trace_id = f"{number:08x}{'1a4e' * 6}"
    services = ["report", "order", "user", "ledger", "mail", "search", "stock"]
    spans: list[Span] = []
    logs: list[LogRecord] = []
    open_spans: list[tuple[str, int, int]] = []
    length = span_count * MS // 10
    for index in range(span_count):
        span_id = f"{index + 1:016x}"
        depth = 0 if index == 0 else rng.randint(1, min(len(open_spans), 7))
        del open_spans[depth:]
        parent, begin, end = open_spans[-1] if open_spans else ("", start, start + length)
        if depth == 1:
            begin = start + length * index // span_count
            end = min(begin + length // 20, start + length)
        elif depth > 1:
            begin += (end - begin) // 10
            end -= (end - begin) // 10
        service = services[depth % len(services)]
        spans.append(
            Span(
                trace_id, span_id, parent, f"tracelab.{service}.v1.{service.title()}Service/Call{index % 40}",
                SpanKind.SERVER, begin, end, {"rpc.system.name": "grpc", "index": index},
                status_code=StatusCode.ERROR if index % 997 == 996 else StatusCode.UNSET,
                resource=Resource({"service.name": service}),
            )
        )  # fmt: skip
        open_spans.append((span_id, begin, end))
        if index % 10 == 0:
            logs.append(
                LogRecord(
                    begin + 1, severity_number=9, body=f"call.{index}", trace_id=trace_id, span_id=span_id,
                    resource=Resource({"service.name": service}),
                )
            )  # fmt: skip
    return Sent(trace_id, tuple(spans), tuple(logs))


def crowd(count: int) -> Sequence[Sent]:
    """Make so many calls of an afternoon: reports of varying length, a failure now and then, a stream."""
    rng = random.Random(11)
    made = []
    for index in range(count):
        ago_s = 5 + index * 40 * rng.uniform(0.3, 1.7)
        kind = index % 9
        number = 0x1000 + index
        if kind == 4:
            made.append(failing(number, ago_s=ago_s))
        elif kind == 7:
            made.append(streaming(number, ago_s=ago_s))
        else:
            made.append(report(number, ago_s=ago_s, slower=rng.lognormvariate(0, 0.5)))
    return made
