"""gRPC's credentials of servers and channels, made from PEM files."""

from __future__ import annotations

import grpc

from otel.tls.files import OPTIONS, TlsFiles, pem


def server_credentials(files: TlsFiles) -> grpc.ServerCredentials:
    """What a gRPC server shows, and, with a `client_ca`, asks for. Raises TlsError."""
    files.check()
    key, certificate = pem(files.key, OPTIONS["key"]), pem(files.certificate, OPTIONS["certificate"])
    assert key is not None
    assert certificate is not None
    client_ca = pem(files.client_ca, OPTIONS["client_ca"])
    return grpc.ssl_server_credentials([(key, certificate)], client_ca, require_client_auth=client_ca is not None)


def channel_credentials(files: TlsFiles) -> grpc.ChannelCredentials | None:
    """What a gRPC client trusts and, where it is asked, shows; None where it speaks no TLS. Raises TlsError."""
    if not files.dials:
        return None
    files.check()
    return grpc.ssl_channel_credentials(
        pem(files.ca, OPTIONS["ca"]), pem(files.key, OPTIONS["key"]), pem(files.certificate, OPTIONS["certificate"])
    )
