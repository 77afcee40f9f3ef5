"""Which calls a client may repeat, as gRPC's service config, read from the contracts themselves.

A method is repeated if its contract says that it has no side effects, or if it is a single request with a
`request_id`, which makes a repeat answer the same (send one with every create). Three attempts, on UNAVAILABLE alone.
Streams that a client sends are never repeated. Source: gRPC service config, gRFC A6.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from google.protobuf.descriptor import FileDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

ATTEMPT_COUNT = 3
RETRY_POLICY = {
    "maxAttempts": ATTEMPT_COUNT,
    "initialBackoff": "0.05s",
    "maxBackoff": "0.5s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}


def may_be_repeated(method: MethodDescriptor) -> bool:
    """Tell whether a repeat of this method is safe by its contract."""
    if method.client_streaming:
        return False
    reads = method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS
    return reads or "request_id" in method.input_type.fields_by_name


def retry_service_config(contracts: Iterable[FileDescriptor]) -> str:
    """Return the value of the channel option `grpc.service_config` for every method of these contracts."""
    names = [
        {"service": method.containing_service.full_name, "method": method.name}
        for contract in contracts
        for method in _methods(contract)
        if may_be_repeated(method)
    ]
    return json.dumps({"methodConfig": [{"name": names, "retryPolicy": RETRY_POLICY}]} if names else {})


def _methods(contract: FileDescriptor) -> Iterator[MethodDescriptor]:
    for service in contract.services_by_name.values():
        yield from service.methods
