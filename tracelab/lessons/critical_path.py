"""Of eight parallel calls one decides; the critical path names it, and replaying tells what changing it would bring."""

from __future__ import annotations

from fractions import Fraction

from generated.report_pb2 import TOP_USERS_STRATEGY_CONCURRENT, TopUsersRequest
from generated.report_pb2_grpc import ReportServiceStub
from otel.analysis.model import Span, SpanKind, Trace
from otel.analysis.reading import TraceReading
from otel.analysis.what_if import what_if
from tracelab.learn.lab import Lab
from tracelab.learn.lesson import Chapter, Lesson, Prediction, TryIt
from tracelab.learn.outcome import Outcome, equal, holds
from tracelab.learn.shop import fill_shop

DELAY_NS = 80_000_000


async def run(lab: Lab) -> Outcome:
    """Rank eight users at once, without a delay and with 80 ms for one of them; the least disturbed run of each."""
    await lab.start()
    user_ids = await fill_shop(lab, users=8, orders_per_user=1)
    fault = f"OrderService/ListOrders:delay=80ms:when=user_ids={user_ids[0]}"
    quick = min([await rank(lab, user_ids) for _ in range(5)], key=duration_ns)
    slow = min([await rank(lab, user_ids, fault) for _ in range(5)], key=total_ns)

    reading = TraceReading(slow)
    calls = list_orders(slow, SpanKind.CLIENT)
    decisive = max(calls, key=lambda span: span.duration_ns)
    on_path = [call for call in calls if reading.critical_time_ns.get(call.span_id)]
    others = {call.span_id for call in calls} - {decisive.span_id}
    waiting = max(list_orders(slow, SpanKind.SERVER), key=lambda span: span.duration_ns)

    no_others = what_if(reading, lambda span: Fraction(int(span.span_id not in others)))
    no_delay = what_if(reading, lambda span: undelayed(span) if span == waiting else Fraction(1))
    replayed_ns, real_ns = no_delay.replayed_duration_ns, duration_ns(quick)
    facts = (
        equal("calls at once", 8, len(calls)),
        equal("of these on the critical path", "the delayed one alone", ", ".join(named(on_path, decisive))),
        equal("calls that could be slower for free", 7, sum(reading.path.slack_ns.get(id_, 0) > 0 for id_ in others)),
        equal("saved if those seven took no time at all, in ns", 0, no_others.saved_ns),
        holds(
            "without the delay: what the replay says is nearer to a real run than to the slow one",
            "nearer",
            f"replayed {ms(replayed_ns)}, real {ms(real_ns)}, slow {ms(no_delay.duration_ns)} ms",
            abs(replayed_ns - real_ns) < abs(replayed_ns - no_delay.duration_ns),
        ),
    )
    return Outcome(facts, (await lab.exhibit("one of eight is slow", slow, lambda span: mark(span, waiting, calls)),))


async def rank(lab: Lab, user_ids: list[str], fault: str = "") -> Trace:
    """Ask for the ranking with all ListOrders at once, and read its trace back."""
    stub = ReportServiceStub(lab.channel("report"))
    request = TopUsersRequest(user_ids=user_ids, strategy=TOP_USERS_STRATEGY_CONCURRENT)
    with lab.span("rank users", **({"fault": fault} if fault else {})) as root:
        await stub.TopUsers(request, timeout=10)
    return await lab.whole_trace(root)


def duration_ns(trace: Trace) -> int:
    """How long the whole took."""
    return max(span.duration_ns for span in trace.spans)


def named(calls: list[Span], delayed: Span) -> list[str]:
    """Calls in words."""
    names = ["the delayed one" if call == delayed else "another" for call in calls]
    return names if len(names) > 1 else [f"{name} alone" for name in names]


def total_ns(trace: Trace) -> int:
    """How long its spans took together: the delayed call hides in the whole what disturbed the seven beside it."""
    return sum(span.duration_ns for span in trace.spans)


def list_orders(trace: Trace, kind: SpanKind) -> list[Span]:
    """One side of the parallel calls, in order of their start."""
    return [span for span in trace.spans if span.kind is kind and span.name.endswith("/ListOrders")]


def undelayed(span: Span) -> Fraction:
    """By what to scale a span so that it lacks the delay."""
    return Fraction(max(0, span.duration_ns - DELAY_NS), span.duration_ns)


def ms(time_ns: int) -> str:
    """A time for a person."""
    return f"{time_ns / 1e6:.0f}"


def mark(span: Span, waiting: Span, calls: list[Span]) -> str | None:
    """What to look at: `waiting` is the delayed server, where the caller's time goes."""
    if span.span_id == waiting.span_id:
        return "thick all along: everybody waits for this one"
    return "thin: it was over long before anybody needed it" if span.span_id == calls[-1].span_id else None


LESSON = Lesson(
    slug="critical-path",
    chapter=Chapter.SHAPES_OF_WORK,
    number=2,
    question="A report makes eight calls at once: one of 80 ms, seven of 5 ms. What if the seven took half as long?",
    prediction=Prediction(
        (
            "the report takes 17.5 ms less",
            "the report takes 2.5 ms less",
            "the report takes as long as before",
        ),
        "c",
    ),
    run=run,
    notice="Speeding up a call that is off the critical path buys nothing.",
    explain=(
        "The answer is ready when the last of the eight is, so at every moment it waits for one span only: that is the "
        "critical path, and its pieces tile the whole. The other calls have slack, the time by which they could be "
        "slower for free. To know what a change brings, do not subtract: replay the trace with the span changed, since "
        "another call may become the slowest. And the service lets 8 calls run at once: a ninth would have started "
        "late, and a queue in front of a fast call is a slow call."
    ),
    source="Uber CRISP: critical path analysis; grpc.io guide: Performance Best Practices",
    try_it=TryIt(
        task="Start ./lab up and rank more than 8 users at once. When do the ninth ListOrders and the next ones start?",
        hint="./lab user create, nine times; ./lab report top --strategy concurrent; ./lab trace last",
        solution="Each when one of those before it has ended: the service keeps at most 8 calls in flight.",
    ),
)
