"""The rule of otel/scale/gateway.yaml, worked out by the tests: which trace ids are in the share that is kept.

As the Collector's tail sampling does it: FNV-1a of 64 bits over salt and id, set against the share of all such numbers.
"""

from __future__ import annotations

import secrets
from typing import Final

HASH_SALT: Final = "grpc-trace-lab"
_OFFSET, _PRIME, _MASK = 0xCBF29CE484222325, 0x100000001B3, 2**64 - 1


def is_in_share(trace_id: bytes, percent: float) -> bool:
    """Whether the share of all ids holds this one."""
    return fnv1a_64(HASH_SALT.encode() + trace_id) <= int(_MASK * (percent / 100))


def fnv1a_64(octets: bytes) -> int:
    """The hash that is named so."""
    number = _OFFSET
    for octet in octets:
        number = (number ^ octet) * _PRIME & _MASK
    return number


def id_in_share(percent: float) -> bytes:
    """A random trace id that the share holds."""
    while not is_in_share(trace_id := secrets.token_bytes(16), percent):
        pass
    return trace_id
