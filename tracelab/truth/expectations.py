"""What a span of a call must say, whoever made it: the rules that the matrix and `lab check` share. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from otel.analysis.model import Span, StatusCode
from otel.analysis.rpc import status_code_name


def code_faults(span: Span, code: str, *, failed: bool) -> list[str]:
    """What is wrong about status code and span status; with `code` "" nobody could know it, so the span says none."""
    faults = []
    said = status_code_name(span.attributes) or ""
    if said != code:
        faults.append(f"says {said or 'nothing'}, not {code}" if code else f"says {said}, which it cannot know")
    wanted = StatusCode.ERROR if failed else StatusCode.UNSET
    if span.status_code is not wanted:
        faults.append(f"span status {span.status_code.name}, not {wanted.name}")
    return faults


def exception_event_faults(span: Span) -> list[str]:
    """Exceptions are log records: as events they are there twice, and for endings that are no failure."""
    count = sum(event.name == "exception" for event in span.events)
    return [f"{count} exception events"] if count else []


def claim(spans: Sequence[Span]) -> str:
    """What the last of these spans says, such as `OK, unset`."""
    if not spans:
        return "no span"
    last = spans[-1]
    said = f"{status_code_name(last.attributes) or 'no code'}, {'ERROR' if last.is_error else 'unset'}"
    return said if len(spans) == 1 else f"{len(spans)} spans, the last {said}"
