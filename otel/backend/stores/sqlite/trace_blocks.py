"""How a trace's row says which blocks have spans of it: each number as what it is above the one before, a varint. Pure.

Most traces lie in a few blocks that were written one soon after the other. What no longer fits into a row is in
`trace_block`, as all of it was in versions 3 and 4.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate

from otel.backend.codec.varint import varints_in

# Past so many bytes the numbers move to the table: the row is written again each time that its trace grows.
MAX_BYTES_IN_ROW = 64


def read_blocks(body: bytes) -> list[int]:
    """Return the numbers of the blocks in the order of arrival."""
    return list(accumulate(varints_in(body)))


def all_blocks(in_table: Iterable[int | None], in_row: bytes) -> list[int]:
    """Return the numbers of all blocks in the order of arrival, first the table's; an outer join's None is none."""
    return [*(block_id for block_id in in_table if block_id is not None), *read_blocks(in_row)]
