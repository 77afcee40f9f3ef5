"""`/metrics`: the backend's own numbers as a scrape reads them."""

from __future__ import annotations

import time

import pytest

from tests.conformance.engine import Engine
from tests.contract.measurements import number_point, resource_metrics, sum_metric
from tests.contract.telemetry import log_record, resource_logs, resource_spans, span

pytestmark = pytest.mark.ours


def scraped(engine: Engine) -> dict[str, float]:
    answer = engine.get("/metrics")
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return {
        name: float(value)
        for name, value in (line.split(" ") for line in answer.text.splitlines() if not line.startswith("#"))
    }


def test_what_comes_in_is_counted(engine: Engine) -> None:
    before = scraped(engine)
    number, now = engine.fresh(), time.time_ns()
    logs = resource_logs("scraped", [log_record("line", time=now)])
    metrics = resource_metrics("scraped", [sum_metric(f"m{number}", [number_point(1, at_s=1)])])
    for _ in range(2):
        engine.send(resource_spans("scraped", [span(number, 1, start=now), span(number, 2, 1, start=now)]))
        engine.send_logs(logs)
        engine.send_metrics(metrics)
    grown = {name: value - before[name] for name, value in scraped(engine).items()}
    prefix = "tracelab_backend_"
    assert grown[f"{prefix}received_spans_total"] == grown[f"{prefix}stored_spans"] == 2
    assert grown[f"{prefix}received_log_records_total"] == grown[f"{prefix}stored_log_records"] == 1
    assert grown[f"{prefix}received_points_total"] == grown[f"{prefix}stored_points"] == 1
    assert (grown[f"{prefix}stored_series"], grown[f"{prefix}received_duplicates_total"]) == (1, 4)


def test_a_scrape_says_how_full_the_store_is_and_how_the_process_fares(engine: Engine) -> None:
    found = scraped(engine)
    assert found["tracelab_backend_store_max_bytes"] == 512 * 1024 * 1024
    assert 0 < found["tracelab_backend_store_used_bytes"] < 512 * 1024 * 1024
    assert (found["tracelab_backend_storage_failing"], found["tracelab_backend_queued_bytes"]) == (0, 0)
    assert time.time() - 3600 < found["process_start_time_seconds"] < time.time()
    assert found["process_resident_memory_bytes"] > 1e6


def test_every_number_says_what_it_is(engine: Engine) -> None:
    lines = engine.get("/metrics").text.splitlines()
    for help_line, type_line, value_line in zip(lines[::3], lines[1::3], lines[2::3], strict=True):
        name = value_line.split(" ")[0]
        assert help_line.startswith(f"# HELP {name} ")
        assert type_line == f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}"
