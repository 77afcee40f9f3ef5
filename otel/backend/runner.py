"""The backend as one thing to start and stop: receivers, writer and query server on one event loop."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc.aio
import structlog
import uvicorn
from starlette.types import ASGIApp

from otel.backend.api.stream import Feed
from otel.backend.app import begin_stop, close_app, create_app
from otel.backend.errors import HostError, PortInUseError
from otel.backend.http_protocol import BoundedHttp
from otel.backend.ingest import Ingest
from otel.backend.ports import TelemetryStore, Written
from otel.backend.receivers.otlp_grpc import otlp_server
from otel.backend.receivers.otlp_http import otlp_http_app
from otel.backend.receivers.requests import Submission
from otel.tls.contexts import server_context
from otel.tls.core_lines import handshake_failures
from otel.tls.files import NO_TLS, TlsFiles
from otel.tls.refusals import RefusalLog

# Requests in flight get this long when the backend stops; what was accepted is stored in any case.
STOP_GRACE_S = 2.0
LISTEN_BACKLOG = 128


@dataclass(frozen=True, slots=True)
class BackendOptions:
    """Where a backend listens and what it serves; port 0 picks a free one.

    With a `query_token`, the query API and the page answer only those who bring it. `tls` is for all three ports.
    """

    host: str = "127.0.0.1"
    otlp_grpc_port: int = 4317
    otlp_http_port: int = 4318
    query_port: int = 16686
    base_path: str = ""
    jaeger_ui: Path | None = None
    cors_origins: Sequence[str] = ()
    query_token: str = field(default="", repr=False)
    tls: TlsFiles = NO_TLS


class Backend:
    """Runs the embedded backend over a store, which stays the caller's to close.

    Use it as an async context manager; it serves once entered. PortInUseError where a port is taken, HostError where
    the host is not this machine's, TlsError for files that TLS can't be spoken with. All of it belongs to the event
    loop that entered it.
    """

    def __init__(self, store: TelemetryStore, options: BackendOptions | None = None) -> None:
        self._store = store
        self._options = options or BackendOptions(otlp_grpc_port=0, otlp_http_port=0, query_port=0)
        self._feed = Feed()
        self._ingest = Ingest(store, self._announce)
        self._running = contextlib.AsyncExitStack()
        self._addresses: dict[str, str] = {}
        self._refusals = RefusalLog(structlog.get_logger("otel.backend").warning)

    @property
    def addresses(self) -> dict[str, str]:
        """`host:port` of `otlp_grpc`, `otlp_http` and `query`, once entered."""
        return dict(self._addresses)

    @property
    def otlp_endpoint(self) -> str:
        """The URL for OTEL_EXPORTER_OTLP_ENDPOINT, gRPC."""
        return f"{self._scheme}://{self._addresses['otlp_grpc']}"

    @property
    def otlp_http_endpoint(self) -> str:
        """The URL that `/v1/traces` is added to."""
        return f"{self._scheme}://{self._addresses['otlp_http']}"

    @property
    def query_url(self) -> str:
        """The URL of the query API and the page, base path included."""
        return f"{self._scheme}://{self._addresses['query']}{self._options.base_path}"

    @property
    def _scheme(self) -> str:
        return "https" if self._options.tls.serves else "http"

    async def __aenter__(self) -> Self:
        """Bind every port, then serve."""
        try:
            await self._start()
        except BaseException:
            await self._running.aclose()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop taking requests, store what was taken, let queries end."""
        await self._running.aclose()

    async def _start(self) -> None:
        options = self._options
        query_socket = self._bind("query", options.query_port, "--query-port")
        http_socket = self._bind("otlp_http", options.otlp_http_port, "--otlp-http-port")
        app = create_app(
            self._store,
            base_path=options.base_path,
            jaeger_ui=options.jaeger_ui,
            bound_host=options.host,
            feed=self._feed,
            token=options.query_token,
        )
        app.state.endpoints = self._addresses
        app.state.storage_error = lambda: self._ingest.storage_error
        app.state.ingest_counts = lambda: self._ingest.counts
        self._ingest.start()
        self._running.push_async_callback(self._ingest.stop)
        if options.tls.serves:  # before gRPC begins, which writes a line of its own
            self._running.enter_context(handshake_failures(self._refusals.failed))
        server = otlp_server(self._ingest)
        self._addresses["otlp_grpc"] = self._bind_grpc(server)
        await server.start()
        self._running.push_async_callback(server.stop, STOP_GRACE_S)
        await self._serve(otlp_http_app(self._ingest, options.cors_origins), http_socket)
        self._running.callback(close_app, app)
        await self._serve(app, query_socket)
        self._running.callback(begin_stop, app)

    async def _serve(self, app: ASGIApp, listening: socket.socket) -> None:
        server = _Server(
            uvicorn.Config(
                app,
                http=BoundedHttp,
                log_config=None,
                access_log=False,
                lifespan="off",
                server_header=False,
                ws="none",
                timeout_graceful_shutdown=round(STOP_GRACE_S),
                ssl_context_factory=self._tls_context if self._options.tls.serves else None,
            )
        )
        serving = asyncio.create_task(server.serve(sockets=[listening]))

        async def stop() -> None:
            server.should_exit = True
            await serving

        self._running.push_async_callback(stop)
        started = asyncio.create_task(server.has_started.wait())
        await asyncio.wait((started, serving), return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            await serving

    def _tls_context(self, _config: object, _default: object) -> ssl.SSLContext:
        return server_context(self._options.tls, self._refusals.failed)

    def _bind(self, name: str, port: int, option: str) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._options.host else socket.AF_INET
        # asyncio switches Nagle's delay off only for sockets that name their protocol: 40 ms an answer otherwise.
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        self._running.callback(bound.close)
        # On Windows this option lets two processes share a port, which is what must not be.
        if hasattr(socket, "SO_EXCLUSIVEADDRUSE"):
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            if not self._options.host:  # gRPC would take no such address
                raise HostError("'' is no address of this machine")
            bound.bind((self._options.host, port))
            bound.listen(LISTEN_BACKLOG)
        except (OSError, UnicodeError) as error:
            if isinstance(error, (socket.gaierror, UnicodeError)) or error.errno == errno.EADDRNOTAVAIL:
                raise HostError(f"{self._options.host!r} is no address of this machine") from error
            raise PortInUseError(port, option) from error
        self._addresses[name] = _address(self._options.host, bound.getsockname()[1])
        return bound

    def _bind_grpc(self, server: object) -> str:
        assert isinstance(server, grpc.aio.Server)
        # gRPC would say on standard error what the caller is about to say better.
        if self._options.otlp_grpc_port:
            self._bind("otlp_grpc", self._options.otlp_grpc_port, "--otlp-grpc-port").close()
        try:
            port = self._open_grpc(server, _address(self._options.host, self._options.otlp_grpc_port))
        except RuntimeError as error:
            raise PortInUseError(self._options.otlp_grpc_port, "--otlp-grpc-port") from error
        return _address(self._options.host, port)

    def _open_grpc(self, server: grpc.aio.Server, address: str) -> int:
        if not self._options.tls.serves:
            return server.add_insecure_port(address)
        from otel.tls.credentials import server_credentials

        return server.add_secure_port(address, server_credentials(self._options.tls))

    def _announce(self, submissions: list[Submission], written: Written) -> None:
        logs = [part for submission in submissions for part in submission.logs]
        self._feed.announce(self._store, written.trace_ids, logs)


class _Server(uvicorn.Server):
    """uvicorn without its signal handlers: the process has one owner of signals, and that is `__main__`."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.has_started = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and say so."""
        await super().startup(sockets)
        self.has_started.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Leave signals alone."""
        yield


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
