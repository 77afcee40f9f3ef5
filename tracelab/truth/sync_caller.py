"""The matrix's own client process on the synchronous API: makes every call, and writes down what it really received.

Run as `python -m tracelab.truth.sync_caller PLAN.json`, as its counterpart on grpc.aio is.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import grpc
from opentelemetry.context import Context

from generated.order_pb2 import Order
from otel.instrument import Telemetry, TelemetrySettings, configure
from tracelab.truth.endings import SERVICE, Act, Kind, Scenario, Server, Style
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

SILENT = frozenset({"", "wait", "swallow", "outlive", "answer_then_wait"})  # behaviours that read no request


BACK_IN_READ_S = 0.1
RETRIED = frozenset({"fail_twice", "fail_always"})
NEEDS_CALL_OBJECT = frozenset({Act.CANCEL_AT_ONCE, Act.CANCEL_WHILE_READ, Act.CLOSE_CHANNEL})


class RequestsBrokenError(RuntimeError):
    """What an iterator of requests raises that is to raise."""


@dataclass(slots=True)
class Call:
    """One call in progress, of one thread; gRPC takes its requests in another."""

    scenario: Scenario
    multicallable: Any
    channel: grpc.Channel
    sent: int = 0
    received: int = 0
    has_seen: Callable[[str], bool] = bool
    stop_sending: threading.Event = field(default_factory=threading.Event)
    open_before_deadline: bool | None = None

    def start(self) -> Any:
        """Start the RPC in its style; returns the answer of a blocking one, else the call object."""
        ending = self.scenario.ending
        arguments: dict[str, Any] = {"timeout": ending.timeout_s, "metadata": self._metadata()}
        if ending.wait_for_ready:
            arguments["wait_for_ready"] = True
        request = self._requests() if self.scenario.kind.sends_stream else self._request()
        if self.scenario.kind.receives_stream:
            return self.multicallable(request, **arguments)
        if self._style is Style.FUTURE:
            return self.multicallable.future(request, **arguments)
        if self._style is Style.WITH_CALL:
            response, _ = self.multicallable.with_call(request, **arguments)
        else:
            response = self.multicallable(request, **arguments)
        self.received += 1
        return response

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        odd = ((ODD_KEY, ""),) if self.scenario.ending.act is Act.SEND_ODD_METADATA else ()
        return ((SCENARIO_KEY, self.scenario.name), (BEHAVIOUR_KEY, self.scenario.ending.behaviour), *odd)

    def _request(self) -> Order:
        self.sent += 1
        return Order(note=LARGE_NOTE if self.scenario.ending.act is Act.SEND_LARGE else "")

    def _requests(self) -> Iterator[Order]:
        act = self.scenario.ending.act
        if self.scenario.ending.behaviour in SILENT:
            self.stop_sending.wait()
            return
        for _ in range(1 if act in ONE_REQUEST or act is Act.BREAK_REQUESTS else ANSWER_COUNT):
            yield self._request()
        if act is Act.BREAK_REQUESTS:
            self.until_next_is_awaited()
            raise RequestsBrokenError
        if act in ONE_REQUEST or act is Act.KEEP_OPEN:
            self.stop_sending.wait()

    def finish(self, call: Any) -> None:
        """Take the result of a future, or read every answer; a blocking call has come to its end already."""
        if self.scenario.kind.receives_stream:
            for _ in call:
                self.received += 1
        elif self._style is Style.FUTURE:
            call.result()
            self.received += 1

    def until_seen(self, *events: str) -> None:
        """Wait until the servicer's witness has written one of `events` down; TimeoutError past the bound."""
        deadline_s = time.monotonic() + self.scenario.ending.timeout_s + HANG_BOUND_S
        while not any(map(self.has_seen, events)):
            if time.monotonic() > deadline_s:
                raise TimeoutError(*events)
            time.sleep(POLL_S)

    def until_next_is_awaited(self) -> None:
        """Wait until the servicer has a message and is back in its read, which no witness sees: so give it time."""
        self.until_seen("got message")
        time.sleep(BACK_IN_READ_S)

    @property
    def _style(self) -> Style:
        return Style.FUTURE if self.scenario.ending.act in NEEDS_CALL_OBJECT else self.scenario.ending.style


def perform(call: Call) -> None:
    """Do what the scenario's client does, up to the end of the call."""
    act = call.scenario.ending.act
    if act is Act.CALL_ON_CLOSED:
        call.channel.close()
    try:
        running = call.start()
        match act:
            case Act.CANCEL_AT_ONCE:
                call.until_seen("entered")
                running.cancel()
            case Act.CANCEL_WHILE_READ:
                call.until_next_is_awaited()
                running.cancel()
            case Act.CLOSE_CHANNEL:
                call.until_seen("entered")
                call.channel.close()
            case Act.CANCEL_AFTER_MESSAGE:
                next(running)
                call.received += 1
                running.cancel()
            case Act.ABANDON:
                _abandon(call, running)
            case Act.DROP:
                next(running)
                call.received += 1
                del running
                call.until_seen("caught", "raised")  # in its wait, or before it was asked for a second answer
                raise grpc.FutureCancelledError
        call.finish(running)
    finally:
        call.stop_sending.set()


