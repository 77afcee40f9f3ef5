"""Services that are stopped while callers never pause: what each call came to, by its caller and by the witness."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.closed_loop import callers
from tests.e2e.service_process import ServiceProcess, Start, service_processes

RESTART_COUNT = 3


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    with service_processes(tmp_path) as start_one:
        yield start_one


async def restarted(start: Start, server: ServiceProcess) -> ServiceProcess:
    port = int(server.address.rpartition(":")[2])
    assert await asyncio.to_thread(server.stop) == 0
    again = start("user", port=port, label=server.name)
    assert await asyncio.to_thread(lambda: again.address)
    return again


def returned_ids(servers: list[ServiceProcess]) -> Counter[str]:
    """Name each call whose handler came to its end, by the span id that it carried, and say how often."""
    lines = [line for server in servers for line in server.witness()]
    span_ids = {line["rpc_id"]: line["traceparent"].split("-")[2] for line in lines if line["event"] == "entered"}
    return Counter(span_ids[line["rpc_id"]] for line in lines if line["event"] == "returned")


@pytest.mark.parametrize("caller_count", [1, 20])
async def test_a_restart_of_one_of_two_servers_fails_no_call(start: Start, caller_count: int) -> None:
    servers = [start("user", label=label) for label in ("one", "other")]
    async with callers([server.address for server in servers], caller_count) as tally:
        await tally.wait_for_answers(100)
        for number in range(RESTART_COUNT):
            servers[number % 2] = await restarted(start, servers[number % 2])
            await tally.wait_for_answers(100)
    assert tally.codes == {"OK": len(tally.answered_ids)}
    assert returned_ids(servers) == Counter(tally.answered_ids)


@pytest.mark.parametrize("caller_count", [1, 20])
async def test_a_restart_of_the_only_server_cancels_no_call_and_loses_no_answer(
    start: Start, caller_count: int
) -> None:
    server = start("user")
    async with callers([server.address], caller_count) as tally:
        await tally.wait_for_answers(100)
        for _ in range(RESTART_COUNT):
            server = await restarted(start, server)
            await tally.wait_for_answers(100)
    assert set(tally.codes) <= {"OK", "UNAVAILABLE"}
    assert returned_ids([server]) == Counter(tally.answered_ids)
