"""How spans lie in a `span_block` row: up to 128 of them in the order of arrival, packed as one zstd frame.

First the trace keys and sizes of its spans as columns, then runs of spans of one resource and scope, then each span's
protobuf as it came. Spans of one sender are alike, so a hundred of them together take a third of what each takes alone,
and to pack them so costs a tenth. Pure. Source: RFC 8878.
"""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

SPANS_PER_BLOCK = 128
# Large spans make smaller blocks, so that reading one of them does not unpack many.
BYTES_PER_BLOCK = 64 * 1024
# spans, runs, lowest trace key
HEAD = struct.Struct("<IIQ")
RUN = struct.Struct("<III")
UINT32 = "I"


@dataclass(frozen=True, slots=True)
class Block:
    """An unpacked block: the size of each span in bytes, and where each run of spans ends."""

    lowest_key: int
    keys_above: array[int]
    origins: Sequence[tuple[int, int]]
    run_ends: Sequence[int]
    sizes: array[int]
    bodies: bytes

    @property
    def span_count(self) -> int:
        """How many spans it holds."""
        return len(self.keys_above)

    def trace_key(self, position: int) -> int:
        """Return the key of a span's trace."""
        return self.lowest_key + self.keys_above[position]

    def span(self, position: int) -> tuple[int, int, bytes]:
        """Return resource id, scope id and protobuf of one span."""
        begin = sum(self.sizes[:position])
        resource_id, scope_id = self.origins[bisect_right(self.run_ends, position)]
        return resource_id, scope_id, self.bodies[begin : begin + self.sizes[position]]

    def spans(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield every span."""
        end = position = 0
        for (resource_id, scope_id), run_end in zip(self.origins, self.run_ends, strict=True):
            for size in self.sizes[position:run_end]:
                begin, end = end, end + size
                yield resource_id, scope_id, self.bodies[begin:end]
            position = run_end

    def spans_of(self, trace_key: int) -> Iterator[tuple[int, int, bytes]]:
        """Yield the spans of one trace."""
        above, position = trace_key - self.lowest_key, -1
        for _ in range(self.keys_above.count(above)):
            position = self.keys_above.index(above, position + 1)
            yield self.span(position)


def write_block(keys: Sequence[int], runs: Sequence[tuple[int, int, int]], bodies: Sequence[bytes]) -> bytes:
    """Write a block that is not packed yet; each run is resource id, scope id and how many spans follow."""
    lowest = min(keys)
    columns = array(UINT32, [key - lowest for key in keys])
    columns.extend(map(len, bodies))
    head = HEAD.pack(len(keys), len(runs), lowest)
    return b"".join((head, columns.tobytes(), *(RUN.pack(*run) for run in runs), *bodies))


def read_block(content: bytes) -> Block:
    """Read what `write_block` wrote."""
    span_count, run_count, lowest = HEAD.unpack_from(content)
    runs_begin = HEAD.size + 8 * span_count
    columns = array(UINT32, content[HEAD.size : runs_begin])
    bodies_begin = runs_begin + RUN.size * run_count
    runs = list(RUN.iter_unpack(content[runs_begin:bodies_begin]))
    return Block(
        lowest_key=lowest,
        keys_above=columns[:span_count],
        origins=[(resource_id, scope_id) for resource_id, scope_id, _ in runs],
        run_ends=list(accumulate(count for _, _, count in runs)),
        sizes=columns[span_count:],
        bodies=content[bodies_begin:],
    )
