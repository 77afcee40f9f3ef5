"""What every adapter of UserStore does. A new adapter is one more of `record_stores.ADAPTERS`."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest

from services.stores.ports import RequestIdReusedError, UserChanges, UserDraft, UserStore
from tests.contract.record_stores import ADAPTERS, MakeUserStore, Place, user_stores

ALICE = UserDraft("Alice", "alice@example.org")
BOB = UserDraft("Bob", "bob@example.org")


@pytest.fixture(params=ADAPTERS)
def place(request: pytest.FixtureRequest) -> Place:
    return Place.of(request)


@pytest.fixture
async def make_store(place: Place) -> AsyncIterator[MakeUserStore]:
    async with user_stores(place) as make:
        yield make


@pytest.fixture
async def store(make_store: MakeUserStore) -> UserStore:
    return await make_store(clock=itertools.count(1_000).__next__)


async def positions(store: UserStore, limit: int, after: int = 0) -> list[list[str]]:
    """Return the names on each page."""
    pages: list[list[str]] = []
    next_position: int | None = after
    while next_position is not None:
        page = await store.page(next_position, limit)
        pages.append([record.name for record in page.records])
        next_position = page.next_position
    return pages


async def test_a_created_user_is_kept_with_its_times(store: UserStore) -> None:
    created = await store.create(ALICE)
    assert created.is_new
    record = created.record
    assert (record.name, record.email) == (ALICE.name, ALICE.email)
    assert record.create_time_unix_nano == record.update_time_unix_nano == 1_000
    assert await store.get(record.user_id) == record


async def test_ids_are_never_reused(make_store: MakeUserStore) -> None:
    ids = iter(["u-1", "u-1", "u-2"])
    store = await make_store(ids=lambda: next(ids))
    assert [(await store.create(ALICE)).record.user_id for _ in range(2)] == ["u-1", "u-2"]


async def test_a_user_that_does_not_exist_is_none(store: UserStore) -> None:
    assert await store.get("u-404") is None
    assert await store.update("u-404", UserChanges(name="x")) is None
    assert await store.delete("u-404") is False


async def test_a_repeated_request_gets_the_first_answer(store: UserStore) -> None:
    first = await store.create(ALICE, "r-1")
    await store.update(first.record.user_id, UserChanges(name="changed"))
    again = await store.create(ALICE, "r-1")
    assert (again.record, again.is_new) == (first.record, False)
    assert await positions(store, 10) == [["changed"]]


async def test_a_request_id_with_another_draft_is_refused(store: UserStore) -> None:
    await store.create(ALICE, "r-1")
    with pytest.raises(RequestIdReusedError) as caught:
        await store.create(BOB, "r-1")
    assert caught.value.request_id == "r-1"


async def test_of_request_ids_the_newest_are_remembered(make_store: MakeUserStore) -> None:
    store = await make_store(remembered_requests=2)
    for request_id in ("r-1", "r-2", "r-3"):
        await store.create(ALICE, request_id)
    assert [(await store.create(ALICE, request_id)).is_new for request_id in ("r-3", "r-2", "r-1")] == [
        False,
        False,
        True,
    ]


async def test_without_a_request_id_every_create_is_new(store: UserStore) -> None:
    one, two = await store.create(ALICE), await store.create(ALICE)
    assert one.record.user_id != two.record.user_id


async def test_many_are_found_by_id(store: UserStore) -> None:
    alice, bob = (await store.create(ALICE)).record, (await store.create(BOB)).record
    assert await store.get_many([bob.user_id, "u-404", alice.user_id]) == {alice.user_id: alice, bob.user_id: bob}


@pytest.mark.parametrize(
    ("limit", "expected"),
    [(2, [["0", "1"], ["2", "3"]]), (3, [["0", "1", "2"], ["3"]]), (9, [["0", "1", "2", "3"]])],
    ids=["even pages", "short last page", "one page"],
)
async def test_pages_tile_the_list(store: UserStore, limit: int, expected: list[list[str]]) -> None:
    for number in range(4):
        await store.create(UserDraft(str(number), "a@b"))
    assert await positions(store, limit) == expected


async def test_an_empty_store_has_one_empty_page(store: UserStore) -> None:
    assert await positions(store, 3) == [[]]


async def test_what_is_made_or_deleted_meanwhile_moves_nothing_to_another_page(store: UserStore) -> None:
    records = [(await store.create(UserDraft(str(number), "a@b"))).record for number in range(4)]
    first = await store.page(0, 2)
    assert first.next_position is not None
    await store.delete(records[0].user_id)
    await store.delete(records[1].user_id)
    await store.create(UserDraft("new", "a@b"))
    assert await positions(store, 2, first.next_position) == [["2", "3"], ["new"]]


async def test_an_update_changes_what_is_set_and_the_time(store: UserStore) -> None:
    record = (await store.create(ALICE)).record
    changed = await store.update(record.user_id, UserChanges(email="new@b"))
    assert changed is not None
    assert (changed.name, changed.email) == ("Alice", "new@b")
    assert changed.create_time_unix_nano == record.create_time_unix_nano < changed.update_time_unix_nano
    assert await store.get(record.user_id) == changed


async def test_concurrent_updates_of_different_fields_both_survive(store: UserStore) -> None:
    record = (await store.create(ALICE)).record
    changes: list[Any] = [UserChanges(name=f"n{n}") if n % 2 else UserChanges(email=f"e{n}@b") for n in range(50)]
    await asyncio.gather(*(store.update(record.user_id, change) for change in changes))
    after = await store.get(record.user_id)
    assert after is not None
    assert after.name.startswith("n")
    assert after.email.startswith("e")


async def test_concurrent_repeats_of_a_create_make_one_user(store: UserStore) -> None:
    created = await asyncio.gather(*(store.create(ALICE, "r-1") for _ in range(20)))
    assert len({each.record.user_id for each in created}) == 1
    assert sum(each.is_new for each in created) == 1
    assert await positions(store, 10) == [["Alice"]]


async def test_no_user_has_an_id_that_no_store_can_hold(store: UserStore) -> None:
    assert await store.get("u-\0") is None
    assert await store.get_many(["u-\0"]) == {}
    assert await store.update("u-\0", UserChanges(name="x")) is None
    assert await store.delete("u-\0") is False
