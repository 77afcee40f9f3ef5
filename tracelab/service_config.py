"""The service config of every channel to the three services: what may be repeated, as read from the contracts.

A method is repeated if its contract says that it has no side effects, or if it is a single request with a
`request_id`, which makes a repeat answer the same (send one with every create). Three attempts: on UNAVAILABLE; on
CANCELLED from a server, which gRPC's core answers to a call that met its stop in the moment before its client heard of
it, so that no handler began; on RESOURCE_EXHAUSTED, which a service answers that has too much in hand. Neither a
caller's own cancel nor a stream that a client sends is ever repeated. `./lab stubs` runs this module, which writes
`generated/service_config.json`: services and clients read that file. Source: gRPC service config, gRFC A6.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from google.protobuf.descriptor import FileDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

from generated import order_pb2, report_pb2, user_pb2

CONTRACTS: Final = (user_pb2.DESCRIPTOR, order_pb2.DESCRIPTOR, report_pb2.DESCRIPTOR)
FILE: Final = Path(__file__).resolve().parents[1] / "generated" / "service_config.json"
RETRY_POLICY: Final = {
    "maxAttempts": 3,
    "initialBackoff": "0.05s",
    "maxBackoff": "0.5s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE", "CANCELLED", "RESOURCE_EXHAUSTED"],
}


def retry_service_config(contracts: Iterable[FileDescriptor]) -> str:
    """The text of the service config for every method of these contracts."""
    names = [
        {"service": service.full_name, "method": method.name}
        for contract in contracts
        for service in contract.services_by_name.values()
        for method in service.methods
        if may_be_repeated(method)
    ]
    config = {"methodConfig": [{"name": names, "retryPolicy": RETRY_POLICY}]} if names else {}
    return json.dumps(config, indent=2) + "\n"


def may_be_repeated(method: MethodDescriptor) -> bool:
    """Whether a repeat of this method is safe by its contract; a stream that the client sends never is."""
    if method.client_streaming:
        return False
    reads = method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS
    return reads or "request_id" in method.input_type.fields_by_name


if __name__ == "__main__":
    FILE.write_text(retry_service_config(CONTRACTS), encoding="utf-8")
