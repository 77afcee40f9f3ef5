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
    """Kill the backend at moments of chance, start it again on its file, and look for what it had acknowledged."""
    backend = await bench.backend()
    senders = Senders(backend.address)
    moments = random.Random(0)
    kill_count = bench.pick(200, 3)
    for _ in range(kill_count):
        over = asyncio.Event()
        sending = asyncio.create_task(senders.send_until(over))
        await asyncio.sleep(moments.uniform(0.0, LONGEST_LIFE_S))
        await bench.kill(backend)
        over.set()
        await sending
        await bench.restart(backend)
    missing, doubled = await asyncio.to_thread(looked_up, backend, senders.acknowledged)
    return (
        Count("kills", kill_count),
        Count("batches sent", senders.sent_count),
        Count("acknowledged", len(senders.acknowledged)),
        equal("acknowledged and not there", missing, 0),
        equal("spans that are there twice", doubled, 0),
    )


EXPERIMENTS = (
    Experiment(
        "kill-backend",
        "What the backend acknowledged is stored, whole and once, whenever it dies.",
        "SIGKILL to the backend at moments of chance while 8 senders never pause, and a start on the same file",
        "with requests answered before their transaction is committed, 3 kills lost 7 acknowledged batches",
        kill_in_mid_batch,
    ),
)
