"""What a lesson reads back is all that its servers said, however late it arrives."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tracelab.learn.lab import Lab

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"


@dataclass
class LateLogs:
    """A query API that has one more record of the trace each time it is asked."""

    arrived: list[str] = field(default_factory=list)

    def logs_of_trace(self, trace_id: str) -> Any:
        self.arrived.append(trace_id)
        return SimpleNamespace(records=tuple(self.arrived))


async def test_the_logs_of_a_trace_are_there_once_every_line_of_the_servers_has_arrived(tmp_path: Path) -> None:
    files = [tmp_path / "user.log", tmp_path / "order-1.log"]
    files[0].write_text(f'{{"trace_id": "{TRACE_ID}"}}\n' * 2 + '{"trace_id": "of another call"}\n')
    files[1].write_text(f'{{"trace_id": "{TRACE_ID}"}}\n')
    made: Any = Lab(tmp_path, {}, lambda _endpoint: None)  # type: ignore[arg-type]  # it is not started
    made._stack = SimpleNamespace(processes=[SimpleNamespace(log_file=files[0])])
    made._servicer_log_files = {files[1]}
    made._reader = LateLogs()
    assert len(await made.logs(TRACE_ID)) == 3
