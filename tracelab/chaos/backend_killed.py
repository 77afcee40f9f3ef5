"""The backend is killed while senders never pause: what it acknowledged must be there."""

from __future__ import annotations

import asyncio
import random
import secrets
from typing import Final

import grpc

from tracelab.chaos.bench import Bench
from tracelab.chaos.experiment import Count, Experiment, equal
from tracelab.chaos.sending import EXPORT, EXPORT_TIMEOUT_S, batch, looked_up

BACKEND_COUNT: Final = 2
SENDER_COUNT: Final = 8
LONGEST_LIFE_S: Final = 0.3


class Senders:
    """Send batches, each a trace of its own, and remember which were acknowledged."""

    def __init__(self, address: str) -> None:
        self._address = address
        self.sent_count = 0
        self.acknowledged: list[bytes] = []

    async def send_until(self, over: asyncio.Event) -> None:
        """Send until the backend is gone or `over`."""
        async with grpc.aio.insecure_channel(self._address, [("grpc.use_local_subchannel_pool", 1)]) as channel:
            export: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(EXPORT)
            await asyncio.gather(*(self._keep_sending(export, over) for _ in range(SENDER_COUNT)))

    async def _keep_sending(self, export: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes], over: asyncio.Event) -> None:
        while not over.is_set():
            trace_id = secrets.token_bytes(16)
            self.sent_count += 1
            try:
                await export(batch(trace_id), timeout=EXPORT_TIMEOUT_S)
            except grpc.aio.AioRpcError:
                return
            self.acknowledged.append(trace_id)


async def kill_in_mid_batch(bench: Bench) -> tuple[Count, ...]:
    """Kill backends at moments of chance, start them again on their files, and look for what they had acknowledged.

    Two at a time: most of a kill is the start after it, which keeps one core busy.
    """
    moments = random.Random(0)
    kills_each = bench.pick(200, 4) // BACKEND_COUNT
    async with asyncio.TaskGroup() as group:
        rounds = [group.create_task(_kill_one(bench, number, moments, kills_each)) for number in range(BACKEND_COUNT)]
    senders = [each.result()[0] for each in rounds]
    return (
        Count("kills", kills_each * BACKEND_COUNT),
        Count("batches sent", sum(each.sent_count for each in senders)),
        Count("acknowledged", sum(len(each.acknowledged) for each in senders)),
        equal("acknowledged and not there", sum(each.result()[1] for each in rounds), 0),
        equal("spans that are there twice", sum(each.result()[2] for each in rounds), 0),
    )


async def _kill_one(bench: Bench, number: int, moments: random.Random, kill_count: int) -> tuple[Senders, int, int]:
    """Give its senders, how many traces are not whole, and how many spans are there twice."""
    label = f"backend-{number}"
    backend = await bench.backend(store=bench.folder / f"{label}.sqlite", label=label)
    senders = Senders(backend.address)
    for _ in range(kill_count):
        over = asyncio.Event()
        sending = asyncio.create_task(senders.send_until(over))
        await asyncio.sleep(moments.uniform(0.0, LONGEST_LIFE_S))
        await bench.kill(backend)
        over.set()
        await sending
        await bench.restart(backend)
    return senders, *await asyncio.to_thread(looked_up, backend, senders.acknowledged)


EXPERIMENTS = (
    Experiment(
        "kill-backend",
        "What the backend acknowledged is stored, whole and once, whenever it dies.",
        "SIGKILL to a backend at moments of chance while 8 senders never pause, and a start on its file, two at a time",
        "with requests answered before their transaction is committed, 3 kills lost 7 acknowledged batches",
        kill_in_mid_batch,
    ),
)
