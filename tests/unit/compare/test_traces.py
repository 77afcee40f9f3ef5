from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import cast

from otel.analysis.model import Resource, Span, SpanKind, Trace
from otel.query.client import TraceQuery
from tracelab.compare.explanation.trace_parts import Part, PartKey
from tracelab.compare.explanation.traces import TraceReader, parts_of

US = 1_000
T0 = 1_795_456_800_000_000_000


def span(name: str, parent: str, kind: SpanKind, start: int, end: int, service: str, span_id: str = "") -> Span:
    resource = Resource({"service.name": service, "host.name": "one"})
    attributes = {"rpc.system.name": "grpc", "rpc.method": f"tracelab.x.v1.{name}"}
    return Span(
        "t" * 32,
        span_id or f"{name}{kind.name}",
        parent,
        name,
        kind,
        T0 + start * US,
        T0 + end * US,
        attributes,
        resource=resource,
    )


def call(number: int = 0, *, with_server: bool = True) -> Trace:
    root = span("ReportService/TopUsers", "", SpanKind.CLIENT, 0, 1000, "cli", "root")
    served = span("ReportService/TopUsers", "root", SpanKind.SERVER, 100, 900, "report", "served")
    asked = span("OrderService/ListOrders", "served", SpanKind.CLIENT, 200, 800, "report", "asked")
    answered = span("OrderService/ListOrders", "asked", SpanKind.SERVER, 300, 600, "order", "answered")
    spans = (root, served, asked, answered) if with_server else (root, served, asked)
    return Trace(f"{number:032x}", spans)


class ScriptedQuery:
    """Answers each question for a trace with the next of its versions, the last one again and again."""

    def __init__(self, versions: dict[str, Sequence[Trace | None]]) -> None:
        self._versions = {
            trace_id: itertools.chain(given, itertools.repeat(given[-1])) for trace_id, given in versions.items()
        }

    def trace(self, trace_id: str) -> Trace | None:
        return next(self._versions[trace_id])


def reader(versions: dict[str, Sequence[Trace | None]], wait_s: float) -> TraceReader:
    return TraceReader(cast("TraceQuery", ScriptedQuery(versions)), wait_s)


def test_parts_add_up_to_the_root_and_name_the_wire() -> None:
    parts = parts_of(call())
    assert sum(part.critical_ns for _, part in parts.parts) == parts.root_duration_ns == 1000 * US
    assert dict(parts.parts)[PartKey("report", "OrderService/ListOrders", "client", "wire and queues")] == Part(
        300 * US, 1
    )
    assert dict(parts.parts)[PartKey("order", "OrderService/ListOrders", "server")] == Part(300 * US, 1)


def test_a_client_span_whose_server_left_none_is_called_so() -> None:
    keys = [key for key, _ in parts_of(call(with_server=False)).parts]
    assert PartKey("report", "OrderService/ListOrders", "client", "no server span") in keys


def test_a_span_without_its_parent_makes_a_trace_incomplete() -> None:
    whole = call()
    assert not parts_of(Trace(whole.trace_id, (whole.spans[0], whole.spans[3]))).complete


def test_a_trace_that_is_not_whole_yet_is_read_again() -> None:
    versions = {str(number): [call(number)] for number in range(3)}
    late: Sequence[Trace | None] = [None, call(9, with_server=False), call(9)]
    found = reader({**versions, "late": late}, 60).read([*versions, "late"])
    assert all(parts.complete for parts in found.values())
    assert len(found) == 4


def test_no_half_trace_counts_as_whole_while_services_still_hold_what_they_did_not_send() -> None:
    half_then_whole = {str(n): [call(n, with_server=False), call(n, with_server=False), call(n)] for n in range(3)}
    newest = {"newest": [None, call(9, with_server=False), call(9, with_server=False), call(9)]}
    found = reader({**half_then_whole, **newest}, 60).read(half_then_whole, "newest")
    assert {trace_id: parts.parts for trace_id, parts in found.items()} == dict.fromkeys(
        half_then_whole, parts_of(call()).parts
    )


def test_a_server_span_that_never_comes_is_not_waited_for_once_the_last_call_is_whole() -> None:
    versions: dict[str, Sequence[Trace | None]] = {str(n): [call(n, with_server=False)] for n in range(3)}
    found = reader({**versions, "newest": [call(9)]}, 60).read(versions, "newest")
    assert all(parts.complete for parts in found.values())


def test_a_trace_that_lost_a_server_span_is_incomplete_when_the_others_have_it() -> None:
    versions: dict[str, Sequence[Trace | None]] = {str(number): [call(number)] for number in range(3)}
    versions["lost"] = [call(9, with_server=False)]
    found = reader(versions, 0).read(versions)
    assert [trace_id for trace_id, parts in found.items() if not parts.complete] == ["lost"]


def test_services_that_leave_no_spans_make_no_trace_incomplete() -> None:
    versions: dict[str, Sequence[Trace | None]] = {str(n): [call(n, with_server=False)] for n in range(3)}
    assert all(parts.complete for parts in reader(versions, 0).read(versions).values())
