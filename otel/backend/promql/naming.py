"""OTLP's names as Prometheus has them: `rpc.server.call.duration` in s is `rpc_server_call_duration_seconds`. Pure.

Source: opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics; units as the Collector's
pkg/translator/prometheus writes them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from otel.backend.metric_ports import MetricKind, MetricSeries
from otel.backend.metrics.selection import texts_of

UNITS = {
    "d": "days",
    "h": "hours",
    "min": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "By": "bytes",
    "KiBy": "kibibytes",
    "MiBy": "mebibytes",
    "GiBy": "gibibytes",
    "TiBy": "tibibytes",
    "KBy": "kilobytes",
    "MBy": "megabytes",
    "GBy": "gigabytes",
    "TBy": "terabytes",
    "m": "meters",
    "V": "volts",
    "A": "amperes",
    "J": "joules",
    "W": "watts",
    "g": "grams",
    "Cel": "celsius",
    "Hz": "hertz",
    "1": "",
    "%": "percent",
}
PER_UNITS = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}
_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9:]+")
_NOT_IN_LABELS = re.compile(r"[^a-zA-Z0-9_]")
_ANNOTATION = re.compile(r"\{[^}]*\}")


def family_name(series: MetricSeries) -> str:
    """Return the name of a series' family: without `_bucket`, `_count` and `_sum`, with `_total`."""
    unit = series.metric.unit
    words = [word for word in _NOT_IN_NAMES.sub("_", series.metric.name).split("_") if word]
    for suffix in _unit_words(unit):
        if suffix not in words:
            words.append(suffix)
    if series.kind is MetricKind.GAUGE and unit == "1" and words[-1:] != ["ratio"]:
        words.append("ratio")
    if series.kind is MetricKind.SUM and series.is_monotonic:
        words = [word for word in words if word != "total"] + ["total"]
    name = "_".join(words)
    return f"_{name}" if name[:1].isdigit() else name


def label_name(key: str) -> str:
    """Return an attribute's key as a label."""
    name = _NOT_IN_LABELS.sub("_", key)
    return f"key_{name}" if name[:1].isdigit() else name


def labels_of(series: MetricSeries) -> dict[str, str]:
    """Return the labels of a series but its name: the points' attributes, job, instance and scope; none is empty."""
    labels: dict[str, str] = {}
    for key, text in texts_of(series.attributes).items():
        name = label_name(key)
        labels[name] = f"{labels[name]};{text}" if name in labels else text
    labels |= _target(texts_of(series.resource.attributes))
    labels |= {"otel_scope_name": series.scope.name, "otel_scope_version": series.scope.version}
    return {name: text for name, text in labels.items() if text and name}


def _target(resource: Mapping[str, str]) -> dict[str, str]:
    namespace, name = resource.get("service.namespace", ""), resource.get("service.name", "")
    return {"job": f"{namespace}/{name}" if namespace else name, "instance": resource.get("service.instance.id", "")}


def _unit_words(unit: str) -> list[str]:
    main, _, per = _ANNOTATION.sub("", unit).partition("/")
    words = [word for word in _NOT_IN_NAMES.sub("_", UNITS.get(main, main)).split("_") if word]
    if per:
        words += ["per", *(word for word in _NOT_IN_NAMES.sub("_", PER_UNITS.get(per, per)).split("_") if word)]
    return words
