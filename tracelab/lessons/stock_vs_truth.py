"""What the stock instrumentation says of five calls, what ours says, and what the witnesses saw."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from otel.analysis.model import Span, SpanKind, Trace
from tracelab.learn.lab import Lab
from tracelab.learn.lesson import Chapter, Lesson, Prediction, TryIt
from tracelab.learn.outcome import Exhibit, Outcome, equal, holds
from tracelab.truth.catalogue import endings_of
from tracelab.truth.endings import Api, Kind
from tracelab.truth.judge import Cell, Evidence
from tracelab.truth.matrix import Run, run_matrix

ASKED = ("ok", "domain error", "deadline", "unhandled exception", "unknown method")


async def run(lab: Lab) -> Outcome:
    """Make the same calls under both instrumentations, in fresh processes, and let the judge compare with witnesses."""
    endings = [ending for ending in endings_of(Api.AIO) if ending.name in ASKED]
    ours, stock = await asyncio.to_thread(
        run_matrix, lab.environ, {Api.AIO: endings}, [Kind.UNARY_UNARY], asks_core=False
    )
    codes = {name: ours_ev.record.code for name, ours_ev in by_ending(ours).items()}
    same = codes == {name: evidence.record.code for name, evidence in by_ending(stock).items()}
    called_ok = [c.ending for c in stock.cells if c.verdict == "wrong" and c.claimed.startswith("OK")]
    facts = (
        equal("what the callers received is the same under both", True, same),
        equal("endings that the witnesses saw", {e.name: e.client_code for e in endings}, codes),
        equal("our spans that say otherwise", [], untrue(ours.cells)),
        holds("the stock library's spans that say otherwise", "some", said(stock.cells), bool(untrue(stock.cells))),
        equal("and of these, of the untroubled call", [], [c for c in untrue(stock.cells) if c.startswith("ok")]),
        holds("failed calls that a stock span calls OK", "some", called_ok, bool(called_ok)),
    )
    verdicts: dict[tuple[str, str, str], Cell] = {
        (c.instrumentation, c.ending, c.side): c for c in (*ours.cells, *stock.cells)
    }
    exhibits = tuple(exhibit(run_, "unhandled exception", verdicts) for run_ in (stock, ours) if by_ending(run_))
    return Outcome(facts, exhibits)


def by_ending(result: Run) -> dict[str, Evidence]:
    """The evidence of a run, by the ending's name."""
    return {evidence.scenario.ending.name: evidence for evidence in result.evidence}


def untrue(cells: Sequence[Cell]) -> list[str]:
    """The sides of calls whose spans say something else than what happened."""
    return [f"{cell.ending}, {cell.side}" for cell in cells if cell.verdict in {"wrong", "hang"}]


def said(cells: Sequence[Cell]) -> str:
    """The same, with what they say."""
    return "; ".join(f"{c.ending}, {c.side}: {c.claimed}" for c in cells if c.verdict in {"wrong", "hang"})


def exhibit(result: Run, ending: str, verdicts: Mapping[tuple[str, str, str], Cell]) -> Exhibit:
    """One call's trace, with the judge's words on its spans."""
    evidence = by_ending(result)[ending]

    def words(span: Span) -> str:
        side = "client" if span.kind is SpanKind.CLIENT else "server"
        cell = verdicts[result.instrumentation, ending, side]
        return f"{cell.verdict}: {cell.happened} happened, and it says {cell.claimed}"

    calls = (span for span in evidence.spans if span.kind in {SpanKind.CLIENT, SpanKind.SERVER})
    marks = {span.span_id: words(span) for span in calls}
    return Exhibit(
        f"{ending}, {result.instrumentation}", Trace(evidence.record.trace_id, evidence.spans), evidence.logs, marks
    )


LESSON = Lesson(
    slug="stock-vs-truth",
    chapter=Chapter.RUNNING_IT,
    number=5,
    question="The instrumentation library wraps every call. Does what its spans say agree with what happened?",
    prediction=Prediction(
        (
            "yes: it sees every call begin and end",
            "nearly: a detail may be missing, but not that a call failed",
            "where all goes well yes; where it does not, often not",
        ),
        "c",
    ),
    run=run,
    notice="Trust, and check with a witness that is no part of what it checks.",
    explain=(
        "The same calls run under the stock instrumentation and under this project's, in processes of their own, and "
        "each servicer and caller writes down what it really did, into a file that telemetry never touches. The "
        "untroubled call is told well by both. A wrapper that returns too early, or catches one class of exception "
        "and not another, says nothing false until a call fails; and then it is the spans that you look at. Of these "
        "five the stock client's spans are true; that is not so of all. The whole matrix, every kind of RPC and over "
        "thirty ways to end, is `lab truth`."
    ),
    source="OpenTelemetry conventions for gRPC spans; docs/truth.md",
    try_it=TryIt(
        task="Find an ending of which the stock library says nothing at all: no CLIENT span.",
        hint="./lab truth shows the matrix; a span that never ends is never exported.",
        solution="A unary call that the client cancels, or whose channel it closes: the span never ends.",
    ),
)
