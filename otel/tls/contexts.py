"""`ssl` contexts of HTTP servers and clients; a server's tells of each handshake that fails."""

from __future__ import annotations

import ssl
from collections.abc import Callable

from otel.tls.files import TlsFiles


def client_context(files: TlsFiles) -> ssl.SSLContext | None:
    """What an HTTP client trusts and shows; None where it speaks no TLS of ours. Raises TlsError."""
    if files.ca is None:
        return None
    files.check()
    context = ssl.create_default_context(cafile=files.ca)
    if files.certificate is not None:
        context.load_cert_chain(files.certificate, files.key)
    return context


def server_context(files: TlsFiles, failed: Callable[[str], None]) -> ssl.SSLContext:
    """What an HTTP server shows and asks for; `failed` hears of each failed handshake, on the server's event loop."""
    assert files.certificate is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(files.certificate, files.key)
    if files.client_ca is not None:
        context.load_verify_locations(files.client_ca)
        context.verify_mode = ssl.CERT_REQUIRED

    class TellingObject(ssl.SSLObject):
        """A connection's TLS that says why its handshake failed, which asyncio keeps to itself."""

        def do_handshake(self) -> None:
            try:
                super().do_handshake()
            except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
                raise
            except ssl.SSLError as error:
                failed(str(error))
                raise

    context.sslobject_class = TellingObject
    return context
