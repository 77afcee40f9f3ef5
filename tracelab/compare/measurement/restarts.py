"""Several measurements with fresh processes as one: samples keep their block, blocks are numbered through. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tracelab.compare.measurement.block_design import Measurement, StopReason


def joined(measurements: Sequence[Measurement]) -> Measurement:
    """One measurement of all restarts. The offsets of samples count on from one restart to the next."""
    samples = []
    first_block, begin_ns = 0, 0
    for one in measurements:
        samples += [
            replace(sample, block=sample.block + first_block, start_offset_ns=sample.start_offset_ns + begin_ns)
            for sample in one.samples
        ]
        first_block += one.block_count
        begin_ns += round(one.duration_s * 1e9)
    last = measurements[-1]
    interrupted = any(one.stop_reason is StopReason.INTERRUPTED for one in measurements)
    return replace(
        last,
        samples=tuple(samples),
        block_count=first_block,
        looks=(),
        stop_reason=StopReason.INTERRUPTED if interrupted else StopReason.ALL_BLOCKS,
        duration_s=sum(one.duration_s for one in measurements),
        restart_blocks=tuple(one.block_count for one in measurements if one.block_count),
    )
