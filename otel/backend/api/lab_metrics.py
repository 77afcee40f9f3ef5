"""`GET /api/lab/metrics` and `/api/lab/metrics/query`: which metrics are stored, and what they show over time."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from otel.backend.api import parameters
from otel.backend.api.answers import json_answer
from otel.backend.api.lab_parameters import read, refuse_unknown
from otel.backend.api.query_threads import asking_of
from otel.backend.errors import MalformedParameterError, NotFoundError
from otel.backend.metric_ports import MetricPoint, MetricSeries, MetricStore, Temporality
from otel.backend.metrics.query import (
    HISTOGRAMS,
    QUANTILES,
    Aggregate,
    Exemplar,
    Line,
    Steps,
    grows,
    layout_of_all,
    line_of,
)
from otel.backend.metrics.selection import Selection, grouped, texts_of

DEFAULT_RANGE_NS = 3600 * 1_000_000_000
# What a person sees as one line.
DEFAULT_STEPS = 60
# As Prometheus: more points than a screen has pixels help nobody.
MAX_STEPS = 11_000
# Values in an answer, over all its series; more would take seconds to make.
MAX_CELLS = 1_000_000
MAX_READ_POINTS = 200_000
MAX_LINES = 500
MAX_VALUES_TOLD = 100
SECOND_NS = 1_000_000_000
LIST_PARAMETERS = ("service",)
QUERY_PARAMETERS = (
    "name",
    "service",
    "unit",
    "kind",
    "attributes",
    "timeMin",
    "timeMax",
    "step",
    "aggregate",
    "by",
)


@dataclass(frozen=True, slots=True)
class MetricQuery:
    """What `/api/lab/metrics/query` was asked."""

    selection: Selection
    steps: Steps
    time_max_unix_nano: int
    aggregate: Aggregate
    by: tuple[str, ...]


async def metrics(request: Request) -> Response:
    """`GET /api/lab/metrics?service`: names with unit, kind and attributes."""
    refuse_unknown(request.query_params, LIST_PARAMETERS)
    selection = Selection(service=request.query_params.get("service", ""))
    asking = asking_of(request)
    return json_answer({"metrics": await asking(lambda: listed(asking.store.metric_series(), selection))})


async def query(request: Request) -> Response:
    """`GET /api/lab/metrics/query`: one metric over time."""
    asked = metric_query_of(request.query_params, time.time_ns())
    asking = asking_of(request)
    return json_answer(await asking(answer, asking.store, asked))


ROUTES = [
    Route("/api/lab/metrics", metrics, methods=["GET"]),
    Route("/api/lab/metrics/query", query, methods=["GET"]),
]


def listed(series: Iterable[MetricSeries], selection: Selection) -> list[dict[str, Any]]:
    """Return each metric of these series once, by name, with what its points and resources can be asked by."""
    found: dict[tuple[str, str, str, str, bool], list[MetricSeries]] = {}
    for each in filter(selection.takes, series):
        key = (each.metric.name, each.metric.unit, str(each.kind), str(each.temporality), each.is_monotonic)
        found.setdefault(key, []).append(each)
    return [
        {
            "name": name,
            "unit": unit,
            "kind": kind,
            "temporality": temporality,
            "isMonotonic": is_monotonic,
            "description": group[-1].metric.description,
            "services": sorted({each.service for each in group}),
            "attributes": _told_values(group),
            "seriesCount": len(group),
        }
        for (name, unit, kind, temporality, is_monotonic), group in sorted(found.items())
    ]


def metric_query_of(query: QueryParams, now_unix_nano: int) -> MetricQuery:
    """Read the parameters; MalformedParameterError names the one that is wrong, missing or unknown."""
    refuse_unknown(query, QUERY_PARAMETERS)
    if not query.get("name"):
        raise MalformedParameterError("name", "name is required; /api/lab/metrics lists those that are stored")
    selection = Selection(
        name=query["name"],
        service=query.get("service", ""),
        unit=query.get("unit", ""),
        kind=query.get("kind", ""),
        attributes=read(query, "attributes", parameters.attributes_of, {}),
    )
    aggregate = read(query, "aggregate", _aggregate, Aggregate.RATE)
    time_max = read(query, "timeMax", parameters.time_of, now_unix_nano)
    time_min = read(query, "timeMin", parameters.time_of, time_max - DEFAULT_RANGE_NS)
    if time_min >= time_max:
        raise MalformedParameterError("timeMin", "timeMin must be before timeMax")
    shortest = max(SECOND_NS, math.ceil((time_max - time_min) / DEFAULT_STEPS / SECOND_NS) * SECOND_NS)
    step_ns = read(query, "step", _step, shortest)
    count = math.ceil((time_max - time_min) / step_ns)
    if count > MAX_STEPS:
        raise MalformedParameterError("step", f"step makes more than {MAX_STEPS} steps; make it longer")
    by = tuple(dict.fromkeys(key for text in query.getlist("by") for key in text.split(",") if key))
    return MetricQuery(selection, Steps(time_min, step_ns, count), time_max, aggregate, by)


def answer(store: MetricStore, asked: MetricQuery) -> dict[str, Any]:
    """Compute an answer; NotFoundError where no series of the name, in the kind and unit asked for, is stored."""
    selection = asked.selection
    named = [each for each in store.metric_series() if each.metric.name == selection.name]
    if not named:
        raise NotFoundError(f"metric '{selection.name[:80]}' is not stored")
    of_kind = Selection(unit=selection.unit, kind=selection.kind)
    named = [each for each in named if of_kind.takes(each)]
    if not named:
        told = f"kind '{selection.kind[:80]}'" if selection.kind else "any kind"
        unit = f" in unit '{selection.unit[:80]}'" if selection.unit else ""
        raise NotFoundError(f"metric '{selection.name[:80]}' is not stored as {told}{unit}")
    series = [each for each in named if selection.takes(each)]
    _refuse_mixture(series)
    _refuse_aggregate(series, asked.aggregate)
    points = _points(store, series, asked)
    layout = layout_of_all(series, points)
    groups = grouped(series, asked.by)
    if len(groups) > MAX_LINES:
        raise MalformedParameterError("by", f"by makes {len(groups)} series, more than {MAX_LINES}")
    width = len(layout) + 1 if asked.aggregate is Aggregate.HEATMAP else 1
    if len(groups) * asked.steps.count * width > MAX_CELLS:
        raise MalformedParameterError("step", f"step makes more than {MAX_CELLS} values; make it longer")
    lines = [(labels, line_of(group, points, layout, asked.aggregate, asked.steps)) for labels, group in groups.items()]
    return _document(asked, series or named, layout, lines)


def _document(
    asked: MetricQuery,
    series: Sequence[MetricSeries],
    layout: Sequence[float],
    lines: list[tuple[tuple[str, ...], Line]],
) -> dict[str, Any]:
    first = series[0]
    document = {
        "name": first.metric.name,
        "unit": first.metric.unit,
        "kind": str(first.kind),
        "aggregate": str(asked.aggregate),
        "stepS": asked.steps.step_ns / SECOND_NS,
        "times": [parameters.rfc3339(moment) for moment in asked.steps.begins()],
        "series": [
            {
                "attributes": dict(zip(asked.by, labels, strict=True)),
                "values": line.values,
                "exemplars": [_exemplar_json(each) for each in line.exemplars],
            }
            for labels, line in lines
        ],
    }
    if asked.aggregate is Aggregate.HEATMAP:
        document["bounds"] = list(layout)
    return document


def _exemplar_json(exemplar: Exemplar) -> dict[str, Any]:
    return {
        "time": parameters.rfc3339(exemplar.time_unix_nano),
        "value": exemplar.value,
        "traceId": exemplar.trace_id.hex(),
        "spanId": exemplar.span_id.hex(),
    }


def _points(store: MetricStore, series: Sequence[MetricSeries], asked: MetricQuery) -> dict[int, Sequence[MetricPoint]]:
    """Read the points; MalformedParameterError where there are more than an answer can be made of in time."""
    found: dict[int, Sequence[MetricPoint]] = {}
    count = 0
    for each in series:
        # A level that is told in deltas is the sum of all that came before.
        is_level = each.temporality is Temporality.DELTA and not grows(each)
        time_min = 0 if is_level else asked.steps.begin_unix_nano
        # Every delta counts; of what is cumulative a step's last point says all.
        every_ns = 0 if each.temporality is Temporality.DELTA else asked.steps.step_ns
        for number, points in store.metric_points([each.number], time_min, _read_until(each, asked), every_ns):
            found[number] = points
            count += len(points)
        if count > MAX_READ_POINTS:
            raise MalformedParameterError(
                "timeMin", f"more than {MAX_READ_POINTS} points lie between timeMin and timeMax; ask for less time"
            )
    return found


def _read_until(series: MetricSeries, asked: MetricQuery) -> int:
    """Return until when points matter: a point tells what happened before it, too."""
    return asked.time_max_unix_nano + (DEFAULT_RANGE_NS if grows(series) else 0)


def _refuse_mixture(series: Sequence[MetricSeries]) -> None:
    mixed = sorted({(str(each.kind), each.metric.unit) for each in series})
    if len(mixed) > 1:
        told = ", ".join(f"a {kind.replace('_', ' ')} in '{unit}'" for kind, unit in mixed)
        raise MalformedParameterError("name", f"name is that of {told}; add kind or unit")


def _refuse_aggregate(series: Sequence[MetricSeries], aggregate: Aggregate) -> None:
    wants_histogram = aggregate in QUANTILES or aggregate is Aggregate.HEATMAP
    for each in series:
        kind = str(each.kind).replace("_", " ")
        if wants_histogram and each.kind not in HISTOGRAMS:
            raise MalformedParameterError("aggregate", f"aggregate '{aggregate}' is for histograms; this is a {kind}")
        if aggregate is Aggregate.RATE and not grows(each):
            raise MalformedParameterError(
                "aggregate",
                f"aggregate 'rate' is for what only grows; this is a {kind} that goes up and down, take 'sum'",
            )


def _told_values(group: Sequence[MetricSeries]) -> dict[str, list[str]]:
    values: dict[str, set[str]] = {}
    for each in group:
        for key, text in texts_of(each.attributes).items():
            values.setdefault(key, set()).add(text)
    return {key: sorted(texts)[:MAX_VALUES_TOLD] for key, texts in sorted(values.items())}


def _aggregate(text: str) -> Aggregate:
    try:
        return Aggregate(text)
    except ValueError:
        raise ValueError(f"'{text[:40]}' is not one of {', '.join(Aggregate)}") from None


def _step(text: str) -> int:
    step_ns = parameters.duration_of(text)
    if step_ns <= 0:
        raise ValueError(f"'{text[:40]}' is not longer than nothing")
    return step_ns
