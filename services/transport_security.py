"""How a service's port is opened: with TLS or in the clear, and what is said of either.

In one place, so that servers of both gRPC APIs open theirs in the same way.
"""

from __future__ import annotations

import contextlib
import datetime as dt
from typing import Protocol

import grpc
import structlog

from otel.tls.core_lines import handshake_failures
from otel.tls.credentials import server_credentials
from otel.tls.files import OPTIONS, TlsFiles
from otel.tls.reach import is_loopback
from otel.tls.refusals import RefusalLog

log = structlog.get_logger()


class PortOpener(Protocol):
    """A gRPC server of either API, as far as it is needed here."""

    def add_insecure_port(self, address: str) -> int:
        """Take plaintext at an address."""

    def add_secure_port(self, address: str, server_credentials: grpc.ServerCredentials) -> int:
        """Take TLS at an address."""


def open_port(server: PortOpener, address: str, tls: TlsFiles) -> int:
    """Let `server` listen at `address`; return the port. RuntimeError where it is taken, TlsError for bad files."""
    if not tls.serves:
        return server.add_insecure_port(address)
    return server.add_secure_port(address, server_credentials(tls))


def warn_of_reach(host: str, tls: TlsFiles) -> None:
    """Say what strangers could read at this address, and that a certificate has expired."""
    if not (tls.serves or is_loopback(host)):
        sentence = f"whoever is in between reads and changes calls; {OPTIONS['certificate']} speaks TLS"
        log.warning("server.plaintext", host=host, reason=sentence)
    if sentence := tls.expired_sentence(dt.datetime.now(dt.UTC)):
        log.warning("tls.expired", reason=sentence)


def refusals_told(tls: TlsFiles) -> contextlib.AbstractContextManager[None]:
    """Let failed handshakes be told in the log while the block runs; enter it before gRPC begins."""
    if not tls.serves:
        return contextlib.nullcontext()
    # The logger is looked up when it is needed: it is configured later than this.
    return handshake_failures(RefusalLog(lambda event, **facts: log.warning(event, **facts)).failed)
