"""Certificates of every kind that a TLS test needs, good ones and those that must be refused."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import trustme

from otel.tls.files import TlsFiles

LOCAL = ("localhost", "127.0.0.1")
NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)


class Authority:
    """A private authority whose certificates stand in one folder."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._name = name
        self._ca = trustme.CA()
        self.pem = folder / f"{name}.pem"
        self._ca.cert_pem.write_to_path(self.pem)

    def signed(self, name: str, *identities: str, age: dt.timedelta = DAY, life: dt.timedelta = 30 * DAY) -> TlsFiles:
        """A certificate for these names, local ones by default, made `age` ago; its holder trusts this authority."""
        begin = NOW - age
        made = self._ca.issue_cert(*(identities or LOCAL), not_before=begin, not_after=begin + life)
        certificate, key = (self._folder / f"{self._name}-{name}{end}.pem" for end in ("", "-key"))
        certificate.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
        made.private_key_pem.write_to_path(key)
        return TlsFiles(certificate, key, self.pem)

    def expired(self, name: str) -> TlsFiles:
        """A certificate that ended yesterday."""
        return self.signed(name, age=3 * DAY, life=2 * DAY)


def variables(files: TlsFiles) -> dict[str, str]:
    """The environment that names these files."""
    named = {
        "LAB_TLS_CERT": files.certificate,
        "LAB_TLS_KEY": files.key,
        "LAB_TLS_CA": files.ca,
        "LAB_TLS_CLIENT_CA": files.client_ca,
    }
    return {variable: str(path) for variable, path in named.items() if path is not None}
