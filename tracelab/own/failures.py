"""What a person is told when a server that is not ours cannot be reached: what happened, and which option may help."""

from __future__ import annotations

import re
from typing import Final

import grpc

from tracelab.own.errors import TargetError
from tracelab.own.target import Target

_ADDRESS: Final = re.compile(r"ip\w*:(?:%5B[^:]*(?::[^:]*)*%5D|[^:]+):\d+:?\s*", re.IGNORECASE)
_PREFIX: Final = "failed to connect to all addresses; last error:"
_MAYBE_TLS: Final = "does it speak TLS? --tls, or --ca FILE"
_REASONS: Final = (
    ("Connection refused", "nothing listens there", "is it running?"),
    ("DNS resolution failed", "the host name is not known", ""),
    ("WRONG_VERSION_NUMBER", "it does not speak TLS", "leave --tls out"),
    ("CERTIFICATE_VERIFY_FAILED", "its certificate is not trusted", "--ca FILE names the authority that signed it"),
    ("Hostname Verification Check failed", "its certificate is of another name", "--server-name NAME says which"),
    ("certificate required", "it wants a certificate of the client", "--cert FILE --key FILE show one"),
    ("Ssl handshake failed", "TLS could not be agreed on", "--ca, --cert and --server-name say what TLS needs"),
    ("security handshaker", "--ca, --cert or --key holds no PEM that TLS can use", ""),
    ("Socket closed", "it closed the connection at once", _MAYBE_TLS),
    ("Connection reset", "it closed the connection at once", _MAYBE_TLS),
    ("SETTINGS frame", "it does not speak HTTP/2 in the clear", _MAYBE_TLS),
    ("Trying to connect an http1.x server", "it speaks HTTP/1, not gRPC", "is it the port of its gRPC server?"),
)


def unreachable(code: grpc.StatusCode, message: str, target: Target) -> TargetError | None:
    """Explain why no server answered at `target`; None where one did, and its status is the answer."""
    details = " ".join(message.split())
    if code is not grpc.StatusCode.UNAVAILABLE:
        return None
    for sign, reason, hint in _REASONS:
        if sign.lower() in details.lower():
            if hint == _MAYBE_TLS and target.tls:
                hint = "does it want a certificate of the client? --cert FILE --key FILE show one"
            return TargetError(f"no gRPC server answers at {target.address}: {reason}", hint)
    if not details.startswith(_PREFIX):
        return None
    reason = _ADDRESS.sub("", details.removeprefix(_PREFIX)).strip()
    return TargetError(f"no gRPC server answers at {target.address}: {reason}", "is it running?")
