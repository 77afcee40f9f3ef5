"""Callers who call again as soon as they are answered, and what each of their calls came to."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc

from generated import user_pb2, user_pb2_grpc
from tests.polling import eventually_async

TIMEOUT_S = 20.0
# A refused connection fails in a millisecond; a caller who asked again at once would keep the machine from restarting.
PAUSE_AFTER_REFUSAL_S = 0.005
RETRY_POLICY = {
    "maxAttempts": 3,
    "initialBackoff": "0.05s",
    "maxBackoff": "0.5s",
    "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE"],
}


@dataclass
class CallersTally:
    """How the calls so far ended, and by the span id that each carried, which were answered."""

    codes: Counter[str] = field(default_factory=Counter)
    answered_ids: set[str] = field(default_factory=set)
    is_over: bool = False

    async def wait_for_answers(self, count: int) -> None:
        """Wait for so many more answers."""
        wanted_count = self.codes["OK"] + count

        async def answered_count() -> int:
            return self.codes["OK"]

        await eventually_async(answered_count, until=lambda seen: seen >= wanted_count, within_s=TIMEOUT_S)


@asynccontextmanager
async def callers(addresses: Sequence[str], caller_count: int) -> AsyncIterator[CallersTally]:
    """Keep `caller_count` callers at ListUsers, round robin; repeated on UNAVAILABLE alone: that hides no cancel."""
    config = {
        "loadBalancingConfig": [{"round_robin": {}}],
        "methodConfig": [{"name": [{}], "retryPolicy": RETRY_POLICY}],
    }
    options = [("grpc.service_config", json.dumps(config)), ("grpc.max_reconnect_backoff_ms", 200)]
    options += [("grpc.initial_reconnect_backoff_ms", 50), ("grpc.min_reconnect_backoff_ms", 50)]
    tally = CallersTally()
    async with grpc.aio.insecure_channel(f"ipv4:{','.join(addresses)}", options) as channel:
        stub = user_pb2_grpc.UserServiceStub(channel)
        async with asyncio.TaskGroup() as group:
            for _ in range(caller_count):
                group.create_task(_keep_calling(stub, tally))
            try:
                yield tally
            finally:
                tally.is_over = True


async def _keep_calling(stub: user_pb2_grpc.UserServiceAsyncStub, tally: CallersTally) -> None:
    while not tally.is_over:
        span_id = secrets.token_hex(8)
        metadata = (("traceparent", f"00-{secrets.token_hex(16)}-{span_id}-01"),)
        try:
            await stub.ListUsers(user_pb2.ListUsersRequest(), timeout=TIMEOUT_S, metadata=metadata)
        except grpc.aio.AioRpcError as error:
            tally.codes[error.code().name] += 1
            await asyncio.sleep(PAUSE_AFTER_REFUSAL_S)
        else:
            tally.codes["OK"] += 1
            tally.answered_ids.add(span_id)
