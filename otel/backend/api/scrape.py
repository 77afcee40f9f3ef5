"""`GET /metrics`: how the backend itself fares, for a scrape by Prometheus.

Source: prometheus.io/docs/instrumenting/exposition_formats (text format) and writing_clientlibs ("Process metrics").
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import psutil
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from otel.backend.api.query_threads import asking_of
from otel.backend.ports import IngestCounts, StoreStatistics

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PREFIX = "tracelab_backend_"
NANOS_PER_S = 1e9


@dataclass(frozen=True, slots=True)
class Exposed:
    """One number with its family; one whose name ends in `_total` is a counter."""

    name: str
    help: str
    value: float

    def text(self) -> str:
        """Write it with its type."""
        kind = "counter" if self.name.endswith("_total") else "gauge"
        return f"# HELP {self.name} {self.help}\n# TYPE {self.name} {kind}\n{self.name} {self.value!r}\n"


async def metrics(request: Request) -> Response:
    """`GET /metrics`."""
    asking = asking_of(request)
    statistics = await asking(asking.store.statistics)
    state = request.app.state
    exposed = [
        *_ingest(state.ingest_counts()),
        *_store(statistics),
        Exposed(f"{PREFIX}storage_failing", "Whether the last write failed.", float(bool(state.storage_error()))),
        *_process(state.start_time_unix_nano),
    ]
    return Response("".join(each.text() for each in exposed), headers={"content-type": MEDIA_TYPE})


ROUTES = [Route("/metrics", metrics, methods=["GET"])]


def _ingest(counts: IngestCounts) -> Iterator[Exposed]:
    yield Exposed(f"{PREFIX}received_spans_total", "Spans that were new to the store.", counts.span_count)
    yield Exposed(f"{PREFIX}received_log_records_total", "Log records that were new to the store.", counts.log_count)
    yield Exposed(f"{PREFIX}received_points_total", "Metric points that were new to the store.", counts.point_count)
    yield Exposed(f"{PREFIX}received_duplicates_total", "What the store had already.", counts.duplicate_count)
    yield Exposed(f"{PREFIX}refused_requests_total", "Requests that were not stored.", counts.refused_request_count)
    yield Exposed(f"{PREFIX}queued_bytes", "What waits to be stored.", counts.queued_bytes)


def _store(statistics: StoreStatistics) -> Iterator[Exposed]:
    yield Exposed(f"{PREFIX}store_used_bytes", "How much of the store is in use.", statistics.used_bytes)
    yield Exposed(f"{PREFIX}store_max_bytes", "Past it what arrived first goes.", statistics.max_bytes)
    yield Exposed(f"{PREFIX}stored_traces", "Traces in the store.", statistics.trace_count)
    yield Exposed(f"{PREFIX}stored_spans", "Spans in the store.", statistics.span_count)
    yield Exposed(f"{PREFIX}stored_log_records", "Log records in the store.", statistics.log_count)
    yield Exposed(f"{PREFIX}stored_series", "Series of metrics in the store.", statistics.series_count)
    yield Exposed(f"{PREFIX}stored_points", "Metric points in the store.", statistics.point_count)


def _process(start_time_unix_nano: int) -> Iterator[Exposed]:
    process = psutil.Process()
    times = process.cpu_times()
    yield Exposed("process_cpu_seconds_total", "User and system CPU time spent.", times.user + times.system)
    yield Exposed("process_resident_memory_bytes", "Resident memory.", process.memory_info().rss)
    yield Exposed("process_start_time_seconds", "When it began to serve.", start_time_unix_nano / NANOS_PER_S)
