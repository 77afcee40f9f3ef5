"""Serving a gRPC service: what the three share, and what any servicer of these contracts can be served by.

`run` is a whole `main()`; `running` serves inside somebody else's event loop or thread, a lesson's or a test's. Which
of Python's two gRPC APIs serves is an `Api` (`services.grpc_api`); the rest is the same for both. Interceptors
stand in this order, outermost first: tracing, errors (which also writes `rpc.finished`), the gate at which calls wait
while the server stops, witness, faults. The witness stands there because a fault takes the handler's place, and
because it shall see what was raised, not the status made of it.

A stop goes as `services.drain` says, within `grace_s` in all: health says NOT_SERVING, calls are served on for a
moment, then new ones are refused and those in flight finish; then channels close and telemetry is flushed, within a
bound of its own.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, MutableMapping, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc

import generated
from generated import order_pb2, report_pb2, user_pb2
from otel.instrument import SettingsError, Telemetry, TelemetrySettings, configure
from otel.instrument.loopback import bypass_proxies
from otel.instrument.runtime_metrics import observe_process, watch_event_loop
from otel.tls.credentials import channel_credentials
from otel.tls.files import TlsFiles, let_exporters_dial
from services.admission import Admission
from services.binding import BindError, bind, write_ready_file
from services.core_streams import open_stream_count
from services.error_interceptor import ErrorInterceptor
from services.fault_text import methods_of
from services.faults import FaultInterceptor
from services.grpc_api.aio import AIO
from services.grpc_api.ports import Api
from services.grpc_api.threads import ThreadApi
from services.health import EndingHealthServicer
from services.options import EXIT_USAGE, ChannelOption, ServingOptions, in_production, parse_options
from services.reflection import enable_reflection
from services.stop_gate import StopGate, stop_gracefully
from services.stopping import stop_at_end_of_stdin
from services.stores.ports import StoreOpeningError
from services.transport_security import refusals_told, warn_of_reach
from services.witness import Witness, WitnessFileError, WitnessInterceptor

__all__ = ["RunningServer", "Service", "ServingOptions", "Telemetry", "open_channel", "run", "running", "serve"]

log = structlog.get_logger()

CONTRACTS = (user_pb2.DESCRIPTOR, order_pb2.DESCRIPTOR, report_pb2.DESCRIPTOR)
SERVICE_CONFIG_FILE = Path(generated.__file__).with_name("service_config.json")
EXIT_FAILURE = 1
EXIT_PORT_IN_USE = 3
TELEMETRY_SHUTDOWN_S = 3.0
# Past its own bound a shutdown hangs in a library; the process ends all the same.
TELEMETRY_ABANDONED_AFTER_S = TELEMETRY_SHUTDOWN_S + 1.0
SERVER_OPTIONS: tuple[ChannelOption, ...] = (
    ("grpc.so_reuseport", 0),
    # Legal baggage alone may have 8,192 bytes, of which gRPC's own limit would refuse some calls at random.
    ("grpc.max_metadata_size", 16_384),
)
# A service behind that restarts is found again in a moment; gRPC's own first wait is a second.
RECONNECT_OPTIONS: tuple[ChannelOption, ...] = (
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
)


@dataclass(frozen=True, slots=True)
class Service:
    """A servicer and what is said about it.

    `name` is its `service.name`; `service_names` are the fully qualified gRPC services for health and reflection;
    `on_stopping` is called when no new call begins any more, so that calls without an end of their own can end.
    """

    name: str
    service_names: tuple[str, ...]
    add_to: Callable[[grpc.aio.Server], None]
    on_stopping: Callable[[], None] = field(default=lambda: None)

    @property
    def domain(self) -> str:
        """The domain of its ErrorInfo."""
        return f"{self.name}.tracelab"


@dataclass(frozen=True, slots=True)
class RunningServer:
    """A server that takes calls, and the address at which clients on this machine reach it."""

    address: str
    server: grpc.aio.Server
    health: EndingHealthServicer


@asynccontextmanager
async def running(
    service: Service, options: ServingOptions, telemetry: Telemetry, api: Api = AIO
) -> AsyncIterator[RunningServer]:
    """Serve until the block ends, then stop gracefully; telemetry stays open.

    Raises BindError if the port can't be had, and TlsError for files that TLS can't be spoken with. Must not be entered
    inside a span: every call would start in its context.
    """
    with ExitStack() as closing:
        errors, gate = ErrorInterceptor(service.domain, api), StopGate(Admission(options.max_concurrent_calls), api)
        server = api.server(
            telemetry,
            _interceptors([errors, gate], options, closing, api),
            _merged(SERVER_OPTIONS, options.channel_options),
            options.max_concurrent_calls,
        )
        service.add_to(server)
        health = EndingHealthServicer(api)
        health_pb2_grpc.add_HealthServicer_to_server(health, server)
        health_name = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
        if options.reflection:
            enable_reflection(server, (*service.service_names, health_name))
        address = bind(server, options.host, options.port, options.tls)
        warn_of_reach(options.host, options.tls)
        await server.start()
        for name in service.service_names:
            await health.set(name, health_pb2.HealthCheckResponse.SERVING)
        log.info("server.started", address=address, allow_faults=options.allow_faults, api=api.name)
        try:
            yield RunningServer(address, server, health)
        finally:
            telemetry.server_stopping(options.grace_s)
            errors.server_stopping(options.grace_s)
            taken_count = partial(open_stream_count, int(address.rpartition(":")[2]))
            await stop_gracefully(server, gate, health, options.grace_s, service.on_stopping, api, taken_count)
            log.info("server.stopped", address=address, refused_count=gate.refused_count)


def _interceptors(
    first: Sequence[grpc.aio.ServerInterceptor], options: ServingOptions, closing: ExitStack, api: Api
) -> Sequence[grpc.aio.ServerInterceptor]:
    interceptors = [*first]
    if options.witness_file is not None:
        witness = Witness(options.witness_file)
        closing.callback(witness.close)
        interceptors.append(WitnessInterceptor(witness))
    if options.allow_faults:
        interceptors.append(FaultInterceptor(methods_of(CONTRACTS), api))
    return interceptors


def _merged(defaults: Sequence[ChannelOption], given: Sequence[ChannelOption]) -> list[ChannelOption]:
    """Return the defaults, replaced by name where an option was given."""
    return list(dict([*defaults, *given]).items())


def open_channel(telemetry: Telemetry, address: str, options: ServingOptions, api: Api = AIO) -> grpc.aio.Channel:
    """Return a traced channel to a service behind, which repeats what the contracts allow; its owner closes it."""
    defaults = [*RECONNECT_OPTIONS, ("grpc.service_config", SERVICE_CONFIG_FILE.read_text(encoding="utf-8"))]
    is_untraced = telemetry.settings.instrumentation == "off"
    return api.channel(
        telemetry,
        address,
        _merged(defaults, options.channel_options),
        credentials=channel_credentials(options.tls),
        forwards_faults=options.allow_faults and is_untraced,
    )


async def serve(service: Service, options: ServingOptions, telemetry: Telemetry, api: Api) -> None:
    """Serve until a stop signal or, if so wished, the end of standard input, then stop gracefully. Main thread only."""
    async with (
        api.stop_request() as stop,
        running(service, options, telemetry, api) as server,
        _watched(telemetry, api),
    ):
        if options.ready_file is not None:
            write_ready_file(options.ready_file, server.address)
        if options.until_stdin_ends:
            stop_at_end_of_stdin(stop.ask)
        await stop.wait()


@asynccontextmanager
async def _watched(telemetry: Telemetry, api: Api) -> AsyncIterator[None]:
    """Measure the interpreter and, where there is one, the event loop while the block runs, if the settings say so."""
    if not telemetry.settings.runtime_metrics:
        yield
        return
    observe_process(telemetry.providers.meter_provider)
    watching = api.start(watch_event_loop(telemetry.meter), "event-loop-lag") if api.name == "aio" else None
    try:
        yield
    finally:
        if watching is not None:
            await watching.cancel()


def run(
    name: str,
    default_port: int,
    serve_service: Callable[[ServingOptions, Telemetry, Mapping[str, str], Api], Coroutine[Any, Any, None]],
    arguments: Sequence[str] | None,
    environ: MutableMapping[str, str],
) -> int:
    """Be a service's `main()`: options, telemetry, `serve_service` until it returns, flush. Return the exit code."""
    options = parse_options(name, default_port, arguments, environ)
    bypass_proxies(environ)
    try:
        options = in_production(options, environ.get("LAB_PROFILE", ""))
        options = replace(options, tls=options.tls.or_else(TlsFiles.from_environ(environ)).check())
    except ValueError as error:  # TlsError is one
        print(f"error: {error}", file=sys.stderr)
        return EXIT_USAGE
    let_exporters_dial(environ, options.tls)
    with refusals_told(options.tls):
        return _run(name, serve_service, options, environ)


