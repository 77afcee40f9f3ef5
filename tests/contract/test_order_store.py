"""What every adapter of OrderStore does. A new adapter is one more of `record_stores.ADAPTERS`."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.grpc_api.stepping import finish
from services.stores.ports import OrderChanges, OrderDraft, OrderStatus, OrderStore, RequestIdReusedError
from tests.contract.record_stores import ADAPTERS, MakeOrderStore, Place, order_stores


@pytest.fixture(params=ADAPTERS)
def place(request: pytest.FixtureRequest) -> Place:
    return Place.of(request)


@pytest.fixture
async def make_store(place: Place) -> AsyncIterator[MakeOrderStore]:
    async with order_stores(place) as make:
        yield make


@pytest.fixture
async def store(make_store: MakeOrderStore) -> OrderStore:
    return await make_store(clock=itertools.count(1_000).__next__)


async def pages(store: OrderStore, limit: int, user_ids: Sequence[str] = ()) -> list[list[int]]:
    """Return the amounts on each page."""
    found: list[list[int]] = []
    position: int | None = 0
    while position is not None:
        page = await store.page(position, limit, user_ids)
        found.append([record.amount_minor_units for record in page.records])
        position = page.next_position
    return found


async def test_a_created_order_is_pending(store: OrderStore) -> None:
    record = (await store.create(OrderDraft("u-1", 75, "gift"))).record
    assert (record.user_id, record.amount_minor_units, record.note) == ("u-1", 75, "gift")
    assert record.status is OrderStatus.PENDING
    assert record.create_time_unix_nano == record.update_time_unix_nano == 1_000
    assert await store.get(record.order_id) == record


async def test_an_order_that_does_not_exist_is_none(store: OrderStore) -> None:
    assert await store.get("o-404") is None
    assert await store.update("o-404", OrderChanges(note="x")) is None
    assert await store.last_position() == 0


async def test_a_repeated_request_gets_the_first_answer(store: OrderStore) -> None:
    draft = OrderDraft("u-1", 75)
    assert await store.created_by(draft, "r-1") is None
    first = await store.create(draft, "r-1")
    await store.update(first.record.order_id, OrderChanges(status=OrderStatus.PAID))
    assert await store.created_by(draft, "r-1") == first.record
    again = await store.create(draft, "r-1")
    assert (again.record, again.is_new) == (first.record, False)
    assert await store.created_by(draft, "") is None


async def test_a_request_id_with_another_draft_is_refused(store: OrderStore) -> None:
    await store.create(OrderDraft("u-1", 75), "r-1")
    with pytest.raises(RequestIdReusedError):
        await store.create(OrderDraft("u-1", 76), "r-1")
    with pytest.raises(RequestIdReusedError):
        await store.created_by(OrderDraft("u-2", 75), "r-1")


async def test_of_request_ids_the_newest_are_remembered(make_store: MakeOrderStore) -> None:
    store = await make_store(remembered_requests=2)
    draft = OrderDraft("u-1", 75)
    made = [(await store.create(draft, request_id)).record for request_id in ("r-1", "r-2", "r-3")]
    remembered = [await store.created_by(draft, request_id) for request_id in ("r-1", "r-2", "r-3")]
    assert remembered == [None, *made[1:]]


async def test_an_update_tells_before_and_after(store: OrderStore) -> None:
    record = (await store.create(OrderDraft("u-1", 75, "old"))).record
    update = await store.update(record.order_id, OrderChanges(status=OrderStatus.PAID))
    assert update is not None
    assert update.before == record
    assert (update.after.status, update.after.note) == (OrderStatus.PAID, "old")
    assert update.after.update_time_unix_nano > record.update_time_unix_nano
    emptied = await store.update(record.order_id, OrderChanges(note=""))
    assert emptied is not None
    assert (emptied.after.status, emptied.after.note) == (OrderStatus.PAID, "")


async def test_pages_are_filtered_and_in_order_of_creation(store: OrderStore) -> None:
    for number, user_id in enumerate(["a", "b", "a", "c", "b", "a"]):
        await store.create(OrderDraft(user_id, number))
    assert await pages(store, 4) == [[0, 1, 2, 3], [4, 5]]
    assert await pages(store, 2, ["b", "a", "b"]) == [[0, 1], [2, 4], [5]]
    assert await pages(store, 2, ["nobody"]) == [[]]
    assert await store.last_position() > 0


@given(
    owners=st.lists(st.sampled_from("abcd"), max_size=30),
    wanted=st.lists(st.sampled_from("abcde"), max_size=3),
    limit=st.integers(1, 7),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pages_hold_exactly_the_orders_of_the_users(
    place: Place, owners: list[str], wanted: list[str], limit: int
) -> None:
    async def listed() -> list[int]:
        async with order_stores(place) as make_store:
            store = await make_store()
            for number, owner in enumerate(owners):
                await store.create(OrderDraft(owner, number))
            found = await pages(store, limit, wanted)
        assert all(len(page) == limit for page in found[:-1])
        return [amount for page in found for amount in page]

    expected = [number for number, owner in enumerate(owners) if not wanted or owner in wanted]
    assert asyncio.run(listed()) == expected


async def test_concurrent_updates_of_different_fields_both_survive(store: OrderStore) -> None:
    record = (await store.create(OrderDraft("u-1", 75))).record
    changes = [
        OrderChanges(status=OrderStatus.PAID) if number % 2 else OrderChanges(note=f"note {number}")
        for number in range(50)
    ]
    updates = await asyncio.gather(*(store.update(record.order_id, change) for change in changes))
    after = await store.get(record.order_id)
    assert after is not None
    assert (after.status, after.note[:4]) == (OrderStatus.PAID, "note")
    # Every update started from what the one before it left: none was made on an old copy.
    times = {update.after.update_time_unix_nano for update in updates if update is not None}
    assert {update.before.update_time_unix_nano for update in updates if update is not None} <= times | {
        record.update_time_unix_nano
    }


async def test_concurrent_repeats_of_a_create_make_one_order(store: OrderStore) -> None:
    created = await asyncio.gather(*(store.create(OrderDraft("u-1", 75), "r-1") for _ in range(20)))
    assert len({each.record.order_id for each in created}) == 1
    assert sum(each.is_new for each in created) == 1
    assert await pages(store, 10) == [[75]]


async def test_no_order_has_an_id_that_no_store_can_hold(store: OrderStore) -> None:
    assert await store.get("o-\0") is None
    assert await store.update("o-\0", OrderChanges(note="x")) is None
    assert await pages(store, 1, ["u-\0"]) == [[]]


async def test_a_page_never_skips_an_order_that_was_being_made(store: OrderStore) -> None:
    seen: list[int] = []

    async def follow() -> None:
        position = 0
        while len(seen) < 40:
            page = await store.page(position, 7)
            seen.extend(record.amount_minor_units for record in page.records)
            position = page.records[-1].position if page.records else position
            await asyncio.sleep(0)

    creating = (store.create(OrderDraft("u-1", number)) for number in range(40))
    await asyncio.gather(follow(), *creating)
    assert sorted(seen) == list(range(40))


@pytest.fixture(params=["memory", "postgresql of threads"])
def shared_store(request: pytest.FixtureRequest) -> Iterator[OrderStore]:
    """A store for many threads, whose clock lets others run in the middle of a create."""

    def slow_clock() -> int:
        threading.Event().wait(0.002)
        return 1_000

    stores = order_stores(Place.of(request))
    make = finish(stores.__aenter__())
    yield finish(make(clock=slow_clock))
    finish(stores.__aexit__(None, None, None))


def test_threads_that_create_at_once_get_an_order_and_a_position_each(shared_store: OrderStore) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda number: finish(shared_store.create(OrderDraft("a", number))), range(100)))
    page = finish(shared_store.page(0, 1_000))
    positions = [created.record.position for created in made]
    assert sorted(set(positions)) == sorted(positions)
    assert [record.order_id for record in page.records] == [
        created.record.order_id for created in sorted(made, key=lambda created: created.record.position)
    ]


def test_threads_that_repeat_a_request_at_once_get_one_order(shared_store: OrderStore) -> None:
    with ThreadPoolExecutor(8) as threads:
        made = list(threads.map(lambda _: finish(shared_store.create(OrderDraft("a", 1), "r-1")), range(8)))
    assert len({created.record.order_id for created in made}) == 1
    assert [created.is_new for created in made].count(True) == 1
