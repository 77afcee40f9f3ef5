"""What a person is told about a gRPC failure: code, message, reason, and each field that was bad."""

from __future__ import annotations

import re
from typing import Final

import grpc
from google.protobuf import any_pb2
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from clients.errors import Report
from otel.tls.reasons import CLIENT_HINT, reason_for_client

_UNREACHED: Final = re.compile(
    r"failed to connect to all addresses.*?ip\w*:(?P<address>\S+):\s.*?(?P<why>[^:]+)$", re.DOTALL
)
_ADDRESS_HINT: Final = "is it running? ./lab status says; ./lab up -d starts it, USER_ADDRESS and its like name another"
_LATE_HINT: Final = "--timeout gives it longer; ./lab status says who answers, ./lab trace last where it waited"
_HINTS: Final = {
    "USER_NOT_FOUND": "./lab user list shows the users",
    "ORDER_NOT_FOUND": "./lab order list shows the orders",
}
_FIELD_LIST: Final = re.compile(r"(?<=invalid): .*$", re.DOTALL)


def rpc_report(error: BaseException) -> Report | None:
    """Explain a failed call; None for what is no call's failure."""
    if not isinstance(error, grpc.aio.AioRpcError):
        return None
    reason, fields = _details(error)
    code = error.code()
    if code is grpc.StatusCode.UNAVAILABLE and not reason and (why := _not_secured(error)):
        return Report(f"{code.name}: no secure call was possible: {why}", CLIENT_HINT)
    words = [f"{code.name}: {_unreached(error) or _said(error, has_fields=bool(fields))}"]
    if reason:
        words.append(f"({reason})")
    text = " ".join(words) + "".join(f"; {field}" for field in fields)
    if code is grpc.StatusCode.UNAVAILABLE and not reason:
        return Report(text, _ADDRESS_HINT)
    return Report(text, _HINTS.get(reason) or (_LATE_HINT if code is grpc.StatusCode.DEADLINE_EXCEEDED else ""))


def _said(error: grpc.aio.AioRpcError, *, has_fields: bool) -> str:
    """What the service said, without what is said again: the fields by name, or the code in words."""
    details = error.details() or "no message"
    if has_fields:
        return _FIELD_LIST.sub("", details)
    return "no answer by the deadline" if details == "Deadline Exceeded" else details


def _unreached(error: grpc.aio.AioRpcError) -> str:
    """Say in few words that nobody answers at an address; "" for any other failure."""
    found = _UNREACHED.search(error.details() or "")
    return f"nothing answers at {found['address']} ({found['why'].strip().lower()})" if found else ""


def _not_secured(error: grpc.aio.AioRpcError) -> str:
    """Say what TLS failed at, or that it may be what is missing; "" where it is not about TLS."""
    return reason_for_client(error.details() or "")


def _details(error: grpc.aio.AioRpcError) -> tuple[str, list[str]]:
    """The reason of the ErrorInfo and the field violations of the BadRequest, where the answer has them."""
    reason, fields = "", []
    for detail in _status_details(error):
        info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        if detail.Unpack(info):
            reason = info.reason
        elif detail.Unpack(bad):
            fields = [f"{violation.field}: {violation.description}" for violation in bad.field_violations]
    return reason, fields


def _status_details(error: grpc.aio.AioRpcError) -> list[any_pb2.Any]:
    try:
        status = rpc_status.from_call(error)
    except ValueError:  # the details belong to another failure; the code and the message still hold
        return []
    return list(status.details) if status else []
