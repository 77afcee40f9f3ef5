"""`lab logs`: the log lines of a trace, of one of its spans, or of all that is stored."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from clients.errors import FAILURE, LabError, WrongUsageError
from clients.output import console, note, print_json
from clients.word_completion import one_of
from otel.analysis.analysis_json import log_to_json
from otel.analysis.model import LogRecord
from otel.analysis.proof import JoinReport, join_logs, join_stored
from otel.analysis.reading import TraceReading
from otel.query import LogSearch, TraceQuery
from tracelab.commands.options import JsonFlag, LimitOption
from tracelab.commands.reading import TRACE_HELP, StoreToRead, opened, read_trace
from tracelab.render.log_lines import LogLines, operations_of

app = typer.Typer(add_completion=False, rich_markup_mode=None)

SEVERITIES = {"debug": 5, "info": 9, "warn": 13, "error": 17, "fatal": 21}


@app.command()
def logs(
    trace_id: Annotated[str, typer.Argument(metavar="ID|last", help=TRACE_HELP)] = "",
    span: Annotated[
        str, typer.Option("--span", metavar="SPAN", help="Of this span alone: its id, or the start of it.")
    ] = "",
    text: Annotated[str, typer.Option("--text", help="Of any trace, with words that begin so.")] = "",
    service: Annotated[str, typer.Option("--service", help="Of any trace, written by this service.")] = "",
    severity: Annotated[
        str,
        typer.Option(
            "--severity", autocompletion=one_of(*SEVERITIES), help="Of any trace, at least debug, info, warn or error."
        ),
    ] = "",
    limit: LimitOption = 1000,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check that each line joins a span; without ID, over everything stored.")
    ] = False,
    store: StoreToRead = None,
    as_json: JsonFlag = False,
) -> int:
    """Show the log lines of a trace, oldest first, each with the span that it was written in; or search all of them.

    \b
      lab logs last
      lab logs ID --span 6b2f
      lab logs --text refused --severity warn
      lab logs --verify
      lab logs ID --json
    """
    is_search = bool(text or service or severity)
    if trace_id and is_search:
        raise WrongUsageError("--text, --service and --severity search all traces", "leave the trace id out")
    with opened(store) as query:
        if is_search or (verify and not trace_id):
            search = LogSearch(text=text, service_name=service, severity_min=_severity(severity))
            return _show_stored(query, search, limit, verify=verify, as_json=as_json)
        reading = read_trace(query, trace_id or "last")
    return _show_trace(reading, span, limit, verify=verify, as_json=as_json)


def _severity(word: str) -> int:
    if word and word not in SEVERITIES:
        raise WrongUsageError(f"--severity: {word!r} is not one of {', '.join(SEVERITIES)}")
    return SEVERITIES.get(word, 0)


def _show_stored(query: TraceQuery, search: LogSearch, limit: int, *, verify: bool, as_json: bool) -> int:
    """Show what a search finds, or, to verify, every record that it finds and that contradicts the spans."""
    records = _stored(query, search, None if verify else limit + 1)
    report = join_stored(records, query.trace) if verify else None
    found = [*report.without_span, *report.outside_span] if report else records
    shown = found[:limit]
    if as_json:
        print_json({"logs": [log_to_json(record) for record in shown], **(_verdict_json(report) if report else {})})
    else:
        if shown:
            console().print(LogLines(shown))
            _tell_of_the_rest(len(found), limit)
        elif not verify:
            note("no log line matches")
        if report:
            _show_verdict(report)
    return FAILURE if report and not report.is_sound else 0


def _stored(query: TraceQuery, search: LogSearch, limit: int | None) -> list[LogRecord]:
    page = query.logs(search)
    records = list(page.records)
    while page.next_cursor and (limit is None or len(records) < limit):
        page = query.logs(replace(search, cursor=page.next_cursor))
        records += page.records
    return records[:limit]


def _tell_of_the_rest(count: int, limit: int) -> None:
    if count > limit:
        note(f"the first {limit}; --limit shows more")


def _show_trace(reading: TraceReading, span: str, limit: int, *, verify: bool, as_json: bool) -> int:
    found = _of_span(reading, span)
    records = found[:limit]
    report = join_logs(reading.trace, reading.logs)
    if as_json:
        entries = [log_to_json(record) for record in records]
        print_json({"trace_id": reading.trace.trace_id, "logs": entries, **(_verdict_json(report) if verify else {})})
    else:
        if records:
            console().print(LogLines(records, operations_of(reading.trace)))
            _tell_of_the_rest(len(found), limit)
        else:
            note("no log lines")
        if verify:
            _show_verdict(report)
    return FAILURE if verify and not report.all_joined else 0


def _of_span(reading: TraceReading, span: str) -> list[LogRecord]:
    """The records of one span by the start of its id; all of them for ""."""
    if not span:
        return sorted(reading.logs, key=lambda record: record.time_unix_nano)
    wanted = span.lower()
    whole = reading.forest.by_id.get(wanted)
    found = [whole] if whole else [one for one in reading.forest.spans if one.span_id.startswith(wanted)]
    if len(found) != 1:
        what = (
            f"{len(found)} spans of trace {reading.trace.trace_id} begin"
            if found
            else (f"no span of trace {reading.trace.trace_id} begins")
        )
        raise LabError(
            f"{what} with {span!r}",
            f"./lab trace {reading.trace.trace_id} --json lists them",
        )
    return [record for record in reading.logs if record.span_id == found[0].span_id]


def _show_verdict(report: JoinReport) -> None:
    print(f"verified: {report.joined_count} of {report.log_count} log lines join a span that exists")
    for what, records in (
        ("join no span", report.without_span),
        ("were written outside their span's time", report.outside_span),
        ("name no trace or span", report.without_ids),
    ):
        if records:
            print(f"! {len(records)} {what}")


def _verdict_json(report: JoinReport) -> dict[str, object]:
    return {
        "log_count": report.log_count,
        "logs_joined": report.joined_count,
        "without_span": len(report.without_span),
        "outside_span": len(report.outside_span),
        "without_ids": len(report.without_ids),
    }
