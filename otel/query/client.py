"""The readers' only door to traces and logs: Jaeger's query API v3, and our log API or OpenSearch, over HTTP.

Works on the embedded backend and on a Jaeger v2; what an engine leaves out, doubles or disorders is put right here.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import replace
from types import TracebackType
from typing import Any, Self

import httpx

from otel.analysis.model import Span, Trace
from otel.analysis.otlp_json import spans_from_otlp_json, traces_from_spans
from otel.analysis.span_event_logs import each_record_once, logs_of_span_events
from otel.query.errors import (
    BackendUnreachableError,
    NoLogStoreError,
    QueryRefusedError,
    TraceNotCompleteError,
    UnreadableAnswerError,
)
from otel.query.http import JsonEndpoint, make_client
from otel.query.log_stores import LabLogs, LogStore, matching
from otel.query.metrics import MetricQuery
from otel.query.older import older_search_params, summaries_of
from otel.query.opensearch import SCHEME_PREFIX, OpenSearchLogs
from otel.query.values import BackendStatus, LogPage, LogSearch, Operation, TraceSearch, TraceSummary
from otel.query.wire import names_from, operations_from, padded_trace_id, result_of, search_params, summaries_from

POLL_INTERVAL_S = 0.03
_ANY = TraceSearch()
_START_HINT = "start one with ./lab up --only backend, or name another with LAB_QUERY_URL"
_LOGS_HINT = "start one with ./lab up --only backend, or name another with LAB_LOGS_URL"


class TraceQuery:
    """Asks a trace backend. Synchronous, safe to share between threads; close it, or use it as context manager.

    `logs_url` is where the log API is, if elsewhere, or an index of OpenSearch: `opensearch+http://HOST:PORT/NAME`.
    `token` and `tls` are for both, though OpenSearch is not shown the token. Every method raises QueryError, whose text
    is for a person.
    """

    def __init__(
        self,
        query_url: str,
        logs_url: str | None = None,
        timeout_s: float = 10.0,
        *,
        token: str = "",
        tls: ssl.SSLContext | None = None,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._client = make_client(query_url, timeout_s, transport, token, tls)
        self._traces = JsonEndpoint(query_url, self._client, _START_HINT)
        self._lab = JsonEndpoint(logs_url, self._client, _LOGS_HINT) if logs_url else self._traces
        self._logs: LogStore = LabLogs(self._lab, may_lack_it=not logs_url)
        self._has_own_logs = not logs_url
        if logs_url and logs_url.startswith(SCHEME_PREFIX):
            self._lab, self._logs = self._traces, OpenSearchLogs(logs_url, timeout_s, transport, tls)
        self._clock = clock

    @property
    def query_url(self) -> str:
        """The backend's base URL, without a slash at the end."""
        return self._traces.url

    @property
    def metrics(self) -> MetricQuery:
        """The door to metrics, which are where our log API is."""
        return MetricQuery(self._lab)

    def services(self) -> list[str]:
        """Name the services that sent spans, sorted."""
        return names_from(self._traces.get_known("/api/v3/services"))

    def operations(self, service_name: str) -> list[Operation]:
        """Name what a service does, sorted; empty for an unknown service."""
        return operations_from(self._traces.get_known("/api/v3/operations", {"service": service_name}))

    def trace(self, trace_id: str) -> Trace | None:
        """Read a whole trace; None while the backend has not got it."""
        wanted = padded_trace_id(trace_id)
        answer = self._traces.get(f"/api/v3/traces/{wanted}")
        if answer is None:
            return None
        found = {trace.trace_id: trace for trace in traces_from_spans(_cleaned(result_of(answer)))}
        return found.get(wanted)

    def trace_summaries(self, search: TraceSearch = _ANY) -> list[TraceSummary]:
        """Find traces, newest first, at most `search.limit`."""
        try:
            found = self._summaries(search)
        except QueryRefusedError:
            if search.service_name:
                raise
            # Some storages search by service only: ask for each, and join the answers.
            found = [hit for name in self.services() for hit in self._summaries(replace(search, service_name=name))]
        once = {summary.trace_id: summary for summary in found}
        newest_first = sorted(once.values(), key=lambda hit: (-hit.start_time_unix_nano, hit.trace_id))
        return newest_first[: search.limit]

    def latest_trace_id(self) -> str | None:
        """Give the id of the trace whose root started last; None when there is no trace."""
        found = self.trace_summaries(TraceSearch(limit=100))
        return found[0].trace_id if found else None

    def logs(self, search: LogSearch) -> LogPage:
        """Read one page of log records, oldest first.

        Where there is no log API the records are rebuilt from the events of the trace's spans, which takes a
        `trace_id`; without one NoLogStoreError says so.
        """
        stored = self._logs.page(search)
        if stored is not None:
            return stored
        if not search.trace_id:
            raise NoLogStoreError(f"{self._logs.url} keeps no logs apart from the events of a trace", _LOGS_HINT)
        trace = self.trace(search.trace_id)
        found = logs_of_span_events(trace.spans) if trace else []
        records = matching(each_record_once(found), search)
        return LogPage(tuple(records[: search.limit]), from_span_events=True)

    def logs_of_trace(self, trace_id: str, trace: Trace | None = None) -> LogPage:
        """Read every log record of a trace, each once: from the log store, and from the events of `trace` if given."""
        search = LogSearch(trace_id=padded_trace_id(trace_id))
        page = self.logs(search)
        records = list(page.records)
        while page.next_cursor and page.records:
            page = self.logs(replace(search, cursor=page.next_cursor))
            records += page.records
        events = logs_of_span_events(trace.spans) if trace else []
        return LogPage(tuple(each_record_once([*records, *events])), from_span_events=page.from_span_events)

    def status(self) -> BackendStatus:
        """Say what answers; raises BackendUnreachableError when nothing does."""
        try:
            details = self._traces.get("/status")
        except (UnreadableAnswerError, QueryRefusedError):
            details = None
        self.services()
        has_logs = self._logs.page(LogSearch(limit=1)) is not None
        return BackendStatus("embedded" if has_logs and self._has_own_logs else "jaeger", has_logs, details or {})

    def wait_for_trace(
        self, trace_id: str, *, until: Callable[[Trace], bool] = lambda _: True, within_s: float = 10.0
    ) -> Trace:
        """Poll until the trace is there and `until` holds for it; TraceNotCompleteError at the deadline.

        A backend that does not answer is asked again until then. The error's `seen` is the last version, or None.
        """
        deadline_s = time.monotonic() + within_s
        while True:
            seen: Trace | None = None
            failure: BackendUnreachableError | None = None
            try:
                seen = self.trace(trace_id)
            except BackendUnreachableError as error:
                failure = error
            if seen is not None and until(seen):
                return seen
            if time.monotonic() >= deadline_s:
                if failure is not None:
                    raise failure
                raise TraceNotCompleteError(trace_id, seen, within_s, self.query_url)
            time.sleep(POLL_INTERVAL_S)  # Jaeger's API tells nobody of what arrives

    def close(self) -> None:
        """Close the connections."""
        self._logs.close()
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _summaries(self, search: TraceSearch) -> list[TraceSummary]:
        answer = self._traces.get_if_served("/api/v3/trace-summaries", search_params(search, self._clock()))
        return summaries_from(answer) if answer is not None else self._summaries_of_older(search)

    def _summaries_of_older(self, search: TraceSearch) -> list[TraceSummary]:
        """Search a Jaeger without trace summaries: service by service, as its storages do."""
        found: list[TraceSummary] = []
        for name in (name for name in self.services() if search.service_name in {"", name}):
            of_service = replace(search, service_name=name)
            # What it does not find is a 404 there, too.
            answer = self._traces.get("/api/v3/traces", older_search_params(of_service, self._clock()))
            found += summaries_of(traces_from_spans(_cleaned(result_of(answer or {}))), of_service)
        return found


def _cleaned(obj: dict[str, Any]) -> list[Span]:
    return [_without_warnings(span) for span in spans_from_otlp_json(obj)]


def _without_warnings(span: Span) -> Span:
    kept = {key: value for key, value in span.attributes.items() if not key.startswith("@jaeger@")}
    return span if len(kept) == len(span.attributes) else replace(span, attributes=kept)
