"""Has gRPC's core asked: a process for each API makes the counted calls once more, beside whatever else starts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import Final, Self

from tracelab.fork_server import ProcessStarter
from tracelab.truth.core_counts import CoreCounts, counts_from_json, is_counted
from tracelab.truth.endings import Api, Ending, Kind
from tracelab.truth.matrix_process import MatrixProcess

COUNTING: Final = "tracelab.truth.counted_calls"
COUNTED_BOUND_S: Final = 120.0
# Calls that nothing traces, of a process that sends nothing: core is to be asked of plain gRPC.
_SETTINGS: Final = {
    "LAB_INSTRUMENTATION": "off",
    "LAB_GRPC_METRICS": "false",  # they start core's counting themselves, which may be done once
    "OTEL_TRACES_EXPORTER": "none",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
}


def core_can_be_asked() -> bool:
    """Whether the library is here that hands core's counts over: there is one for Linux alone."""
    return find_spec("grpc_observability") is not None


class CountedCalls:
    """The processes that make counted calls, started at once; a context that ends them. Only `counts` blocks."""

    def __init__(
        self, starter: ProcessStarter, folder: Path, endings: Mapping[Api, Sequence[Ending]], kinds: Sequence[Kind]
    ) -> None:
        self._processes: dict[Api, MatrixProcess] = {}
        for api, of_api in endings.items():
            names = [ending.name for ending in of_api if is_counted(ending)]
            if names and core_can_be_asked():
                asked = json.dumps({"api": api.value, "endings": names, "kinds": [kind.value for kind in kinds]})
                self._processes[api] = MatrixProcess(
                    starter, [COUNTING, asked], folder / f"{api.value}-counted", _SETTINGS
                )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with ExitStack() as ending:
            for process in self._processes.values():
                ending.enter_context(process)

    def counts(self) -> dict[Api, dict[str, CoreCounts]]:
        """Wait for what core counted, by scenario; nothing where it was not asked. TruthError if a process fails."""
        return {
            api: counts_from_json(process.printed("the process of the counted calls", COUNTED_BOUND_S))
            for api, process in self._processes.items()
        }
