"""Runs a lesson's own servicer on the synchronous API, with a pool of threads, in a process of its own.

`python -m tracelab.learn.sync_servicer_process MODULE:CLASS --service order --threads 4 --ready-file F --witness F`, as
`servicer_process` does on grpc.aio; health is left out. SIGTERM stops it.
"""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import threading
from concurrent import futures
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc

from otel.instrument import Telemetry, TelemetrySettings, configure
from tracelab.learn.servicer_process import ADD_SERVICER, servicer_arguments, witness_line, write_ready

STOP_BOUND_S = 2.0


@dataclass(frozen=True, slots=True)
class SyncServerProcess:
    """What a lesson's synchronous servicer may use of its process; `saw` may be called in any thread."""

    name: str
    witness_file: int

    def saw(self, event: str, context: Any) -> None:
        """Append one witness event, in the services' own format and with one unbuffered write."""
        os.write(self.witness_file, witness_line(self.name, event, context))


def serve(arguments: argparse.Namespace, telemetry: Telemetry) -> None:
    """Serve until SIGTERM."""
    module_name, _, class_name = arguments.reference.partition(":")
    servicer_class = getattr(importlib.import_module(module_name), class_name)
    witness_file = os.open(arguments.witness, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    server = grpc.server(
        futures.ThreadPoolExecutor(arguments.threads),
        interceptors=telemetry.sync.server_interceptors(),
        options=[("grpc.so_reuseport", 0)],
    )
    ADD_SERVICER[arguments.service](servicer_class(SyncServerProcess(arguments.name, witness_file)), server)
    port = server.add_insecure_port(f"127.0.0.1:{arguments.port}")
    server.start()
    stop = threading.Event()
    for number in {signal.SIGTERM, getattr(signal, "SIGBREAK", signal.SIGTERM)}:
        signal.signal(number, lambda *_: stop.set())
    write_ready(arguments.ready_file, port)
    stop.wait()
    telemetry.server_stopping()
    server.stop(0).wait(STOP_BOUND_S)


def main() -> NoReturn:
    """Run one servicer."""
    arguments = servicer_arguments("tracelab.learn.sync_servicer_process", __doc__)
    settings = TelemetrySettings.from_environ(
        arguments.service, os.environ, log_file=arguments.log_file, log_to_stdout=False
    )
    telemetry = configure(settings)
    serve(arguments, telemetry)
    telemetry.shutdown()
    raise SystemExit(0)


if __name__ == "__main__":
    main()
