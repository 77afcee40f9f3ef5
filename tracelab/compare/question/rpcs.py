"""The RPCs that can be compared, by their short names, and how each is called: read from the contracts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf import json_format, message_factory
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message import Message

from generated import order_pb2, report_pb2, user_pb2
from tracelab.compare.question.errors import UsageError

_CONTRACTS = {"user": user_pb2, "order": order_pb2, "report": report_pb2}


@dataclass(frozen=True, slots=True)
class Rpc:
    """One RPC: its short name (`UserService/GetUser`), the service that has it, its path and its messages."""

    name: str
    service: str
    path: str
    request_class: type[Message]
    response_class: type[Message]
    client_streams: bool
    server_streams: bool


def _rpcs() -> dict[str, Rpc]:
    found = {}
    for service, contract in _CONTRACTS.items():
        for descriptor in contract.DESCRIPTOR.services_by_name.values():
            for method in descriptor.methods:
                # A stream in both directions has no end of its own, so no latency to compare.
                if not (method.client_streaming and method.server_streaming):
                    rpc = _rpc(service, method)
                    found[rpc.name] = rpc
    return found


def _rpc(service: str, method: MethodDescriptor) -> Rpc:
    return Rpc(
        name=f"{method.containing_service.name}/{method.name}",
        service=service,
        path=f"/{method.containing_service.full_name}/{method.name}",
        request_class=message_factory.GetMessageClass(method.input_type),
        response_class=message_factory.GetMessageClass(method.output_type),
        client_streams=bool(method.client_streaming),
        server_streams=bool(method.server_streaming),
    )


RPCS: Mapping[str, Rpc] = _rpcs()


def read_requests(rpc: Rpc, document: Any, where: str) -> list[Message]:
    """The request messages of one call: one of an object, several of a list for a client stream. UsageError if not."""
    documents = document if isinstance(document, list) and rpc.client_streams else [document]
    try:
        return [json_format.ParseDict(one, rpc.request_class()) for one in documents]
    except (json_format.ParseError, AttributeError, TypeError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        text = f"{where}: the request is no {rpc.request_class.DESCRIPTOR.name}: {reason}"
        raise UsageError(text, 'names are those of the contract, as in {"userId": "$user"}') from error
