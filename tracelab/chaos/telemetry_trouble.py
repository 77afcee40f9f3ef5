"""A backend that is absent, silent, or refuses, while a service serves: its calls must not notice."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import grpc
import httpx
import psutil

from tracelab.chaos.bench import Bench, Process, until
from tracelab.chaos.callers import CallersTally, callers
from tracelab.chaos.experiment import Count, Experiment, at_most, equal
from tracelab.chaos.sending import EXPORT

CALLER_COUNT: Final = 4
PAUSE_S: Final = 0.005
# Two runs of one service under the same load differ by this much on a busy machine; a call that waits for an export
# waits for seconds.
P99_NOISE_RATIO: Final = 3.0
P99_FLOOR_S: Final = 0.05
# Only after this does an exporter know that a backend is silent; the SDK's own 10 s make an experiment long.
EXPORT_TIMEOUT_S: Final = 2
# The SDK's queues are bounded: 2,048 spans and as many log records.
MOST_MEMORY_MIB: Final = 50
STORED_SPANS: Final = re.compile(r"^\w+_stored_spans (\S+)$", re.MULTILINE)


async def backend_goes_and_comes(bench: Bench) -> tuple[Count, ...]:
    """Kill the backend under load, let time pass, start it again, and look for spans made after that."""
    backend = await bench.backend()
    service = await bench.service("user", environ=exporting_to(backend.address))
    async with callers([service.address], CALLER_COUNT, pause_s=PAUSE_S) as tally:
        with_backend = await observed(tally, bench.pick(6.0, 1.0))
        await bench.kill(backend)
        without = await observed(tally, bench.pick(30.0, 3.0))
        await bench.restart(backend)
        await until(lambda: service_recovered(service), "the service to deliver again", 60.0)
        await observed(tally, 1.0)
    await bench.stop(service)
    events = [line["event"] for line in service.log_lines()]
    made, lost = loss(service)
    stored = await asyncio.to_thread(stored_span_count, backend)
    return (
        Count("calls sent", tally.sent_count),
        equal("calls that failed", tally.refused_count, 0),
        Count("p99 with backend, ms", milliseconds(p99(with_backend))),
        at_most(
            "p99 without, ms", milliseconds(p99(without)), milliseconds(promised_p99_s(with_backend)), is_timed=True
        ),
        equal("log lines that say that it failed", events.count("export.failed"), 1),
        equal("log lines that say that it works again", events.count("export.recovered"), 1),
        Count("spans made", made),
        Count("said to be lost", lost),
        equal("neither stored nor said to be lost", max(made - lost - stored, 0), 0),
    )


async def backend_in_trouble(bench: Bench) -> tuple[Count, ...]:
    """Serve beside a backend that never answers, and beside one that refuses everything."""
    counts: list[Count] = []
    quiet = await bench.service("user", label="untroubled")
    async with callers([quiet.address], CALLER_COUNT, pause_s=PAUSE_S) as tally:
        untroubled = await observed(tally, bench.pick(6.0, 1.0))
    counts.append(Count("p99 without telemetry, ms", milliseconds(p99(untroubled))))
    promised_ms = milliseconds(promised_p99_s(untroubled))
    await bench.stop(quiet)
    for name, trouble in (("silent", silent_backend), ("refusing", refusing_backend)):
        async with trouble() as address:
            service = await bench.service("user", label=name, environ=exporting_to(address))
            async with callers([service.address], CALLER_COUNT, pause_s=PAUSE_S) as tally:
                before_mib = memory_mib(service)
                durations_s = await observed(tally, bench.pick(8.0, 3.0))
                gained_mib = memory_mib(service) - before_mib
            stopped_s = await bench.stop(service)
        made, lost = loss(service)
        events = [line["event"] for line in service.log_lines()]
        counts += [
            equal(f"{name}: calls that failed", tally.refused_count, 0),
            at_most(f"{name}: p99, ms", milliseconds(p99(durations_s)), promised_ms, is_timed=True),
            equal(f"{name}: log lines that say so", events.count("export.failed"), 1),
            equal(f"{name}: spans made and not said to be lost", made - lost, 0),
            at_most(f"{name}: memory gained, MiB", round(gained_mib, 1), MOST_MEMORY_MIB),
            at_most(f"{name}: seconds to stop", round(stopped_s, 1), 10.0, is_timed=True),
        ]
    return tuple(counts)


async def observed(tally: CallersTally, duration_s: float) -> list[float]:
    """Let time pass; give how long the calls took that ended in it."""
    before = len(tally.durations_s)
    await asyncio.sleep(duration_s)
    return tally.durations_s[before:]


def milliseconds(duration_s: float) -> float:
    """Give seconds as milliseconds that can be read."""
    return round(duration_s * 1_000, 1)


def p99(durations_s: list[float]) -> float:
    """Give the duration that one call in a hundred exceeds; 0 of none."""
    return sorted(durations_s)[int(len(durations_s) * 0.99)] if durations_s else 0.0


def promised_p99_s(untroubled_s: list[float]) -> float:
    """Give the p99 that counts as unharmed."""
    return max(p99(untroubled_s) * P99_NOISE_RATIO, P99_FLOOR_S)


def memory_mib(service: Process) -> float:
    """Give the memory that a service has resident."""
    return float(psutil.Process(service.child.pid).memory_info().rss) / 2**20


def loss(service: Process) -> tuple[int, int]:
    """Give the spans that a service made and those that it says no backend took, as it logged at its end."""
    dropped = [line for line in service.log_lines() if line["event"] == "telemetry.dropped"]
    finished = sum(line["event"] == "rpc.finished" for line in service.log_lines())
    return (dropped[-1]["span_count"], dropped[-1]["dropped_span_count"]) if dropped else (finished, 0)


def service_recovered(service: Process) -> bool | None:
    """Whether it has said that it delivers again."""
    return any(line["event"] == "export.recovered" for line in service.log_lines()) or None


def stored_span_count(backend: Process) -> int:
    """Count the spans that are stored, as the backend says to a scrape."""
    answer = httpx.get(f"http://{backend.addresses['query']}/metrics", timeout=10.0, trust_env=False)
    found = STORED_SPANS.search(answer.text)
    return int(float(found[1])) if found else 0


def exporting_to(address: str) -> Mapping[str, str]:
    """The telemetry settings of a service that exports to `address`."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": f"http://{address}",
        "OTEL_EXPORTER_OTLP_TIMEOUT": str(EXPORT_TIMEOUT_S),
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "OTEL_BLRP_SCHEDULE_DELAY": "200",
    }


