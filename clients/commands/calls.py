"""Makes one command's calls as a traced client named `cli`, and shows the answer as text or as JSON."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from opentelemetry import baggage, context

from clients.discovery import probes
from clients.discovery.defaults import SERVICES
from clients.discovery.endpoints import Endpoints, find_endpoints
from clients.errors import LabError, WrongUsageError
from clients.event_loop import run_until_signal
from clients.output import note
from clients.seconds import seconds
from clients.service_stubs import ServiceStubs
from clients.telemetry import client_telemetry
from otel.tls.files import VARIABLES

T = TypeVar("T")

DEFAULT_TIMEOUT_S: Final = 10.0
FLUSH_BOUND_S: Final = 1.0
FAULT_KEY: Final = "fault"

CaOption = Annotated[
    Path | None,
    typer.Option("--ca", metavar="FILE", exists=True, dir_okay=False, help="Speak TLS; whom to trust, PEM."),
]
CertOption = Annotated[
    Path | None, typer.Option("--cert", metavar="FILE", exists=True, dir_okay=False, help="Our certificate, PEM.")
]
KeyOption = Annotated[
    Path | None, typer.Option("--key", metavar="FILE", exists=True, dir_okay=False, help="Its private key, PEM.")
]
PlaintextOption = Annotated[bool, typer.Option("--plaintext", help="Speak no TLS, whatever LAB_TLS_CA says.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the response as JSON, with proto field names.")]
TimeoutOption = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", parser=seconds(0.001), help="The deadline of the call.")
]
RequestIdOption = Annotated[
    str | None, typer.Option("--request-id", metavar="UUID", help="Makes a repeat safe; a new one by default.")
]
PageSizeOption = Annotated[int, typer.Option("--page-size", metavar="COUNT", help="At most this many; 0 means 100.")]
PageTokenOption = Annotated[str, typer.Option("--page-token", metavar="TOKEN", help="What the page before ended with.")]
FaultOption = Annotated[
    list[str] | None,
    typer.Option(
        "--fault",
        metavar="FAULT",
        help="Let it go wrong: UserService/GetUser:delay=80ms. Needs up --allow-faults; may be repeated.",
    ),
]


def reach(
    ca: CaOption = None, cert: CertOption = None, key: KeyOption = None, plaintext: PlaintextOption = False
) -> None:
    """Let the calls of this command be made as the options say; without any, as the variables do."""
    if plaintext and (ca or cert or key):
        raise WrongUsageError("--plaintext and the options of TLS exclude each other")
    if bool(cert) != bool(key):
        raise WrongUsageError("--cert and --key belong together", "the certificate is shown, the key proves it")
    if cert and not ca:
        raise WrongUsageError(
            "--cert is shown to a server that is trusted: --ca is missing", "such as .lab/certs/ca.pem"
        )
    if ca or plaintext:  # what is typed stands alone
        typed = {"ca": ca, "certificate": cert, "key": key, "client_ca": None}
        for name, variable in VARIABLES.items():
            os.environ.pop(variable, None)
            if typed[name]:
                os.environ[variable] = str(typed[name])


def call(calls: Callable[[ServiceStubs], Awaitable[T]], faults: Sequence[str] | None = None) -> T:
    """Run `calls` with the stubs of the services, wherever they run, and hand over the telemetry.

    `faults` go along as baggage, for services that allow them. Afterwards says which trace it was. Raises AioRpcError,
    and SystemExit on a signal, both once the telemetry is handed over.
    """
    endpoints = find_endpoints(os.environ)
    if faults:
        _refuse_vain_faults(endpoints)
    telemetry = client_telemetry("cli", os.environ, endpoints.home, endpoints.otlp.address)
    stubs = ServiceStubs(telemetry, endpoints.addresses, endpoints.tls)

    async def run() -> T:
        if faults:
            context.attach(baggage.set_baggage(FAULT_KEY, "|".join(faults)))  # of this coroutine's context alone
        async with stubs:
            return await calls(stubs)

    try:
        return run_until_signal(run())
    finally:
        telemetry.shutdown(FLUSH_BOUND_S)
        traced = stubs.traces.calls[-1] if stubs.traces.calls else None
        if traced and traced.is_sampled:
            note(_where_the_trace_is(traced.trace_id, endpoints))


def as_json(message: Message) -> dict[str, Any]:
    """A message as JSON values, with the field names of the proto."""
    return MessageToDict(message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True)


def _where_the_trace_is(trace_id: str, endpoints: Endpoints) -> str:
    """Name the trace; or say that nobody could receive it."""
    if probes.accepts_connections(probes.address_of(endpoints.otlp.address)):
        return f"trace: {trace_id}"
    return f"no trace is kept: nothing listens at {endpoints.otlp.address}; ./lab up --only backend starts a backend"


def _refuse_vain_faults(endpoints: Endpoints) -> None:
    """Refuse faults that could not happen, as far as can be told from here."""
    if os.environ.get("LAB_INSTRUMENTATION") == "off":
        raise WrongUsageError("--fault travels as baggage, and instrumentation is off", "unset LAB_INSTRUMENTATION")
    from clients.discovery.living import command_line_of

    started = [process for name in SERVICES if (process := endpoints.record and endpoints.record.process(name))]
    if started and not any("--allow-faults" in command_line_of(process) for process in started):
        raise LabError(
            "the services that run do not allow faults", "start them so: ./lab down, then ./lab up -d --allow-faults"
        )
