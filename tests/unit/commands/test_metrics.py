"""`lab metrics`: what its table is made of, over the backend's own answers."""

from __future__ import annotations

import httpx
import pytest
from starlette.datastructures import QueryParams

from clients import cli
from otel.backend.api.lab_metrics import answer, listed, metric_query_of
from otel.backend.metrics.selection import Selection
from otel.backend.stores.memory import MemoryStore
from otel.query import MetricSearch, TraceQuery
from tests.contract.measurements import (
    exemplar,
    gauge_metric,
    histogram,
    histogram_metric,
    number_point,
    resource_metrics,
)
from tests.contract.telemetry import trace_id
from tracelab.commands.metrics import WATCH_INTERVAL_S, _watch, table_of
from tracelab.render.metric_table import MetricGroup, MetricTable

MINUTE = {"time_min": "2026-11-23T18:00:00Z", "time_max": "2026-11-23T18:01:00Z", "step_s": 30.0}


def table(search: MetricSearch) -> MetricTable:
    """A minute in which Get was called 60 times, a quarter of them in vain, and the queue was 4 long."""
    store = MemoryStore()
    slow = exemplar(0.5, at_s=20, trace=7)
    common = {"rpc.method": "Get"}
    points = [
        histogram([45, 0, 0, 0], at_s=60, attributes=common | {"rpc.response.status_code": "OK"}),
        histogram(
            [0, 0, 15, 0], at_s=60, attributes=common | {"rpc.response.status_code": "INTERNAL"}, exemplars=[slow]
        ),
    ]
    queue = gauge_metric("queue", [number_point(4, at_s=30)])
    store.write([], [], [resource_metrics("order", [histogram_metric("took", points), queue])])

    def answered(request: httpx.Request) -> httpx.Response:
        if request.url.path == "/api/lab/metrics":
            return httpx.Response(200, json={"metrics": listed(store.metric_series(), Selection())})
        return httpx.Response(200, json=answer(store, metric_query_of(QueryParams(request.url.query.decode()), 0)))

    with TraceQuery("http://127.0.0.1:1", transport=httpx.MockTransport(answered)) as query:
        (metric,) = [each for each in query.metrics.metrics() if each.name == search.name]
        return table_of(query.metrics, metric, search)


def test_a_histogram_has_a_rate_its_failures_and_quantiles_by_group() -> None:
    shown = table(MetricSearch("took", by=("rpc.method",), **MINUTE))  # type: ignore[arg-type]  # names are checked by use
    (group,) = shown.groups
    assert (shown.unit, shown.quantile_titles, shown.has_errors) == ("s", ("p50", "p95", "p99"), True)
    assert (group.name, group.values, group.count, group.error_count) == ("Get", (1.0, 1.0), 60, 15)
    assert group.quantiles == pytest.approx((0.00667, 0.82, 0.964), rel=0.01)
    assert group.trace_id == trace_id(7).hex()


def test_grouped_by_status_there_is_no_column_of_failures() -> None:
    shown = table(MetricSearch("took", by=("rpc.response.status_code",), **MINUTE))  # type: ignore[arg-type]  # as above
    assert (shown.has_errors, [group.name for group in shown.groups]) == (False, ["INTERNAL", "OK"])


def test_a_gauge_has_its_level_only() -> None:
    shown = table(MetricSearch("queue", **MINUTE))  # type: ignore[arg-type]  # as above
    assert (shown.is_level, shown.quantile_titles, shown.groups[0].values) == (True, (), (4.0, None))


@pytest.mark.parametrize(
    "words", [["metrics", "--watch"], ["metrics", "x", "--watch", "--json"], ["metrics", "x", "--since", "soon"]]
)
def test_words_that_mean_nothing_are_usage_errors(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(words) == 2
    assert "error:" in capsys.readouterr().err


def test_watching_reads_anew_until_ctrl_c(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    rates = iter([1.0, 2.0, 3.0])
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("tracelab.commands.metrics.time.sleep", nap)
    _watch(lambda: MetricTable("s", [MetricGroup("Get", (next(rates),))]))
    assert naps == [WATCH_INTERVAL_S] * 3
    assert "3.00" in capsys.readouterr().out
