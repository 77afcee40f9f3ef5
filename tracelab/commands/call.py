"""`lab call`: calls any method of any gRPC server, and shows the answer and the trace."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from clients.discovery.endpoints import find_endpoints
from clients.discovery.probes import query_answers
from clients.errors import FAILURE, Report, inert, print_report
from clients.event_loop import run_until_signal
from clients.output import console, note, print_json
from clients.seconds import seconds
from clients.word_completion import one_of
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
    from otel.analysis.reading import TraceReading
    from tracelab.own.session import Asked, Called, Listing

app = typer.Typer(add_completion=False, rich_markup_mode=None)

COMPRESSIONS: Final = ("none", "gzip", "deflate")
DEFAULT_TIMEOUT_S: Final = 10.0
DEFAULT_TRACE_WAIT_S: Final = 1.5
FLUSH_BOUND_S: Final = 1.0


@app.command()
def call(
    address: Annotated[str, typer.Argument(metavar="HOST:PORT", help="Where the server is.")],
    method: Annotated[
        str, typer.Argument(metavar="[SERVICE/METHOD]", help="pkg.Service/Method; without it: what the server offers.")
    ] = "",
    data: Annotated[
        str,
        typer.Argument(metavar="[JSON|@FILE]", help="The request; @- is standard input. A stream takes several."),
    ] = "{}",
    metadata: MetadataOption = None,
    timeout_s: Annotated[
        float, typer.Option("--timeout", metavar="SECONDS", parser=seconds(0.001), help="The deadline of the call.")
    ] = DEFAULT_TIMEOUT_S,
    compression: Annotated[
        str, typer.Option("--compression", autocompletion=one_of(*COMPRESSIONS), help="none, gzip or deflate.")
    ] = "none",
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
        typer.Option(
            "--trace-wait",
            metavar="SECONDS",
            parser=seconds(0),
            help="What the server's spans may take; 0 shows no trace.",
        ),
    ] = DEFAULT_TRACE_WAIT_S,
    as_json: JsonFlag = False,
) -> None:
    """Call any method of any gRPC server, of any kind; found by reflection, or in a proto file.

    \b
      lab call 127.0.0.1:50051                             what it offers
      lab call 127.0.0.1:50051 UserService/ListUsers
      lab call 127.0.0.1:50051 shop.Cart/Add '{"item": "tea"}' -H tenant=blue --timeout 2
      lab call shop.example:443 shop.Cart/Get @get.json --tls
      lab call 127.0.0.1:50051 shop.Cart/Watch --proto shop.proto --json
    """
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # before gRPC is loaded: what failed is said once, in our words
    from tracelab.own.calling import CallOptions
    from tracelab.own.contract_files import given_contract
    from tracelab.own.request_data import request_text
    from tracelab.own.session import Asked, Listing
    from tracelab.own.target import TlsWords, compression_of, metadata_of, target_of

    options = CallOptions(timeout_s, metadata_of(metadata or ()), compression_of(compression))
    words = TlsWords(tls, plaintext, ca, cert, key, server_name)
    target = target_of(address, words.read(TlsFiles.from_environ(os.environ)))
    contract = given_contract(proto or (), proto_path or (), protoset)
    asked = Asked(target, method, request_text(data, sys.stdin), options, contract)
    made = _Made(asked, as_json=as_json)
    answer = made.answered()
    if isinstance(answer, Listing):
        _print_listing(answer, as_json=as_json)
        return
    reading = made.read_trace(trace_wait_s)
    if as_json:
        made.print_json(answer, reading)
    else:
        made.show(answer, reading, trace_wait_s)
    if not answer.outcome.is_ok:
        raise typer.Exit(FAILURE)


class _Made:
    """One call while it is made and shown: its answers so far, and its trace."""

    def __init__(self, asked: Asked, *, as_json: bool) -> None:
        self._asked = asked
        self._as_json = as_json
        self._responses: list[Any] = []
        self._endpoints = find_endpoints(os.environ)
        self._trace_id = ""

    def answered(self) -> Listing | Called:
        from clients.call_traces import CallTraces
        from clients.telemetry import client_telemetry

        if not self._asked.name:
            return run_until_signal(self._asked.answered(self._received))
        telemetry = client_telemetry("cli", os.environ, self._endpoints.home, self._endpoints.otlp.address)
        traces = CallTraces()
        interceptors = [*telemetry.client_interceptors(self._asked.target.address), *traces.interceptors()]
        try:
            return run_until_signal(self._asked.answered(self._received, interceptors))
        finally:
            telemetry.shutdown(FLUSH_BOUND_S)
            self._trace_id = next((each.trace_id for each in reversed(traces.calls) if each.is_sampled), "")

    def _received(self, message: Any, contract: Any, method: Any) -> None:
        from tracelab.own.message_json import json_text, message_json

        response = message_json(message, contract.pool)
        self._responses.append(response)
        if not self._as_json:
            indent = None if method.answers_with_a_stream else 2
            print(json_text(response, indent), flush=True)

    def read_trace(self, wait_s: float) -> TraceReading | None:
        from otel.query import QueryError, TraceQuery
        from otel.tls.contexts import client_context
        from tracelab.own.arrival import arrived_reading

        query_url = self._endpoints.query.address
        if not (wait_s and self._trace_id and query_answers(query_url, tls=self._endpoints.tls)):
            return None
        try:
            with TraceQuery(
                query_url,
                os.environ.get("LAB_LOGS_URL") or None,
                token=os.environ.get("LAB_QUERY_TOKEN", ""),
                tls=client_context(self._endpoints.tls),
            ) as query:
                return arrived_reading(query, self._trace_id, wait_s)
        except QueryError as error:
            note(f"the trace cannot be read: {error}")
            return None

    def print_json(self, called: Called, reading: TraceReading | None) -> None:
        from tracelab.own.call_text import called_json

        print_json(called_json(called, self._responses, self._asked.target.address, self._trace_id, reading))

    def show(self, called: Called, reading: TraceReading | None, wait_s: float) -> None:
        from tracelab.own.call_text import ending_sentence, failure_lines

        if called.outcome.is_ok:
            note(ending_sentence(called))
        else:
            first, *details = failure_lines(called)
            print_report(Report(first))
            for line in details:
                print(inert(line), file=sys.stderr)
        if reading is not None:
            self._draw(reading, wait_s)
        elif wait_s and self._trace_id:
            where = self._endpoints.query.address
            note(f"no trace is shown: no backend answers at {where}; ./lab up -d --only backend starts one")

    def _draw(self, reading: TraceReading, wait_s: float) -> None:
        from tracelab.own.arrival import was_served
        from tracelab.render.waterfall import Waterfall

        screen = console()
        screen.print()
        screen.print(Waterfall(reading, has_logs=True))
        if not was_served(reading):
            hint = f"the server sent no spans within {wait_s:g} s; ./lab run starts a Python program so that it does"
            note(f"{hint}; ./lab trace {self._trace_id[:8]} looks again")


def _print_listing(listing: Listing, *, as_json: bool) -> None:
    from tracelab.own.call_text import listing_json, listing_lines

    if as_json:
        print_json(listing_json(listing))
    else:
        print("\n".join(listing_lines(listing)))
