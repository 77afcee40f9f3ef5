"""Has gRPC's core asked: a process for each API makes the counted calls once more, beside whatever else starts."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from typing import Final, Self

from tracelab.truth.core_counts import CoreCounts, counts_from_json, is_counted
from tracelab.truth.endings import Api, Ending, Kind
from tracelab.truth.plan import TruthError

COUNTED_BOUND_S: Final = 120.0
# Calls that nothing traces, of a process that sends nothing: core is to be asked of plain gRPC.
_SETTINGS: Final = {
    "LAB_INSTRUMENTATION": "off",
    "LAB_GRPC_METRICS": "false",  # they start core's counting themselves, which may be done once
    "OTEL_TRACES_EXPORTER": "none",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
    "GRPC_VERBOSITY": "NONE",
}


def core_can_be_asked() -> bool:
    """Whether the library is here that hands core's counts over: there is one for Linux alone."""
    return find_spec("grpc_observability") is not None


class CountedCalls:
    """The processes that make counted calls, started at once; a context that ends them. Only `counts` blocks."""

    def __init__(
        self, environ: Mapping[str, str], endings: Mapping[Api, Sequence[Ending]], kinds: Sequence[Kind]
    ) -> None:
        self._processes: dict[Api, subprocess.Popen[str]] = {}
        for api, of_api in endings.items():
            names = [ending.name for ending in of_api if is_counted(ending)]
            if names and core_can_be_asked():
                asked = {"api": api.value, "endings": names, "kinds": [kind.value for kind in kinds]}
                self._processes[api] = subprocess.Popen(
                    [sys.executable, "-m", "tracelab.truth.counted_calls", json.dumps(asked)],
                    env={**environ, **_SETTINGS},
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    text=True,
                )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            with suppress(ProcessLookupError):
                process.kill()
            process.communicate()

    def counts(self) -> dict[Api, dict[str, CoreCounts]]:
        """Wait for what core counted, by scenario; nothing where it was not asked. TruthError if a process fails."""
        return {api: self._counts_of(process) for api, process in self._processes.items()}

    def _counts_of(self, process: subprocess.Popen[str]) -> dict[str, CoreCounts]:
        try:
            printed, complaint = process.communicate(timeout=COUNTED_BOUND_S)
        except subprocess.TimeoutExpired as error:
            raise TruthError(f"the counted calls took longer than {COUNTED_BOUND_S:.0f} s") from error
        if process.returncode != 0:
            raise TruthError(f"the counted calls failed: {complaint.strip()[-2000:]}")
        return counts_from_json(printed)
