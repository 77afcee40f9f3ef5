"""`lab traces`: searches the traces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Annotated

import typer

from clients.output import console, note, print_json
from otel.analysis.aggregate import Aggregate, aggregate_critical_paths
from otel.analysis.reading import TraceReading
from otel.query import TraceQuery, TraceSearch, TraceSummary
from tracelab.commands.durations import duration_ns
from tracelab.commands.options import JsonFlag, LimitOption
from tracelab.commands.reading import StoreToRead, key_value, opened

app = typer.Typer(add_completion=False, rich_markup_mode=None)

Duration = Annotated[str | None, typer.Option(metavar="DURATION", help="Of the span that matches, such as 250ms.")]


@app.command()
def traces(
    service: Annotated[str, typer.Option("--service", help="With a span of this service.")] = "",
    operation: Annotated[str, typer.Option("--operation", help="With a span of this name, in full or as shown.")] = "",
    attribute: Annotated[
        list[str] | None, typer.Option("--attribute", metavar="KEY=VALUE", help="With a span that has it.")
    ] = None,
    errors: Annotated[bool, typer.Option("--errors", help="With a span that failed.")] = False,
    min_duration: Duration = None,
    max_duration: Duration = None,
    since: Annotated[str, typer.Option("--since", metavar="DURATION", help="Started so long ago at most.")] = "7d",
    limit: LimitOption = 20,
    critical: Annotated[bool, typer.Option("--critical", help="Show where their time goes, folded.")] = False,
    store: StoreToRead = None,
    as_json: JsonFlag = False,
) -> None:
    """List traces, newest first. All conditions hold on one and the same span.

    \b
      lab traces
      lab traces --service report --min-duration 10ms
      lab traces --errors --since 10m
      lab traces --attribute session.id=ID --json
      lab traces --operation tracelab.report.v1.ReportService/TopUsers --critical
    """
    wanted = key_value(attribute or [], "--attribute") | ({"error": "true"} if errors else {})
    search = TraceSearch(
        service_name=service,
        operation_name=operation,
        attributes=wanted,
        duration_min_ns=duration_ns(min_duration, "--min-duration") if min_duration else None,
        duration_max_ns=duration_ns(max_duration, "--max-duration") if max_duration else None,
        lookback_s=duration_ns(since, "--since") / 1e9,
        limit=limit,
    )
    with opened(store) as query:
        found = query.trace_summaries(search)
        if operation and not found:
            found = of_full_names(query, search)
        if critical:
            _show_critical(query, found, as_json=as_json)
            return
    if as_json:
        print_json({"traces": [asdict(summary) for summary in found]})
    elif found:
        from tracelab.render.trace_table import trace_table

        console().print(trace_table(found))
        if len(found) == limit:
            note(f"the newest {limit}; --limit shows more")
    else:
        note("no trace matches")


def of_full_names(query: TraceQuery, search: TraceSearch) -> list[TraceSummary]:
    """Search for what screens show as the operation that was asked for.

    They leave a method's package out, and its service too where there is little room.
    """
    services = [search.service_name] if search.service_name else query.services()
    names = {known.name for service in services for known in query.operations(service)}
    full = [name for name in names if name.endswith((f".{search.operation_name}", f"/{search.operation_name}"))]
    found = {hit.trace_id: hit for n in full for hit in query.trace_summaries(replace(search, operation_name=n))}
    newest_first = sorted(found.values(), key=lambda hit: (-hit.start_time_unix_nano, hit.trace_id))
    return newest_first[: search.limit]


def _show_critical(query: TraceQuery, found: Sequence[TraceSummary], *, as_json: bool) -> None:
    read = (query.trace(summary.trace_id) for summary in found)
    aggregate = aggregate_critical_paths(TraceReading(trace) for trace in read if trace is not None)
    if as_json:
        print_json(_critical_json(aggregate))
    elif aggregate.shares:
        from tracelab.render.critical_table import critical_table

        console().print(critical_table(aggregate))
        note(f"{aggregate.trace_count} trace{'s' if aggregate.trace_count != 1 else ''}")
    else:
        note("no trace matches")


def _critical_json(aggregate: Aggregate) -> dict[str, object]:
    return {
        "trace_count": aggregate.trace_count,
        "duration_ns": aggregate.duration_ns,
        "shares": [
            {
                "path": [f"{key.service_name} {key.operation} {key.kind.name.lower()}" for key in share.path],
                "critical_time_ns": share.critical_time_ns,
                "mean_ns": float(aggregate.mean_ns(share)),
                "ratio": aggregate.ratio(share),
                "span_count": share.span_count,
                "trace_count": share.trace_count,
                "median_trace_id": share.median_trace_id,
                "worst_trace_id": share.worst_trace_id,
            }
            for share in aggregate.shares
        ],
    }
