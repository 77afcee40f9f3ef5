"""How spans lie in a `span_block` row: up to 128 of them in the order of arrival, packed as one zstd frame.

First the trace keys and sizes of its spans as columns, then runs of spans of one resource and scope, then each span's
protobuf as it came. Spans of one sender are alike, so a hundred of them together take a third of what each takes alone,
and to pack them so costs a tenth. Trace ids do not pack, and the rows of traces have them: where each span of a block
begins with its trace id, as senders write it, the block is without them. Pure. Source: RFC 8878, trace.proto.
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
# In the count of runs: spans lie without their trace ids.
WITHOUT_TRACE_IDS = 1 << 31
# Field 1 of a Span, with 16 bytes to come.
TRACE_ID_TAG = b"\x0a\x10"


@dataclass(frozen=True, slots=True)
class Block:
    """An unpacked block: the size of each span in bytes, and where each run of spans ends.

    A span `as it lies` lacks its trace id where `has_trace_ids` is false: good enough for all but to give it back.
    """

    has_trace_ids: bool
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
        """Return resource id, scope id and protobuf of one span as it lies."""
        begin = sum(self.sizes[:position])
        resource_id, scope_id = self.origins[bisect_right(self.run_ends, position)]
        return resource_id, scope_id, self.bodies[begin : begin + self.sizes[position]]

    def spans(self) -> Iterator[tuple[int, int, bytes]]:
        """Yield every span as it lies."""
        end = position = 0
        for (resource_id, scope_id), run_end in zip(self.origins, self.run_ends, strict=True):
            for size in self.sizes[position:run_end]:
                begin, end = end, end + size
                yield resource_id, scope_id, self.bodies[begin:end]
            position = run_end

    def spans_of(self, trace_key: int, trace_id: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Yield the spans of one trace as they were sent."""
        begin = b"" if self.has_trace_ids else TRACE_ID_TAG + trace_id
        above, position = trace_key - self.lowest_key, -1
        for _ in range(self.keys_above.count(above)):
            position = self.keys_above.index(above, position + 1)
            resource_id, scope_id, body = self.span(position)
            yield resource_id, scope_id, begin + body


def without_trace_ids(bodies: Sequence[bytes], trace_ids: Sequence[bytes]) -> list[bytes] | None:
    """Return spans without the trace ids that they begin with; None where one of them begins otherwise."""
    begins = [TRACE_ID_TAG + trace_id for trace_id in trace_ids]
    if not all(map(bytes.startswith, bodies, begins)):
        return None
    return [body[len(begin) :] for body, begin in zip(bodies, begins, strict=True)]


def write_block(
    keys: Sequence[int], runs: Sequence[tuple[int, int, int]], bodies: Sequence[bytes], *, has_trace_ids: bool
) -> bytes:
    """Write a block that is not packed yet; each run is resource id, scope id and how many spans follow."""
    lowest = min(keys)
    columns = array(UINT32, [key - lowest for key in keys])
    columns.extend(map(len, bodies))
    head = HEAD.pack(len(keys), len(runs) | (0 if has_trace_ids else WITHOUT_TRACE_IDS), lowest)
    return b"".join((head, columns.tobytes(), *(RUN.pack(*run) for run in runs), *bodies))


def read_block(content: bytes) -> Block:
    """Read what `write_block` wrote."""
    span_count, run_count, lowest = HEAD.unpack_from(content)
    has_trace_ids = run_count < WITHOUT_TRACE_IDS
    run_count %= WITHOUT_TRACE_IDS
    runs_begin = HEAD.size + 8 * span_count
    columns = array(UINT32, content[HEAD.size : runs_begin])
    bodies_begin = runs_begin + RUN.size * run_count
    runs = list(RUN.iter_unpack(content[runs_begin:bodies_begin]))
    return Block(
        has_trace_ids=has_trace_ids,
        lowest_key=lowest,
        keys_above=columns[:span_count],
        origins=[(resource_id, scope_id) for resource_id, scope_id, _ in runs],
        run_ends=list(accumulate(count for _, _, count in runs)),
        sizes=columns[span_count:],
        bodies=content[bodies_begin:],
    )
