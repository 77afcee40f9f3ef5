"""What a service refuses, and how that reads on the wire.

    DomainError                  one status code, one reason, one sentence
    ├── InvalidFieldsError       INVALID_ARGUMENT, with a BadRequest that names each field
    ├── NotFoundError            NOT_FOUND
    ├── FailedPreconditionError  FAILED_PRECONDITION
    ├── UnavailableError         UNAVAILABLE
    │   └── StoreUnavailableError
    ├── InjectedFaultError       any code: a fault that the request asked for
    └── UpstreamError            the code of the service behind

Servicers raise these; `services.error_interceptor` alone turns them into a `google.rpc.Status` with exactly one
`ErrorInfo`. A message never quotes a name or an email; every other value in it stands in the metadata too (AIP-193).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import grpc
import structlog
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from otel.tls.reasons import reason_for_client

log = structlog.get_logger()

MAX_LISTED_VIOLATIONS = 16  # a status travels in trailers, and clients refuse those past 8 KiB
MAX_QUOTED_CHARACTERS = 64  # for the same reason a refused value is cut

PUSHBACK_KEY = "grpc-retry-pushback-ms"
NO_METADATA: Mapping[str, str] = MappingProxyType({})
DOMAIN_REFUSALS = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.PERMISSION_DENIED,
        grpc.StatusCode.UNAUTHENTICATED,
    }
)


class DomainError(Exception):
    """A call that fails as its contract says; `reason` is UPPER_SNAKE and unique within the service's domain.

    `pushback_ms` is when a client with a retry policy shall try again; None leaves that to the policy.
    """

    def __init__(
        self,
        code: grpc.StatusCode,
        reason: str,
        message: str,
        metadata: Mapping[str, str] = NO_METADATA,
        *,
        pushback_ms: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.metadata = metadata
        self.pushback_ms = pushback_ms


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One field of a request and what is wrong with it, by its proto path (`items[1].quantity`)."""

    field: str
    description: str


class InvalidFieldsError(DomainError):
    """Input that the contract refuses, field by field."""

    def __init__(self, violations: Sequence[FieldViolation]) -> None:
        count = "1 field is" if len(violations) == 1 else f"{len(violations)} fields are"
        self.violations = tuple(violations[:MAX_LISTED_VIOLATIONS])
        fields = [violation.field for violation in self.violations]
        super().__init__(
            grpc.StatusCode.INVALID_ARGUMENT,
            "INVALID_FIELDS",
            f"{count} invalid: {', '.join(fields)}{', …' if len(fields) < len(violations) else ''}",
            {"fields": ",".join(fields)},
        )


class NotFoundError(DomainError):
    """Something asked for by id that does not exist."""

    def __init__(self, reason: str, message: str, metadata: Mapping[str, str] = NO_METADATA) -> None:
        super().__init__(grpc.StatusCode.NOT_FOUND, reason, message, metadata)


class FailedPreconditionError(DomainError):
    """A request that is well formed but does not fit the state of things; a repeat would fail as well."""

    def __init__(self, reason: str, message: str, metadata: Mapping[str, str] = NO_METADATA) -> None:
        super().__init__(grpc.StatusCode.FAILED_PRECONDITION, reason, message, metadata)


class UnavailableError(DomainError):
    """A request that cannot be served now; a repeat may succeed."""

    def __init__(self, reason: str, message: str, metadata: Mapping[str, str] = NO_METADATA) -> None:
        super().__init__(grpc.StatusCode.UNAVAILABLE, reason, message, metadata)


class StoreUnavailableError(UnavailableError):
    """What the service keeps its records in does not answer, or broke off; whether a write was kept is not known."""

    def __init__(self) -> None:
        super().__init__("STORE_UNAVAILABLE", "the store does not answer; a repeat may succeed")


class InjectedFaultError(DomainError):
    """A failure that the request itself asked for (`services.faults`)."""

    def __init__(self, code: grpc.StatusCode, method: str) -> None:
        super().__init__(code, "FAULT_INJECTED", f"fault injected into {method}", {"method": method})


class UpstreamError(DomainError):
    """A failure of the service behind, passed on by its code.

    A refusal keeps its reason, message and metadata. What the service behind could not help (it is down, too slow, or
    broken) gets a reason of its own, such as USER_SERVICE_UNAVAILABLE, and nothing of the details leaves this service.
    """

    def __init__(self, service: str, error: Any) -> None:
        code: grpc.StatusCode = error.code()
        info = error_info_of(error) if code in DOMAIN_REFUSALS else None
        if info is None:
            reason = f"{screaming_snake(service)}_{code.name}"
            message, metadata = f"{service} failed with {code.name}", {"service": service, "status_code": code.name}
        else:
            reason, message, metadata = info.reason, error.details() or info.reason, dict(info.metadata)
        super().__init__(code, reason, message, metadata)
        self.service = service


