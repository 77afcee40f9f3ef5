"""The command line and the environment of each process of the stack."""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from clients.discovery.defaults import ADDRESS_VARIABLES, BACKEND, DEFAULT_PORTS, MODULES
from otel.tls.files import NO_TLS, VARIABLES, TlsError, TlsFiles, let_exporters_dial
from tracelab.fork_server import loading_environment
from tracelab.stack.errors import HostError
from tracelab.stack.options import StackOptions

ROOT: Final = Path(__file__).resolve().parents[2]
SCHEDULE_DELAY_MS: Final = "100"  # short enough to watch, long enough to batch
# A minute, the SDK's own, is too long to watch; a series costs the store 100 bytes each time.
METRIC_INTERVAL_MS: Final = "10000"

_PORT_OPTIONS: Final = {
    "otlp_grpc": "--otlp-grpc-port",
    "otlp_http": "--otlp-http-port",
    "query": "--query-port",
    "grpc": "--port",
}

Ports = Mapping[str, Mapping[str, int]]


def free_ports(names: Sequence[str], host: str) -> Ports:
    """Find free ports for these processes. Another program may take one before they do: then try again.

    Raises HostError.
    """
    with ExitStack() as held:

        def free_port() -> int:
            probe = held.enter_context(socket.socket(_family(host), socket.SOCK_STREAM))
            _bind(probe, host, 0)
            port: int = probe.getsockname()[1]
            return port

        return {name: {purpose: free_port() for purpose in DEFAULT_PORTS[name]} for name in names}


def taken_port(ports: Ports, host: str) -> tuple[str, int] | None:
    """Find a port that another program listens on, with the process that needs it; None where all are free.

    Raises HostError.
    """
    for name, purposes in ports.items():
        for port in purposes.values():
            with socket.socket(_family(host), socket.SOCK_STREAM) as probe:
                if sys.platform != "win32":  # there it would share a port that is in use
                    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    _bind(probe, host, port)
                except OSError as error:
                    if error.errno == errno.EADDRINUSE:
                        return name, port
    return None


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def _bind(probe: socket.socket, host: str, port: int) -> None:
    """Bind, if only to find out what hinders: OSError is about the port, HostError about the host."""
    try:
        if host:
            return probe.bind((host, port))
    except (OSError, UnicodeError) as error:
        if not isinstance(error, (socket.gaierror, UnicodeError)) and error.errno != errno.EADDRNOTAVAIL:
            raise
    raise HostError(f"--host: {host!r} is no address of this machine", "use --host 127.0.0.1")


def command(name: str, ports: Ports, options: StackOptions, ready_file: Path) -> list[str]:
    """Write the command line that starts one process."""
    words = [sys.executable, "-P", "-m", MODULES[name], "--host", options.host]
    for purpose, port in ports[name].items():
        words += [_PORT_OPTIONS[purpose], str(port)]
    words += ["--log-file", str(log_file(name, options)), "--ready-file", str(ready_file)]
    words += [] if options.detached else ["--until-stdin-ends"]
    return words + (_backend_words(options) if name == BACKEND else _service_words(name, options))


def environment(name: str, ports: Ports, options: StackOptions, environ: Mapping[str, str]) -> dict[str, str]:
    """Write the environment of one process: the caller's, told where the others are."""
    made = {
        "OTEL_BSP_SCHEDULE_DELAY": SCHEDULE_DELAY_MS,
        "OTEL_BLRP_SCHEDULE_DELAY": SCHEDULE_DELAY_MS,
        "OTEL_METRIC_EXPORT_INTERVAL": METRIC_INTERVAL_MS,
        **loading_environment(_with_tls_or_without(environ, options)),
    }
    for service, variable in ADDRESS_VARIABLES.items():
        address = service_address(service, ports, options)
        if address:
            made[variable] = address
    endpoint = otlp_endpoint(ports, options, tls_files(options, environ))
    if endpoint:
        made["OTEL_EXPORTER_OTLP_ENDPOINT"] = endpoint
    return {**made, **options.process_environ.get(name, {})}


def tls_files(options: StackOptions, environ: Mapping[str, str]) -> TlsFiles:
    """Give the files by which the stack speaks TLS, if it does. Raises TlsError where it could not call itself."""
    files = TlsFiles.from_environ(environ) if options.follows_tls_variables else NO_TLS
    if files.serves != files.dials:
        set_one, other = ("LAB_TLS_CERT", "LAB_TLS_CA") if files.serves else ("LAB_TLS_CA", "LAB_TLS_CERT")
        raise TlsError(f"{set_one} is set without {other}: a stack both serves and calls", "./lab certs makes both")
    return files.check()


def _with_tls_or_without(environ: Mapping[str, str], options: StackOptions) -> dict[str, str]:
    if not options.follows_tls_variables:
        return {name: value for name, value in environ.items() if name not in VARIABLES.values()}
    made = dict(environ)
    let_exporters_dial(made, tls_files(options, environ))
    return made


def service_address(service: str, ports: Ports, options: StackOptions) -> str:
    """Say where a service is or will be; "" where nothing was said."""
    if service in ports:
        return f"{dialled(options.host)}:{ports[service]['grpc']}"
    return options.addresses.get(service, "")


def otlp_endpoint(ports: Ports, options: StackOptions, tls: TlsFiles = NO_TLS) -> str:
    """Say where telemetry goes; "" leaves it to the environment."""
    if options.otlp_endpoint:
        return options.otlp_endpoint
    if BACKEND in ports:
        return f"{tls.scheme}://{dialled(options.host)}:{ports[BACKEND]['otlp_grpc']}"
    return ""


def dialled(host: str) -> str:
    """Give the address by which a process that listens on `host` is reached from this machine."""
    if host in {"0.0.0.0", "", "::"}:
        return "127.0.0.1"
    return f"[{host}]" if ":" in host else host


def log_file(name: str, options: StackOptions) -> Path:
    """Where a process writes its structured log."""
    return options.logs / f"{name}.log"


def stderr_file(name: str, options: StackOptions) -> Path:
    """Where a process's standard error goes: what it says before its log is open, and what libraries print."""
    return options.logs / f"{name}.stderr"


def witness_file(name: str, options: StackOptions) -> Path:
    """Where a service writes what its servicers really did."""
    return options.home / "witness" / f"{name}.jsonl"


def _backend_words(options: StackOptions) -> list[str]:
    words = ["--store", str(options.store_file)]
    return words + (["--jaeger-ui", str(options.jaeger_ui)] if options.jaeger_ui else [])


def _service_words(name: str, options: StackOptions) -> list[str]:
    words = ["--allow-faults"] if options.allow_faults else []
    for option in options.channel_options:
        words += ["--channel-option", option]
    words += ["--api", options.api] if options.api else []
    return words + (["--witness", str(witness_file(name, options))] if options.witness else [])
