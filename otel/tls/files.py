"""Which PEM files a process shows and trusts, named by options and variables, and checked before they are used."""

from __future__ import annotations

import datetime as dt
import ssl
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Final

OPTIONS: Final[Mapping[str, str]] = {
    "certificate": "--tls-cert",
    "key": "--tls-key",
    "ca": "--tls-ca",
    "client_ca": "--tls-client-ca",
}
VARIABLES: Final[Mapping[str, str]] = {
    "certificate": "LAB_TLS_CERT",
    "key": "LAB_TLS_KEY",
    "ca": "LAB_TLS_CA",
    "client_ca": "LAB_TLS_CLIENT_CA",
}
HELP: Final[Mapping[str, str]] = {
    "certificate": "speak TLS: the certificate to show, PEM, with its chain (LAB_TLS_CERT)",
    "key": "its private key, PEM (LAB_TLS_KEY)",
    "ca": "call others by TLS, and trust whom these certificates signed, PEM (LAB_TLS_CA)",
    "client_ca": "answer only clients whose certificate these signed, PEM: mTLS (LAB_TLS_CLIENT_CA)",
}
# What the standard exporters read, each with the file of ours that stands in where the variable is not set.
_EXPORTER_VARIABLES: Final = {
    "OTEL_EXPORTER_OTLP_CERTIFICATE": "ca",
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE": "certificate",
    "OTEL_EXPORTER_OTLP_CLIENT_KEY": "key",
}
_PEM: Final = b"-----BEGIN "


class TlsError(ValueError):
    """Files that TLS cannot be spoken with; the text is one line for a person, `hint` says what to do."""

    exit_code = 2

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """The PEM files of one process; None for what was not named. Nothing is read before `check`.

    With `certificate` and `key` its server speaks TLS, and with `client_ca` asks for a certificate that those signed.
    With `ca` its clients speak TLS and show `certificate` where they are asked for one.
    """

    certificate: Path | None = None
    key: Path | None = None
    ca: Path | None = None
    client_ca: Path | None = None

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> TlsFiles:
        """Read the `LAB_TLS_*` variables; for a `main()`."""
        return cls(**{name: _path(environ.get(variable, "")) for name, variable in VARIABLES.items()})

    def or_else(self, other: TlsFiles) -> TlsFiles:
        """Take from `other` what is not named here."""
        mine = {each.name: getattr(self, each.name) for each in fields(self)}
        return replace(other, **{name: path for name, path in mine.items() if path is not None})

    @property
    def serves(self) -> bool:
        """Whether a server with these files speaks TLS."""
        return self.certificate is not None or self.key is not None or self.client_ca is not None

    @property
    def dials(self) -> bool:
        """Whether a client with these files speaks TLS."""
        return self.ca is not None

    @property
    def scheme(self) -> str:
        """The scheme of what a client with these files asks by HTTP."""
        return "https" if self.dials else "http"

    def check(self) -> TlsFiles:
        """Read every file, and see whether they fit together. Raises TlsError."""
        if self.key and not self.certificate:
            raise TlsError(f"{_named('key')} is set without {_named('certificate')}", "a key proves a certificate")
        if self.certificate and not self.key:
            raise TlsError(f"{_named('certificate')} is set without {_named('key')}", "the key proves the certificate")
        if self.client_ca and not self.certificate:
            raise TlsError(f"{_named('client_ca')} is set without {_named('certificate')}", "mTLS is TLS first")
        for name in OPTIONS:
            pem(getattr(self, name), _named(name))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        for name in ("ca", "client_ca"):
            _trust(context, getattr(self, name), _named(name))
        if self.certificate and self.key:
            _show(context, self.certificate, self.key)
        return self

    def expired_sentence(self, now: dt.datetime) -> str:
        """Say that the certificate to be shown has expired or is not valid yet; "" where it is valid."""
        if self.certificate is None:
            return ""
        from cryptography import x509  # slow to load, and needed with TLS alone

        shown = x509.load_pem_x509_certificates(self.certificate.read_bytes())[0]
        if now > shown.not_valid_after_utc:
            return f"the certificate in {self.certificate} expired on {shown.not_valid_after_utc:%Y-%m-%d}"
        if now < shown.not_valid_before_utc:
            return f"the certificate in {self.certificate} is not valid before {shown.not_valid_before_utc:%Y-%m-%d}"
        return ""


NO_TLS: Final = TlsFiles()


def pem(path: Path | None, name: str) -> bytes | None:
    """Read a PEM file, named `name` to the person; None where there is none. Raises TlsError."""
    if path is None:
        return None
    try:
        content = path.read_bytes()
    except OSError as error:
        raise TlsError(f"{name}: {path}: {error.strerror or error}") from error
    if _PEM not in content:
        raise TlsError(f"{name}: {path} is not PEM", "openssl x509 -inform der -in FILE turns a certificate into it")
    return content


def let_exporters_dial(environ: MutableMapping[str, str], files: TlsFiles) -> None:
    """Let the standard OTLP exporters trust and show what our clients do, where their own variables say nothing."""
    if not files.dials:
        return
    for variable, name in _EXPORTER_VARIABLES.items():
        path = getattr(files, name)
        if path is not None:
            environ.setdefault(variable, str(path))


def _path(text: str) -> Path | None:
    return Path(text).expanduser() if text else None


def _named(name: str) -> str:
    return f"{OPTIONS[name]} ({VARIABLES[name]})"


def _trust(context: ssl.SSLContext, path: Path | None, name: str) -> None:
    if path is None:
        return
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise TlsError(f"{name}: {path} holds no certificate that can be read") from error


def _show(context: ssl.SSLContext, certificate: Path, key: Path) -> None:
    try:
        # Without a password given, a key that has one would be asked for on the terminal.
        context.load_cert_chain(certificate, key, password=lambda: "")
    except ssl.SSLError as error:
        if "KEY_VALUES_MISMATCH" in str(error):
            raise TlsError(f"the key in {key} is not that of the certificate in {certificate}") from error
        raise TlsError(
            f"{certificate} and {key} cannot be used as certificate and key", "is the key without a password?"
        ) from error