def user_not_found(user_id: str) -> NotFoundError:
    """Say that a user does not exist."""
    return NotFoundError(
        "USER_NOT_FOUND",
        f"user {quoted(user_id)} does not exist; ListUsers shows those that do",
        {"user_id": clipped(user_id)},
    )


def order_not_found(order_id: str) -> NotFoundError:
    """Say that an order does not exist."""
    return NotFoundError(
        "ORDER_NOT_FOUND",
        f"order {quoted(order_id)} does not exist; ListOrders shows those that do",
        {"order_id": clipped(order_id)},
    )


def malformed_request() -> DomainError:
    """Say that a request's bytes are no message of the contract."""
    return DomainError(
        grpc.StatusCode.INVALID_ARGUMENT,
        "MALFORMED_REQUEST",
        "the request is no message of this contract; was it made from another version of it?",
    )


def request_id_reused(request_id: str) -> FailedPreconditionError:
    """Say that a request id came back with another request."""
    return FailedPreconditionError(
        "REQUEST_ID_REUSED",
        f"request_id {request_id!r} was used before with other fields; make a new one for a new request",
        {"request_id": request_id},
    )


def quoted(value: str) -> str:
    """Quote a value that is not personal, cut to a length that fits a message."""
    return repr(clipped(value))


def clipped(value: str) -> str:
    """Cut a value that came from a client."""
    return value if len(value) <= MAX_QUOTED_CHARACTERS else f"{value[:MAX_QUOTED_CHARACTERS]}…"


@contextmanager
def passing_on(service: str) -> Iterator[None]:
    """Turn a failed call to `service` (its short name, `UserService`) into an UpstreamError."""
    try:
        yield
    except grpc.RpcError as error:  # of either API
        if reason := reason_for_client(_details_of(error)):
            log.warning("tls.failed", service=service, reason=reason)
        raise UpstreamError(service, error) from error


def _details_of(error: grpc.RpcError) -> str:
    return str(error.details() or "") if isinstance(error, grpc.Call | grpc.aio.AioRpcError) else ""


def error_info_of(error: Any) -> error_details_pb2.ErrorInfo | None:
    """Return the ErrorInfo of a failed call of either API; None if it has none, or one that contradicts its status."""
    try:
        status = rpc_status.from_call(error)
    except ValueError:
        return None
    info = error_details_pb2.ErrorInfo()
    if status is None or not any(detail.Unpack(info) for detail in status.details):
        return None
    return info


def status_of(error: DomainError, domain: str) -> grpc.Status:
    """Return the status that a client gets: one ErrorInfo, and a BadRequest where fields are to blame."""
    details = [_packed(error_details_pb2.ErrorInfo(reason=error.reason, domain=domain, metadata=error.metadata))]
    if isinstance(error, InvalidFieldsError):
        details.append(_packed(_bad_request(error)))
    status = status_pb2.Status(code=error.code.value[0], message=error.message, details=details)
    converted: grpc.Status = rpc_status.to_status(status)
    if error.pushback_ms is None:
        return converted
    return _PushedBack(converted, error.pushback_ms)


class _PushedBack(grpc.Status):
    """A status with one more pair of trailing metadata, which a retry policy reads (gRFC A6)."""

    def __init__(self, status: grpc.Status, pushback_ms: int) -> None:
        self.code = status.code
        self.details = status.details
        self.trailing_metadata = (*(status.trailing_metadata or ()), (PUSHBACK_KEY, str(pushback_ms)))


def _bad_request(error: InvalidFieldsError) -> error_details_pb2.BadRequest:
    violation = error_details_pb2.BadRequest.FieldViolation
    return error_details_pb2.BadRequest(
        field_violations=[violation(field=each.field, description=each.description) for each in error.violations]
    )


def _packed(message: error_details_pb2.ErrorInfo | error_details_pb2.BadRequest) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


def screaming_snake(name: str) -> str:
    """Return `UserService` as `USER_SERVICE`."""
    return "".join(f"_{letter}" if letter.isupper() and index else letter for index, letter in enumerate(name)).upper()
