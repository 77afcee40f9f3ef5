"""Counts what reached a backend and what was lost, and says once when exporting starts to fail or works again.

The exporters of the SDK log a line per failed batch, and the batch processor one per lost record. One `ExportWatch`
stands for all pipelines of a process: it swallows those lines (they never enter the pipelines they complain about) and
makes one log record of each change between working and failing.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Final, Literal

from otel.tls.reasons import reason_for_client

Signal = Literal["spans", "logs", "metrics"]
StateChange = Callable[[str, dict[str, str]], None]

# Everything that the SDK's exporters and batch processors log goes through loggers of these names or below.
EXPORT_LOGGERS: Final = (
    "opentelemetry.exporter",
    "opentelemetry.sdk._logs._internal.export",
    "opentelemetry.sdk._shared_internal",
    "opentelemetry.sdk.metrics._internal.export",
    "opentelemetry.sdk.trace.export",
    "urllib3.connectionpool",
)
REASON_CHARS: Final = 300


@dataclass(frozen=True)
class Loss:
    """How many records were made, and how many of them no backend ever took."""

    made_count: int
    lost_count: int


@dataclass
class _Tally:
    """Made in any thread, delivered in the export thread; `count` is atomic, so no lock in a call's path."""

    made: count[int] = field(default_factory=count)
    made_readings: int = 0
    delivered_count: int = 0
    failing: bool = False


def _silent(_event: str, _facts: dict[str, str]) -> None:
    return


class ExportWatch:
    """One process's export state. `made` may be called from any thread, the rest from the export threads."""

    def __init__(self, on_change: StateChange = _silent) -> None:
        self._tallies: dict[Signal, _Tally] = {"spans": _Tally(), "logs": _Tally(), "metrics": _Tally()}
        self._lock = threading.Lock()
        self._on_change = on_change
        self._last_reason = ""
        self._said_why = False

    def on_change(self, callback: StateChange) -> None:
        """Call `callback(event, facts)` at each change of state; `export.failed` or `export.recovered`."""
        self._on_change = callback

    def made(self, signal: Signal) -> None:
        """Count one record that wants to be exported."""
        next(self._tallies[signal].made)

    def counter(self, signal: Signal) -> Callable[[], int]:
        """Return what counts one record of `signal`, as `made` does; for where that is done once a call."""
        return self._tallies[signal].made.__next__

    def exported(self, signal: Signal, record_count: int, *, delivered: bool) -> None:
        """Note the outcome of one batch and report if it differs from the one before, over all signals."""
        with self._lock:
            tally = self._tallies[signal]
            was_failing = any(other.failing for other in self._tallies.values())
            tally.delivered_count += record_count if delivered else 0
            tally.failing = not delivered
            is_failing = any(other.failing for other in self._tallies.values())
            reason, self._last_reason = self._last_reason, ""
        if is_failing and not was_failing:
            self._on_change("export.failed", {"signal": signal, "reason": reason or "the backend refused a batch"})
        elif was_failing and not is_failing:
            self._on_change("export.recovered", {"signal": signal})

    @property
    def is_troubled(self) -> bool:
        """Say whether an exporter is retrying or has failed, and nothing has been delivered since."""
        return bool(self._last_reason) or any(tally.failing for tally in self._tallies.values())

    def loss(self, signal: Signal) -> Loss:
        """Compare what was made with what arrived; final only once the pipelines are shut down."""
        with self._lock:
            tally = self._tallies[signal]
            made_count = next(tally.made) - tally.made_readings  # reading takes a number of the counter, too
            tally.made_readings += 1
        return Loss(made_count, max(0, made_count - tally.delivered_count))

    def takes(self, record: logging.LogRecord) -> bool:
        """Say whether `record` is about exporting and belongs to this watch; if so it must be shown nowhere else."""
        if not record.name.startswith(EXPORT_LOGGERS):
            return False
        if record.levelno >= logging.WARNING:
            said = record.getMessage()
            why = reason_for_client(said)
            # What the exporter makes of it afterwards is vaguer.
            self._said_why = bool(why) or (self._said_why and bool(self._last_reason))
            if why or not self._said_why:
                self._last_reason = (why or said)[:REASON_CHARS]
        return True
