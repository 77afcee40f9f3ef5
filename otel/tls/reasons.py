"""Why a TLS connection did not come about, in words for a person, from what OpenSSL, BoringSSL and gRPC say. Pure."""

from __future__ import annotations

from typing import Final

_SERVER: Final = "the server's certificate"
# First match wins: a sign that stands in the text, and what it means to a client.
_OF_CLIENTS: Final = (
    ("certificate has expired", f"{_SERVER} has expired"),
    ("not yet valid", f"{_SERVER} is not valid yet"),
    ("Hostname mismatch", f"{_SERVER} is of another name"),
    ("IP address mismatch", f"{_SERVER} is of another name"),
    ("Hostname Verification Check failed", f"{_SERVER} is of another name"),
    ("doesn't match", f"{_SERVER} is of another name"),
    ("CERTIFICATE_VERIFY_FAILED", f"{_SERVER} is not signed by an authority that is trusted here"),
    ("WRONG_VERSION_NUMBER", "the server does not speak TLS"),
    ("RECORD_LAYER_FAILURE", "the server does not speak TLS"),
    ("CERTIFICATE_REQUIRED", "the server wants a certificate of the client"),
    ("CERTIFICATE_EXPIRED", "the server refused the client's certificate: it has expired"),
    ("ALERT_UNKNOWN_CA", "the server refused the client's certificate: it trusts another authority"),
    ("ALERT_BAD_CERTIFICATE", "the server refused the client's certificate"),
    ("Ssl handshake failed", "TLS could not be agreed on"),
    ("Tls handshake failed", "TLS could not be agreed on"),
)
_CLOSED: Final = (
    "disconnected without sending",
    "Socket closed",
    "Connection reset",
    "EOF occurred in violation",
    "UNEXPECTED_EOF",
    "Broken pipe",
)
_CLOSED_MEANS: Final = "the server closed the connection: it may speak TLS, or want a certificate of the client"
_UNCONNECTED: Final = ("failed to connect to all addresses", "disconnected without sending")
_CLIENT: Final = "a client's certificate"
_OF_SERVERS: Final = (
    ("PEER_DID_NOT_RETURN_A_CERTIFICATE", "a client showed no certificate"),
    ("certificate has expired", f"{_CLIENT} has expired"),
    ("not yet valid", f"{_CLIENT} is not valid yet"),
    ("CERTIFICATE_VERIFY_FAILED", f"{_CLIENT} is not signed by an authority that is trusted here"),
    ("ALERT_UNKNOWN_CA", "a client refused our certificate: it trusts another authority"),
    ("ALERT_CERTIFICATE_EXPIRED", "a client refused our certificate: it has expired"),
    ("ALERT_BAD_CERTIFICATE", "a client refused our certificate: it is of another name, or damaged"),
    ("ALERT_CERTIFICATE_UNKNOWN", "a client refused our certificate"),
    ("WRONG_VERSION_NUMBER", "a client spoke plaintext"),
    ("HTTP_REQUEST", "a client spoke plaintext"),
    ("UNSUPPORTED_PROTOCOL", "a client offered only old versions of TLS"),
    ("NO_SHARED_CIPHER", "a client shares no cipher with this server"),
    ("EOF", "a client went away in the handshake: it may have refused our certificate"),
)
CLIENT_HINT: Final = "LAB_TLS_CA names whom to trust, LAB_TLS_CERT and LAB_TLS_KEY what to show; ./lab certs makes them"


def reason_for_client(text: str) -> str:
    """Say what a failure, as gRPC, OpenSSL or an HTTP client tells it, means; "" where it is not about TLS.

    A connection that is closed before it is one has other causes, too; the sentence names the likely ones.
    """
    found = _first(text, _OF_CLIENTS)
    if found:
        return found
    lowered = text.lower()
    is_closed = any(sign.lower() in lowered for sign in _CLOSED) and any(sign in lowered for sign in _UNCONNECTED)
    return _CLOSED_MEANS if is_closed else ""


def reason_for_server(text: str) -> str:
    """Say why a handshake failed; the text itself where it is none of those known."""
    return _first(text, _OF_SERVERS) or text


def _first(text: str, signs: tuple[tuple[str, str], ...]) -> str:
    lowered = text.lower()
    spaced = lowered.replace(" ", "_")
    return next((meaning for sign, meaning in signs if sign.lower() in lowered or sign.lower() in spaced), "")
