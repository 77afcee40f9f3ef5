"""A trace is a tree of spans from several processes: the first one, read part by part."""

from __future__ import annotations

from generated.report_pb2 import GetUserReportRequest
from generated.report_pb2_grpc import ReportServiceStub
from otel.analysis.model import Span, SpanKind
from otel.analysis.reading import TraceReading
from otel.analysis.tree import Forest
from tracelab.learn.lab import Lab
from tracelab.learn.lesson import Chapter, Lesson, Prediction, TryIt
from tracelab.learn.outcome import Outcome, equal, holds
from tracelab.learn.shop import fill_shop


async def run(lab: Lab) -> Outcome:
    """Ask for one report and read its trace back."""
    await lab.start()
    (user_id,) = await fill_shop(lab, users=1, orders_per_user=2)
    stub = ReportServiceStub(lab.channel("report"))
    with lab.span("ask for a report") as root:
        await stub.GetUserReport(GetUserReportRequest(user_id=user_id), timeout=5)
    trace = await lab.whole_trace(root)

    reading = TraceReading(trace)
    forest = reading.forest
    servers = [span for span in forest.spans if span.kind is SpanKind.SERVER]
    path_ns = sum(step.duration_ns for step in reading.path.steps)
    facts = (
        equal("one trace holds the client and three services", "lesson order report user", services(forest)),
        equal("SERVER spans", 3, len(servers)),
        equal("of these, children of a CLIENT span of another process", 3, sum(crosses(forest, s) for s in servers)),
        holds(
            "own time along the critical path adds up to the whole",
            "to the nanosecond",
            "to the nanosecond" if reading.root and path_ns == reading.root.duration_ns else "it does not",
            reading.root is not None and path_ns == reading.root.duration_ns,
        ),
    )
    return Outcome(facts, (await lab.exhibit("one report", trace, notice),))


def services(forest: Forest) -> str:
    """The names of the processes in the trace."""
    return " ".join(sorted({span.service_name for span in forest.spans}))


def crosses(forest: Forest, server: Span) -> bool:
    """Whether this server side of a call hangs under the client side of it, in another process."""
    parent = forest.parent_of(server)
    return parent is not None and parent.kind is SpanKind.CLIENT and parent.service_name != server.service_name


def notice(span: Span) -> str | None:
    """What to look at."""
    if span.name.endswith("UserService/GetUser"):
        if span.kind is SpanKind.CLIENT:
            return "the report service waits this long for an answer"
        return "of which the user service works this long; the rest is wire and queues"
    return None


LESSON = Lesson(
    slug="first-trace",
    chapter=Chapter.READ_A_TRACE,
    number=1,
    question="One call to ReportService makes it ask UserService and OrderService. How many traces is that?",
    prediction=Prediction(("three, one for each call", "one", "four, one for each process"), "b"),
    run=run,
    notice="Each call has two bars, one per side; what the caller's has beyond the server's is wire and queues.",
    explain=(
        "Every span names its trace and its parent. The ids of the caller's CLIENT span travel as a line of metadata, "
        "and the server's span takes that one as its parent, in another process. So three calls that serve one "
        "request are one tree. The thick part of the bars is the critical path: at every moment the one span that the "
        "answer waited for. Its pieces add up to the whole, so making a thick piece shorter makes the call faster, "
        "and nothing else does."
    ),
    source="OpenTelemetry: Traces; gRFC A72",
    try_it=TryIt(
        task="Which service would you make faster first? Read it from the sentence below the waterfall of ./lab demo.",
        hint="The sentence lists the parts of the critical path, longest first.",
        solution="The first part that is a method's name; 'wire and queues' is nobody's code.",
    ),
)
