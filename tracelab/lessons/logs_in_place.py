"""Log lines find their call by themselves: the current span stamps them."""

from __future__ import annotations

from collections.abc import Sequence

import structlog

from generated.report_pb2 import GetUserReportRequest
from generated.report_pb2_grpc import ReportServiceStub
from otel.analysis.model import LogRecord, Span, SpanKind
from otel.query import LogSearch
from tracelab.learn.lab import Lab
from tracelab.learn.lesson import Chapter, Lesson, Prediction, TryIt
from tracelab.learn.outcome import Outcome, equal
from tracelab.learn.shop import fill_shop

OUTSIDE = "lesson.outside_any_call"
ROUNDING_NS = 1_000_000

log = structlog.get_logger()


async def run(lab: Lab) -> Outcome:
    """Log one line outside any call, ask for a report, and look for every line's place in the trace."""
    await lab.start()
    (user_id,) = await fill_shop(lab, users=1, orders_per_user=2)
    log.info(OUTSIDE)
    stub = ReportServiceStub(lab.channel("report"))
    with lab.span("ask for a report") as root:
        await stub.GetUserReport(GetUserReportRequest(user_id=user_id), timeout=5)
    trace = await lab.whole_trace(root)
    lines = await lab.ask(lambda query: query.logs_of_trace(root.trace_id).records, has_three_endings)
    outside = await lab.ask(lambda query: query.logs(LogSearch(service_name="lesson", text=OUTSIDE)).records, bool)

    by_id = {span.span_id: span for span in trace.spans}
    placed = [(line, by_id[line.span_id]) for line in lines if line.span_id in by_id]
    facts = (
        equal("lines whose span is not in the trace", 0, len(lines) - len(placed)),
        equal("of the others, written by the process that made the span", len(placed), sum(map(same_process, placed))),
        equal("and while the span was open", len(placed), sum(map(while_open, placed))),
        equal(
            "spans that lines name", "3 SERVER spans", f"{len({line.span_id for line in lines})} {kinds(placed)} spans"
        ),
        equal(
            "ids of the line outside any call",
            "no trace id, no span id",
            f"{outside[0].trace_id or 'no trace id'}, {outside[0].span_id or 'no span id'}",
        ),
    )
    return Outcome(facts, (await lab.exhibit("one report with its lines", trace, mark),))


def has_three_endings(lines: Sequence[LogRecord]) -> bool:
    """Whether all three services have said that their part is done; lines travel apart from spans."""
    return sum(line.event_name == "rpc.finished" or line.body == "rpc.finished" for line in lines) == 3


def same_process(placed: tuple[LogRecord, Span]) -> bool:
    """Whether the line comes from the process of its span."""
    line, span = placed
    return line.service_name == span.service_name


def while_open(placed: tuple[LogRecord, Span]) -> bool:
    """Whether the line was written between its span's start and end, give or take a millisecond of rounding."""
    line, span = placed
    start_ns, end_ns = span.start_time_unix_nano - ROUNDING_NS, span.end_time_unix_nano + ROUNDING_NS
    return start_ns <= line.time_unix_nano <= end_ns


def kinds(placed: Sequence[tuple[LogRecord, Span]]) -> str:
    """The kinds of the spans that have lines."""
    return " ".join(sorted({span.kind.name for _, span in placed}))


def mark(span: Span) -> str | None:
    """What to look at."""
    if span.kind is SpanKind.SERVER and span.service_name == "order":
        return "its lines name this span, though the code that wrote them passed no id"
    return None


LESSON = Lesson(
    slug="logs-in-place",
    chapter=Chapter.READ_A_TRACE,
    number=2,
    question='Three services write log lines like log.info("order.listed"). How does a line get to its call?',
    prediction=Prediction(
        (
            "every function passes a request id to the logger",
            "the logger asks the context for the current span",
            "the backend compares the times of lines and spans",
        ),
        "b",
    ),
    run=run,
    notice="Ids are put on a line by the context it is written in, not by the code that writes it.",
    explain=(
        "The server interceptor makes its span current for the task that runs the handler. Whatever the handler calls "
        "and awaits inherits that context, so the logger finds the span and stamps both ids on the line. Lines and "
        "spans travel separately and meet again by id, whatever the clocks say. A line outside any call has no ids: it "
        "belongs to the process, not to a request."
    ),
    source="OpenTelemetry: Logs Data Model, Trace Context Fields",
    try_it=TryIt(
        task="Run ./lab demo, then let the tool check that every line of its trace joins a span.",
        hint="./lab logs --help names the option that checks.",
        solution="./lab logs last --verify",
    ),
)
