"""`lab check`: holds what a server's spans say against what the wire says."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final

import typer

from clients.errors import FAILURE, Report, WrongUsageError, inert, print_report
from clients.event_loop import run_until_signal
from clients.output import console, note, print_json
from clients.seconds import seconds
from otel.tls.contexts import client_context
from otel.tls.files import TlsFiles
from tracelab.commands.options import JsonFlag
from tracelab.commands.server_options import (
    CaOption,
    CertOption,
    KeyOption,
    MetadataOption,
    PlaintextOption,
    ProtoOption,
    ProtoPathOption,
    ProtosetOption,
    ServerNameOption,
    TlsOption,
)

if TYPE_CHECKING:
    from otel.instrument import Telemetry
    from tracelab.check.judge import Finding
    from tracelab.check.probing import Probed
    from tracelab.check.session import Check, Named
    from tracelab.commands.used_backend import Backend

app = typer.Typer(add_completion=False, rich_markup_mode=None)

NO_SPANS: Final = 3
"""The exit code where no span came, so that nothing was checked."""
DEFAULT_TIMEOUT_S: Final = 5.0
DEFAULT_TRACE_WAIT_S: Final = 10.0  # exporters send every five seconds, unless they are told otherwise
FLUSH_BOUND_S: Final = 2.0


@app.command()
def check(
    address: Annotated[str, typer.Argument(metavar="HOST:PORT", help="Where the server is.")],
    methods: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            metavar="SERVICE/METHOD[=JSON|@FILE]",
            help="May be called, some times, with this request; may be repeated.",
        ),
    ] = None,
    metadata: MetadataOption = None,
    timeout_s: Annotated[
        float,
        typer.Option(
            "--timeout", metavar="SECONDS", parser=seconds(0.1), help="The deadline of a call that may answer."
        ),
    ] = DEFAULT_TIMEOUT_S,
    otlp: Annotated[
        str,
        typer.Option(
            "--otlp", metavar="[HOST:]PORT", help="Listen there for OTLP over gRPC, where the server exports."
        ),
    ] = "",
    proto: ProtoOption = None,
    proto_path: ProtoPathOption = None,
    protoset: ProtosetOption = None,
    tls: TlsOption = False,
    plaintext: PlaintextOption = False,
    ca: CaOption = None,
    cert: CertOption = None,
    key: KeyOption = None,
    server_name: ServerNameOption = "",
    trace_wait_s: Annotated[
        float,
        typer.Option("--trace-wait", metavar="SECONDS", parser=seconds(0.1), help="What the server's spans may take."),
    ] = DEFAULT_TRACE_WAIT_S,
    as_json: JsonFlag = False,
) -> None:
    """Call a server so that each ending is known, and say where its own spans tell it otherwise. Any language.

    Called are methods whose contract says idempotency_level = NO_SIDE_EFFECTS, and those named with --method; the
    server has to export its spans to the backend. Exit code 0: all is true; 1: something is wrong; 3: no span came.

    \b
      lab check 127.0.0.1:50051
      lab check 127.0.0.1:50051 --method 'shop.Cart/Watch={"id": "c1"}'
      lab check shop.example:443 --tls --method Cart/Get=@get.json --json
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # before gRPC is loaded: what failed is said once, in our words
    from tracelab.check.session import Check
    from tracelab.commands.used_backend import used_backend
    from tracelab.own.contract_files import given_contract
    from tracelab.own.target import TlsWords, metadata_of, target_of

    words = TlsWords(tls, plaintext, ca, cert, key, server_name)
    target = target_of(address, words.read(TlsFiles.from_environ(os.environ)))
    contract = given_contract(proto or (), proto_path or (), protoset)
    asked = Check(target, _named(methods or ()), timeout_s, metadata_of(metadata or ()), contract)
    with used_backend("check", is_new=bool(otlp), otlp_port=_port(otlp)) as backend:
        findings = _findings(_probed(asked, backend), backend, trace_wait_s)
        if as_json:
            _print_json(findings, address, backend)
        else:
            _show(findings)
    if not any(finding.scope for finding in findings):
        from tracelab.check.report import no_spans_lines

        print_report(Report(*no_spans_lines(address, backend.otlp_endpoint, trace_wait_s)))
        raise typer.Exit(NO_SPANS)
    if any(finding.verdict == "wrong" for finding in findings):
        raise typer.Exit(FAILURE)


def _named(words: Sequence[str]) -> tuple[Named, ...]:
    from tracelab.check.session import Named
    from tracelab.own.request_data import request_text

    pairs = [word.partition("=") for word in words]
    return tuple(Named(name, request_text(data or "{}", sys.stdin)) for name, _, data in pairs)


def _port(text: str) -> int:
    host, _, port = text.rpartition(":")
    if text and not (
        host in {"", "127.0.0.1", "localhost"} and port.isascii() and port.isdigit() and int(port) < 65536
    ):
        raise WrongUsageError(f"--otlp: {text!r} is no port of this machine", "such as 4317, or 127.0.0.1:4317")
    return int(port) if text else 0


def _probed(asked: Check, backend: Backend) -> list[Probed]:
    from clients.discovery.home import home_of
    from clients.telemetry import client_telemetry

    home = home_of(os.environ)
    telemetry = client_telemetry("check", os.environ, home, backend.otlp_endpoint, is_certain=True)

    @contextmanager
    def traced(name: str) -> Iterator[str]:
        with telemetry.tracer.start_as_current_span(name) as span:
            yield f"{span.get_span_context().trace_id:032x}"

    try:
        return run_until_signal(asked.probed(traced, telemetry.client_interceptors(asked.target.address)))
    finally:
        _close(telemetry)


def _close(telemetry: Telemetry) -> None:
    telemetry.shutdown(FLUSH_BOUND_S)


def _findings(probed: Sequence[Probed], backend: Backend, wait_s: float) -> list[Finding]:
    from otel.query import TraceQuery
    from tracelab.check.arrival import arrived_traces
    from tracelab.check.judge import judge

    token = os.environ.get("LAB_QUERY_TOKEN", "")
    ids = [each.trace_id for each in probed if each.trace_id]
    note(f"waiting for the server's spans, at most {wait_s:g} s")
    logs_url, tls = os.environ.get("LAB_LOGS_URL") or None, client_context(TlsFiles.from_environ(os.environ))
    with TraceQuery(backend.query_url, logs_url, token=token, tls=tls) as query:
        traces = arrived_traces(query, ids, probed[-1].trace_id, wait_s)
    return [judge(each, traces.get(each.trace_id)) for each in probed[:-1]]


def _show(findings: Sequence[Finding]) -> None:
    from tracelab.check.report import reasons, summary, table

    console().print(table(findings))
    print("\n".join(inert(line) for line in ("", *reasons(findings), summary(findings))))


def _print_json(findings: Sequence[Finding], address: str, backend: Backend) -> None:
    from tracelab.check.report import as_json

    print_json(as_json(findings, address, backend.query_url))
