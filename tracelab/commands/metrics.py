"""`lab metrics`: which metrics are stored, and what one of them shows over time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer

from clients.errors import WrongUsageError
from clients.output import console, note, print_json
from otel.query import MetricDescription, MetricQuery, MetricSearch, UnknownMetricError
from tracelab.commands.durations import duration_ns
from tracelab.commands.options import JsonFlag
from tracelab.commands.reading import StoreToRead, opened

if TYPE_CHECKING:
    from tracelab.render.metric_table import MetricGroup, MetricTable

app = typer.Typer(add_completion=False, rich_markup_mode=None)

# As the conventions call them, and as gRPC's core does.
METHODS: Final = ("rpc.method", "grpc.method")
STATUSES: Final = ("rpc.response.status_code", "grpc.status")
CALLS: Final = "rpc.client.call.duration"
ATTEMPTS: Final = "grpc.client.attempt.started"
HISTOGRAMS: Final = ("histogram", "exponential_histogram")
QUANTILES: Final = ("p50", "p95", "p99")
STEPS: Final = 30
WATCH_INTERVAL_S: Final = 2.0


@app.command()
def metrics(
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="A metric, such as rpc.server.call.duration.")] = "",
    service: Annotated[str, typer.Option("--service", help="Of this service alone.")] = "",
    by: Annotated[
        str, typer.Option("--by", metavar="KEY", help="A line for each value of this attribute (default: the method).")
    ] = "",
    since: Annotated[str, typer.Option("--since", metavar="DURATION", help="So far back.")] = "15m",
    watch: Annotated[bool, typer.Option("--watch", help="Show it anew every 2 s, until Ctrl-C.")] = False,
    store: StoreToRead = None,
    as_json: JsonFlag = False,
) -> None:
    """List the metrics that are stored; or show one over time: rate, failures, quantiles, and a trace that was in it.

    \b
      lab metrics
      lab metrics rpc.server.call.duration
      lab metrics rpc.client.call.duration --by server.port --since 1h
      lab metrics rpc.server.call.duration --watch
    """
    if watch and (as_json or not name):
        raise WrongUsageError("--watch shows one metric in the terminal", "name it, and leave --json out")
    length_s = duration_ns(since, "--since") / 1e9
    if length_s < 1:
        raise WrongUsageError("--since: less than a second has no metrics")
    with opened(store) as query:
        if not name:
            _show_names(query.metrics, service, as_json=as_json)
            return
        read = _reader(query.metrics, MetricSearch(name, service=service, by=(by,) if by else ()), length_s)
        if watch:
            _watch(read)
        else:
            _show(name, read(), as_json=as_json)


def _show_names(query: MetricQuery, service: str, *, as_json: bool) -> None:
    found = query.metrics(service)
    if as_json:
        print_json({"metrics": [asdict(metric) for metric in found]})
    elif found:
        from tracelab.render.metric_table import name_table

        console().print(name_table(found))
    else:
        note("no metrics yet; services send theirs every 10 s, and when they stop")


def _show(name: str, table: MetricTable, *, as_json: bool) -> None:
    if as_json:
        print_json({"name": name, "unit": table.unit, "groups": [asdict(group) for group in table.groups]})
    elif table.groups:
        console().print(table)
    else:
        note(f"{name} has nothing in this time; --since looks further back")


def _reader(query: MetricQuery, search: MetricSearch, length_s: float) -> Callable[[], MetricTable]:
    """Return what reads the metric's last `length_s` seconds whenever it is called."""
    stored = query.metrics()
    known = [metric for metric in stored if metric.name == search.name]
    if not known:
        raise UnknownMetricError(search.name)
    method = _first(METHODS, known[0])
    asked = search if search.by or not method else replace(search, by=(method,))
    has_attempts = search.name == CALLS and asked.by == METHODS[:1] and any(each.name == ATTEMPTS for each in stored)

    def read() -> MetricTable:
        now_s = time.time()
        step_s = max(1, math.ceil(length_s / STEPS))
        times = (_rfc3339(now_s - length_s), _rfc3339(now_s))
        timed = replace(asked, time_min=times[0], time_max=times[1], step_s=step_s)
        return table_of(query, known[0], timed, _attempts(query, timed) if has_attempts else {})

    return read


