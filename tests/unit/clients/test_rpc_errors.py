"""What a failed call is said to be: once, and with what to do."""

from __future__ import annotations

import grpc
import pytest
from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2

from clients.errors import Report
from clients.rpc_errors import rpc_report


def failure(code: grpc.StatusCode, message: str, reason: str = "", **violations: str) -> grpc.aio.AioRpcError:
    details = []
    if reason:
        details.append(packed(error_details_pb2.ErrorInfo(reason=reason)))
    if violations:
        bad = error_details_pb2.BadRequest()
        for field, description in violations.items():
            bad.field_violations.add(field=field, description=description)
        details.append(packed(bad))
    status = status_pb2.Status(code=code.value[0], message=message, details=details)
    trailing = grpc.aio.Metadata(("grpc-status-details-bin", status.SerializeToString()))
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), trailing, message)


def packed(message: error_details_pb2.ErrorInfo | error_details_pb2.BadRequest) -> any_pb2.Any:
    detail = any_pb2.Any()
    detail.Pack(message)
    return detail


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        pytest.param(
            failure(grpc.StatusCode.INVALID_ARGUMENT, "1 field is invalid: name", "INVALID_FIELDS", name="must be"),
            Report("INVALID_ARGUMENT: 1 field is invalid (INVALID_FIELDS); name: must be"),
            id="fields are named once",
        ),
        pytest.param(
            failure(grpc.StatusCode.NOT_FOUND, "user 'u' does not exist", "USER_NOT_FOUND"),
            Report("NOT_FOUND: user 'u' does not exist (USER_NOT_FOUND)", "./lab user list shows the users"),
            id="a user",
        ),
        pytest.param(
            failure(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"),
            Report(
                "DEADLINE_EXCEEDED: no answer by the deadline",
                "--timeout gives it longer; ./lab status says who answers, ./lab trace last where it waited",
            ),
            id="too late",
        ),
    ],
)
def test_a_failed_call_is_told_without_repeating_itself(error: grpc.aio.AioRpcError, expected: Report) -> None:
    assert rpc_report(error) == expected
