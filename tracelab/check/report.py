"""What `lab check` prints: a table of the calls, what is wrong in words, and all of it as JSON."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

from clients.screen.tables import Column, PlainTable
from tracelab.check.judge import Finding, Verdict

MARKS: Final[dict[Verdict, str]] = {"true": "✔", "wrong": "✘", "unknown": "?", "not tried": "-"}
_TITLES: Final = ("method", "ending", "on the wire", "", "its span says")


def table(findings: Sequence[Finding]) -> PlainTable:
    """One row a call, in the order in which they were made."""
    columns = [Column(title, is_flexible=title == "method") for title in _TITLES]
    return PlainTable(columns, [_row(finding) for finding in findings])


def _row(finding: Finding) -> tuple[str, ...]:
    mark = MARKS[finding.verdict]
    return _short_name(finding), finding.probed.ending.value, finding.happened, mark, finding.claimed


def reasons(findings: Sequence[Finding]) -> list[str]:
    """A line for each way in which calls are not true, with the calls of which it holds."""
    found: dict[tuple[str, str], list[str]] = {}
    for finding in findings:
        reason = "; ".join(finding.faults) or finding.note
        if reason:
            called = f"{_short_name(finding)} {finding.probed.ending.value}"
            found.setdefault((MARKS[finding.verdict], reason), []).append(called)
    return [f"{mark} {reason}: {', '.join(calls)}" for (mark, reason), calls in found.items()]


def _short_name(finding: Finding) -> str:
    service, _, method = finding.probed.method.full_name.partition("/")
    return f"{service.rpartition('.')[2]}/{method}"


def summary(findings: Sequence[Finding]) -> str:
    """How many calls have each verdict, and who made the spans."""
    counts: Counter[str] = Counter(finding.verdict for finding in findings)
    made = ", ".join(f"{counts[verdict]} {verdict}" for verdict in MARKS)
    scopes = sorted({finding.scope for finding in findings if finding.scope})
    by = f"; the spans are by {', '.join(scopes)}" if scopes else ""
    return f"{len(findings)} calls: {made}{by}"


def no_spans_lines(target: str, otlp_endpoint: str, waited_s: float) -> tuple[str, str]:
    """What is said where no span of the server came, and what to set there."""
    return (
        f"no span of {target} has come within {waited_s:g} s: nothing can be said of its instrumentation",
        f"set OTEL_EXPORTER_OTLP_ENDPOINT={otlp_endpoint} where it runs (gRPC), or start it with ./lab run;"
        " --otlp HOST:PORT listens where it exports to",
    )


def as_json(findings: Sequence[Finding], target: str, query_url: str) -> dict[str, Any]:
    """All findings as JSON values; lengths of time in milliseconds."""
    counts: Counter[str] = Counter(finding.verdict for finding in findings)
    return {
        "target": target,
        "true_count": counts["true"],
        "wrong_count": counts["wrong"],
        "unknown_count": counts["unknown"],
        "not_tried_count": counts["not tried"],
        "has_spans": any(finding.scope for finding in findings),
        "query_url": query_url,
        "calls": [_call_json(finding) for finding in findings],
    }


def _call_json(finding: Finding) -> dict[str, Any]:
    probed = finding.probed
    return {
        "method": probed.method.full_name,
        "kind": probed.method.kind.value,
        "ending": probed.ending.value,
        "verdict": finding.verdict,
        "code": probed.code,
        "happened": finding.happened,
        "claimed": finding.claimed,
        "faults": list(finding.faults),
        "note": finding.note,
        "duration_ms": round(probed.duration_s * 1e3, 3),
        "cut_ms": None if probed.cut_s is None else round(probed.cut_s * 1e3, 3),
        "scope": finding.scope,
        "trace_id": probed.trace_id,
    }