@asynccontextmanager
async def silent_backend() -> AsyncIterator[str]:
    """Listen, take what comes, and never answer."""

    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            pass
        writer.close()

    server = await asyncio.start_server(swallow, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()[:2]
        yield f"{host}:{port}"


@asynccontextmanager
async def refusing_backend() -> AsyncIterator[str]:
    """Answer each export with RESOURCE_EXHAUSTED."""

    async def refuse(_request: bytes, context: grpc.aio.ServicerContext[Any, Any]) -> bytes:
        await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "enough")
        raise AssertionError("abort raises")

    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    for service in (EXPORT.split("/")[1], EXPORT.split("/")[1].replace("trace", "logs").replace("Trace", "Logs")):
        handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {"Export": grpc.unary_unary_rpc_method_handler(refuse)}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)


EXPERIMENTS = (
    Experiment(
        "backend-away",
        "A backend that dies harms no call; that and what is lost is said once; it is delivered to once it is back.",
        "SIGKILL to the backend under load, half a minute without, and a start on the same ports",
        "without the watch over exports nothing said that it failed, nor that it worked again",
        backend_goes_and_comes,
    ),
    Experiment(
        "backend-in-trouble",
        "A backend that is silent or refuses harms no call, and what is lost is counted and said once.",
        "exports to a listener that never answers, and to one that answers RESOURCE_EXHAUSTED",
        "with spans exported by the call itself p99 was 2,008 ms beside the one and 2,946 ms beside the other",
        backend_in_trouble,
    ),
)