def _run(
    name: str,
    serve_service: Callable[[ServingOptions, Telemetry, Mapping[str, str], Api], Coroutine[Any, Any, None]],
    options: ServingOptions,
    environ: Mapping[str, str],
) -> int:
    try:
        telemetry = configure(TelemetrySettings.from_environ(name, environ, log_file=options.log_file))
    except SettingsError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_USAGE
    except OSError as error:
        print(f"error: --log-file: {error}", file=sys.stderr)
        return EXIT_FAILURE
    try:
        api = ThreadApi() if options.api == "sync" else AIO
        api.run(serve_service(options, telemetry, environ, api))
    except WitnessFileError as error:
        print(f"error: --witness: {error}", file=sys.stderr)
        return EXIT_FAILURE
    except StoreOpeningError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except BindError as error:
        print(f"error: {error}\nhint: {error.hint}", file=sys.stderr)
        return EXIT_PORT_IN_USE
    finally:
        _shut_down(telemetry)
    return 0


def _shut_down(telemetry: Telemetry) -> None:
    """Flush telemetry, but never wait for it without a bound."""
    shutdown = threading.Thread(
        target=telemetry.shutdown, args=(TELEMETRY_SHUTDOWN_S,), name="telemetry-shutdown", daemon=True
    )
    shutdown.start()
    shutdown.join(TELEMETRY_ABANDONED_AFTER_S)
