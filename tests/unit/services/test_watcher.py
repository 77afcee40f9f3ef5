"""A watcher's queue: what is kept, what is given up, in which order, and that a writer never waits."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

import pytest
from opentelemetry.trace import INVALID_SPAN_CONTEXT, NoOpTracer

from generated import order_pb2
from services.grpc_api.stepping import finish
from services.grpc_api.threads import ThreadApi
from services.order_tracking import MAX_WAITING_ACKNOWLEDGEMENTS, OrderChange, OrderTracker, Watcher
from services.stores.ports import OrderRecord, OrderStatus


def change(number: int, user_id: str = "u-1") -> OrderChange:
    record = OrderRecord(f"o-{number}", number, user_id, 1, OrderStatus.PENDING, "", 0, 0)
    return OrderChange(record, None, INVALID_SPAN_CONTEXT)


async def taken(watcher: Watcher) -> Any:
    """Return the next event in short: `ack`, None, or (order id, missed count)."""
    event = await watcher.next()
    return (event[0].order.order_id, event[1]) if isinstance(event, tuple) else event and "ack"


async def test_changes_come_in_their_order() -> None:
    watcher = Watcher(queue_size=3)
    for number in range(3):
        watcher.offer(change(number))
    assert [await taken(watcher) for _ in range(3)] == [("o-0", 0), ("o-1", 0), ("o-2", 0)]


async def test_a_full_queue_gives_up_the_oldest_and_says_so_once() -> None:
    watcher = Watcher(queue_size=2)
    for number in range(5):
        watcher.offer(change(number))
    assert [await taken(watcher), await taken(watcher)] == [("o-3", 3), ("o-4", 0)]


async def test_an_acknowledgement_keeps_its_place_among_the_changes() -> None:
    watcher = Watcher(queue_size=2)
    watcher.offer(change(0))
    await watcher.acknowledge()
    watcher.offer(change(1))
    assert [await taken(watcher) for _ in range(3)] == [("o-0", 0), "ack", ("o-1", 0)]


async def test_an_acknowledgement_is_never_given_up() -> None:
    watcher = Watcher(queue_size=2)
    watcher.offer(change(0))
    await watcher.acknowledge()
    for number in range(1, 9):
        watcher.offer(change(number))
    assert [await taken(watcher) for _ in range(3)] == ["ack", ("o-7", 7), ("o-8", 0)]


async def test_a_client_that_reads_no_acknowledgements_is_not_read_from() -> None:
    watcher = Watcher(queue_size=2)
    reading = asyncio.create_task(acknowledge_forever(watcher))
    for _ in range(100):
        await asyncio.sleep(0)
    assert not reading.done()
    assert len(watcher._acknowledgements) == MAX_WAITING_ACKNOWLEDGEMENTS
    assert await taken(watcher) == "ack"
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading


async def acknowledge_forever(watcher: Watcher) -> None:
    while True:
        await watcher.acknowledge()


async def test_an_ended_watcher_empties_its_queue_first() -> None:
    watcher = Watcher(queue_size=2)
    watcher.offer(change(0))
    watcher.end()
    assert [await taken(watcher), await taken(watcher)] == [("o-0", 0), None]


async def test_an_error_comes_before_everything_else() -> None:
    watcher = Watcher(queue_size=2)
    watcher.offer(change(0))
    watcher.end(ValueError("bad request"))
    with pytest.raises(ValueError, match="bad request"):
        await watcher.next()


def test_a_subscription_that_comes_after_its_stream_has_ended_leaves_nothing_behind() -> None:
    tracker = OrderTracker(NoOpTracer(), api=ThreadApi())
    sent: SimpleQueue[Any] = SimpleQueue()

    async def requests() -> Any:
        while True:
            yield sent.get()

    stream = tracker.track(requests())
    sent.put(order_pb2.TrackOrdersRequest(subscribe=order_pb2.OrderSelection(user_id="u-1")))
    assert finish(anext(stream)).WhichOneof("event") == "acknowledged"
    (reader,) = [thread for thread in threading.enumerate() if thread.name == "track-orders-requests"]
    finish(stream.aclose())
    sent.put(order_pb2.TrackOrdersRequest(subscribe=order_pb2.OrderSelection(user_id="u-2")))
    reader.join(20.0)
    assert not reader.is_alive()
    assert not tracker._by_user


def test_writers_in_many_threads_lose_no_change_and_no_watcher_misses_one() -> None:
    tracker = OrderTracker(NoOpTracer(), queue_size=10_000, api=ThreadApi())
    over = threading.Event()

    async def requests() -> Any:
        yield order_pb2.TrackOrdersRequest(subscribe=order_pb2.OrderSelection(user_id="u-1"))
        over.wait(20.0)

    stream = tracker.track(requests())
    assert finish(anext(stream)).WhichOneof("event") == "acknowledged"
    with ThreadPoolExecutor(8) as writers:
        for number in range(1_000):
            writers.submit(tracker.publish, change(number))
        seen = {finish(anext(stream)).changed.order.order_id for _ in range(1_000)}
    over.set()
    finish(stream.aclose())
    assert len(seen) == 1_000


async def test_publishing_to_stuck_watchers_is_one_step() -> None:
    tracker = OrderTracker(NoOpTracer(), queue_size=2)

    async def requests() -> Any:
        yield order_pb2.TrackOrdersRequest(subscribe=order_pb2.OrderSelection(user_id="u-1"))
        await asyncio.Event().wait()

    streams = [tracker.track(requests()) for _ in range(3)]
    for stream in streams:
        assert (await anext(stream)).WhichOneof("event") == "acknowledged"
    for number in range(10_000):
        tracker.publish(change(number))  # not awaited, so nothing can hold it up
    assert [(await anext(stream)).changed.missed_count for stream in streams] == [9_998] * 3
    for stream in streams:
        await stream.aclose()
    assert tracker.watcher_count == 0
