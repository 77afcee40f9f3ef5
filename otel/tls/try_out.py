"""A private authority and certificates for a try-out, made by trustme; not for a network that strangers share."""

from __future__ import annotations

import datetime as dt
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from otel.tls.files import TlsError

if TYPE_CHECKING:
    import trustme

BROWSER_FILE: Final = "client.p12"
# Browsers ask for one, and some take none that is empty; it keeps nothing from whoever can read the file.
BROWSER_FILE_PASSWORD: Final = "lab"  # noqa: S105 - said to everybody
CLIENT_NAME: Final = "client.localhost"
LOCAL_NAMES: Final = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class CertificateFolder:
    """Where the files of one private authority are."""

    path: Path

    @property
    def variables(self) -> dict[str, str]:
        """The environment that lets services, backend, clients and exporters speak mTLS by these files."""
        place = self.path.resolve()
        return {
            "LAB_TLS_CERT": str(place / "server.pem"),
            "LAB_TLS_KEY": str(place / "server-key.pem"),
            "LAB_TLS_CA": str(place / "ca.pem"),
            "LAB_TLS_CLIENT_CA": str(place / "ca.pem"),
            "OTEL_EXPORTER_OTLP_CERTIFICATE": str(place / "ca.pem"),
            "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": str(place / "client.pem"),
            "OTEL_EXPORTER_OTLP_CLIENT_KEY": str(place / "client-key.pem"),
        }

    def check(self) -> CertificateFolder:
        """See whether the files are there. Raises TlsError."""
        missing = [name for name in ("ca.pem", "server.pem", "server-key.pem") if not (self.path / name).is_file()]
        if missing:
            raise TlsError(f"{self.path} has no {missing[0]}", f"./lab certs {self.path} makes them")
        return self


def issue(
    folder: Path, names: Sequence[str], days: float, now: dt.datetime, *, anew: bool = False
) -> CertificateFolder:
    """Make `ca.pem`, and certificates and keys of a server and of a client; `names` are more of the server.

    The client's are also in one file as browsers take it, `client.p12`, with the password `lab`.

    The authority's own key is kept nowhere, so nobody can sign more. Keys are readable by their owner alone.
    Raises TlsError where the folder has some already, unless `anew`, and for a name that is none.
    """
    import trustme  # slow to load

    if (folder / "ca.pem").exists() and not anew:
        raise TlsError(f"{folder} has certificates already", "--anew makes others in their place")
    authority = trustme.CA(organization_name="gRPC Trace Lab, for a try-out")
    # A clock may be a little behind.
    begin, end = now - dt.timedelta(hours=1), now + dt.timedelta(days=days)
    try:
        server = authority.issue_cert(*dict.fromkeys([*LOCAL_NAMES, *names]), not_before=begin, not_after=end)
    except ValueError as error:  # from the parsers of names and addresses
        raise TlsError(f"--name: {error}", "a name of DNS, or an address") from error
    # Without a name the extension for names is empty and critical: programs in Go refuse that.
    client = authority.issue_cert(CLIENT_NAME, common_name="client of the lab", not_before=begin, not_after=end)
    folder.mkdir(parents=True, exist_ok=True)
    authority.cert_pem.write_to_path(folder / "ca.pem")
    for name, made in (("server", server), ("client", client)):
        _write(folder / f"{name}.pem", b"".join(blob.bytes() for blob in made.cert_chain_pems), 0o644)
        _write(folder / f"{name}-key.pem", made.private_key_pem.bytes(), 0o600)
    _write(folder / BROWSER_FILE, _for_a_browser(client), 0o600)
    made_folder = CertificateFolder(folder)
    lines = (f"export {variable}={shlex.quote(value)}\n" for variable, value in made_folder.variables.items())
    _write(folder / "tls.sh", "".join(lines).encode(), 0o644)
    return made_folder


def _for_a_browser(made: trustme.LeafCert) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import pkcs12

    certificate = x509.load_pem_x509_certificate(made.cert_chain_pems[0].bytes())
    key = serialization.load_pem_private_key(made.private_key_pem.bytes(), password=None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    secret = serialization.BestAvailableEncryption(BROWSER_FILE_PASSWORD.encode())
    return pkcs12.serialize_key_and_certificates(b"client of the lab", key, certificate, None, secret)


def _write(path: Path, content: bytes, mode: int) -> None:
    path.unlink(missing_ok=True)  # its mode would stay
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(content)
