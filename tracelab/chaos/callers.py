"""Callers who call again as soon as they are answered, and what each of their calls came to."""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import grpc

from tracelab.chaos.bench import BenchError, Process
from tracelab.chaos.tally import Tally

LIST_USERS: Final = "/tracelab.user.v1.UserService/ListUsers"
EMPTY: Final = b""  # what any message encodes to whose fields have their defaults
TIMEOUT_S: Final = 20.0
ANSWERS_BOUND_S: Final = 60.0
# A refused connection fails in a millisecond; a caller who asked again at once would keep the machine from restarting.
PAUSE_AFTER_REFUSAL_S: Final = 0.005
# Repeated on UNAVAILABLE alone: that hides no cancel.
RETRY_POLICY: Final = {
    "maxAttempts": 3,
    "initialBackoff": "0.05s",
    "maxBackoff": "0.5s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}
ENDINGS: Final = ("returned", "caught")  # how a witness calls the end of a handler
OPTIONS: Final = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.min_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", 200),
)


@dataclass
class CallersTally(Tally):
    """How the calls so far ended, how long the answered ones took, and the span ids that these carried."""

    durations_s: list[float] = field(default_factory=list)
    answered_ids: list[str] = field(default_factory=list)

    async def wait_for_answers(self, count: int) -> None:
        """Wait for so many more answers; BenchError if they do not come."""
        wanted_count = self.codes["OK"] + count
        until_s = time.monotonic() + ANSWERS_BOUND_S
        while self.codes["OK"] < wanted_count:
            if time.monotonic() > until_s:
                raise BenchError(f"waited {ANSWERS_BOUND_S:g} s for {count} answers; so far: {dict(self.codes)}")
            await asyncio.sleep(PAUSE_AFTER_REFUSAL_S)


@asynccontextmanager
async def callers(
    addresses: Sequence[str],
    caller_count: int,
    *,
    method: str = LIST_USERS,
    retries: bool = True,
    baggage: str = "",
    pause_s: float = 0.0,
) -> AsyncIterator[CallersTally]:
    """Keep `caller_count` callers at a unary method with empty requests, round robin, until the block ends."""
    config: dict[str, object] = {"loadBalancingConfig": [{"round_robin": {}}]}
    if retries:
        config["methodConfig"] = [{"name": [{}], "retryPolicy": RETRY_POLICY}]
    tally = CallersTally()
    options = [*OPTIONS, ("grpc.service_config", json.dumps(config))]
    async with grpc.aio.insecure_channel(f"ipv4:{','.join(addresses)}", options) as channel:
        call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method)
        async with asyncio.TaskGroup() as group:
            for _ in range(caller_count):
                group.create_task(_keep_calling(call, tally, baggage, pause_s))
            try:
                yield tally
            finally:
                tally.is_over = True


async def _keep_calling(
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes], tally: CallersTally, baggage: str, pause_s: float
) -> None:
    while not tally.is_over:
        span_id = secrets.token_hex(8)
        metadata = [("traceparent", f"00-{secrets.token_hex(16)}-{span_id}-01")]
        metadata += [("baggage", baggage)] if baggage else []
        begun_s = time.perf_counter()
        try:
            await call(EMPTY, timeout=TIMEOUT_S, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            tally.codes[error.code().name] += 1
            await asyncio.sleep(PAUSE_AFTER_REFUSAL_S)
        else:
            tally.codes["OK"] += 1
            tally.durations_s.append(time.perf_counter() - begun_s)
            tally.answered_ids.append(span_id)
        if pause_s:
            await asyncio.sleep(pause_s)


def returned_ids(*servers: Process) -> Counter[str]:
    """Name each call whose handler came to its end, by the span id that it carried, and say how often."""
    lines = [line for server in servers for line in server.witness()]
    span_ids = {line["rpc_id"]: line["traceparent"].split("-")[2] for line in lines if line["event"] == "entered"}
    return Counter(span_ids[line["rpc_id"]] for line in lines if line["event"] == "returned")


def in_hand_ids(server: Process) -> set[str]:
    """Name each call whose handler has begun and not ended, however, by the server's own id."""
    lines = server.witness()
    begun = {line["rpc_id"] for line in lines if line["event"] == "entered"}
    return begun - {line["rpc_id"] for line in lines if line["event"] in ENDINGS}
