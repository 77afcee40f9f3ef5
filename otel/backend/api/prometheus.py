"""`/api/v1/…`: Prometheus' own query paths for the subset of PromQL that Grafana needs for RED panels.

Parameters come in the address or in a form. Labels and their values are told whatever `start` and `end` say.
Source: prometheus.io/docs/prometheus/latest/querying/api, web/api/v1/api.go.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeVar
from urllib.parse import parse_qsl

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from otel.backend.api import parameters
from otel.backend.api.answers import json_answer
from otel.backend.api.query_threads import asking_of
from otel.backend.codec.attribute_text import float_text
from otel.backend.errors import MalformedParameterError
from otel.backend.metric_ports import MetricStore
from otel.backend.promql.evaluation import Evaluation, Labels, Value
from otel.backend.promql.exemplars import exemplars_of
from otel.backend.promql.naming import UNITS, family_name
from otel.backend.promql.parser import parse, parse_selector
from otel.backend.promql.samples import NANOS_PER_MS
from otel.backend.promql.source import label_sets, select
from otel.backend.promql.syntax import Expression, PromqlError, Selector

MAX_FORM_BYTES = 1024 * 1024
MAX_STEPS = 11_000
DEFAULT_RANGE_MS = 3600 * 1000
FAMILY_TYPES = {"gauge": "gauge", "histogram": "histogram", "exponential_histogram": "histogram", "summary": "summary"}

T = TypeVar("T")


async def query(request: Request) -> Response:
    """`/api/v1/query?query&time`: an expression at a moment."""
    form = await _parameters(request)
    expression = _parsed(form, "query", parse)
    moment_ms = _moment(form, "time", _now_ms())
    return await _answer(request, _instant, expression, moment_ms)


async def query_range(request: Request) -> Response:
    """`/api/v1/query_range?query&start&end&step`: an expression at every step."""
    form = await _parameters(request)
    expression = _parsed(form, "query", parse)
    moments = _moments(form)
    if isinstance(expression, Selector) and expression.range_ms:
        raise MalformedParameterError("query", "invalid expression type 'range vector' for range query")
    return await _answer(request, _matrix, expression, moments)


async def labels(request: Request) -> Response:
    """`/api/v1/labels?match[]`: names of labels."""
    selectors, _ = await _selection(request)
    return await _answer(
        request, lambda store: sorted({name for each in label_sets(store, selectors) for name in each})
    )


async def label_values(request: Request) -> Response:
    """`/api/v1/label/{name}/values?match[]`: values of one label."""
    selectors, _ = await _selection(request)
    name = request.path_params["name"]
    return await _answer(
        request, lambda store: sorted({each[name] for each in label_sets(store, selectors) if name in each})
    )


async def series(request: Request) -> Response:
    """`/api/v1/series?match[]`: sets of labels."""
    selectors, (begin_ms, end_ms) = await _selection(request)
    if not selectors:
        raise MalformedParameterError("match[]", "no match[] parameter provided")
    return await _answer(
        request,
        lambda store: [
            dict(each.labels) for selector in selectors for each in select(store, selector, begin_ms, end_ms)
        ],
    )


async def query_exemplars(request: Request) -> Response:
    """`/api/v1/query_exemplars?query&start&end`: exemplars of the series in an expression."""
    form = await _parameters(request)
    expression = _parsed(form, "query", parse)
    end_ms = _moment(form, "end", _now_ms())
    begin_ms = _moment(form, "start", end_ms - DEFAULT_RANGE_MS)
    return await _answer(request, exemplars_of, expression, begin_ms, end_ms)


async def metadata(request: Request) -> Response:
    """`/api/v1/metadata?metric`: type, help and unit of each family."""
    wanted = (await _parameters(request)).get("metric", "")
    return await _answer(request, _metadata, wanted)


ROUTES = [
    Route("/api/v1/query", query, methods=["GET", "POST"]),
    Route("/api/v1/query_range", query_range, methods=["GET", "POST"]),
    Route("/api/v1/query_exemplars", query_exemplars, methods=["GET", "POST"]),
    Route("/api/v1/labels", labels, methods=["GET", "POST"]),
    Route("/api/v1/label/{name}/values", label_values, methods=["GET"]),
    Route("/api/v1/series", series, methods=["GET", "POST"]),
    Route("/api/v1/metadata", metadata, methods=["GET"]),
]


async def _answer(request: Request, compute: Callable[..., Any], *arguments: object) -> Response:
    asking = asking_of(request)

    def told() -> Any:
        try:
            return compute(asking.store, *arguments)
        except PromqlError as error:
            raise MalformedParameterError("query", str(error)) from error

    return json_answer({"status": "success", "data": await asking(told)})


def _instant(store: MetricStore, expression: Expression, moment_ms: int) -> dict[str, Any]:
    evaluation = Evaluation(store, expression, moment_ms, moment_ms)
    if isinstance(expression, Selector) and expression.range_ms:
        found = [
            {"metric": dict(labels), "values": [_pair(*each) for each in zip(times_ms, values, strict=True)]}
            for labels, times_ms, values in evaluation.samples(expression, moment_ms)
        ]
        return {"resultType": "matrix", "result": found}
    value = evaluation.at(moment_ms)
    if not isinstance(value, dict):
        return {"resultType": "scalar", "result": _pair(moment_ms, value)}
    vector = [{"metric": dict(labels), "value": _pair(moment_ms, each)} for labels, each in value.items()]
    return {"resultType": "vector", "result": vector}


def _matrix(store: MetricStore, expression: Expression, moments: range) -> dict[str, Any]:
    evaluation = Evaluation(store, expression, moments[0], moments[-1])
    lines: dict[Labels, list[list[Any]]] = {}
    for moment_ms in moments:
        value: Value = evaluation.at(moment_ms)
        for labels, each in (value if isinstance(value, dict) else {(): value}).items():
            lines.setdefault(labels, []).append(_pair(moment_ms, each))
    result = [{"metric": dict(labels), "values": values} for labels, values in sorted(lines.items())]
    return {"resultType": "matrix", "result": result}


def _pair(time_ms: int, value: float) -> list[Any]:
    return [time_ms / 1000, _number_text(value)]


def _number_text(value: float) -> str:
    """Write a value as Go does without exponents."""
    text = float_text(value)
    return format(Decimal(repr(value)), "f") if "e" in text else text


def _metadata(store: MetricStore, wanted: str) -> dict[str, list[dict[str, str]]]:
    families: dict[str, dict[str, str]] = {}
    for each in store.metric_series():
        name = family_name(each)
        if not wanted or name == wanted:
            kind = "counter" if name.endswith("_total") and each.is_monotonic else FAMILY_TYPES.get(each.kind, "gauge")
            unit = UNITS.get(each.metric.unit, "")
            families[name] = {"type": kind, "help": each.metric.description, "unit": unit}
    return {name: [told] for name, told in sorted(families.items())}


async def _parameters(request: Request) -> QueryParams:
    """Return the parameters of the address, then those of a form in the body."""
    pairs = request.query_params.multi_items()
    if request.method == "POST":
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > MAX_FORM_BYTES:
                raise MalformedParameterError("query", f"the form is longer than {MAX_FORM_BYTES} bytes")
        pairs += parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    return QueryParams(pairs)


async def _selection(request: Request) -> tuple[list[Selector], tuple[int, int]]:
    form = await _parameters(request)
    try:
        selectors = [parse_selector(text) for text in form.getlist("match[]")]
    except PromqlError as error:
        raise MalformedParameterError("match[]", str(error)) from error
    return selectors, (_moment(form, "start", 0), _moment(form, "end", _now_ms() + DEFAULT_RANGE_MS))


def _moments(form: QueryParams) -> range:
    begin_ms, end_ms = (_moment(form, name, None) for name in ("start", "end"))
    step_ms = _parsed(form, "step", _step)
    if end_ms < begin_ms:
        raise MalformedParameterError("end", "end timestamp must not be before start time")
    if (end_ms - begin_ms) // step_ms > MAX_STEPS:
        raise MalformedParameterError(
            "step", f"exceeded maximum resolution of {MAX_STEPS} points per timeseries; make step longer"
        )
    return range(begin_ms, end_ms + 1, step_ms)


def _moment(form: QueryParams, name: str, default: int | None) -> int:
    if default is not None and not form.get(name):
        return default
    return _parsed(form, name, _time)


def _parsed(form: QueryParams, name: str, read: Callable[[str], T]) -> T:
    try:
        return read(form.get(name, ""))
    except (ValueError, PromqlError) as error:
        raise MalformedParameterError(name, str(error)) from error


def _time(text: str) -> int:
    """Read seconds since the epoch or an RFC 3339 time, as milliseconds."""
    seconds = _float(text)
    if seconds is None:
        try:
            return parameters.time_of(text) // NANOS_PER_MS
        except ValueError:
            raise ValueError(f"cannot parse {text[:40]!r} to a valid timestamp") from None
    if not abs(seconds) < 1e11:
        raise ValueError(f"cannot parse {text[:40]!r} to a valid timestamp")
    return round(seconds * 1000)


def _step(text: str) -> int:
    seconds = _float(text)
    step_ms = parameters.duration_of(text) // NANOS_PER_MS if seconds is None else seconds * 1000
    if not 1 <= step_ms < 1e14:
        raise ValueError("zero or negative query resolution step widths are not accepted. Try a positive integer")
    return round(step_ms)


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _now_ms() -> int:
    return time.time_ns() // NANOS_PER_MS
