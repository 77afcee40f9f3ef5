"""Metrics over time, read from our own API beside Jaeger's; the readers' only door to them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from otel.query.errors import NoMetricStoreError, UnknownMetricError
from otel.query.http import JsonEndpoint


@dataclass(frozen=True, slots=True)
class MetricDescription:
    """A metric that is stored. `attributes` has the values of its points by key; what is monotonic has a rate."""

    name: str
    unit: str
    kind: str
    description: str
    services: tuple[str, ...]
    attributes: Mapping[str, tuple[str, ...]]
    is_monotonic: bool


@dataclass(frozen=True, slots=True)
class MetricSearch:
    """Which metric is wanted, and what of it: `aggregate` is rate, sum, p50, p95, p99 or heatmap."""

    name: str
    aggregate: str = "rate"
    by: tuple[str, ...] = ()
    service: str = ""
    attributes: Mapping[str, str] = field(default_factory=dict)
    time_min: str = ""
    time_max: str = ""
    step_s: float = 0.0


@dataclass(frozen=True, slots=True)
class MetricExemplar:
    """One measurement, and the span in which it was made."""

    value: float
    trace_id: str
    span_id: str


@dataclass(frozen=True, slots=True)
class MetricLine:
    """What one group of series shows: a value a step, None where nothing tells it; exemplars by time."""

    attributes: Mapping[str, str]
    values: tuple[float | None, ...]
    exemplars: tuple[MetricExemplar, ...] = ()

    @property
    def trace_id(self) -> str:
        """The newest trace that was in it; "" for none."""
        return self.exemplars[-1].trace_id if self.exemplars else ""


@dataclass(frozen=True, slots=True)
class MetricAnswer:
    """One metric over time. `times` are RFC 3339, where each step begins."""

    name: str
    unit: str
    kind: str
    step_s: float
    times: tuple[str, ...]
    lines: tuple[MetricLine, ...]


class MetricQuery:
    """Asks a backend for metrics. Every method raises QueryError, whose text is for a person."""

    def __init__(self, endpoint: JsonEndpoint) -> None:
        self._endpoint = endpoint

    def metrics(self, service: str = "") -> list[MetricDescription]:
        """List the metrics that are stored; NoMetricStoreError where the backend keeps none."""
        answer = self._endpoint.get("/api/lab/metrics", {"service": service} if service else {})
        if answer is None:
            raise NoMetricStoreError(
                f"{self._endpoint.url} keeps no metrics", "name the embedded backend with LAB_LOGS_URL"
            )
        return [_description(each) for each in answer.get("metrics", [])]

    def query(self, search: MetricSearch) -> MetricAnswer:
        """Read one metric over time; UnknownMetricError where it is not stored."""
        answer = self._endpoint.get("/api/lab/metrics/query", _parameters(search))
        if answer is None:
            raise UnknownMetricError(search.name)
        return MetricAnswer(
            name=answer["name"],
            unit=answer["unit"],
            kind=answer["kind"],
            step_s=float(answer["stepS"]),
            times=tuple(answer["times"]),
            lines=tuple(_line(each) for each in answer["series"]),
        )


def _parameters(search: MetricSearch) -> dict[str, str]:
    asked = {
        "name": search.name,
        "aggregate": search.aggregate,
        "by": ",".join(search.by),
        "service": search.service,
        "attributes": json.dumps(dict(search.attributes)) if search.attributes else "",
        "timeMin": search.time_min,
        "timeMax": search.time_max,
        "step": f"{search.step_s:.15g}s" if search.step_s else "",
    }
    return {name: text for name, text in asked.items() if text}


def _description(found: dict[str, Any]) -> MetricDescription:
    return MetricDescription(
        name=found["name"],
        unit=found["unit"],
        kind=found["kind"],
        description=found["description"],
        services=tuple(found["services"]),
        attributes={key: tuple(values) for key, values in found["attributes"].items()},
        is_monotonic=bool(found["isMonotonic"]),
    )


def _line(found: dict[str, Any]) -> MetricLine:
    exemplars = (MetricExemplar(each["value"], each["traceId"], each["spanId"]) for each in found["exemplars"])
    return MetricLine(found["attributes"], tuple(found["values"]), tuple(exemplars))
