"""What a comparison keeps of a trace: the critical time and the number of spans of each operation in it."""

from __future__ import annotations

from dataclasses import dataclass, replace


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

    @property
    def reaches_a_server(self) -> bool:
        """Whether any server sent a span of it."""
        return any(key.kind == "server" for key, _ in self.parts)

    def with_called_service(self, operation: str, name: str) -> TraceParts:
        """The trace with `name` in place of what the service that answered `operation` calls itself.

        Two builds of one service may have two names, and are to be laid side by side.
        """
        own = {key.service_name for key, _ in self.parts if key.kind == "server" and key.operation == operation}
        renamed = (
            (replace(key, service_name=name) if key.service_name in own else key, part) for key, part in self.parts
        )
        return replace(self, parts=tuple(renamed)) if len(own) == 1 else self
