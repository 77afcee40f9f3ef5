"""The matrix's calls once more, in a process of their own whose gRPC core counts them: both sides, and no spans.

Run as `python -m tracelab.truth.counted_calls JSON`, which names API, endings and kinds; prints what core counted of
each scenario as JSON. Apart from the matrix's own processes: what counts must not change what is judged.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import HistogramDataPoint, InMemoryMetricReader, NumberDataPoint

from otel.instrument import Telemetry, TelemetrySettings, configure
from otel.instrument.grpc_metrics import METHOD, start_grpc_metrics
from tracelab.truth import caller, servicer, sync_caller, sync_servicer
from tracelab.truth.catalogue import endings_of
from tracelab.truth.core_counts import CoreCounts, counted, counts_to_json
from tracelab.truth.endings import Api, Kind, Scenario, Server
from tracelab.truth.plan import ServerProcess
from tracelab.truth.witness import WitnessFile

THREADS: Final = 64
SETTLED_POLL_S: Final = 0.05
SETTLED_BOUND_S: Final = 10.0  # a call is counted at its end, which a server may see long after its client
_ATTEMPTS, _ATTEMPT_ENDS = "grpc.client.attempt.started", "grpc.client.attempt.duration"
_CALLS, _CALL_ENDS = "grpc.server.call.started", "grpc.server.call.duration"
_STATUS: Final = "grpc.status"


class CoreReader:
    """Lets core count from now on, for channels and servers made later, and reads what it has counted. Any thread."""

    def __init__(self) -> None:
        self._reader = InMemoryMetricReader()
        self._stop = start_grpc_metrics(MeterProvider([self._reader]), frozenset())

    def until_settled(self, methods: frozenset[str]) -> dict[str, CoreCounts]:
        """Wait until each attempt and call of `methods` is counted as over, or the bound is past; the counts then."""
        deadline_s = time.monotonic() + SETTLED_BOUND_S
        while True:
            gc.collect()  # core counts a call once it is freed, and one of the synchronous API may be in a circle
            found = self.counts()
            if all(method in found and _is_over(found[method]) for method in methods) or time.monotonic() > deadline_s:
                return found
            time.sleep(SETTLED_POLL_S)

    def counts(self) -> dict[str, CoreCounts]:
        """What is counted so far, by method."""
        tally: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        for name, point in self._points():
            attributes = point.attributes or {}
            count = point.count if isinstance(point, HistogramDataPoint) else int(point.value)
            tally[name, str(attributes.get(METHOD))][str(attributes.get(_STATUS))] += count
        methods = dict.fromkeys(method for _, method in tally)
        return {
            method: CoreCounts(
                tally[_ATTEMPTS, method].total(),
                dict(tally[_ATTEMPT_ENDS, method]),
                tally[_CALLS, method].total(),
                dict(tally[_CALL_ENDS, method]),
            )
            for method in methods
        }

    def _points(self) -> Sequence[tuple[str, HistogramDataPoint | NumberDataPoint]]:
        data = self._reader.get_metrics_data()
        asked = {_ATTEMPTS, _ATTEMPT_ENDS, _CALLS, _CALL_ENDS}
        return [
            (metric.name, point)
            for of_resource in (data.resource_metrics if data else ())
            for of_scope in of_resource.scope_metrics
            for metric in of_scope.metrics
            if metric.name in asked
            for point in metric.data.data_points
            if isinstance(point, HistogramDataPoint | NumberDataPoint)
        ]


def _is_over(counts: CoreCounts) -> bool:
    return (
        counts.attempts == sum(counts.attempt_statuses.values()) > 0
        and counts.served == sum(counts.served_statuses.values()) > 0
    )


def _handlers(made: Mapping[str, Any], wanted: Sequence[Scenario]) -> dict[str, Any]:
    """The servicer's methods, also under the names of the counted scenarios that are to reach it."""
    reaching = [scenario for scenario in wanted if scenario.ending.behaviour]
    return {**made, **{scenario.method.rpartition("/")[2]: made[scenario.kind.method] for scenario in reaching}}


def _limits(server: Server) -> tuple[int | None, int]:
    return (1 if server is Server.FULL else None), (1 if server is Server.BUSY else THREADS)


async def call_aio(telemetry: Telemetry, wanted: Sequence[Scenario], home: Path) -> None:
    """Make the calls on grpc.aio, against servers in this loop."""
    servers, places = [], {}
    for server in {scenario.ending.server for scenario in wanted}:
        witness = home / server.value
        handlers = _handlers(servicer.method_handlers(servicer.Servicer(WitnessFile(witness))), wanted)
        running, port = await servicer.started_server(telemetry, handlers, _limits(server)[0])
        servers.append(running)
        places[server] = ServerProcess(f"127.0.0.1:{port}", os.getpid(), witness)
    await caller.Caller(telemetry, places).run(list(wanted))
    for running in servers:
        await running.stop(None)


def call_sync(telemetry: Telemetry, wanted: Sequence[Scenario], home: Path) -> None:
    """Make the calls on the synchronous API, against servers in threads of this process."""
    servers, places = [], {}
    for server in {scenario.ending.server for scenario in wanted}:
        witness = home / server.value
        handlers = _handlers(sync_servicer.method_handlers(sync_servicer.Servicer(WitnessFile(witness))), wanted)
        rpc_limit, thread_count = _limits(server)
        running, port = sync_servicer.started_server(
            telemetry, handlers, rpc_limit=rpc_limit, thread_count=thread_count
        )
        servers.append(running)
        places[server] = ServerProcess(f"127.0.0.1:{port}", os.getpid(), witness)
    sync_caller.Caller(telemetry, places).run(tuple(wanted))
    for running in servers:
        running.stop(0).wait(sync_servicer.STOP_BOUND_S)


def main() -> NoReturn:
    """Make and count the calls that the command line names."""
    asked = json.loads(sys.argv[1])
    api = Api(asked["api"])
    endings = [ending for ending in endings_of(api) if ending.name in asked["endings"]]
    wanted = counted(endings, map(Kind, asked["kinds"]), api)
    reader = CoreReader()
    telemetry = configure(TelemetrySettings.from_environ("truth-core", os.environ, log_to_stdout=False))
    with tempfile.TemporaryDirectory(prefix="truth-core-") as home:
        if api is Api.AIO:
            asyncio.run(call_aio(telemetry, tuple(wanted.values()), Path(home)))
        else:
            call_sync(telemetry, tuple(wanted.values()), Path(home))
    by_method = reader.until_settled(frozenset(scenario.method for scenario in wanted.values()))
    counts = {name: by_method[scenario.method] for name, scenario in wanted.items() if scenario.method in by_method}
    sys.stdout.write(counts_to_json(counts) + "\n")
    sys.stdout.flush()
    os._exit(0)  # an iterator of requests may still wait in a thread of gRPC's


if __name__ == "__main__":
    main()