def _first(keys: tuple[str, ...], metric: MetricDescription) -> str:
    """The key of these that the metric's points have; "" for none."""
    return next((key for key in keys if key in metric.attributes), "")


def _attempts(query: MetricQuery, search: MetricSearch) -> dict[str, float]:
    """Count by method the attempts that gRPC's core made."""
    method = METHODS[1]
    lines = query.query(replace(search, name=ATTEMPTS, by=(method,), aggregate="sum")).lines
    return {line.attributes[method]: math.fsum(value for value in line.values if value) for line in lines}


def table_of(
    query: MetricQuery, metric: MetricDescription, search: MetricSearch, attempts: Mapping[str, float] | None = None
) -> MetricTable:
    """Read what the table of a metric shows, group by group; `attempts` by method, where they are known."""
    from tracelab.render.metric_table import MetricTable

    is_histogram = metric.kind in HISTOGRAMS
    status = _first(STATUSES, metric) if is_histogram else ""
    if status in search.by:
        status = ""
    groups = list(_groups(query, metric, search, status))
    if attempts:
        groups = [replace(group, attempt_count=attempts.get(group.method)) for group in groups]
    titles = QUANTILES if is_histogram else ()
    return MetricTable(metric.unit, groups, titles, is_level=not metric.is_monotonic, has_errors=bool(status))


def _groups(query: MetricQuery, metric: MetricDescription, search: MetricSearch, status: str) -> Iterator[MetricGroup]:
    from tracelab.render.metric_table import MetricGroup, group_name

    aggregate = "rate" if metric.is_monotonic else "sum"
    overall = query.query(replace(search, aggregate=aggregate))
    failed = _failed(query, search, overall.step_s, status) if status else {}
    quantiles = _quantiles(query, search) if metric.kind in HISTOGRAMS else {}
    for line in overall.lines:
        key = tuple(line.attributes.items())
        known = [value for value in line.values if value is not None]
        if known:
            yield MetricGroup(
                name=group_name(line.attributes, search.by),
                values=line.values,
                count=math.fsum(known) * overall.step_s if metric.is_monotonic else None,
                error_count=failed.get(key, 0.0) if status else None,
                quantiles=quantiles.get(key, ()),
                trace_id=line.trace_id,
                method=line.attributes.get(METHODS[0], ""),
            )


Key = tuple[tuple[str, str], ...]


def _failed(query: MetricQuery, search: MetricSearch, step_s: float, status: str) -> dict[Key, float]:
    """Count by group what ended otherwise than OK."""
    counts: dict[Key, float] = {}
    for line in query.query(replace(search, by=(*search.by, status))).lines:
        key = tuple((name, value) for name, value in line.attributes.items() if name != status)
        if line.attributes[status] not in ("", "OK"):
            counts[key] = counts.get(key, 0.0) + step_s * math.fsum(value for value in line.values if value)
    return counts


def _quantiles(query: MetricQuery, search: MetricSearch) -> dict[Key, tuple[float | None, ...]]:
    """Read each group's quantiles over the whole time, in one step."""
    length_s = _seconds(search.time_max) - _seconds(search.time_min)
    found: dict[Key, tuple[float | None, ...]] = {}
    for aggregate in QUANTILES:
        whole = replace(search, aggregate=aggregate, step_s=math.ceil(length_s))
        for line in query.query(whole).lines:
            key = tuple(line.attributes.items())
            found[key] = (*found.get(key, ()), line.values[0])
    return found


def _watch(read: Callable[[], MetricTable]) -> None:
    from rich.live import Live

    with Live(read(), console=console(), auto_refresh=False) as live:
        while True:
            try:
                time.sleep(WATCH_INTERVAL_S)
            except KeyboardInterrupt:
                return
            live.update(read(), refresh=True)


def _rfc3339(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
