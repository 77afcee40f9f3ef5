"""What a lesson works with: processes of its own, traced channels, and the way back to what they recorded.

A lesson gets one `Lab`, starts what it needs, makes its calls, and reads traces, logs and witnesses back. Whatever it
started ends with it, whether it passes, fails or is interrupted.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import grpc
from opentelemetry import baggage
from opentelemetry import context as otel_context
from opentelemetry.context import Context

from otel.analysis.model import LogRecord, Span, SpanKind, Trace
from otel.analysis.tree import Forest, forest_of
from otel.instrument import Telemetry
from otel.query import TraceQuery
from tracelab.fork_server import loading_environment
from tracelab.learn.outcome import Exhibit
from tracelab.stack import Stack, StackOptions
from tracelab.stack.child_process import Child
from tracelab.stack.log_files import count_log_lines

START_BOUND_S = 60.0
STOP_BOUND_S = 5.0
ARRIVAL_BOUND_S = 10.0
POLL_S = 0.02

ChannelOptions = Sequence[tuple[str, int | str]]
Answer = TypeVar("Answer")


class LessonError(RuntimeError):
    """A lesson could not run to its end; the text says what was missing."""


@dataclass(frozen=True, slots=True)
class RootSpan:
    """Ids of the lesson's root span."""

    trace_id: str
    span_id: str


@dataclass(frozen=True, slots=True)
class Servicer:
    """A lesson's own server process."""

    name: str
    address: str
    process: Child
    witness_file: Path

    def witness(self) -> list[dict[str, Any]]:
        """What the servicer wrote down, in order."""
        return _json_lines(self.witness_file)


class Connect(Protocol):
    """Builds the lesson's own telemetry for an OTLP endpoint, with what gRPC's core counts if so wished."""

    def __call__(self, otlp_endpoint: str, *, grpc_metrics: bool = False) -> Telemetry:
        """Build it."""
        ...


