"""The proof: what was read back about the report's call, checked against the processes' own log files."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from otel.analysis.model import LogRecord, Span, SpanKind, Trace
from otel.analysis.proof import join_logs
from otel.analysis.rpc import rpc_facts
from otel.analysis.tree import forest_of
from otel.query import QueryError, TraceQuery, TraceSearch
from tracelab.stack.log_files import count_log_lines

Verdict = Literal["full", "partial", "none", "failed"]

SERVICES: Final = ("demo", "order", "report", "user")
ARRIVAL_BOUND_S: Final = 10.0
POLL_S: Final = 0.03
SEARCH_S: Final = 600.0  # how far back the session is looked for; clocks of one machine, with room


@dataclass(frozen=True, slots=True)
class ReadBack:
    """What the backend has of one session: every trace that carries it, and the logs of the first."""

    traces: tuple[Trace, ...]
    logs: tuple[LogRecord, ...]
    failure: str = ""

    @property
    def trace(self) -> Trace | None:
        """The trace to show; the one with the most spans where there are several."""
        return max(self.traces, key=lambda trace: len(trace.spans), default=None)


@dataclass(frozen=True, slots=True)
class Proof:
    """What was found, in numbers, and the verdict. `file_log_count` is None where the log files can't be reached."""

    trace_id: str | None
    traces: int
    services: tuple[str, ...]
    span_count: int
    orphan_span_count: int
    log_count: int
    logs_joined: int
    file_log_count: int | None
    unanswered_call_count: int = 0

    @property
    def verdict(self) -> Verdict:
        """`full` if all holds, `partial` if the files could not be asked, `failed` if something does not hold."""
        if self.problems:
            return "failed"
        return "partial" if self.file_log_count is None else "full"

    @property
    def problems(self) -> tuple[str, ...]:
        """What does not hold, in words; empty if all does."""
        missing = [name for name in SERVICES if name not in self.services]
        checks = (
            (self.traces != 1, f"the call made {self.traces} traces, not 1"),
            (bool(missing), f"no span of {', '.join(missing)}"),
            (self.orphan_span_count > 0, f"{self.orphan_span_count} orphan spans"),
            (self.unanswered_call_count > 0, f"{self.unanswered_call_count} calls without the span of their server"),
            (self.logs_joined != self.log_count, f"{self.log_count - self.logs_joined} log lines join no span"),
            (
                self.file_log_count not in {None, self.log_count},
                f"{self.log_count} log lines in the backend, {self.file_log_count} in the files",
            ),
        )
        return tuple(text for is_wrong, text in checks if is_wrong)


def prove(found: ReadBack, log_files: Sequence[Path] | None) -> Proof:
    """Count what was read back. `log_files` are the processes' own; None where they can't all be reached."""
    trace = found.trace
    if trace is None:
        return Proof(None, len(found.traces), (), 0, 0, 0, 0, None)
    forest = forest_of(trace)
    answered = {span.parent_span_id for span in forest.spans if span.kind is SpanKind.SERVER}
    reached = [span for span in forest.spans if span.kind is SpanKind.CLIENT and _has_reached_a_server(span)]
    return Proof(
        trace_id=trace.trace_id,
        traces=len(found.traces),
        services=tuple(sorted({span.service_name for span in forest.spans})),
        span_count=len(forest.spans),
        orphan_span_count=len(forest.orphans),
        log_count=len(found.logs),
        logs_joined=join_logs(trace, found.logs).joined_count,
        file_log_count=None if log_files is None else count_log_lines(log_files, trace.trace_id),
        unanswered_call_count=sum(span.span_id not in answered for span in reached),
    )


def _has_reached_a_server(span: Span) -> bool:
    """Whether a server's span belongs to this call: one that found nobody, as after a restart, has none."""
    facts = rpc_facts(span)
    return facts is not None and facts.status_code != "UNAVAILABLE"


def await_proof(
    query: TraceQuery, session_id: str, log_files: Sequence[Path] | None, within_s: float = ARRIVAL_BOUND_S
) -> tuple[Proof, ReadBack]:
    """Read the session back until its proof holds; at the deadline give what there is, with the last failure."""
    deadline_s = time.monotonic() + within_s
    while True:
        found = read_session(query, session_id)
        proof = prove(found, log_files)
        if not proof.problems or time.monotonic() > deadline_s:
            return proof, found
        time.sleep(POLL_S)


def read_session(query: TraceQuery, session_id: str) -> ReadBack:
    """Find the traces whose spans carry `session.id`, and the logs of the fullest one. Never raises QueryError."""
    search = TraceSearch(attributes={"session.id": session_id}, lookback_s=SEARCH_S)
    try:
        ids = [summary.trace_id for summary in query.trace_summaries(search)]
        found = ReadBack(tuple(trace for trace in map(query.trace, ids) if trace is not None), ())
        shown = found.trace
        if shown is None:
            return found
        return ReadBack(found.traces, tuple(query.logs_of_trace(shown.trace_id, shown).records))
    except QueryError as error:
        return ReadBack((), (), str(error))
