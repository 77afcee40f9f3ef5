"""The details of a failed call, by name: every message of `google.rpc` and of the contract, as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.descriptor_pool import Default, DescriptorPool
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass
from google.rpc import error_details_pb2, status_pb2

STATUS_KEY = "grpc-status-details-bin"
DETAIL_TYPES = tuple(error_details_pb2.DESCRIPTOR.message_types_by_name)
"""What `google.rpc` has for details; known wherever this module is loaded."""


def status_details(trailers: Sequence[tuple[str, str | bytes]], pool: DescriptorPool) -> list[dict[str, Any]]:
    """Read the details from a call's trailing metadata: `@type` with each one's fields. What cannot be read is told."""
    found: list[dict[str, Any]] = []
    for key, value in trailers:
        if key == STATUS_KEY and isinstance(value, bytes):
            try:
                status = status_pb2.Status.FromString(value)
            except DecodeError:
                found.append({"@type": STATUS_KEY, "unreadable_bytes": len(value)})
                continue
            found.extend(_detail(detail, pool) for detail in status.details)
    return found


def detail_lines(details: Sequence[dict[str, Any]]) -> list[str]:
    """One line a detail, such as `google.rpc.ErrorInfo reason=USER_NOT_FOUND domain=user.tracelab`."""
    return [
        " ".join([str(detail["@type"]), *(f"{key}={_word(value)}" for key, value in detail.items() if key != "@type")])
        for detail in details
    ]


def _detail(detail: AnyMessage, pool: DescriptorPool) -> dict[str, Any]:
    name = detail.type_url.rpartition("/")[2]
    for known in (Default(), pool):
        try:
            made = GetMessageClass(known.FindMessageTypeByName(name)).FromString(detail.value)
            fields = MessageToDict(made, preserving_proto_field_name=True, descriptor_pool=known)
            return {"@type": name, **(fields if isinstance(fields, dict) else {"value": fields})}
        except (KeyError, DecodeError, TypeError, ValueError):
            continue
    return {"@type": name, "unreadable_bytes": len(detail.value)}


def _word(value: Any) -> str:
    import json

    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
