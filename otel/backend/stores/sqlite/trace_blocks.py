"""How a trace's row says which blocks have spans of it: each number as what it is above the one before, a varint. Pure.

Most traces lie in a few blocks that were written one soon after the other. What no longer fits into a row is in
`trace_block`, as all of it was in versions 3 and 4.
"""

from __future__ import annotations

from itertools import accumulate

from otel.backend.codec.varint import varint, varints_in

# Past so many bytes the numbers move to the table: the row is written again each time that its trace grows.
MAX_BYTES_IN_ROW = 64


def next_block(block_id: int, last_block_id: int) -> bytes:
    """Return what a row has of one more block, given the one before; 0 where there is none."""
    return varint(block_id - last_block_id)


def read_blocks(body: bytes) -> list[int]:
    """Return the numbers of the blocks in the order of arrival."""
    return list(accumulate(varints_in(body)))
