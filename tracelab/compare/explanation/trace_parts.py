"""What a comparison keeps of a trace: the critical time and the number of spans of each operation in it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class PartKey:
    """Whose time it is. `part` names time that is not a span's own work: "wire and queues", "no server span" or ""."""

    service_name: str
    operation: str
    kind: str
    part: str = ""

    @property
    def label(self) -> str:
        """What a reader calls it, e.g. "OrderService/ListOrders" or "ListOrders: wire and queues"."""
        return f"{self.operation.rpartition('/')[2]}: {self.part}" if self.part else self.operation


@dataclass(frozen=True, slots=True)
class Part:
    """One operation of a trace: its own time on the critical path, in nanoseconds, and how many spans it had."""

    critical_ns: int
    span_count: int


@dataclass(frozen=True, slots=True)
class TraceParts:
    """A trace in parts; their critical times add up to `root_duration_ns` exactly.

    `complete` is false where spans are missing: such a trace explains nothing.
    """

    trace_id: str
    root_duration_ns: int
    parts: tuple[tuple[PartKey, Part], ...]
    complete: bool = True
