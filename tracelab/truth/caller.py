"""The matrix's own client process on grpc.aio: makes every call, and writes down what it really received.

Run as `python -m tracelab.truth.caller PLAN.json`; prints the call records as JSON. The plan says which endings to run
and where the servers are. It stops, kills and freezes the servers that the plan names for it, by pid.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import grpc
from opentelemetry.context import Context

from generated.order_pb2 import Order
from otel.instrument import Telemetry, TelemetrySettings, configure
from tracelab.truth.endings import SERVICE, Act, Kind, Scenario, Server
from tracelab.truth.open_spans import watch_open_spans, write_open_spans
from tracelab.truth.plan import (
    CONCURRENCY,
    FILLER,
    FILLER_TIMEOUT_S,
    HANG_BOUND_S,
    ODD_KEY,
    ONE_REQUEST,
    POLL_S,
    RETRY_POLICY,
    Plan,
    ServerProcess,
)
from tracelab.truth.served_call import ANSWER_COUNT, BEHAVIOUR_KEY, LARGE_NOTE, SCENARIO_KEY
from tracelab.truth.witness import CallRecord, call_records_to_json, read_servicer_events


@dataclass(slots=True)
class Call:
    """One call in progress: counts what was sent and received."""

    scenario: Scenario
    multicallable: Callable[..., Any]
    channel: grpc.aio.Channel
    sent: int = 0
    received: int = 0
    has_seen: Callable[[str], bool] = bool
    stop_sending: asyncio.Event = field(default_factory=asyncio.Event)
    open_before_deadline: bool | None = None

    def start(self) -> Any:
        """Start the RPC and return the call object."""
        odd = ((ODD_KEY, ""),) if self.scenario.ending.act is Act.SEND_ODD_METADATA else ()
        arguments: dict[str, Any] = {
            "timeout": self.scenario.ending.timeout_s,
            "metadata": (
                (SCENARIO_KEY, self.scenario.name),
                (BEHAVIOUR_KEY, self.scenario.ending.behaviour),
                *odd,
            ),
        }
        if self.scenario.ending.wait_for_ready:
            arguments["wait_for_ready"] = True
        if self.scenario.ending.act is Act.WRITE:
            return self.multicallable(**arguments)
        if self.scenario.kind.sends_stream:
            return self.multicallable(self._requests(), **arguments)
        return self.multicallable(self._request(), **arguments)

    def _request(self) -> Order:
        self.sent += 1
        return Order(note=LARGE_NOTE if self.scenario.ending.act is Act.SEND_LARGE else "")

    async def _requests(self) -> AsyncIterator[Order]:
        if self.scenario.ending.behaviour in {"", "wait", "swallow", "answer_then_wait"}:
            await self.stop_sending.wait()
            return
        act = self.scenario.ending.act
        for _ in range(1 if act in ONE_REQUEST else ANSWER_COUNT):
            yield self._request()
        if act in ONE_REQUEST or act is Act.KEEP_OPEN:
            await self.stop_sending.wait()

    async def finish(self, call: Any) -> None:
        """Await the answer, or read every answer."""
        if not self.scenario.kind.receives_stream:
            await call
            self.received += 1
            return
        async for _ in call:
            self.received += 1

    async def until_seen(self, event: str) -> None:
        """Wait until the servicer's witness has written `event` down for this call."""
        while not self.has_seen(event):
            await asyncio.sleep(POLL_S)


async def perform(call: Call) -> None:
    """Do what the scenario's client does, up to the end of the call."""
    act = call.scenario.ending.act
    if act is Act.CALL_ON_CLOSED:
        await call.channel.close()
    running = call.start()
    try:
        match act:
            case Act.CANCEL_AT_ONCE:
                await call.until_seen("entered")
                running.cancel()
            case Act.CANCEL_WHILE_READ:
                await call.until_seen("got message")
                running.cancel()
            case Act.CLOSE_CHANNEL:
                await call.until_seen("entered")
                await call.channel.close()
            case Act.CANCEL_AFTER_MESSAGE:
                await anext(aiter(running))
                call.received += 1
                running.cancel()
            case Act.ABANDON:
                await _abandon(call, running)
            case Act.WRITE:
                await _write_all(call, running)
            case Act.READ:
                while await running.read() is not grpc.aio.EOF:
                    call.received += 1
                await _raise_unless_ok(running)
                return
        await call.finish(running)
    finally:
        call.stop_sending.set()


async def _abandon(call: Call, running: Any) -> None:
    async for _ in running:
        call.received += 1
        break
    call.open_before_deadline = not running.done()
    while not running.done():
        await asyncio.sleep(POLL_S)
    await _raise_unless_ok(running)


async def _write_all(call: Call, running: Any) -> None:
    for _ in range(ANSWER_COUNT):
        await running.write(call._request())
    await running.done_writing()


async def _raise_unless_ok(running: Any) -> None:
    code = await running.code()
    if code is not grpc.StatusCode.OK:
        raise grpc.aio.AioRpcError(
            code, await running.initial_metadata(), await running.trailing_metadata(), await running.details()
        )