def _abandon(call: Call, running: Any) -> None:
    """Read one answer and no more, but keep the call: it ends by its deadline."""
    for _ in running:
        call.received += 1
        break
    call.open_before_deadline = running.is_active()
    call.until_seen("caught", "raised")


class Caller:
    """Makes the calls of one instrumentation, each in a thread of its own, and keeps their records."""

    def __init__(self, telemetry: Telemetry, servers: dict[Server, ServerProcess]) -> None:
        self._telemetry = telemetry
        self._servers = servers
        self.records: list[CallRecord] = []

    def run(self, wanted: tuple[Scenario, ...]) -> None:
        """Make every call: those to steady servers side by side, those that end a server together."""
        steady = {Server.STEADY, Server.OTHER_API, Server.ABSENT}
        self._observe_all([scenario for scenario in wanted if scenario.ending.server in steady], CONCURRENCY)
        for server, number in (
            (Server.STOPPED, signal.SIGTERM),
            (Server.KILLED, signal.SIGKILL),
            (Server.FROZEN, signal.SIGSTOP),
        ):
            ended = [scenario for scenario in wanted if scenario.ending.server is server]
            if ended:
                self._end_server(server, number, ended)
        for server in (Server.FULL, Server.BUSY):
            refused = [scenario for scenario in wanted if scenario.ending.server is server]
            if refused:
                self._fill_server(server, refused)

    def _observe_all(self, wanted: list[Scenario], at_once: int) -> None:
        with futures.ThreadPoolExecutor(at_once) as pool:
            list(pool.map(self.observe, wanted))

    def _end_server(self, server: Server, number: signal.Signals, ended: list[Scenario]) -> None:
        pid = self._servers[server].pid
        if server is Server.FROZEN:
            os.kill(pid, number)
            self._observe_all(ended, len(ended))
            return
        with futures.ThreadPoolExecutor(len(ended)) as pool:
            calls = [pool.submit(self.observe, scenario) for scenario in ended]
            while not all(self._has_seen(server, scenario.name, "entered") for scenario in ended):
                if any(call.done() for call in calls):
                    break  # one failed before it was to
                time.sleep(POLL_S)
            os.kill(pid, number)
            for call in calls:
                call.result()

    def _fill_server(self, server: Server, refused: list[Scenario]) -> None:
        """Make calls to a server whose one place is taken by a call that nothing traces here."""
        with grpc.insecure_channel(self._servers[server].address) as channel:
            method: Any = channel.unary_unary(f"/{SERVICE}/{Kind.UNARY_UNARY.method}")
            metadata = ((SCENARIO_KEY, FILLER), (BEHAVIOUR_KEY, "wait"))
            filler = method.future(b"", metadata=metadata, timeout=FILLER_TIMEOUT_S)
            while not self._has_seen(server, FILLER, "entered"):
                time.sleep(POLL_S)
            self._observe_all(refused, len(refused))
            filler.cancel()

    def _has_seen(self, server: Server, scenario_name: str, event_name: str) -> bool:
        events = read_servicer_events(self._servers[server].witness)
        return any(event.scenario == scenario_name and event.event == event_name for event in events)

    def observe(self, scenario: Scenario) -> None:
        """Make one call inside a span of its own and keep the record of what it came to."""
        server = scenario.ending.server
        address = self._servers[server].address
        # Only where an ending is about retries.
        retries = [("grpc.service_config", RETRY_POLICY)] if scenario.ending.behaviour in RETRIED else []
        channel = self._telemetry.sync.insecure_channel(address, options=retries)
        if server not in {Server.ABSENT, Server.FROZEN}:
            grpc.channel_ready_future(channel).result(FILLER_TIMEOUT_S)
        has_seen = partial(self._has_seen, server, scenario.name)
        call = Call(scenario, _multicallable(channel, scenario), channel, has_seen=has_seen)
        with self._telemetry.tracer.start_as_current_span(f"truth {scenario.name}", context=Context()) as span:
            identity = span.get_span_context()
            started_unix_nano = time.time_ns()
            code, details, raised, hung = _outcome(call)
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
        channel.close()


def _outcome(call: Call) -> tuple[str, str, str, bool]:
    """Code, details and exception class of what the caller was given, and whether it waited past the bound."""
    try:
        perform(call)
    except TimeoutError:
        return "", "", "", True
    except grpc.FutureCancelledError as error:
        return "CANCELLED", "", type(error).__name__, False
    except grpc.RpcError as error:
        given: Any = error
        return given.code().name, given.details() or "", type(error).__name__, False
    except Exception as error:
        return "", str(error), type(error).__name__, False
    return "OK", "", "", False


def _multicallable(channel: grpc.Channel, scenario: Scenario) -> Any:
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
    caller.run(plan.wanted)
    write_open_spans(plan.open_spans, open_spans())
    telemetry.shutdown()
    sys.stdout.write(call_records_to_json(caller.records) + "\n")
    sys.stdout.flush()
    os._exit(0)  # an iterator of requests may still wait in a thread of gRPC's


if __name__ == "__main__":
    main()
