"""Whether something answers: gRPC health for a service, `/status` for a query API, a connection for OTLP."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlsplit

from otel.tls.contexts import client_context
from otel.tls.files import NO_TLS, TlsFiles

HEALTH_CHECK: Final = "/grpc.health.v1.Health/Check"
SERVING: Final = b"\x08\x01"  # HealthCheckResponse(status=SERVING), encoded
ASKS_FOR_TOKEN: Final = b"this backend asks for its token"
PROBE_TIMEOUT_S: Final = 1.0
QUERY_PORTS: Final = {"http": 80, "https": 443}
_PATH_CHARACTERS: Final = "/%:@!$&'()*+,;=~"


def service_serves(address: str, timeout_s: float = PROBE_TIMEOUT_S, tls: TlsFiles = NO_TLS) -> bool:
    """Whether gRPC health at `address` says SERVING. Cheap where nobody listens: gRPC is not even loaded.

    With `tls` as a client's files it is asked by TLS. Raises TlsError.
    """
    if not accepts_connections(address, timeout_s):
        return False
    import grpc  # slow to load, and not needed where nobody listens

    from otel.tls.credentials import channel_credentials

    options, credentials = [("grpc.use_local_subchannel_pool", 1)], channel_credentials(tls)
    channel = (
        grpc.secure_channel(address, credentials, options) if credentials else grpc.insecure_channel(address, options)
    )
    try:
        check = channel.unary_unary(HEALTH_CHECK, request_serializer=bytes, response_deserializer=bytes)
        answer: bytes = check(b"", timeout=timeout_s, wait_for_ready=True)
        return answer == SERVING
    except grpc.RpcError:
        return False
    finally:
        channel.close()


def query_answers(url: str, timeout_s: float = PROBE_TIMEOUT_S, tls: TlsFiles = NO_TLS) -> bool:
    """Whether a query API of Jaeger's kind answers at `url`; one of ours that asks for its token does."""
    answer = _answer(url, "/api/v3/services", timeout_s, tls) or b""
    return any(sign in answer for sign in (b"services", ASKS_FOR_TOKEN))


def storage_error(url: str, timeout_s: float = PROBE_TIMEOUT_S, tls: TlsFiles = NO_TLS) -> str:
    """Why our backend at `url` can't store what it is sent; empty where it can, and where another kind answers."""
    try:
        answer = json.loads(_answer(url, "/api/lab/status", timeout_s, tls) or b"{}")
        return str(answer["storage"]["error"])
    except (ValueError, KeyError, TypeError):
        return ""


def status_answers(address: str, timeout_s: float = PROBE_TIMEOUT_S, tls: TlsFiles = NO_TLS) -> bool:
    """Whether our backend at `address` says that it is up."""
    return _answer(f"{tls.scheme}://{address}", "/status", timeout_s, tls) is not None


def _answer(url: str, path: str, timeout_s: float, tls: TlsFiles = NO_TLS) -> bytes | None:
    """The first MiB of what is answered with status 200, or with 401; None else."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:  # no URL: half an IPv6 address, a port that is no number
        return None
    if not host:
        return None
    try:
        connection = (
            http.client.HTTPSConnection(host, port, timeout=timeout_s, context=client_context(tls))
            if parts.scheme == "https"
            else http.client.HTTPConnection(host, port, timeout=timeout_s)
        )
    except http.client.InvalidURL:
        return None
    try:
        connection.request("GET", quote(parts.path, safe=_PATH_CHARACTERS, errors="replace").rstrip("/") + path)
        response = connection.getresponse()
        return response.read(1 << 20) if response.status in {http.client.OK, http.client.UNAUTHORIZED} else None
    except (OSError, http.client.HTTPException, UnicodeError):  # the last of a host with an empty label
        return None
    finally:
        connection.close()


def accepts_connections(address: str, timeout_s: float = PROBE_TIMEOUT_S) -> bool:
    """Whether somebody listens at `host:port`."""
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=timeout_s):
            return True
    except (OSError, ValueError):
        return False


def address_of(url: str, default_ports: Mapping[str, int] | None = None) -> str:
    """Give `host:port` of an endpoint's URL, with the scheme's port (default: OTLP's) where none is named."""
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        default = 4317 if default_ports is None else default_ports.get(parts.scheme, 0)
        return f"{parts.hostname or ''}:{parts.port or default}"
    except ValueError:  # nobody listens there, and what was typed is what the person is to be shown
        return url
