"""The values that a comparison is made of: what was called, and what each call took."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum

OK = "OK"
DEADLINE_EXCEEDED = "DEADLINE_EXCEEDED"


class Role(Enum):
    """Why something is called in every block."""

    BASELINE = "baseline"
    VARIANT = "variant"
    TWIN = "twin"
    """The baseline once more: what differs between the two is noise."""
    CONTROL = "control"
    """The same cheap call in every run, by which runs are compared with each other."""


@dataclass(frozen=True, slots=True)
class Entry:
    """The name and role of one thing that every block calls."""

    name: str
    role: Role


@dataclass(frozen=True, slots=True)
class Sample:
    """One measured call, in nanoseconds of one monotonic clock.

    `block`, `run` (place in the block) and `index` (place in the run) count from 0; a dropped call keeps its index to
    itself. `start_offset_ns` counts from the first block's start. `latency_ns` is from the intended start, `service_ns`
    from the actual one: they differ in the open loop only. `trace_id` is "" where the call was not traced.
    """

    entry: str
    block: int
    run: int
    index: int
    start_offset_ns: int
    latency_ns: int
    service_ns: int
    code: str = OK
    trace_id: str = ""


def of_entry(samples: Iterable[Sample], entry: str) -> list[Sample]:
    """The samples of one entry, in the order of measuring."""
    return [sample for sample in samples if sample.entry == entry]


def codes(samples: Iterable[Sample]) -> Counter[str]:
    """How many calls ended with each gRPC status code."""
    return Counter(sample.code for sample in samples)


def ranked_latencies(samples: Sequence[Sample], block_count: int) -> list[list[int]]:
    """Latencies by block, as quantiles rank them.

    Failed calls are left out, but for those that met their deadline: such a call is known to last longer than every
    call that was answered, so it keeps its rank above them (`is_censored` tells whether a quantile falls on it).
    """
    blocks: list[list[int]] = [[] for _ in range(block_count)]
    longest_ns = max((sample.latency_ns for sample in samples if sample.code == OK), default=0)
    for sample in samples:
        if sample.code == OK:
            blocks[sample.block].append(sample.latency_ns)
        elif sample.code == DEADLINE_EXCEEDED:
            blocks[sample.block].append(max(sample.latency_ns, longest_ns + 1))
    return blocks
