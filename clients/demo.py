"""The demo client: two users, three orders, one report, one ranking, and the four lines that they come to.

`python -m clients.demo` runs it alone, against services that already run; `lab demo` runs it and shows its trace.
"""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from opentelemetry import baggage, context

from clients.event_loop import run_until_signal
from clients.money import format_money
from clients.service_stubs import ServiceStubs
from clients.telemetry import client_telemetry
from generated import order_pb2, report_pb2, user_pb2
from otel.instrument import Telemetry
from otel.instrument.loopback import bypass_proxies
from otel.tls.files import NO_TLS, TlsFiles

USERS: Final = {"Alice": "alice@example.com", "Bob": "bob@example.com"}
ORDERS: Final = (("Alice", 4000), ("Alice", 3500), ("Bob", 8000))
"""Who orders for how many minor units: two orders of 75.0 together, and one of 80.0."""

CALL_TIMEOUT_S: Final = 10.0
START_BOUND_S: Final = 5.0  # services that were started just before, as the README does, take a second or two
POLL_S: Final = 0.1
SESSION_KEY: Final = "session.id"


@dataclass(frozen=True, slots=True)
class DemoRun:
    """What the demo did. `session_id` went with the report's call alone, as baggage.

    `report_trace_id` is "" where nothing traced that call; `is_sampled` says whether its spans are kept.
    """

    lines: tuple[str, ...]
    session_id: str
    report_trace_id: str
    is_sampled: bool


async def run_demo(
    telemetry: Telemetry,
    addresses: Mapping[str, str],
    say: Callable[[str], None] = lambda _: None,
    tls: TlsFiles = NO_TLS,
) -> DemoRun:
    """Make the demo's calls, each a trace of its own, and `say` each line as it is known. Raises AioRpcError.

    Every run makes users of its own and asks about these alone, so that its lines never change.
    """
    lines: list[str] = []

    def tell(line: str) -> None:
        lines.append(line)
        say(line)

    async with ServiceStubs(telemetry, addresses, tls) as stubs:
        users = await _create_users(stubs)
        tell(f"Users created: [{', '.join(users)}]")
        await _create_orders(stubs, users)
        session_id = str(uuid.uuid4())
        tell(await _report_line(stubs, users["Alice"], session_id))
        for line in await _top_lines(stubs, users):
            tell(line)
        traced = stubs.traces.of("GetUserReport")
    trace_id, is_sampled = (traced.trace_id, traced.is_sampled) if traced else ("", False)
    return DemoRun(tuple(lines), session_id, trace_id, is_sampled)


async def _create_users(stubs: ServiceStubs) -> dict[str, str]:
    """Create the users; gives their ids by name."""
    ids = {}
    for name, email in USERS.items():
        request = user_pb2.CreateUserRequest(name=name, email=email, request_id=str(uuid.uuid4()))
        created = await stubs.user.CreateUser(request, timeout=CALL_TIMEOUT_S)
        ids[created.user.name] = created.user.user_id
    return ids


async def _create_orders(stubs: ServiceStubs, users: Mapping[str, str]) -> None:
    for name, amount_minor_units in ORDERS:
        request = order_pb2.CreateOrderRequest(
            user_id=users[name], amount_minor_units=amount_minor_units, request_id=str(uuid.uuid4())
        )
        await stubs.order.CreateOrder(request, timeout=CALL_TIMEOUT_S)


async def _report_line(stubs: ServiceStubs, user_id: str, session_id: str) -> str:
    request = report_pb2.GetUserReportRequest(user_id=user_id)
    with _session(session_id):
        answer = await stubs.report.GetUserReport(request, timeout=CALL_TIMEOUT_S)
    report = answer.report
    return f"Report {report.user_name}: orders={report.order_count}, total={format_money(report.total_minor_units)}"


async def _top_lines(stubs: ServiceStubs, users: Mapping[str, str]) -> list[str]:
    request = report_pb2.TopUsersRequest(
        user_ids=list(users.values()), strategy=report_pb2.TOP_USERS_STRATEGY_BATCH, limit=len(users)
    )
    answer = await stubs.report.TopUsers(request, timeout=CALL_TIMEOUT_S)
    return [
        f"Top: {user.user_name} | count={user.order_count} total={format_money(user.total_minor_units)}"
        for user in answer.users
    ]


@contextmanager
def _session(session_id: str) -> Iterator[None]:
    """Send `session_id` along with the calls made inside, by W3C baggage."""
    token = context.attach(baggage.set_baggage(SESSION_KEY, session_id))
    try:
        yield
    finally:
        context.detach(token)


def main() -> int:
    """Run the demo alone: the four lines on standard output, the trace's link on standard error."""
    from clients import errors
    from clients.discovery.endpoints import find_endpoints
    from clients.discovery.home import home_of
    from clients.error_report import report_of

    bypass_proxies(os.environ)
    home = home_of(os.environ)
    try:
        endpoints = find_endpoints(os.environ)
        _await_services(endpoints.addresses)
        telemetry = client_telemetry("demo", os.environ, home, endpoints.otlp.address)
        try:
            run = run_until_signal(
                run_demo(telemetry, endpoints.addresses, lambda line: print(line, flush=True), endpoints.tls)
            )
        finally:
            telemetry.shutdown()
        print(_link(run, endpoints.otlp.address, endpoints.query.address), file=sys.stderr)
    except KeyboardInterrupt:
        return errors.INTERRUPTED
    except Exception as error:  # no traceback reaches a person
        report = report_of(error, home / "crash.log")
        errors.print_report(report)
        return report.exit_code
    return 0


def _await_services(addresses: Mapping[str, str]) -> None:
    """Give services time to start; of one that does not, the first call says so."""
    from clients.discovery.probes import accepts_connections

    deadline_s = time.monotonic() + START_BOUND_S
    silent = [address for address in addresses.values() if not accepts_connections(address)]
    if silent:
        print(f"waiting up to {START_BOUND_S:g} s for services at {', '.join(silent)}", file=sys.stderr)
    while silent and time.monotonic() < deadline_s:
        time.sleep(POLL_S)  # a process that was started elsewhere tells nobody when it listens
        silent = [address for address in silent if not accepts_connections(address)]


def _link(run: DemoRun, otlp_endpoint: str, query_url: str) -> str:
    """Say where the trace is, or why there is none."""
    from clients.discovery.probes import accepts_connections, address_of

    if not run.report_trace_id:
        return "no trace: instrumentation is off (LAB_INSTRUMENTATION, or OTEL_SDK_DISABLED)"
    if not run.is_sampled:
        return "no trace: the call was sampled out (OTEL_TRACES_SAMPLER)"
    if not accepts_connections(address_of(otlp_endpoint)):
        return "no trace backend; start one with ./lab up --only backend"
    return f"trace: {query_url}/trace/{run.report_trace_id}"


if __name__ == "__main__":
    sys.exit(main())
