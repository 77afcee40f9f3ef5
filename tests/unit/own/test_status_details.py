"""Details of a failure, by name and field, whatever a server put there."""

from __future__ import annotations

import pytest
from google.protobuf.any_pb2 import Any
from google.protobuf.descriptor_pool import Default, DescriptorPool
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2 as details
from google.rpc.status_pb2 import Status

from tracelab.own.status_details import DETAIL_TYPES, STATUS_KEY, detail_lines, status_details


def packed(message: Message) -> Any:
    made = Any()
    made.Pack(message)
    return made


def trailers(*messages: Any) -> list[tuple[str, str | bytes]]:
    status = Status(code=5, message="m", details=messages)
    return [("other", "x"), (STATUS_KEY, status.SerializeToString())]


def test_each_detail_is_one_line_with_its_fields() -> None:
    info = details.ErrorInfo(reason="USER_NOT_FOUND", domain="user.tracelab", metadata={"user_id": "u1"})
    retry = details.RetryInfo(retry_delay=Duration(seconds=2))
    found = status_details(trailers(packed(info), packed(retry)), DescriptorPool())

    assert detail_lines(found) == [
        'google.rpc.ErrorInfo reason=USER_NOT_FOUND domain=user.tracelab metadata={"user_id": "u1"}',
        "google.rpc.RetryInfo retry_delay=2s",
    ]


@pytest.mark.parametrize("name", DETAIL_TYPES)
def test_every_type_of_google_rpc_is_known(name: str) -> None:
    (found,) = status_details(trailers(packed(getattr(details, name)())), DescriptorPool())
    assert found == {"@type": f"google.rpc.{name}"}


def test_what_nobody_described_and_what_is_broken_are_told_with_their_size() -> None:
    unknown = Any(type_url="type.googleapis.com/acme.Oops", value=b"abc")
    broken = Any(type_url="type.googleapis.com/google.rpc.ErrorInfo", value=b"\xff\xff")

    assert status_details(trailers(unknown, broken), DescriptorPool()) == [
        {"@type": "acme.Oops", "unreadable_bytes": 3},
        {"@type": "google.rpc.ErrorInfo", "unreadable_bytes": 2},
    ]
    assert status_details([(STATUS_KEY, b"\xff\xff\xff")], Default()) == [{"@type": STATUS_KEY, "unreadable_bytes": 3}]
    assert status_details([], Default()) == []
