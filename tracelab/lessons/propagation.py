"""What carries a trace from process to process: one line of metadata."""

from __future__ import annotations

from typing import Any

import grpc

from generated.report_pb2 import GetUserReportRequest
from generated.report_pb2_grpc import ReportServiceStub
from generated.user_pb2 import GetUserRequest
from generated.user_pb2_grpc import UserServiceStub
from otel.analysis.model import Span, SpanKind, Trace
from otel.query import TraceQuery, TraceSearch
from tracelab.learn.lab import Lab
from tracelab.learn.lesson import Chapter, Lesson, Prediction, TryIt
from tracelab.learn.outcome import Outcome, equal
from tracelab.learn.shop import fill_shop

CUT = "UserService/GetUser"


class WithoutTraceparent(grpc.aio.UnaryUnaryClientInterceptor):
    """Takes the one line out of the metadata, as a proxy or a library without tracing does."""

    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        """Send the call on without its `traceparent`."""
        kept = [(key, value) for key, value in details.metadata or () if key != "traceparent"]
        return await continuation(details._replace(metadata=grpc.aio.Metadata(*kept)), request)


async def run(lab: Lab) -> Outcome:
    """Ask for a report with baggage aboard; then ask for a user with the line of metadata taken out."""
    await lab.start()
    (user_id,) = await fill_shop(lab, users=1, orders_per_user=1)
    with lab.span("with the line", tenant="acme") as root:
        await ReportServiceStub(lab.channel("report")).GetUserReport(GetUserReportRequest(user_id=user_id), timeout=5)
    joined = await lab.whole_trace(root)
    received = next(line for line in lab.witness("user") if root.trace_id in (line.get("traceparent") or ""))

    address = lab.stack.address("user")
    async with lab.telemetry.insecure_channel(address, interceptors=[WithoutTraceparent()]) as channel:
        with lab.span("without the line") as cut_root:
            await UserServiceStub(channel).GetUser(GetUserRequest(user_id=user_id), timeout=5)
    client_part = await lab.trace(cut_root.trace_id, lambda trace: len(trace.spans) == 2)
    server_part = await lab.trace(await lab.ask(trace_begun_at_the_server, bool))

    _, trace_id, parent_id, flags = received["traceparent"].split("-")
    caller = next(span for span in joined.spans if span.kind is SpanKind.CLIENT and span.name.endswith(CUT))
    facts = (
        equal("the line names the trace", root.trace_id, trace_id),
        equal("and as parent the caller's CLIENT span", caller.span_id, parent_id),
        equal("characters of the line", 55, len(received["traceparent"])),
        equal("its sampled bit (the lowest; others may be set)", 1, int(flags, 16) & 1),
        equal("baggage, read in the third process", "tenant=acme", received["baggage"]),
        equal(
            "spans that have the baggage as an attribute", 0, sum("tenant" in span.attributes for span in joined.spans)
        ),
        equal("without the line: SERVER spans in the caller's trace", 0, servers(client_part)),
        equal("and the parent of the one in a trace of its own", "none", server_part.spans[0].parent_span_id or "none"),
    )
    return Outcome(
        facts,
        (
            await lab.exhibit("with the line: one trace", joined, lambda span: mark(span, received["traceparent"])),
            await lab.exhibit("without it, one half: the caller's trace", client_part, mark_cut),
            await lab.exhibit("without it, the other half: the server's trace", server_part, mark_cut),
        ),
    )


def trace_begun_at_the_server(query: TraceQuery) -> str:
    """The id of the trace whose first span is UserService's, once it is there."""
    found = query.trace_summaries(TraceSearch(service_name="user"))
    return next(
        (each.trace_id for each in found if each.root_service_name == "user" and not each.orphan_span_count), ""
    )


def servers(trace: Trace) -> int:
    """How many calls of this trace arrived anywhere."""
    return sum(span.kind is SpanKind.SERVER for span in trace.spans)


def mark(span: Span, traceparent: str) -> str | None:
    """What to look at where the trace holds together."""
    if span.name.endswith(CUT) and span.kind is SpanKind.CLIENT:
        return f"span {span.span_id}: its id is in the line, as the parent to be"
    if span.name.endswith(CUT) and span.kind is SpanKind.SERVER:
        return f"came with traceparent: {traceparent}"
    return None


def mark_cut(span: Span) -> str | None:
    """What to look at where it does not."""
    if span.kind is SpanKind.SERVER:
        return "the same call, but nobody told it so: a trace of its own"
    return "no server side: it looks as if nobody had answered" if span.kind is SpanKind.CLIENT else None


LESSON = Lesson(
    slug="propagation",
    chapter=Chapter.READ_A_TRACE,
    number=3,
    question="Two processes, one trace: what travels between them so that their spans hang together?",
    prediction=Prediction(
        (
            "each process reports to the backend, which matches calls by time and method",
            "the caller's spans travel with the request",
            "a line of metadata with the trace's id and the caller's span id",
        ),
        "c",
    ),
    run=run,
    notice="55 characters of metadata are the whole trick; whoever drops them cuts the trace in two.",
    explain=(
        "The client interceptor writes traceparent: version, trace id, its own span's id as the parent to be, flags. "
        "The server interceptor reads it before the handler runs. Spans never travel with the call; each process "
        "sends its own to the backend. Where a proxy drops the line, or a bare channel never wrote it, the call is OK "
        "all the same, and the trace falls apart. Baggage is a second line, for values of yours: it crosses every "
        "process, and becomes an attribute only where somebody copies it."
    ),
    source="W3C Trace Context; W3C Baggage; grpc.io guide: Metadata",
    try_it=TryIt(
        task="The line above ends in 03. What do these bits say, and how do you test that a call is sampled?",
        hint="01 says sampled, 02 that the id's last seven bytes are random (W3C Trace Context, level 2); 03 is both.",
        solution="Sampled, and a random id. So test int(flags, 16) & 1, never flags == '01'.",
    ),
)
