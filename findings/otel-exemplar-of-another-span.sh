#!/usr/bin/env bash
# With OTEL_METRICS_EXEMPLAR_FILTER=always_on the SDK keeps the last measurement of a bucket as its exemplar. One that was made
# outside any span gets the trace and span id of the measurement before it, so that it leads to a trace it is no part of.
# A guess: an exemplar has the ids of the span in which its value was measured, and none if there was none.
# Source: specification, metrics data model, "Exemplars" (ids of the span "that is active when the exemplar is recorded").
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"${PYTHON:-python3}" -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check opentelemetry-sdk==1.45.2
timeout 60 "$work/venv/bin/python" - <<'PY'
import platform

from opentelemetry.sdk.metrics import AlwaysOnExemplarFilter, MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.version import __version__


def exemplar(with_span_before: bool):
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader], exemplar_filter=AlwaysOnExemplarFilter(), shutdown_on_exit=False)
    duration = meters.get_meter("finding").create_histogram("duration", unit="s")
    if with_span_before:
        with TracerProvider(shutdown_on_exit=False).get_tracer("finding").start_as_current_span("a request"):
            duration.record(1.0)
    duration.record(2.0)
    (found,) = reader.get_metrics_data().resource_metrics[0].scope_metrics[0].metrics[0].data.data_points[0].exemplars
    return found.value, found.trace_id is not None


alone, after_another = exemplar(with_span_before=False), exemplar(with_span_before=True)
print(f"versions: opentelemetry-sdk {__version__}, Python {platform.python_version()}")
print("2.0 measured outside any span, exemplar (value, has a trace id):         ", alone)
print("the same after 1.0 in the same bucket was measured in a span:            ", after_another)
print("guess: (2.0, False) both times")
print("behavior: the second has the trace id of the span of 1.0")
assert alone == (2.0, False) and after_another == (2.0, True), "the behavior has changed"
PY
