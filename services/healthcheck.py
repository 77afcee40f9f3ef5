"""Asks a service for its health by gRPC: exit 0 when SERVING, else 1 with the reason. What containers probe with.

`python -m services.healthcheck 127.0.0.1:50051 [--timeout SECONDS]`; by TLS where LAB_TLS_CA says whom to trust.
"""

from __future__ import annotations

import argparse
import os
import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from otel.tls.credentials import channel_credentials
from otel.tls.files import NO_TLS, TlsError, TlsFiles
from otel.tls.reasons import reason_for_client


def check(address: str, timeout_s: float, tls: TlsFiles = NO_TLS) -> str:
    """Return the status that the service at `address` reports for itself as a whole, such as `SERVING`.

    Raises grpc.RpcError when nothing answers in `timeout_s` seconds, and TlsError. Blocking; any thread.
    """
    credentials = channel_credentials(tls)
    with grpc.secure_channel(address, credentials) if credentials else grpc.insecure_channel(address) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=timeout_s)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def main(arguments: list[str] | None = None) -> int:
    """Print what is wrong, if anything, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m services.healthcheck", description="Ask a service for its health.")
    parser.add_argument("address", help="host:port of the service, as in 127.0.0.1:50051")
    parser.add_argument("--timeout", type=float, default=2.0, metavar="SECONDS", help="how long to wait (default: 2)")
    options = parser.parse_args(arguments)
    tls = TlsFiles.from_environ(os.environ)
    try:
        status = check(options.address, options.timeout, tls)
    except TlsError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except grpc.RpcError as error:
        code = error.code().name if isinstance(error, grpc.Call) else "UNKNOWN"
        why = reason_for_client(str(error.details()) if isinstance(error, grpc.Call) else "")
        print(f"error: no health answer from {options.address} ({why or code})", file=sys.stderr)
        return 1
    if status != "SERVING":
        print(f"error: {options.address} reports {status}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
