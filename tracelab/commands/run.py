"""`lab run`: runs a program that is not ours, traced, and says what was seen of it."""

from __future__ import annotations

import os
import sys
import time
import uuid
from typing import Annotated, Any

import typer

from clients.discovery.home import home_of
from clients.output import console, note, print_json
from otel.analysis.durations import duration_text
from otel.query import QueryError, TraceQuery
from otel.tls.contexts import client_context
from otel.tls.files import TlsFiles, let_exporters_dial
from tracelab.commands.options import JsonFlag, PortsOption, is_auto
from tracelab.commands.used_backend import Backend, used_backend
from tracelab.own.child import run_child
from tracelab.own.program import prepared, program_environ, program_of
from tracelab.own.run_report import RunReport, run_report

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command(context_settings={"allow_interspersed_args": False})
def run(
    words: Annotated[list[str], typer.Argument(metavar="-- PROGRAM [ARGS]...", help="What to run, with its words.")],
    name: Annotated[
        str, typer.Option("--name", metavar="SERVICE", help="Its service.name; that of its file without it.")
    ] = "",
    python: Annotated[
        str, typer.Option("--python", metavar="PATH", help="The interpreter that runs it, such as venv/bin/python.")
    ] = "",
    ports: PortsOption = "default",
    as_json: JsonFlag = False,
) -> int:
    """Run a program traced, without changing it: its gRPC calls of both APIs, its logs; then say what was seen.

    A Python program is traced as it is, one in another language gets the OTEL_* variables. Its streams, signals and
    exit code are its own; what lab says goes to standard error. With --json the program's output goes there, too.

    \b
      lab run -- python app.py --port 50061
      lab run --name shop -- python -m shop.server
      lab run --python venv/bin/python -- app.py
      lab run --json -- pytest tests/
    """
    program = prepared(program_of(words, name, python))
    run_id = uuid.uuid4().hex
    with used_backend("run", is_new=is_auto(ports)) as backend:
        note(f"lab: {program.service_name} is traced to {backend.query_url}")
        environ = program_environ(program, os.environ, backend.otlp_endpoint, run_id)
        let_exporters_dial(environ, TlsFiles.from_environ(os.environ))
        start_unix_nano, start_s = time.time_ns(), time.monotonic()
        exit_code = run_child(program.words, environ, sys.stderr if as_json else None)
        report = _report(backend, run_id, start_unix_nano, time.monotonic() - start_s)
    if as_json:
        print_json(_json(report, backend, exit_code))
    elif report is not None:
        _show(report, backend, time.monotonic() - start_s)
    return exit_code


def _report(backend: Backend, run_id: str, start_unix_nano: int, duration_s: float) -> RunReport | None:
    try:
        logs_url, tls = os.environ.get("LAB_LOGS_URL") or None, client_context(TlsFiles.from_environ(os.environ))
        token = os.environ.get("LAB_QUERY_TOKEN", "")
        with TraceQuery(backend.query_url, logs_url, token=token, tls=tls) as query:
            return run_report(query, run_id, start_unix_nano, duration_s)
    except QueryError as error:
        note(f"lab: what was seen cannot be read: {error}")
        return None


def _json(report: RunReport | None, backend: Backend, exit_code: int) -> dict[str, Any]:
    return {
        "exit_code": exit_code,
        "services": list(report.services) if report else [],
        "trace_count": report.trace_count if report else 0,
        "span_count": report.span_count if report else 0,
        "log_count": report.log_count if report else 0,
        "joined_log_count": report.joined_log_count if report else 0,
        "query_url": backend.query_url,
        "store": str(backend.store) if backend.store else None,
        "slowest_trace_id": report.slowest_trace_id if report else "",
        "methods": [
            {
                "service": row.service_name,
                "method": row.method,
                "kind": row.kind.name.lower(),
                "count": row.count,
                "error_count": row.error_count,
                "rate_per_s": round(row.rate_per_s, 3),
                "p50_ms": row.p50_ns / 1e6,
                "p95_ms": row.p95_ns / 1e6,
            }
            for row in (report.rows if report else ())
        ],
    }


def _show(report: RunReport, backend: Backend, duration_s: float) -> None:
    from clients.screen.tables import Column, PlainTable
    from tracelab.render.waterfall import counted

    screen = console(sys.stderr)
    if not report.trace_count:
        note("lab: no spans came; is it a gRPC program, and was it called? docs/your-service.md says what is traced")
        return
    titles = ("service", "method", "side", "calls", "calls/s", "errors", "p50", "p95")
    numbers = ("calls", "calls/s", "errors", "p50", "p95")
    columns = [Column(title, is_number=title in numbers, is_flexible=title == "method") for title in titles]
    rows = [
        (
            row.service_name, row.method, row.kind.name.lower(), str(row.count), f"{row.rate_per_s:.1f}",
            str(row.error_count), duration_text(row.p50_ns), duration_text(row.p95_ns),
        )
        for row in report.rows
    ]  # fmt: skip
    screen.print(PlainTable(columns, rows))
    if report.read_trace_count < report.trace_count:
        note(f"lab: the table is of the newest {report.read_trace_count} traces")
    note(
        f"lab: {counted(report.trace_count, 'trace')}, {counted(report.span_count, 'span')},"
        f" {counted(report.log_count, 'log record')} ({report.joined_log_count} in spans) in {duration_s:.1f} s"
    )
    is_usual = backend.store is None or backend.store == home_of(os.environ) / "telemetry.sqlite"
    store = "" if is_usual else f" --store {backend.store}"
    note(f"lab: slowest {duration_text(report.slowest_ns)}: ./lab trace {report.slowest_trace_id}{store}")
    page = f"the page is {backend.query_url}" if backend.stays else f"./lab up --only backend{store} serves the page"
    note(f"lab: {page}")
