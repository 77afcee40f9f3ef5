"""Runs a lesson's own servicer in a process of its own, with telemetry, health and a witness.

`python -m tracelab.learn.servicer_process MODULE:CLASS --service order --ready-file FILE --witness FILE`. The class
implements one of the three contracts and is made with a `ServerProcess`; its `INTERCEPTORS`, if any, run inside
tracing. SIGTERM stops it: at once, or after `--grace` seconds.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from generated import order_pb2_grpc, report_pb2_grpc, user_pb2_grpc
from otel.instrument import Telemetry, TelemetrySettings, configure

ADD_SERVICER: Mapping[str, Callable[[Any, Any], None]] = {
    "user": user_pb2_grpc.add_UserServiceServicer_to_server,
    "order": order_pb2_grpc.add_OrderServiceServicer_to_server,
    "report": report_pb2_grpc.add_ReportServiceServicer_to_server,
}
FULL_NAMES = {name: f"tracelab.{name}.v1.{name.capitalize()}Service" for name in ADD_SERVICER}


def witness_line(name: str, event: str, context: Any, *, message_number: int = 0, error: str = "") -> bytes:
    """Make a witness's line of one event, in the services' own format."""
    metadata = {key: value for key, value in context.invocation_metadata() if isinstance(value, str)}
    entry = {
        "event": event,
        "servicer": name,
        "message_number": message_number,
        "error": error,
        "time_monotonic_ns": time.monotonic_ns(),
        "time_unix_nano": time.time_ns(),
        "peer": context.peer(),
        "traceparent": metadata.get("traceparent", ""),
        "baggage": metadata.get("baggage", ""),
        "grpc-previous-rpc-attempts": metadata.get("grpc-previous-rpc-attempts", ""),
        "time_remaining_s": context.time_remaining(),
    }
    return json.dumps(entry).encode() + b"\n"


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """What a lesson's servicer may use of its process: its name, its witness, its health and its telemetry.

    `addresses` says where the services are that it may call, by name (`order`): those that its environment names.
    """

    name: str
    service: str
    witness_file: int
    health: health.aio.HealthServicer
    telemetry: Telemetry
    addresses: Mapping[str, str]

    def saw(self, event: str, context: Any, *, message_number: int = 0, error: str = "") -> None:
        """Append one witness event, in the services' own format and with one unbuffered write."""
        line = witness_line(self.name, event, context, message_number=message_number, error=error)
        os.write(self.witness_file, line)

    async def set_serving(self, serving: bool) -> None:
        """Tell health checkers whether this server wants calls."""
        status = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for watched in ("", FULL_NAMES[self.service]):
            await self.health.set(watched, status)


async def serve(arguments: argparse.Namespace, telemetry: Telemetry, addresses: Mapping[str, str]) -> None:
    """Serve until SIGTERM."""
    options: list[tuple[str, int | str]] = [("grpc.so_reuseport", 0)]
    options += [_channel_option(text) for text in arguments.channel_option]
    module_name, _, class_name = arguments.reference.partition(":")
    servicer_class = getattr(importlib.import_module(module_name), class_name)
    server = grpc.aio.server(
        interceptors=[*telemetry.server_interceptors(), *getattr(servicer_class, "INTERCEPTORS", ())],
        options=options,
        maximum_concurrent_rpcs=arguments.max_concurrent_rpcs,
    )
    process = ServerProcess(
        arguments.name,
        arguments.service,
        os.open(arguments.witness, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644),
        health.aio.HealthServicer(),
        telemetry,
        addresses,
    )
    ADD_SERVICER[arguments.service](servicer_class(process), server)
    health_pb2_grpc.add_HealthServicer_to_server(process.health, server)
    await process.set_serving(True)
    port = server.add_insecure_port(f"127.0.0.1:{arguments.port}")
    await server.start()
    stop = asyncio.Event()
    _on_termination(stop)
    write_ready(arguments.ready_file, port)
    await stop.wait()
    telemetry.server_stopping()
    await server.stop(arguments.grace)


def _on_termination(stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    # signal.signal works on Windows too, where a loop cannot add handlers of its own.
    for number in {signal.SIGTERM, getattr(signal, "SIGBREAK", signal.SIGTERM)}:
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stop.set))


def _channel_option(text: str) -> tuple[str, int | str]:
    key, _, value = text.partition("=")
    return key, int(value) if value.lstrip("-").isdigit() else value


def write_ready(path: Path, port: int) -> None:
    """Write, whole, the file that says where this server is."""
    draft = path.with_suffix(".tmp")
    draft.write_text(json.dumps({"pid": os.getpid(), "addresses": {"grpc": f"127.0.0.1:{port}"}}), encoding="utf-8")
    draft.replace(path)


def servicer_arguments(module: str, description: str | None) -> argparse.Namespace:
    """Read the command line of a lesson's server process."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}", description=description)
    parser.add_argument("reference", help="MODULE:CLASS of the servicer")
    parser.add_argument("--service", choices=sorted(ADD_SERVICER), required=True)
    parser.add_argument("--name", default="")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ready-file", type=Path, required=True)
    parser.add_argument("--witness", type=Path, required=True)
    parser.add_argument("--log-file", type=Path)
    parser.add_argument("--grace", type=float)
    parser.add_argument("--channel-option", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--max-concurrent-rpcs", type=int)
    parser.add_argument("--threads", type=int, default=4, help="of a synchronous server's pool")
    return parser.parse_args()


def main() -> NoReturn:
    """Run one servicer."""
    arguments = servicer_arguments("tracelab.learn.servicer_process", __doc__)
    settings = TelemetrySettings.from_environ(
        arguments.service, os.environ, log_file=arguments.log_file, log_to_stdout=False
    )
    telemetry = configure(settings)
    addresses = {name: os.environ[key] for name in ADD_SERVICER if (key := f"{name.upper()}_ADDRESS") in os.environ}
    asyncio.run(serve(arguments, telemetry, addresses))
    telemetry.shutdown()
    raise SystemExit(0)


if __name__ == "__main__":
    main()
