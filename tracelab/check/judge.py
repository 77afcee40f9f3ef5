"""Says of each call whether the server's span tells what the wire told. Pure: values in, values out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from otel.analysis.model import Span, SpanKind, Trace
from otel.analysis.rpc import status_code_name
from tracelab.check.probing import Ending, Probed
from tracelab.truth.endings import SERVER_FAULTS
from tracelab.truth.expectations import claim, code_faults, exception_event_faults

Verdict = Literal["true", "wrong", "unknown", "not tried"]

TIME_SLACK_S: Final = 0.05
"""How much a span may be off before it is said to be: timers, threads, and two clocks that tick alike."""
HEARD_S: Final = 0.1
"""A call that is cut earlier may be over before a busy server has heard of it, or of the cut."""
HANDLER_REACHED: Final = "tracelab.rpc.handler_reached"
RACE_RATIO: Final = 0.8
"""A server that was done in less of the time before the cut may not have noticed the cut."""
_CUTS: Final = {Ending.DEADLINE: "DEADLINE_EXCEEDED", Ending.CANCEL: "CANCELLED"}


@dataclass(frozen=True, slots=True)
class Finding:
    """One call: what the wire said, what the server's span says, and what is wrong about that.

    `note` says why nothing can be said against the span, or why the call was not made. `scope` made the span.
    """

    probed: Probed
    verdict: Verdict
    happened: str
    claimed: str
    faults: tuple[str, ...] = ()
    note: str = ""
    scope: str = ""


def judge(probed: Probed, trace: Trace | None) -> Finding:
    """Hold one call against what has arrived of its trace."""
    if probed.skipped:
        return Finding(probed, "not tried", "not made", "", note=probed.skipped)
    happened = f"{probed.code} after {probed.duration_s * 1e3:.3g} ms"
    if probed.ending in _CUTS and probed.code != _CUTS[probed.ending]:
        return Finding(probed, "not tried", happened, "", note="it ended before it could be cut")
    spans = server_spans(trace)
    said, scope = claim(spans), _scope(spans)
    if not spans and _may_be_unheard(probed):
        return Finding(probed, "unknown", happened, said, (), "its server may not have heard of it")
    if len(spans) != 1:
        fault = f"{len(spans)} server spans, not 1" if spans else "the call is in no span"
        return Finding(probed, "wrong", happened, said, (fault,), scope=scope)
    (span,) = spans
    faults = (*_faults(probed, span, trace), *exception_event_faults(span))
    if faults:
        note = _race(probed, span)
        return Finding(probed, "unknown" if note else "wrong", happened, said, () if note else faults, note, scope)
    if _is_unsaid(probed, span):
        return Finding(probed, "unknown", happened, said, (), "its server may not know a cancel from a refusal", scope)
    return Finding(probed, "true", happened, said, scope=scope)


def server_spans(trace: Trace | None) -> list[Span]:
    """The spans of the server that was called: children of our call, and what a second instrumentation put below."""
    if trace is None:
        return []
    servers = sorted(
        (span for span in trace.spans if span.kind is SpanKind.SERVER), key=lambda s: s.start_time_unix_nano
    )
    clients = {span.span_id for span in trace.spans if span.kind is SpanKind.CLIENT}
    ours = {span.span_id for span in trace.spans if span.name.startswith("check ")}
    called = {span.span_id for span in trace.spans if span.span_id in clients and span.parent_span_id in ours}
    first = [span for span in servers if span.parent_span_id in called]
    if not first:
        return [span for span in servers if span.parent_span_id not in clients]
    own = {span.span_id for span in first}
    return [span for span in servers if span.parent_span_id in called | own]


def _faults(probed: Probed, span: Span, trace: Trace | None) -> list[str]:
    code = "" if _is_unsaid(probed, span) else probed.code
    faults = code_faults(span, code, failed=probed.code in SERVER_FAULTS)
    known = {each.span_id for each in trace.spans} if trace else set()
    if span.parent_span_id not in known:
        faults.append("is no child of the caller's span")
    if probed.ending is not Ending.UNKNOWN_METHOD and probed.method.full_name not in span.name:
        faults.append(f"is named {span.name}")
    return faults + _time_faults(probed, span)


def _time_faults(probed: Probed, span: Span) -> list[str]:
    if probed.cut_s is not None:
        return []  # a thread may work on when its call is over
    if _length_s(span) > probed.duration_s + TIME_SLACK_S:
        return [f"lasts {_length_s(span):.3g} s, longer than the call"]
    if _length_s(span) < probed.streamed_s - TIME_SLACK_S:
        return [f"lasts {_length_s(span):.3g} s, and the answers came over {probed.streamed_s:.3g} s"]
    return []


def _is_unsaid(probed: Probed, span: Span) -> bool:
    """Whether the server says nothing of a call that was cut while it waited for a request, as Python has to."""
    return probed.keeps_open and probed.code == "CANCELLED" and not status_code_name(span.attributes)


def _may_be_unheard(probed: Probed) -> bool:
    return probed.cut_s is not None and probed.cut_s < HEARD_S and not probed.response_count


def _race(probed: Probed, span: Span) -> str:
    """Say how a call and its cut may have crossed, so that both sides are right; "" where they did not."""
    if probed.cut_s is None:
        return ""
    if span.attributes.get(HANDLER_REACHED) is False and not status_code_name(span.attributes):
        return "its servicer was never reached, which is all that the server knows"
    if probed.keeps_open:
        return ""
    done = f"its server was done in {_length_s(span) * 1e3:.3g} ms"
    # Once an answer is here the server has begun, however late: it had at least what was left before the cut.
    if _length_s(span) < (probed.cut_s - probed.first_answer_s) * RACE_RATIO:
        return f"{done}, before the cut"
    if probed.cut_s < HEARD_S and status_code_name(span.attributes) == "OK":
        return f"{done}, and may not have heard of the cut"
    return ""


def _length_s(span: Span) -> float:
    return (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9


def _scope(spans: Sequence[Span]) -> str:
    return " ".join(filter(None, (spans[-1].scope.name, spans[-1].scope.version))) if spans else ""