class Caller:
    """Makes the calls of one instrumentation and keeps their records. One event loop."""

    def __init__(self, telemetry: Telemetry, servers: dict[Server, ServerProcess]) -> None:
        self._telemetry = telemetry
        self._servers = servers
        self.records: list[CallRecord] = []

    async def run(self, wanted: list[Scenario]) -> None:
        """Make every call: those to steady servers side by side, those that end a server together."""
        gate = asyncio.Semaphore(CONCURRENCY)
        steady = [
            scenario
            for scenario in wanted
            if scenario.ending.server in {Server.STEADY, Server.OTHER_API, Server.ABSENT}
        ]
        await asyncio.gather(*(self._gated(gate, scenario) for scenario in steady))
        for server, number in (
            (Server.STOPPED, signal.SIGTERM),
            (Server.KILLED, signal.SIGKILL),
            (Server.FROZEN, signal.SIGSTOP),
        ):
            ended = [scenario for scenario in wanted if scenario.ending.server is server]
            if ended:
                await self._end_server(server, number, ended)
        refused = [scenario for scenario in wanted if scenario.ending.server is Server.FULL]
        if refused:
            await self._fill_server(refused)

    async def _gated(self, gate: asyncio.Semaphore, scenario: Scenario) -> None:
        async with gate:
            await self.observe(scenario)

    async def _end_server(self, server: Server, number: signal.Signals, ended: list[Scenario]) -> None:
        process = self._servers[server]
        if server is Server.FROZEN:
            os.kill(process.pid, number)
            await asyncio.gather(*(self.observe(scenario) for scenario in ended))
            return
        calls = [asyncio.create_task(self.observe(scenario)) for scenario in ended]
        while not all(self._has_seen(scenario.ending.server, scenario.name, "entered") for scenario in ended):
            await asyncio.sleep(POLL_S)
        os.kill(process.pid, number)
        await asyncio.gather(*calls)

    async def _fill_server(self, refused: list[Scenario]) -> None:
        """Make calls to a server whose one place is taken by a call that nothing traces here."""
        async with grpc.aio.insecure_channel(self._servers[Server.FULL].address) as channel:
            metadata = ((SCENARIO_KEY, FILLER), (BEHAVIOUR_KEY, "wait"))
            method: Any = channel.unary_unary(f"/{SERVICE}/{Kind.UNARY_UNARY.method}")
            filler = method(b"", metadata=metadata, timeout=FILLER_TIMEOUT_S)
            while not self._has_seen(Server.FULL, FILLER, "entered"):
                await asyncio.sleep(POLL_S)
            await asyncio.gather(*(self.observe(scenario) for scenario in refused))
            filler.cancel()

    def _has_seen(self, server: Server, scenario_name: str, event_name: str) -> bool:
        events = read_servicer_events(self._servers[server].witness)
        return any(event.scenario == scenario_name and event.event == event_name for event in events)

    async def observe(self, scenario: Scenario) -> None:
        """Make one call inside a span of its own and keep the record of what it came to."""
        address = self._servers[scenario.ending.server].address
        channel = self._telemetry.insecure_channel(address, options=[("grpc.service_config", RETRY_POLICY)])
        server = scenario.ending.server
        if server not in {Server.ABSENT, Server.FROZEN}:
            await channel.channel_ready()  # a deadline that counted the connection would end before the server's
        has_seen = partial(self._has_seen, server, scenario.name)
        call = Call(scenario, _multicallable(channel, scenario), channel, has_seen=has_seen)
        with self._telemetry.tracer.start_as_current_span(f"truth {scenario.name}", context=Context()) as span:
            identity = span.get_span_context()
            started_unix_nano = time.time_ns()
            code, details, raised, hung = await _outcome(call)
            ended_unix_nano = time.time_ns()
        self.records.append(
            CallRecord(
                scenario.name,
                address,
                f"{identity.trace_id:032x}",
                f"{identity.span_id:016x}",
                code,
                details,
                raised,
                call.sent,
                call.received,
                started_unix_nano,
                ended_unix_nano,
                hung,
                call.open_before_deadline,
            )
        )
        await channel.close()


async def _outcome(call: Call) -> tuple[str, str, str, bool]:
    """Code, details, exception class and whether the call hung until the bound."""
    try:
        async with asyncio.timeout(call.scenario.ending.timeout_s + HANG_BOUND_S):
            await perform(call)
    except grpc.aio.AioRpcError as error:
        return error.code().name, error.details() or "", type(error).__name__, False
    except asyncio.CancelledError as error:
        return "CANCELLED", "", type(error).__name__, False
    except TimeoutError:
        return "", "", "", True
    except Exception as error:
        return "", str(error), type(error).__name__, False
    return "OK", "", "", False


def _multicallable(channel: grpc.aio.Channel, scenario: Scenario) -> Any:
    make = getattr(channel, scenario.kind.value.replace("-", "_"))
    garbage = scenario.ending.act is Act.SEND_GARBAGE
    return make(
        f"/{scenario.method}",
        request_serializer=(lambda _: b"\xff\xff\xff") if garbage else Order.SerializeToString,
        response_deserializer=Order.FromString,
    )


def main() -> NoReturn:
    """Run the plan named on the command line."""
    plan = Plan.read(Path(sys.argv[1]))
    telemetry = configure(TelemetrySettings.from_environ("truth-client", os.environ, log_to_stdout=False))
    open_spans = watch_open_spans(telemetry)
    caller = Caller(telemetry, plan.servers)
    asyncio.run(caller.run(list(plan.wanted)))
    write_open_spans(plan.open_spans, open_spans())
    telemetry.shutdown()
    sys.stdout.write(call_records_to_json(caller.records) + "\n")
    raise SystemExit(0)


if __name__ == "__main__":
    main()
