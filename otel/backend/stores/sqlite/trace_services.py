"""How a trace's row says which services made its spans: id, span count and error count of each, as varints. Pure.

Nearly all of these numbers are small: three bytes for a service in place of the twelve that versions 1 to 3 of the
store wrote. The length tells the two apart: theirs is a multiple of twelve, and ours is kept from being one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain

from otel.backend.codec.varint import MORE, varint, varints_in

OLDER = struct.Struct("<III")
# The first byte of a varint that does not go on: no number.
FILLER = b"\x80"


def write_services(services: Mapping[int, Sequence[int]]) -> bytes:
    """Write span count and error count by service id."""
    numbers = list(chain.from_iterable([(each, *counts) for each, counts in services.items()]))
    body = bytes(numbers) if max(numbers, default=0) < MORE else b"".join(map(varint, numbers))
    return body if len(body) % OLDER.size else body + FILLER


def read_services(body: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield service id, span count and error count."""
    if not len(body) % OLDER.size:
        yield from OLDER.iter_unpack(body)
        return
    numbers = varints_in(body)
    yield from zip(numbers, numbers, numbers, strict=False)  # by threes
