"""Where a server is and how it is reached: address, TLS, metadata, as the command line gives them."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc

from clients.errors import WrongUsageError
from otel.tls.files import NO_TLS, TlsFiles

COMPRESSIONS: Final = {"none": None, "gzip": grpc.Compression.Gzip, "deflate": grpc.Compression.Deflate}
MOST_RECEIVED_BYTES: Final = 64 * 1024 * 1024  # an answer is shown whole, and gRPC's own bound is 4 MiB
_METADATA_KEY: Final = re.compile(r"[0-9a-z_.-]+")
MOST_PORT: Final = 65_535
_PORT: Final = re.compile(r":([0-9]{1,5})$")
_SCHEMES: Final = ("dns:", "unix:", "ipv4:", "ipv6:", "xds:", "passthrough:")

Metadata = tuple[tuple[str, str | bytes], ...]


@dataclass(frozen=True, slots=True)
class Tls:
    """What TLS is to trust and to show; PEM. Without `roots` gRPC's own are trusted."""

    roots: bytes | None = None
    certificate: bytes | None = None
    key: bytes | None = None
    server_name: str = ""

    def credentials(self) -> grpc.ChannelCredentials:
        """Make gRPC's credentials."""
        return grpc.ssl_channel_credentials(self.roots, self.key, self.certificate)

    def channel_options(self) -> list[tuple[str, str]]:
        """Give the channel's options that belong to it."""
        return [("grpc.ssl_target_name_override", self.server_name)] if self.server_name else []


@dataclass(frozen=True, slots=True)
class Target:
    """A server to be called; `tls` is None for a plain connection."""

    address: str
    tls: Tls | None = None

    def channel(self, interceptors: Sequence[grpc.aio.ClientInterceptor] = ()) -> grpc.aio.Channel:
        """Open a channel; needs a running loop, and its owner closes it."""
        options: list[tuple[str, str | int]] = [("grpc.max_receive_message_length", MOST_RECEIVED_BYTES)]
        if self.tls is None:
            return grpc.aio.insecure_channel(self.address, options, interceptors=list(interceptors))
        options += self.tls.channel_options()
        credentials = self.tls.credentials()
        return grpc.aio.secure_channel(self.address, credentials, options, interceptors=list(interceptors))


@dataclass(frozen=True, slots=True)
class TlsWords:
    """How a connection is made, as the command line says it."""

    tls: bool = False
    plaintext: bool = False
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    server_name: str = ""

    def read(self, variables: TlsFiles = NO_TLS) -> Tls | None:
        """Give what TLS is to trust and to show, None for a plain connection. WrongUsageError for what makes no sense.

        Any of the options asks for TLS. Where none is there, `variables` say it: those of our own services and of
        whoever trusts the same authority; what is typed stands alone.
        """
        asks_for_tls = self != TlsWords(plaintext=self.plaintext)
        if self.plaintext and asks_for_tls:
            raise WrongUsageError("--plaintext and the options of TLS exclude each other")
        if bool(self.cert) != bool(self.key):
            raise WrongUsageError("--cert and --key belong together", "the certificate is shown, the key proves it")
        if asks_for_tls:
            return Tls(_pem(self.ca), _pem(self.cert), _pem(self.key), self.server_name)
        if self.plaintext or not variables.dials:
            return None
        return TlsWords(ca=variables.ca, cert=variables.certificate, key=variables.key).read()


UNSAID: Final = TlsWords()


def target_of(address: str, tls: Tls | None = None) -> Target:
    """Read an address. WrongUsageError for what is none."""
    port = _PORT.search(address)
    if not ((port and int(port[1]) <= MOST_PORT) or address.startswith(_SCHEMES)):
        raise WrongUsageError(f"{address!r} is not HOST:PORT", f"such as 127.0.0.1:50051; ports end at {MOST_PORT}")
    return Target(address, tls)


def compression_of(word: str) -> grpc.Compression | None:
    """Read `--compression`."""
    if word not in COMPRESSIONS:
        raise WrongUsageError(f"--compression: {word!r} is not one of {', '.join(COMPRESSIONS)}")
    return COMPRESSIONS[word]


def _pem(path: Path | None) -> bytes | None:
    text = path.read_bytes() if path else None
    if text is not None and b"-----BEGIN " not in text:
        raise WrongUsageError(f"{path} is not PEM", "openssl x509 -inform der -in FILE turns a certificate into it")
    return text


def metadata_of(words: Sequence[str]) -> Metadata:
    """Read `KEY=VALUE` words; the value of a key that ends in `-bin` is base64.

    Checked here, since a call with metadata that cannot be sent may never end.
    """
    return tuple(_pair(word) for word in words)


def _pair(word: str) -> tuple[str, str | bytes]:
    key, equals, value = word.partition("=")
    key = key.strip().lower()
    if not equals or not _METADATA_KEY.fullmatch(key):
        raise WrongUsageError(f"--metadata: {word!r} is not KEY=VALUE", "keys have letters, digits, '-', '_' and '.'")
    if key.startswith("grpc-"):
        raise WrongUsageError(f"--metadata: {key!r} belongs to gRPC itself", "--timeout sets the deadline")
    if key.endswith("-bin"):
        try:
            return key, base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError) as error:
            raise WrongUsageError(f"--metadata: the value of {key!r} is not base64") from error
    if not (value.isascii() and value.isprintable()):
        raise WrongUsageError(
            f"--metadata: the value of {key!r} has more than ASCII", "a key that ends in -bin takes any"
        )
    return key, value