class Lab:
    """One lesson's processes and readers. Belongs to one event loop.

    `connect` builds the lesson's own telemetry for an OTLP endpoint; only a `main()` can, since the OTel SDK reads its
    endpoint from the environment.
    """

    def __init__(self, home: Path, environ: Mapping[str, str], connect: Connect) -> None:
        self._home = home
        self._environ = dict(environ)
        self._connect = connect
        self._stack: Stack | None = None
        self._telemetry: Telemetry | None = None
        self._channels: list[grpc.aio.Channel] = []
        self._processes: list[Child] = []
        self._servicer_log_files: set[Path] = set()
        self._reader: TraceQuery | None = None

    async def start(
        self,
        *services: str,
        environ: Mapping[str, str] | None = None,
        channel_options: Sequence[str] = (),
        grpc_metrics: bool = False,
    ) -> None:
        """Start a backend and these services (all three when none is named, none for `""`), with faults and witness.

        With `grpc_metrics` the lesson's own process records what gRPC's core counts, too.
        """
        wanted = tuple(name for name in services or ("user", "order", "report") if name)
        options = StackOptions(
            ports="auto",
            home=self._home,
            only=("backend", *wanted),
            allow_faults=True,
            witness=True,
            channel_options=tuple(channel_options),
        )
        starting = asyncio.create_task(
            asyncio.to_thread(Stack.start, options, environ={**self._environ, **(environ or {})})
        )
        try:
            self._stack = await asyncio.shield(starting)
        except asyncio.CancelledError:
            self._stack = await starting  # a thread cannot be cancelled: what it started is ended by `close`
            raise
        self._telemetry = self._connect(self._stack.otlp_endpoint, grpc_metrics=grpc_metrics)

    async def close(self) -> None:
        """End everything that this lab started."""
        for channel in self._channels:
            await channel.close()
        await asyncio.to_thread(self._end_processes)

    def _end_processes(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            if not process.wait(STOP_BOUND_S):
                process.kill()
        if self._reader is not None:
            self._reader.close()
        if self._telemetry is not None:
            self._telemetry.shutdown()
        if self._stack is not None:
            self._stack.stop()

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment that this lab's processes start from."""
        return self._environ

    @property
    def stack(self) -> Stack:
        """The running stack; an error of the lesson's author before `start`."""
        if self._stack is None:
            raise LessonError("the lesson has not started its stack: await lab.start() first")
        return self._stack

    @property
    def telemetry(self) -> Telemetry:
        """The lesson's own telemetry, which exports to the stack's backend."""
        if self._telemetry is None:
            raise LessonError("the lesson has not started its stack: await lab.start() first")
        return self._telemetry

    def channel(self, target: str, *, options: ChannelOptions = (), service_config: object = None) -> grpc.aio.Channel:
        """A traced channel to a service by name (`order`) or to an address; closed with the lab."""
        address = target if ":" in target else self.stack.address(target)
        settings = list(options)
        if service_config is not None:
            settings.append(("grpc.service_config", json.dumps(service_config)))
        channel = self.telemetry.insecure_channel(address, options=settings)
        self._channels.append(channel)
        return channel

    @contextmanager
    def span(self, name: str, **carried: str) -> Iterator[RootSpan]:
        """A root span around the lesson's calls, so that they are one trace; `carried` travels as baggage."""
        context = Context()
        for key, value in carried.items():
            context = baggage.set_baggage(key.replace("__", "."), value, context)
        token = otel_context.attach(context)
        try:
            with self.telemetry.tracer.start_as_current_span(name) as span:
                identity = span.get_span_context()
                yield RootSpan(f"{identity.trace_id:032x}", f"{identity.span_id:016x}")
        finally:
            otel_context.detach(token)

    async def trace(self, trace_id: str, until: Callable[[Trace], bool] = lambda _: True) -> Trace:
        """Read a trace back once `until` holds for it; QueryError says what was missing after 10 s."""
        query = self._query()
        return await asyncio.to_thread(query.wait_for_trace, trace_id, until=until, within_s=ARRIVAL_BOUND_S)

    async def whole_trace(self, root: RootSpan, *, servers: int | None = None) -> Trace:
        """Read the trace below a root span once it is whole.

        Whole means: the root is there, nothing is orphaned, every call that ended OK has its server's side, and there
        are `servers` SERVER spans if that is given.
        """
        return await self.trace(root.trace_id, lambda trace: is_whole(trace, root.span_id, servers))

    async def logs(self, trace_id: str) -> tuple[LogRecord, ...]:
        """The log records of a trace, oldest first, once every line that the servers wrote about it has arrived.

        Spans and logs are exported apart, so a trace that is whole says nothing of its logs.
        """
        return await self.ask(
            lambda query: query.logs_of_trace(trace_id).records,
            lambda records: len(records) >= count_log_lines(self._log_files(), trace_id),
        )

    def _log_files(self) -> list[Path]:
        return [*self._servicer_log_files, *(process.log_file for process in self.stack.processes)]

    async def ask(self, question: Callable[[TraceQuery], Answer], until: Callable[[Answer], bool]) -> Answer:
        """Ask the query API again and again until the answer will do; LessonError if none does within 10 s."""
        query, deadline_s = self._query(), time.monotonic() + ARRIVAL_BOUND_S
        while not until(answer := await asyncio.to_thread(question, query)):
            if time.monotonic() > deadline_s:
                raise LessonError("what the lesson waits for did not reach the backend within 10 s")
            await asyncio.sleep(POLL_S)
        return answer

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until a condition holds, such as a witness's line; LessonError naming `what` if it does not in 10 s."""
        deadline_s = time.monotonic() + ARRIVAL_BOUND_S
        while not condition():
            if time.monotonic() > deadline_s:
                raise LessonError(f"{what} did not happen within 10 s")
            await asyncio.sleep(POLL_S)

    def _query(self) -> TraceQuery:
        if self._reader is None:
            self._reader = TraceQuery(self.stack.query_url)
        return self._reader

    async def exhibit(
        self,
        title: str,
        trace: Trace,
        mark: Callable[[Span], str | None] = lambda _: None,
        *,
        sequence: bool = False,
    ) -> Exhibit:
        """A trace to look at with its logs; `mark` says what to notice on a span, or nothing."""
        marks = {span.span_id: text for span in trace.spans if (text := mark(span))}
        logs = await self.logs(trace.trace_id)
        return Exhibit(title, trace, logs, marks, "sequence" if sequence else "waterfall")

    def witness(self, service: str) -> list[dict[str, Any]]:
        """What a service of the stack wrote down, in order."""
        return _json_lines(self.stack.process(service).witness_file)

    async def servicer(
        self,
        reference: str,
        service: str,
        *,
        name: str = "",
        port: int = 0,
        grace_s: float | None = None,
        channel_options: Sequence[str] = (),
        max_concurrent_rpcs: int | None = None,
        threads: int | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Servicer:
        """Start a lesson's own servicer, `module:Class`, and wait until it serves.

        With `threads` it is a servicer of the synchronous API, on a pool of so many.
        """
        name = name or f"{service}-{len(self._processes) + 1}"
        ready_file = self._home / f"{name}.ready"
        witness_file = self._home / f"{name}.witness"
        log_file = self._home / f"{name}.log"
        command = [
            sys.executable,
            "-P",
            "-m",
            "tracelab.learn.servicer_process" if threads is None else "tracelab.learn.sync_servicer_process",
            reference,
            "--service",
            service,
            "--name",
            name,
        ]
        command += ["--ready-file", str(ready_file), "--witness", str(witness_file), "--port", str(port)]
        command += ["--log-file", str(log_file)]
        command += [part for option in channel_options for part in ("--channel-option", option)]
        if grace_s is not None:
            command += ["--grace", str(grace_s)]
        if max_concurrent_rpcs is not None:
            command += ["--max-concurrent-rpcs", str(max_concurrent_rpcs)]
        if threads is not None:
            command += ["--threads", str(threads)]
        made = self._servicer_environ(name, environ or {})
        errors = self._home / f"{name}.stderr"
        process = Child.start(name, command, made, ready_file, errors, is_held=True, start_method="fork")
        self._processes.append(process)
        self._servicer_log_files.add(log_file)
        return Servicer(name, await self._address(process), process, witness_file)

    def _servicer_environ(self, name: str, environ: Mapping[str, str]) -> dict[str, str]:
        return {
            **loading_environment(self._environ),
            "OTEL_EXPORTER_OTLP_ENDPOINT": self.stack.otlp_endpoint,
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "OTEL_BLRP_SCHEDULE_DELAY": "200",
            "OTEL_RESOURCE_ATTRIBUTES": f"service.instance.id={name}",
            **environ,
        }

    async def _address(self, process: Child) -> str:
        """Wait until a server listens. Raises LessonError where it does not within a minute."""
        deadline_s = time.monotonic() + START_BOUND_S
        while not (addresses := process.addresses()):
            if process.exit_code is not None or time.monotonic() > deadline_s:
                why = process.complaint().splitlines()[-1:] or [f"exit status {process.exit_code}"]
                raise LessonError(f"the lesson's server {process.name} did not start: {why[0]}")
            await asyncio.sleep(POLL_S)
        return addresses["grpc"]


def is_whole(trace: Trace, root_span_id: str, servers: int | None = None) -> bool:
    """Whether everything that will come of a trace has come, as far as the trace itself can tell."""
    forest = forest_of(trace)
    if root_span_id not in forest.by_id or forest.orphans:
        return False
    seen = sum(span.kind is SpanKind.SERVER for span in forest.spans)
    if servers is not None:
        return seen >= servers
    return all(_is_answered(forest, span) for span in forest.spans if span.kind is SpanKind.CLIENT)


def _is_answered(forest: Forest, client: Span) -> bool:
    return client.is_error or any(child.kind is SpanKind.SERVER for child in forest.children_of(client))


def _json_lines(path: Path | None) -> list[dict[str, Any]]:
    if path is None or not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]
