"""Random forests for property tests: any times, any parents, missing and tangled ones too."""

from __future__ import annotations

from hypothesis import strategies as st

from otel.analysis.model import Span, SpanKind, Trace
from tests.unit.analysis.building import MS, T0, TRACE_ID

IDS = [f"s{number:02d}" for number in range(14)]


@st.composite
def spans(draw: st.DrawFn, span_id: str) -> Span:
    start = draw(st.integers(0, 40))
    return Span(
        trace_id=TRACE_ID,
        span_id=span_id,
        parent_span_id=draw(st.sampled_from(["", "missing", *IDS])),
        name=draw(st.sampled_from(["one", "two"])),
        kind=draw(st.sampled_from(list(SpanKind))),
        start_time_unix_nano=T0 + start * MS // 4,
        end_time_unix_nano=T0 + (start + draw(st.integers(0, 30))) * MS // 4,
    )


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    chosen = draw(st.lists(st.sampled_from(IDS), max_size=len(IDS)))
    return Trace(TRACE_ID, tuple(draw(spans(span_id)) for span_id in chosen))
