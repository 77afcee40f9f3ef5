"""The witness: what servicers and callers really did, written as JSON lines, independent of all telemetry.

The servicer's lines have the fields of the services' own witness (`event`, `rpc_id`, `method`, `message_number`,
`error`, `time_monotonic_ns`, `time_unix_nano`) and the scenario they belong to.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ServicerEvent:
    """One thing that a servicer did: entered, got message, sent message, caught, raised or returned."""

    scenario: str
    event: str
    rpc_id: str
    method: str
    message_number: int
    error: str
    time_monotonic_ns: int
    time_unix_nano: int


@dataclass(frozen=True, slots=True)
class CallRecord:
    """What one caller did and received. `code` is "" where no status ever came, `hung` where the bound ran out."""

    scenario: str
    target: str
    trace_id: str
    parent_span_id: str
    code: str
    details: str
    raised: str
    sent_message_count: int
    received_message_count: int
    started_unix_nano: int
    ended_unix_nano: int
    hung: bool
    open_before_deadline: bool | None = None


class WitnessFile:
    """Appends events to a file, one unbuffered write each, so that a killed process loses none. Any thread."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(
        self, scenario: str, event: str, rpc_id: str, method: str, *, message_number: int = 0, error: str = ""
    ) -> None:
        """Append one event, stamped now."""
        entry = ServicerEvent(
            scenario, event, rpc_id, method, message_number, error, time.monotonic_ns(), time.time_ns()
        )
        os.write(self._file, json.dumps(asdict(entry)).encode() + b"\n")

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def read_servicer_events(path: Path) -> tuple[ServicerEvent, ...]:
    """All events of a file, in order; none where the file does not exist. A line still being written is left out."""
    if not path.exists():
        return ()
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return tuple(ServicerEvent(**json.loads(line)) for line in lines if line.endswith("\n"))


def call_records_to_json(records: Iterable[CallRecord]) -> str:
    """The records as one JSON list."""
    return json.dumps([asdict(record) for record in records])


def call_records_from_json(text: str) -> tuple[CallRecord, ...]:
    """The way back from `call_records_to_json`."""
    return tuple(CallRecord(**entry) for entry in json.loads(text))
