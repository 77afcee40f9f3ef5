"""Which calls a client repeats, as gRPC's service config: what the contracts call safe, three attempts, on UNAVAILABLE.

Safe are methods without side effects, and single requests with a `request_id` (send one with every create). Source:
gRPC service config, gRFC A6.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Final

from google.protobuf.descriptor import FileDescriptor, MethodDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions

RETRY_POLICY: Final = {
    "maxAttempts": 3,
    "initialBackoff": "0.05s",
    "maxBackoff": "0.5s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}


def retry_service_config(contracts: Iterable[FileDescriptor]) -> str:
    """The value of the channel option `grpc.service_config` for every method of these contracts."""
    names = [
        {"service": service.full_name, "method": method.name}
        for contract in contracts
        for service in contract.services_by_name.values()
        for method in service.methods
        if may_be_repeated(method)
    ]
    return json.dumps({"methodConfig": [{"name": names, "retryPolicy": RETRY_POLICY}]})


def may_be_repeated(method: MethodDescriptor) -> bool:
    """Whether a repeat of this method is safe by its contract; a stream that the client sends never is."""
    if method.client_streaming:
        return False
    reads = method.GetOptions().idempotency_level == MethodOptions.NO_SIDE_EFFECTS
    return reads or "request_id" in method.input_type.fields_by_name
