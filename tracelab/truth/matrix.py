"""Runs the matrix: servers and a caller for each instrumentation, in processes of their own, then the judge."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from otel.analysis.model import SpanKind
from otel.query import TraceQuery
from tracelab.fork_server import ProcessStarter
from tracelab.stack import Stack, StackOptions
from tracelab.truth.catalogue import endings_of, scenarios
from tracelab.truth.core_counts import CoreCounts
from tracelab.truth.core_run import COUNTING, CountedCalls
from tracelab.truth.endings import ALL_KINDS, Api, Ending, Kind, Scenario, Server, SpanExpected
from tracelab.truth.judge import Cell, Evidence, judge
from tracelab.truth.matrix_process import MatrixProcess
from tracelab.truth.open_spans import OpenSpan, read_open_spans
from tracelab.truth.plan import TruthError
from tracelab.truth.witness import CallRecord, ServicerEvent, call_records_from_json, read_servicer_events

START_BOUND_S = 20.0
CALLER_BOUND_S = 120.0
STOP_BOUND_S = 20.0
ARRIVAL_BOUND_S = 3.0  # for spans that must come; one that never ends costs the whole bound once a run
POLL_S = 0.02
CALLER = "caller"
INSTRUMENTATIONS = ("corrected", "stock")
SERVICERS = {Api.AIO: "tracelab.truth.servicer", Api.SYNC: "tracelab.truth.sync_servicer"}
CALLERS = {Api.AIO: "tracelab.truth.caller", Api.SYNC: "tracelab.truth.sync_caller"}
LOADED = (*SERVICERS.values(), *CALLERS.values(), COUNTING)
OTHER_API = {Api.AIO: Api.SYNC, Api.SYNC: Api.AIO}


@dataclass(frozen=True, slots=True)
class Run:
    """What one instrumentation showed; `open_spans` had not ended when their processes did."""

    instrumentation: str
    api: Api
    evidence: tuple[Evidence, ...]
    open_spans: tuple[OpenSpan, ...]

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Both sides of every scenario."""
        return tuple(cell for item in self.evidence for cell in judge(self.instrumentation, item))


def run_matrix(
    environ: Mapping[str, str],
    endings: Mapping[Api, Sequence[Ending]] | None = None,
    kinds: Sequence[Kind] = ALL_KINDS,
    instrumentations: Sequence[str] = INSTRUMENTATIONS,
    on_progress: Callable[[str], None] = lambda _: None,
    *,
    asks_core: bool = True,
) -> tuple[Run, ...]:
    """Run the endings of each API (all by default) under each instrumentation on one embedded backend.

    Blocks, and ends every process it started. One API after the other: two cores serve so many processes. `asks_core`
    has calls made once more, before, by processes whose gRPC core counts them.
    """
    chosen = {api: endings_of(api) for api in Api} if endings is None else endings
    with ExitStack() as cleanup:
        home = Path(cleanup.enter_context(tempfile.TemporaryDirectory(prefix="truth-")))
        starter = cleanup.enter_context(ProcessStarter({**environ, "GRPC_VERBOSITY": "NONE"}, LOADED))
        counted = cleanup.enter_context(CountedCalls(starter, home, chosen if asks_core else {}, kinds))
        stack = cleanup.enter_context(
            Stack.start(StackOptions(ports="auto", home=home, only=("backend",)), environ=environ)
        )
        on_progress("backend is up")
        core = counted.counts()
        runs: list[Run] = []
        for api, of_api in chosen.items():
            with ExitStack() as processes:
                callers = [
                    _Instrumented(instrumentation, api, home, starter, stack, of_api, kinds, processes)
                    for instrumentation in instrumentations
                ]
                runs += [caller.result(core.get(api, {})) for caller in callers]
        return tuple(runs)


class _Instrumented:
    """The processes of one instrumentation: its servers, then its caller."""

    def __init__(
        self,
        instrumentation: str,
        api: Api,
        home: Path,
        starter: ProcessStarter,
        stack: Stack,
        endings: Sequence[Ending],
        kinds: Sequence[Kind],
        cleanup: ExitStack,
    ) -> None:
        self._instrumentation = instrumentation
        self._api = api
        self._query = cleanup.enter_context(TraceQuery(stack.query_url))
        self._home = home / f"{api.value}-{instrumentation}"
        self._home.mkdir()
        self._starter = starter
        self._variables = {
            "LAB_INSTRUMENTATION": instrumentation,
            "OTEL_EXPORTER_OTLP_ENDPOINT": stack.otlp_endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "100",
            "OTEL_BLRP_SCHEDULE_DELAY": "100",
        }
        self._wanted = [scenario for scenario in scenarios(tuple(endings), api) if scenario.kind in kinds]
        needed = {scenario.ending.server for scenario in self._wanted} - {Server.ABSENT}
        self._servers = {server: cleanup.enter_context(self._server(server)) for server in needed}
        plan = self._home / "plan.json"
        plan.write_text(json.dumps(self._plan(self._servers, endings, kinds)), encoding="utf-8")
        self._caller = cleanup.enter_context(self._process(CALLER, CALLERS[api], str(plan)))

    def _plan(
        self, servers: Mapping[Server, MatrixProcess], endings: Sequence[Ending], kinds: Sequence[Kind]
    ) -> dict[str, object]:
        entries = {
            server.value: {
                "address": _ready_address(process, self._ready_file(server)),
                "pid": process.pid,
                "witness": str(self._witness_file(server)),
            }
            for server, process in servers.items()
        }
        # A port that was free a moment ago and that nothing binds: calls to it are refused.
        entries[Server.ABSENT.value] = {"address": "127.0.0.1:1", "pid": 0, "witness": str(self._home / "nobody")}
        return {
            "api": self._api.value,
            "servers": entries,
            "open_spans": str(self._open_spans_file(CALLER)),
            "endings": [ending.name for ending in endings],
            "kinds": [kind.value for kind in kinds],
        }

    def _ready_file(self, server: Server) -> Path:
        return self._home / f"{server.value}.ready"

    def _witness_file(self, server: Server) -> Path:
        return self._home / f"{server.value}.witness"

    def _open_spans_file(self, process_name: str) -> Path:
        return self._home / f"{process_name}.open-spans"

    def _server(self, server: Server) -> MatrixProcess:
        files = {
            "--ready-file": self._ready_file(server),
            "--witness": self._witness_file(server),
            "--open-spans": self._open_spans_file(server.value),
        }
        arguments = [word for option, path in files.items() for word in (option, str(path))]
        if server is Server.FULL:
            arguments += ["--rpc-limit", "1"]
        if server is Server.BUSY:
            arguments += ["--threads", "1"]
        api = OTHER_API[self._api] if server is Server.OTHER_API else self._api
        return self._process(server.value, SERVICERS[api], *arguments)

    def _process(self, name: str, *words: str) -> MatrixProcess:
        return MatrixProcess(self._starter, words, self._home / name, self._variables)

    def result(self, core: Mapping[str, CoreCounts]) -> Run:
        """Wait for the caller, then for its spans, and collect the evidence, with what core counted by scenario."""
        printed = self._caller.printed(f"the {self._instrumentation} caller", CALLER_BOUND_S)
        records = {record.scenario: record for record in call_records_from_json(printed)}
        open_spans = tuple(self._open_spans())
        events = self._events()
        deadline_s = time.monotonic() + ARRIVAL_BOUND_S
        evidence = []
        for scenario in self._wanted:
            record = records[scenario.name]
            seen = tuple(event for event in events if event.scenario == scenario.name)
            left_open = frozenset(span.kind for span in open_spans if span.trace_id == record.trace_id)
            found = self._evidence(scenario, record, seen, left_open, deadline_s)
            evidence.append(replace(found, core=core.get(scenario.name)))
        return Run(self._instrumentation, self._api, tuple(evidence), open_spans)

    def _open_spans(self) -> Iterator[OpenSpan]:
        """End the servers that can still be told to, and read which spans each process left open."""
        yield from read_open_spans(self._open_spans_file(CALLER))
        for server, process in self._servers.items():
            file = self._open_spans_file(server.value)
            if server is not Server.FROZEN:
                try:
                    process.terminate(STOP_BOUND_S)
                except TruthError:  # one that hangs in handing over its telemetry has said before what it left open
                    if not file.exists():
                        raise
            yield from read_open_spans(file)

    def _events(self) -> tuple[ServicerEvent, ...]:
        return tuple(event for server in Server for event in read_servicer_events(self._witness_file(server)))

    def _evidence(
        self,
        scenario: Scenario,
        record: CallRecord,
        events: tuple[ServicerEvent, ...],
        left_open: frozenset[str],
        deadline_s: float,
    ) -> Evidence:
        while True:
            trace = self._query.trace(record.trace_id)
            spans = trace.spans if trace else ()
            server_spans = sum(span.kind is SpanKind.SERVER for span in spans)
            client_spans = sum(span.kind is SpanKind.CLIENT for span in spans)
            wanted = 0 if scenario.ending.server_span is SpanExpected.NONE else scenario.ending.server_spans
            if (client_spans and server_spans >= wanted) or time.monotonic() > deadline_s:
                logs = self._query.logs_of_trace(record.trace_id).records
                return Evidence(scenario, record, events, spans, logs, left_open)
            time.sleep(POLL_S)


def _ready_address(process: MatrixProcess, ready_file: Path) -> str:
    deadline_s = time.monotonic() + START_BOUND_S
    while not ready_file.exists():
        if process.has_ended or time.monotonic() > deadline_s:
            raise TruthError(f"a server of the matrix did not start: {process.complaint}")
        time.sleep(POLL_S)
    address: str = json.loads(ready_file.read_text(encoding="utf-8"))["addresses"]["grpc"]
    return address
